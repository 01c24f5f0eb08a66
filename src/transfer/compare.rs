//! What differs between two exports, or between an export and what the ledger holds now: by kind, month and verb, down to ids.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    TransferError,
    export::{self, Tell, Wish},
    kind::{self, FILES, Kind},
    lines::{Pages, Whose},
};
use crate::{
    bundle::{
        MonthTally, Source, Tally,
        line::{Seen, line as line_of},
        month_of, tally,
    },
    cold::Cold,
    model::partition::Month,
};

/// Statements read at once.
const LINES: i64 = 2_000;

/// One of two sides.
pub enum Side<'a> {
    Export(&'a Source),
    /// What there is now, as far as the other side looked.
    Current {
        cold: &'a Cold,
        wish: Wish,
        through: DateTime<Utc>,
    },
}

/// What differs in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    pub left: u64,
    pub right: u64,
    pub only_left: Vec<String>,
    pub only_right: Vec<String>,
    /// On both sides, and not the same.
    pub different: Vec<String>,
}

/// What was compared, and where it differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// By the kind, how much the left side has of it.
    pub compared: BTreeMap<String, u64>,
    pub differences: Vec<Difference>,
}

/// Ids of statements, by verb, each with its digest.
type Ids = BTreeMap<String, BTreeMap<Uuid, [u8; 32]>>;

/// Compares the kinds that both sides have; of each difference at most so many ids are told, of each sort.
pub async fn compare(
    left: &Side<'_>,
    right: &Side<'_>,
    most: usize,
    tell: Tell<'_>,
) -> Result<Comparison, TransferError> {
    let mut comparison = Comparison::default();
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| left.has(*kind) && right.has(*kind)).collect();
    if kinds.contains(&Kind::Statements) {
        statements((left, right), most, &mut comparison, tell).await?;
    }
    let is_same = left.tenant() == right.tenant();
    for (kind, file) in FILES.into_iter().filter(|(kind, _)| kinds.contains(kind)) {
        let (one, other) = (left.entries(file, is_same).await?, right.entries(file, is_same).await?);
        let name = file.trim_end_matches(".ndjson");
        if name == kind.name() {
            comparison.compared.insert(name.to_owned(), one.len() as u64);
        }
        tell("compared", one.len() as u64);
        if one != other {
            let (left, right) = (count(&one), count(&other));
            let difference = Difference { kind: name.to_owned(), left, right, ..Difference::default() };
            comparison.differences.push(tell_apart(difference, &one, &other, most));
        }
    }
    Ok(comparison)
}

async fn statements(
    (left, right): (&Side<'_>, &Side<'_>),
    most: usize,
    comparison: &mut Comparison,
    tell: Tell<'_>,
) -> Result<(), TransferError> {
    let (one, other) = (left.tally(tell).await?, right.tally(tell).await?);
    comparison.compared.insert("statements".to_owned(), one.iter().map(|month| month.statements).sum());
    let months: BTreeSet<Month> = one.iter().chain(&other).map(|month| month.month).collect();
    for month in months {
        let of = |side: &[MonthTally]| side.iter().find(|tally| tally.month == month).cloned();
        if of(&one) == of(&other) {
            continue;
        }
        let (ids, others) = (left.ids(month).await?, right.ids(month).await?);
        let verbs: BTreeSet<&String> = ids.keys().chain(others.keys()).collect();
        for verb in verbs {
            let text = |ids: &Ids| -> Entries {
                let of_verb = ids.get(verb).into_iter().flatten();
                of_verb.map(|(id, digest)| (id.to_string(), BTreeSet::from([*digest]))).collect()
            };
            let (one, other) = (text(&ids), text(&others));
            if one != other {
                let (left, right) = (count(&one), count(&other));
                let (kind, verb) = ("statements".to_owned(), Some(verb.clone()));
                let difference = Difference { kind, month: Some(month), verb, left, right, ..Difference::default() };
                comparison.differences.push(tell_apart(difference, &one, &other, most));
            }
        }
    }
    Ok(())
}

/// What each is known by, and what it says: more than one where several are known by the same.
type Entries = BTreeMap<String, BTreeSet<[u8; 32]>>;

fn count(entries: &Entries) -> u64 {
    entries.values().map(|said| said.len() as u64).sum()
}

fn tell_apart(difference: Difference, one: &Entries, other: &Entries, most: usize) -> Difference {
    let only = |here: &Entries, there: &Entries| -> Vec<String> {
        here.keys().filter(|key| !there.contains_key(*key)).take(most).cloned().collect()
    };
    let differs = |(key, said): &(&String, &BTreeSet<[u8; 32]>)| other.get(*key).is_some_and(|there| there != *said);
    let different = one.iter().filter(differs).take(most).map(|(key, _)| key.clone()).collect();
    Difference { only_left: only(one, other), only_right: only(other, one), different, ..difference }
}

impl Side<'_> {
    fn has(&self, kind: Kind) -> bool {
        match self {
            Self::Export(source) => source.manifest.selection.kinds.iter().any(|name| name == kind.name()),
            Self::Current { wish, .. } => wish.kinds.contains(&kind) && (wish.learner.is_none() || kind.is_personal()),
        }
    }

    fn tenant(&self) -> Uuid {
        match self {
            Self::Export(source) => source.manifest.tenant.id,
            Self::Current { wish, .. } => wish.tenant.0,
        }
    }

    async fn tally(&self, tell: Tell<'_>) -> Result<Vec<MonthTally>, TransferError> {
        let (mut tally, mut read) = (Tally::default(), 0);
        let mut add = |month: Month, text: &str, seen: &Seen<'_>| {
            tally.add(month, &seen.verb.id, &tally::line(text));
            read += 1;
            if read % LINES as u64 == 0 {
                tell("compared", read);
            }
        };
        self.each(None, &mut add).await?;
        Ok(tally.months())
    }

    async fn ids(&self, month: Month) -> Result<Ids, TransferError> {
        let mut ids = Ids::new();
        let mut add = |_: Month, text: &str, seen: &Seen<'_>| {
            ids.entry(seen.verb.id.clone().into_owned()).or_default().insert(seen.id, tally::line(text));
        };
        self.each(Some(month), &mut add).await?;
        Ok(ids)
    }

    /// Gives `each` the statements of a month, or all.
    async fn each(
        &self,
        only: Option<Month>,
        each: &mut (dyn FnMut(Month, &str, &Seen<'_>) + Send),
    ) -> Result<(), TransferError> {
        match self {
            Self::Export(source) => {
                for entry in &source.manifest.files {
                    let Some(month) = month_of(&entry.path) else { continue };
                    if only.is_some_and(|only| only != month) {
                        continue;
                    }
                    let mut reading = source.read(entry)?;
                    while let Some(text) = reading.line()? {
                        let text = String::from_utf8_lossy(&text);
                        let seen = serde_json::from_str(&text)
                            .map_err(|error| TransferError::Refused(format!("{}: {error}", entry.path)))?;
                        each(month, &text, &seen);
                    }
                    reading.finish()?;
                }
                Ok(())
            }
            Self::Current { cold, wish, through } => current(cold, wish, *through, only, each).await,
        }
    }

    async fn entries(&self, file: &'static str, is_same_tenant: bool) -> Result<Entries, TransferError> {
        let mut entries = Entries::new();
        let mut add = |text: &[u8]| {
            let line: Map<String, Value> = serde_json::from_slice(text).unwrap_or_default();
            let (key, digest) = kind::identity(file, &line, is_same_tenant);
            entries.entry(key).or_default().insert(digest);
        };
        match self {
            Self::Export(source) => {
                let Some(entry) = source.manifest.file(file) else { return Ok(entries) };
                let mut reading = source.read(entry)?;
                while let Some(text) = reading.line()? {
                    add(&text);
                }
                reading.finish()?;
            }
            Self::Current { cold, wish, .. } => {
                let is_of_named = file == "attachments.ndjson" && !wish.is_of_all();
                let named = if is_of_named { Some(self.named().await?) } else { None };
                let whose = if is_of_named { Whose::all(wish.tenant) } else { wish.whose() };
                let mut pages = Pages::of(cold.store(), &whose, file);
                loop {
                    let page = pages.next().await?;
                    if page.is_empty() {
                        break;
                    }
                    let is_wanted = |line: &&String| {
                        named.as_ref().is_none_or(|named| named.iter().any(|hash| line.contains(hash)))
                    };
                    page.iter().filter(is_wanted).for_each(|line| add(line.as_bytes()));
                }
            }
        }
        Ok(entries)
    }

    /// The contents that its statements name.
    async fn named(&self) -> Result<BTreeSet<String>, TransferError> {
        let mut named = BTreeSet::new();
        let mut add = |_: Month, text: &str, _: &Seen<'_>| {
            export::hashes(&serde_json::from_str(text).unwrap_or_default(), &mut named);
        };
        self.each(None, &mut add).await?;
        Ok(named)
    }
}

async fn current(
    cold: &Cold,
    wish: &Wish,
    through: DateTime<Utc>,
    only: Option<Month>,
    each: &mut (dyn FnMut(Month, &str, &Seen<'_>) + Send),
) -> Result<(), TransferError> {
    let tick = TimeDelta::microseconds(1);
    let until = wish.until.map_or(through, |until| until.min(through)) + tick;
    let (begin, end) = match only {
        Some(month) => (wish.since.max(Some(month.begin() - tick)), until.min(month.end())),
        None => (wish.since, until),
    };
    let mut source = cold.lines(wish.tenant, begin.unwrap_or(DateTime::UNIX_EPOCH), end, LINES);
    loop {
        let lines = Box::pin(source.next()).await?;
        if lines.is_empty() {
            return Ok(());
        }
        let hidden = cold.hidden(wish.tenant).await?;
        for line in lines.iter().filter(|line| !hidden.contains(&line.stored) && export::is_wanted(wish, line)) {
            let text = line_of(&line.payload, line.stored);
            let seen =
                serde_json::from_str(&text).map_err(|error| TransferError::Unreadable(line.id, error.to_string()))?;
            each(Month::of(line.stored), &text, &seen);
        }
    }
}
