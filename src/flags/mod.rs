//! Flags and settings of tenants: kept in memory, looked for twice a second, and answered without asking the database.

pub mod declared;
pub mod residence;

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::declared::{FLAGS, Flag, Kind};
pub use crate::store::platform::flags::{Change, Set};
use crate::{
    model::TenantId,
    store::{
        As, Store, StoreError, Tx,
        door::error::AsStoreError,
        platform::{
            audit::{self, Entry},
            flags as rows, tenants,
        },
    },
};

/// How often a node looks for changes: this is how long one that was turned off may stay on.
const LOOK: Duration = Duration::from_millis(500);
/// Characters of a reason.
pub const LONGEST_REASON: usize = 2_000;

/// Why a flag is not set.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    #[error("there is no flag {0:.80?}; `progress-service flags list` prints all")]
    Unknown(String),
    #[error("there is no such tenant")]
    NoTenant,
    #[error("{0}")]
    Value(String),
    #[error("a reason has 1 to {LONGEST_REASON} characters")]
    Reason,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for FlagError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Unknown(_) | Self::NoTenant | Self::Value(_) | Self::Reason => None,
        }
    }
}

/// What is in force, as of a number.
#[derive(Debug, Default)]
struct Seen {
    number: i64,
    everybody: HashMap<String, Value>,
    tenants: HashMap<TenantId, HashMap<String, Value>>,
}

impl Seen {
    fn of(number: i64, rows: Vec<Set>) -> Self {
        let mut seen = Self { number, ..Self::default() };
        for Set { name, tenant, value, .. } in rows {
            let Some(value) = value else { continue };
            match tenant {
                Some(tenant) => seen.tenants.entry(tenant).or_default().insert(name, value),
                None => seen.everybody.insert(name, value),
            };
        }
        seen
    }

    /// The tenant's own, else everybody's.
    fn value(&self, tenant: TenantId, name: &str) -> Option<&Value> {
        let own = self.tenants.get(&tenant).and_then(|own| own.get(name));
        own.or_else(|| self.everybody.get(name))
    }
}

/// A flag as it stands for a tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub flag: &'static Flag,
    /// `None`: as configured.
    pub value: Option<Value>,
    /// `tenant`, `everybody` or `default`: whose value it is.
    pub from: &'static str,
}

/// The flags as this process knows them.
#[derive(Clone)]
pub struct Flags {
    store: Store,
    seen: Arc<watch::Sender<Seen>>,
}

impl Flags {
    /// Knows only defaults until it has looked.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), seen: Arc::new(watch::Sender::new(Seen::default())) }
    }

    /// Whether a switch is on for a tenant.
    pub fn is_on(&self, tenant: TenantId, flag: &Flag) -> bool {
        let set = self.seen.borrow().value(tenant, flag.name).and_then(Value::as_bool);
        set.unwrap_or(matches!(flag.kind, Kind::Switch(true)))
    }

    /// The number that is set for a tenant; `None`: what the configuration says.
    pub fn number(&self, tenant: TenantId, flag: &Flag) -> Option<u64> {
        self.seen.borrow().value(tenant, flag.name).and_then(Value::as_u64)
    }

    /// Every flag as it stands for a tenant; without one, for who has none of their own.
    pub fn standing(&self, tenant: Option<TenantId>) -> Vec<Standing> {
        let seen = self.seen.borrow();
        let standing = |flag: &'static Flag| {
            let own = tenant.and_then(|tenant| seen.tenants.get(&tenant)).and_then(|own| own.get(flag.name));
            let (value, from) = match (own, seen.everybody.get(flag.name)) {
                (Some(own), _) => (Some(own.clone()), "tenant"),
                (None, Some(shared)) => (Some(shared.clone()), "everybody"),
                (None, None) => (declared::default(flag), "default"),
            };
            Standing { flag, value, from }
        };
        FLAGS.iter().map(standing).collect()
    }

    /// Looks once; answers whether there was anything new.
    pub async fn refresh(&self) -> Result<bool, StoreError> {
        let known = self.seen.borrow().number;
        let newer = self.store.run_tx("look_for_flags", As::Worker, |tx| {
            Box::pin(async move {
                let number = rows::newest(tx).await?;
                Ok::<_, StoreError>(if number == known { None } else { Some((number, rows::in_force(tx).await?)) })
            })
        });
        let Some((number, rows)) = newer.await? else { return Ok(false) };
        self.seen.send_replace(Seen::of(number, rows));
        Ok(true)
    }

    /// Looks again and again. A database that is away leaves what was known.
    pub async fn keep(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.refresh().await {
                tracing::debug!(%error, "flags could not be looked for");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Sets a flag or takes it back, with its entry in the audit trail; this process knows it at once, the others when they look.
    pub async fn set(&self, change: &Change<'_>, by: &str) -> Result<i64, FlagError> {
        let number = self.store.run_once("set_flag", As::Worker, |tx| Box::pin(set(tx, change, by))).await?;
        self.refresh().await?;
        Ok(number)
    }

    /// Changes, the newest first.
    pub async fn history(
        &self,
        name: Option<&str>,
        tenant: Option<TenantId>,
        most: i64,
    ) -> Result<Vec<Set>, FlagError> {
        if let Some(name) = name {
            flag(name)?;
        }
        Ok(self.store.run_tx("flag_history", As::Worker, |tx| Box::pin(rows::history(tx, name, tenant, most))).await?)
    }
}

/// The flag of this name.
pub fn flag(name: &str) -> Result<&'static Flag, FlagError> {
    declared::known(name).ok_or_else(|| FlagError::Unknown(name.to_owned()))
}

/// Sets a flag in the transaction of whoever has more to do in it.
pub async fn set(tx: &Tx<'_>, change: &Change<'_>, by: &str) -> Result<i64, FlagError> {
    let flag = flag(change.name)?;
    if !(1..=LONGEST_REASON).contains(&change.reason.trim().chars().count()) {
        return Err(FlagError::Reason);
    }
    if let Some(value) = &change.value {
        declared::read(flag, &declared::written(value)).map_err(FlagError::Value)?;
    }
    if let Some(tenant) = change.tenant
        && tenants::get(tx, tenant).await?.is_none()
    {
        return Err(FlagError::NoTenant);
    }
    let number = rows::add(tx, change, by).await?;
    let detail = json!({ "number": number, "value": change.value });
    let (tenant, subject) = (change.tenant, change.name.to_owned());
    audit::append(tx, &Entry { tenant, actor: by, action: "flags.set", subject, detail }).await?;
    Ok(number)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn row(name: &str, tenant: Option<TenantId>, value: Option<Value>) -> Set {
        let (reason, by) = ("x".to_owned(), "y".to_owned());
        Set { number: 1, name: name.to_owned(), tenant, value, reason, by, at: DateTime::UNIX_EPOCH }
    }

    #[test]
    fn a_tenants_own_value_goes_before_everybodys() {
        let (one, other) = (TenantId::DEFAULT, TenantId(uuid::Uuid::nil()));
        let seen = Seen::of(
            7,
            vec![
                row("xapi.writes", None, Some(json!(false))),
                row("xapi.writes", Some(one), Some(json!(true))),
                row("xapi.page_default", Some(other), None),
            ],
        );
        assert_eq!(seen.value(one, "xapi.writes"), Some(&json!(true)));
        assert_eq!(seen.value(other, "xapi.writes"), Some(&json!(false)));
        assert_eq!(seen.value(other, "xapi.page_default"), None, "what was taken back is not there");
        assert_eq!(seen.number, 7);
    }
}
