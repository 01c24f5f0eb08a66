//! The audit trail of administration and of reading about others: who did what to what. Rows are only ever added, and hold no
//! personal data.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::TenantId;
use crate::store::{
    As, Store, StoreError,
    door::{
        failure::Repeats,
        tx::{Tx, column},
    },
};

/// One entry. The database adds its own time.
#[derive(Clone, Debug)]
pub struct Entry<'e> {
    pub tenant: Option<TenantId>,
    /// A credential's key, a token's pseudonym or the command line: never a person's name.
    pub actor: &'e str,
    pub action: &'static str,
    /// The id of what was acted upon.
    pub subject: String,
    pub detail: Value,
}

/// The number of an entry, by which it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(pub i64);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const APPEND: &str = "/* audit::append */
    INSERT INTO platform.audit (tenant_id, actor, action, subject, detail)
    VALUES ($1 /* tenant */, $2 /* actor */, $3 /* action */, $4 /* subject */, $5 /* detail */)
    RETURNING audit_id";

/// Adds an entry in the transaction of the act itself, so that neither stands without the other; answers its number.
pub async fn append(tx: &Tx<'_>, entry: &Entry<'_>) -> Result<EntryId, StoreError> {
    let tenant = entry.tenant.map(|tenant| tenant.0);
    let row = tx.query_one(APPEND, &[&tenant, &entry.actor, &entry.action, &entry.subject, &entry.detail]).await?;
    column(&row, "audit_id").map(EntryId)
}

/// Somebody who reads what is said of other people, as the trail will know it.
#[derive(Clone, Debug)]
pub struct Reading {
    /// As in [`Entry`].
    pub actor: String,
    pub action: &'static str,
    /// With which people are hashed: see [`person`].
    pub key: Arc<[u8]>,
}

impl Reading {
    /// A read that leaves an entry in the trail leaves one.
    pub(in crate::store) fn repeats(reading: Option<&Self>) -> Repeats {
        if reading.is_some() { Repeats::WhenAborted } else { Repeats::Freely }
    }

    /// The entry of having read `count` things about `user`.
    pub fn entry(&self, tenant: TenantId, user: &str, count: usize) -> Entry<'_> {
        let subject = person(&self.key, tenant, user);
        Entry {
            tenant: Some(tenant),
            actor: &self.actor,
            action: self.action,
            subject,
            detail: json!({ "count": count }),
        }
    }
}

/// A person as the trail names them: the same one always alike, and nobody without the key can tell who it is.
pub fn person(key: &[u8], tenant: TenantId, user: &str) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(tenant.0.as_bytes());
    context.update(user.as_bytes());
    format!("person:{}", hex::encode(&context.sign().as_ref()[..16]))
}

/// An entry that is written after the act, with the time of the act.
#[derive(Clone, Debug)]
pub struct Noted {
    pub at: DateTime<Utc>,
    pub tenant: TenantId,
    pub actor: String,
    pub action: &'static str,
    pub subject: String,
    pub detail: Value,
}

impl Store {
    /// Adds many entries at once, of whichever tenants.
    pub async fn append_noted(&self, noted: &[Noted]) -> Result<(), StoreError> {
        self.run_once("append_noted", As::Worker, |tx| {
            Box::pin(async move {
                let tenants: Vec<_> = noted.iter().map(|noted| noted.tenant.0).collect();
                let times: Vec<_> = noted.iter().map(|noted| noted.at).collect();
                let actors: Vec<_> = noted.iter().map(|noted| noted.actor.as_str()).collect();
                let actions: Vec<_> = noted.iter().map(|noted| noted.action).collect();
                let subjects: Vec<_> = noted.iter().map(|noted| noted.subject.as_str()).collect();
                let details: Vec<_> = noted.iter().map(|noted| noted.detail.to_string()).collect();
                tx.execute(
                    "/* audit::append_noted */ INSERT INTO platform.audit (tenant_id, at, actor, action, subject, detail)
                     SELECT tenant, at, actor, action, subject, detail::jsonb
                     FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[])
                          AS noted (tenant, at, actor, action, subject, detail)",
                    &[&tenants, &times, &actors, &actions, &subjects, &details],
                )
                .await
                .map(drop)
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_one_name_per_key_and_tenant_that_does_not_show_them() {
        let name = person(b"key", TenantId::DEFAULT, "ada");
        assert_eq!(name, person(b"key", TenantId::DEFAULT, "ada"));
        assert!(name.len() == 39 && !name.contains("ada"), "{name}");
        assert_ne!(name, person(b"other", TenantId::DEFAULT, "ada"));
        assert_ne!(name, person(b"key", TenantId(uuid::Uuid::nil()), "ada"));
    }
}
