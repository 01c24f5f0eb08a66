//! Keys of tenants, and their end: what was committed to with one that is destroyed stays in the log, and tells nobody anything. The
//! tree is whole without it.

use std::time::Duration;

use serde::Serialize;

use super::{Audit, AuditError};
use crate::{
    model::{TenantId, plan},
    store::{
        As, StoreError,
        door::ddl::Session,
        platform::audit_log::keys::{self, KeyLine},
    },
};

/// What destroying a key does.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    pub key: i64,
    pub tenant: TenantId,
    /// Entries that nobody can check against the log any more.
    pub entries: i64,
}

impl Ending {
    pub fn digest(&self) -> String {
        plan::digest(self)
    }
}

impl Audit {
    /// Every key there was, of a tenant or of everybody.
    pub async fn keys(&self, tenant: Option<TenantId>) -> Result<Vec<KeyLine>, AuditError> {
        Ok(self.store.run_tx("audit_keys", As::Worker, |tx| Box::pin(keys::all(tx, tenant))).await?)
    }

    /// What destroying this key would do, once every entry that waits has its place.
    pub async fn ending_of(&self, key: i64) -> Result<Ending, AuditError> {
        while self.place().await? {}
        let found = self.keys(None).await?.into_iter().find(|line| line.id == key).ok_or(AuditError::NoKey(key))?;
        if let Some(at) = found.destroyed_at {
            return Err(AuditError::KeyGone { key, at });
        }
        let tenant = found.tenant.ok_or(AuditError::OwnKey(key))?;
        Ok(Ending { key, tenant, entries: found.entries })
    }

    /// Destroys a key, through a session of the schema's owner, with the entry that tells of it.
    pub async fn end_key(&self, owner: &Session, key: i64, (by, reason): (&str, &str)) -> Result<(), AuditError> {
        if !keys::destroy(owner, key, by, reason).await? {
            return Err(AuditError::NoKey(key));
        }
        self.settle().await
    }
}

/// Rewrites the table of keys, so that its free space holds none that was destroyed.
pub async fn scrub(owner: &Session, longest: Duration) -> Result<(), StoreError> {
    keys::scrub(owner, longest).await
}
