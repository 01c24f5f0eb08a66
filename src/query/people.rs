//! Under which keys a person is known, and whose a statement is.

use uuid::Uuid;

use super::{Reader, Sight};
use crate::{
    cold::{ColdError, moments::authority_of},
    model::TenantId,
    store::{
        As, StoreError,
        ledger::statements::{self, Whose},
    },
    xapi::keys::{self, Ifi},
};

/// What is known of the targets of somebody's voidings, who may void only what is under their own authority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Those that are under others.
    pub foreign: Vec<Uuid>,
    /// Those that are certainly the sender's own, and that the hot tables do not hold.
    pub own_and_away: Vec<Uuid>,
}

impl Reader {
    /// What somebody sees who sees only what this person did.
    pub async fn of_person(&self, tenant: TenantId, person: &Ifi) -> Result<Sight, ColdError> {
        let mut keys = vec![keys::agent(tenant.0, person)];
        if let Some(user) = keys::platform_user(person) {
            keys.extend(self.keys_of(tenant, &user.to_string()).await?);
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(Sight::Actors(keys))
    }

    /// The keys of a user, as attempts know them.
    pub(super) async fn keys_of(&self, tenant: TenantId, user: &str) -> Result<Vec<Uuid>, ColdError> {
        let keys = self.store.agent_keys(tenant, user).await?;
        // As `agent_keys` tells accounts of the platform from others.
        let is_account = user.len() == 36 && Uuid::parse_str(user).is_ok();
        if !keys.is_empty() || is_account {
            return Ok(keys);
        }
        // Somebody whom only their statements tell, and these may be archived.
        for moment in self.store.first_statements(tenant, user).await? {
            let first = Box::pin(self.cold.one_at(tenant, moment)).await?;
            if let Some(key) = first.and_then(|kept| kept.agent_key) {
                return Ok(vec![key]);
            }
        }
        Ok(Vec::new())
    }

    /// The text of what was stored at this moment.
    pub async fn text_at(
        &self,
        tenant: TenantId,
        moment: chrono::DateTime<chrono::Utc>,
    ) -> Result<Option<String>, ColdError> {
        Ok(Box::pin(self.cold.one_at(tenant, moment)).await?.map(|kept| kept.payload))
    }

    /// Whose those of the statements are that somebody has stored, seen from the authority with this key.
    pub async fn targets(&self, tenant: TenantId, ids: &[Uuid], authority: Uuid) -> Result<Targets, ColdError> {
        let known = self
            .store
            .run_tx("whose", As::Tenant(tenant), |tx| {
                Box::pin(async move { statements::whose(tx, tenant, ids, authority).await })
            })
            .await
            .map_err(|error: StoreError| ColdError::from(error))?;
        let mut targets = Targets::default();
        for (id, whose) in known {
            match whose {
                Whose::Ours => {}
                Whose::Others => targets.foreign.push(id),
                Whose::Away(stored) => {
                    let Some(kept) = Box::pin(self.cold.one_at(tenant, stored)).await? else { continue };
                    let is_own = authority_of(tenant, &kept)? == statements::authority_form(authority);
                    if is_own { targets.own_and_away.push(id) } else { targets.foreign.push(id) }
                }
            }
        }
        Ok(targets)
    }
}
