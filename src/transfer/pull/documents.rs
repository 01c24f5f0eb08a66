//! A pull's documents: every place that statements name is asked for what it has, in rounds over the places. Who was interrupted goes on in the
//! round that was under way, and then makes another over what came since.

use std::{collections::BTreeSet, path::Path};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Cursor,
    places::{Place, Places},
    save,
};
use crate::{
    cold::Cold,
    model::TenantId,
    transfer::{PastDocument, TransferError, export::Tell, foreign::Intake, past_documents::Documents, remote::Remote},
    xapi::query::DocumentScope,
};

/// So many places are asked before it is noted how far it is.
const TOGETHER: usize = 50;

/// How far documents are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// What statements name that were stored up to here was asked for all it has.
    asked: Option<DateTime<Utc>>,
    /// What was modified there up to here is here.
    modified: Option<DateTime<Utc>>,
    under_way: Option<Round>,
}

/// One time over all places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Round {
    /// So far everything is here which was stored there: what a statement of later names may come from one that was not read yet.
    through: DateTime<Utc>,
    /// Those up to this one were asked.
    behind: Uuid,
    newest: Option<DateTime<Utc>>,
}

impl Position {
    /// Since when to ask a place that was first named at a moment; without an answer, for all it has.
    fn since(&self, first: DateTime<Utc>, overlap: TimeDelta) -> Option<DateTime<Utc>> {
        let was_asked = self.asked.is_some_and(|asked| first <= asked);
        self.modified.filter(|_| was_asked).map(|modified| modified - overlap)
    }

    /// The round that was under way, or a new one.
    fn round(&mut self, through: DateTime<Utc>) -> &mut Round {
        self.under_way.get_or_insert(Round { through, behind: Uuid::nil(), newest: None })
    }

    fn ended(&mut self) {
        if let Some(round) = self.under_way.take() {
            self.asked = Some(round.through);
            self.modified = self.modified.max(round.newest);
        }
    }
}

/// What became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    #[serde(flatten)]
    pub documents: Documents,
    /// States that are listed there, but belong to a registration that no statement names: xAPI has no way to them. By their activity and id.
    pub out_of_reach: Vec<String>,
}

/// Takes the documents of all that statements name which are here.
pub async fn take(
    remote: &mut Remote,
    (cold, intake): (&Cold, &mut Intake),
    (cursor, file): (&mut Cursor, Option<&Path>),
    overlap: TimeDelta,
    tell: Tell<'_>,
) -> Result<Found, TransferError> {
    let (tenant, through) = (TenantId(cursor.tenant), cursor.since);
    let mut done = Found::default();
    // What came since it began may have its place before the one where it goes on: then there is another round.
    let mut goes_on = cursor.documents.under_way.is_some();
    loop {
        let round = cursor.documents.round(through).clone();
        let places = Box::pin(Places::of(cold, tenant)).await?;
        for (number, (key, place)) in (1..).zip(places.behind(round.behind)) {
            let since = |first| cursor.documents.since(first, overlap);
            let past = all_of(remote, &place, since, &mut done.out_of_reach).await?;
            done.documents.take(intake, (cold.store(), tenant), &past).await?;
            tell("documents", done.documents.read);
            let round = cursor.documents.round(through);
            round.behind = key;
            round.newest = round.newest.max(past.iter().map(|one| one.updated_at).max());
            if number % TOGETHER == 0 {
                save(cursor, file)?;
            }
        }
        cursor.documents.ended();
        save(cursor, file)?;
        if !std::mem::take(&mut goes_on) {
            return Ok(done);
        }
    }
}

/// The documents of a place. Where no registration is asked for, many systems list the states of all of them: those are not there without theirs.
async fn all_of(
    remote: &mut Remote,
    place: &Place,
    since: impl Fn(DateTime<Utc>) -> Option<DateTime<Utc>>,
    out_of_reach: &mut Vec<String>,
) -> Result<Vec<PastDocument>, TransferError> {
    let (mut past, mut missed) = (Vec::new(), BTreeSet::new());
    for id in remote.document_ids(&place.scope, since(place.first)).await? {
        match remote.document(&place.scope, &id).await? {
            Some(document) => past.push(document),
            None => _ = missed.insert(id),
        }
    }
    let DocumentScope::State { activity, agent, .. } = &place.scope else { return Ok(past) };
    for (registration, first) in &place.registrations {
        let (activity, agent) = (activity.clone(), agent.clone());
        let scope = DocumentScope::State { activity, agent, registration: Some(*registration) };
        for id in remote.document_ids(&scope, since(*first)).await? {
            if let Some(document) = remote.document(&scope, &id).await? {
                missed.remove(&id);
                past.push(document);
            }
        }
    }
    out_of_reach.extend(missed.into_iter().map(|id| format!("{activity} {id}")));
    Ok(past)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn a_place_that_is_new_is_asked_for_all_it_has() {
        let mut position = Position::default();
        assert_eq!(position.since(at(5), TimeDelta::seconds(10)), None);
        position.round(at(100)).newest = Some(at(50));
        assert_eq!(position.since(at(5), TimeDelta::seconds(10)), None, "the round is under way");
        position.ended();
        assert_eq!(position.since(at(100), TimeDelta::seconds(10)), Some(at(40)));
        assert_eq!(position.since(at(101), TimeDelta::seconds(10)), None, "nobody had named it");
        position.round(at(200));
        position.ended();
        assert_eq!(position.since(at(150), TimeDelta::seconds(10)), Some(at(40)), "nothing was modified since");
    }

    #[test]
    fn a_round_that_was_interrupted_is_the_same_round() {
        let mut position = Position::default();
        position.round(at(100)).behind = Uuid::from_u128(7);
        let text = serde_json::to_string(&position).unwrap();
        let mut again: Position = serde_json::from_str(&text).unwrap();
        assert_eq!(again.round(at(200)), &Round { through: at(100), behind: Uuid::from_u128(7), newest: None });
    }
}
