//! Who a request is about, under everything they are known by; and what becomes of a statement because of it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{ErasureError, subject::Subject};
use crate::{
    cold::Cold,
    model::{Pseudonyms, TenantId, erasure::Mentions},
    objects::segment::{Condition, Filter, Key, Row},
    store::{
        As, Store,
        ledger::{
            belongings,
            erasing::{self, Sought},
        },
    },
    xapi::{
        document::etag,
        keys::{self, Ifi},
        redact::Known,
    },
};

/// A person in the ledger of a tenant.
#[derive(Clone, Debug)]
pub struct Person {
    pub tenant: TenantId,
    /// Every identifier, by its lookup key: those that were asked for, and those that are the same person's.
    pub agents: BTreeMap<Uuid, Ifi>,
    /// Those of them that nobody named.
    pub aliases: BTreeSet<Uuid>,
    /// How attempts know them.
    pub users: BTreeSet<String>,
    /// Under how many names they were seen. Several may be several persons who share an account.
    pub names: usize,
    known: Known,
}

/// What becomes of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is none of theirs.
    Stays,
    Goes,
    Redacted,
}

impl Person {
    /// Finds out under what else they are known: the hash of a mailbox and the mailbox of a hash, accounts of the same user at other
    /// home pages, and the agent behind a user's id.
    pub async fn find(cold: &Cold, tenant: TenantId, subject: &Subject) -> Result<Self, ErasureError> {
        let store = cold.store();
        let pseudonyms = Pseudonyms::with_key(&store.signing_key(Pseudonyms::PURPOSE).await?);
        let mut agents: BTreeMap<Uuid, Ifi> =
            subject.agents.iter().map(|ifi| (keys::agent(tenant.0, ifi), ifi.clone())).collect();
        let named: BTreeSet<Uuid> = agents.keys().copied().collect();
        let mut users: BTreeSet<String> = subject.users.iter().map(|user| usual(user)).collect();
        users.extend(agents.values().filter_map(keys::platform_user).map(|user| user.to_string()));
        for user in users.clone() {
            agents.extend(agents_of(cold, tenant, &user).await?);
        }
        agents.extend(mailboxes(store, tenant, &agents).await?);
        users.extend(agents.values().map(|ifi| keys::user(tenant.0, ifi, |key| pseudonyms.of(key))));
        let sought: Vec<Uuid> = agents.keys().copied().collect();
        let seen = store.run_tx("seen_agents", As::Worker, |tx| {
            let sought = &sought;
            Box::pin(async move { belongings::agents(tx, tenant, sought).await })
        });
        let names: BTreeSet<String> = seen.await?.into_iter().flat_map(|(_, _, names)| names).collect();
        let all: Vec<Ifi> = agents.values().cloned().collect();
        let aliases = agents.keys().copied().filter(|key| !named.contains(key)).collect();
        Ok(Self { tenant, agents, aliases, users, names: names.len(), known: Known::of(tenant.0, &all) })
    }

    pub fn keys(&self) -> Vec<Uuid> {
        self.agents.keys().copied().collect()
    }

    pub fn sought(&self) -> Sought {
        Sought { keys: self.keys() }
    }

    pub fn users(&self) -> Vec<String> {
        self.users.iter().cloned().collect()
    }

    pub fn is_them(&self, ifi: &Ifi) -> bool {
        self.agents.contains_key(&keys::agent(self.tenant.0, ifi))
    }

    /// What a segment is asked for.
    pub fn filter(&self) -> Filter {
        let one = Condition { column: Key::Agent, keys: self.keys(), relations: self.sought().relations() };
        Filter { conditions: vec![one], moments: None }
    }

    /// What becomes of a statement of this actor and these relations.
    pub fn fate(&self, actor: Option<Uuid>, relations: &[Uuid], mentions: Mentions) -> Fate {
        if actor.is_some_and(|key| self.agents.contains_key(&key)) {
            return Fate::Goes;
        }
        let forms = self.sought().relations();
        match mentions {
            _ if !relations.iter().any(|key| forms.contains(key)) => Fate::Stays,
            Mentions::Keep => Fate::Stays,
            Mentions::Redact => Fate::Redacted,
            Mentions::Delete => Fate::Goes,
        }
    }

    /// The payload without them.
    pub fn redact(&self, payload: &str) -> Result<String, String> {
        self.known.redact(payload).map_err(|error| format!("a payload cannot be read: {error}"))
    }

    /// What becomes of a row of a segment.
    pub fn change(&self, row: Row, mentions: Mentions) -> Result<Option<Row>, String> {
        match self.fate(row.agent_key, &row.relations, mentions) {
            Fate::Stays => Ok(Some(row)),
            Fate::Goes => Ok(None),
            Fate::Redacted => {
                let payload = self.redact(&row.payload)?;
                let relations = erasing::relations_of(self.tenant, &payload).map_err(|error| error.to_string())?;
                Ok(Some(Row { payload, relations, ..row }))
            }
        }
    }
}

/// As an agent carries it: the tag of a document is the same hash, in quotes.
fn sha1(mbox: &str) -> String {
    etag(mbox.as_bytes()).trim_matches('"').to_owned()
}

/// A UUID means the same in capitals; a pseudonym is no UUID with its hyphens left out.
fn usual(user: &str) -> String {
    if user.len() == 36 && Uuid::parse_str(user).is_ok() { user.to_ascii_lowercase() } else { user.to_owned() }
}

/// The agents behind a user's id.
async fn agents_of(cold: &Cold, tenant: TenantId, user: &str) -> Result<Vec<(Uuid, Ifi)>, ErasureError> {
    let store = cold.store();
    let mut keys = store.agent_keys(tenant, user).await?;
    if keys.is_empty() && Uuid::parse_str(user).is_err() {
        // Somebody whom only their statements tell, and these may be archived.
        for moment in store.first_statements(tenant, user).await? {
            keys.extend(Box::pin(cold.one_at(tenant, moment)).await?.and_then(|kept| kept.agent_key));
        }
    }
    let keys = &keys;
    let found =
        store.run_tx("agents_of", As::Worker, |tx| Box::pin(async move { belongings::agents(tx, tenant, keys).await }));
    Ok(found.await?.into_iter().map(|(key, ifi, _)| (key, ifi)).collect())
}

/// The hash of each mailbox, and the mailbox of each hash where the ledger knows it.
async fn mailboxes(
    store: &Store,
    tenant: TenantId,
    agents: &BTreeMap<Uuid, Ifi>,
) -> Result<Vec<(Uuid, Ifi)>, ErasureError> {
    let mut hashes: BTreeSet<String> = BTreeSet::new();
    let mut found = Vec::new();
    for ifi in agents.values() {
        match ifi {
            Ifi::Mbox(mbox) => {
                // As it was written, and as many write it before they hash it.
                for text in [mbox.clone(), mbox.to_ascii_lowercase()] {
                    let hash = Ifi::MboxSha1sum(sha1(&text));
                    found.push((keys::agent(tenant.0, &hash), hash));
                }
            }
            Ifi::MboxSha1sum(hash) => drop(hashes.insert(hash.to_ascii_lowercase())),
            _ => {}
        }
    }
    let mut after = Uuid::nil();
    while !hashes.is_empty() {
        let page = store.run_tx("all_agents", As::Worker, |tx| Box::pin(belongings::agents_after(tx, tenant, after)));
        let page = page.await?;
        let Some((last, _, _)) = page.last() else { break };
        after = *last;
        let is_meant = |ifi: &Ifi| matches!(ifi, Ifi::Mbox(mbox) if hashes.contains(&sha1(mbox)));
        found.extend(page.into_iter().filter(|(_, ifi, _)| is_meant(ifi)).map(|(key, ifi, _)| (key, ifi)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{store::ledger::statements::related_form, xapi::redact};

    const T: TenantId = TenantId(Uuid::from_u128(1));

    fn mbox(name: &str) -> Ifi {
        Ifi::Mbox(format!("mailto:{name}@x.example"))
    }

    fn ann() -> Person {
        let ifi = mbox("ann");
        let agents = BTreeMap::from([(keys::agent(T.0, &ifi), ifi.clone())]);
        let known = Known::of(T.0, &[ifi]);
        Person { tenant: T, agents, aliases: BTreeSet::new(), users: BTreeSet::new(), names: 1, known }
    }

    #[test]
    fn who_acts_goes_and_who_is_mentioned_is_a_matter_of_policy() {
        let (ann, bob) = (keys::agent(T.0, &mbox("ann")), keys::agent(T.0, &mbox("bob")));
        let fate = |actor, relations: &[Uuid], mentions| self::ann().fate(actor, relations, mentions);
        for mentions in Mentions::ALL.iter().copied() {
            assert_eq!(fate(Some(ann), &[], mentions), Fate::Goes);
            assert_eq!(fate(Some(bob), &[bob], mentions), Fate::Stays);
        }
        for form in self::ann().sought().relations() {
            assert_eq!(fate(Some(bob), &[form], Mentions::Redact), Fate::Redacted);
            assert_eq!(fate(None, &[form], Mentions::Delete), Fate::Goes);
            assert_eq!(fate(Some(bob), &[form], Mentions::Keep), Fate::Stays);
        }
    }

    #[test]
    fn a_redacted_row_is_found_by_nobody_in_their_place() {
        let payload = r#"{"actor":{"mbox":"mailto:bob@x.example"},"verb":{"id":"v:v"},"object":{"id":"a:1"},"context":{"instructor":{"mbox":"mailto:ann@x.example"}},"authority":{"mbox":"mailto:lrs@x.example"}}"#;
        let row = Row {
            tenant: T,
            id: Uuid::from_u128(2),
            stored: DateTime::UNIX_EPOCH,
            occurred: None,
            verb_key: Uuid::from_u128(3),
            agent_key: Some(keys::agent(T.0, &mbox("bob"))),
            activity_key: None,
            registration_key: None,
            refers_to: None,
            voiding: false,
            voids_only_of: None,
            voided_by: None,
            converts: false,
            relations: erasing::relations_of(T, payload).unwrap(),
            payload: payload.to_owned(),
        };
        assert!(ann().filter().matches(&row));
        let after = ann().change(row.clone(), Mentions::Redact).unwrap().unwrap();
        assert!(!after.payload.contains("ann") && !ann().filter().matches(&after));
        assert!(after.relations.contains(&related_form(redact::nobodys_key(T.0))));
        assert_eq!(after.relations.len(), row.relations.len());
        assert_eq!(ann().change(after.clone(), Mentions::Redact), Ok(Some(after)), "done again it changes nothing");
        assert_eq!(ann().change(row, Mentions::Delete), Ok(None));
    }
}
