//! Tenants: create, list, suspend, resume; and what each decides for itself. Who may do that is for the surfaces to see to.

use serde_json::json;

use super::{Identity, IdentityError, manage::invalid};
use crate::{
    model::TenantId,
    store::{
        As,
        platform::{
            audit::{self, Entry},
            tenants::{self, Cmi5Settings, Tenant, TenantStatus},
        },
        progress::satisfied,
    },
};

const LONGEST_NAME: usize = 200;

impl Identity {
    pub async fn create_tenant(&self, by: &str, name: &str) -> Result<Tenant, IdentityError> {
        let (length, name) = (name.chars().count(), name.trim_matches(' ').to_owned());
        if length > LONGEST_NAME || name.trim().is_empty() || name.chars().any(char::is_control) {
            let why = format!("1 to {LONGEST_NAME} characters, not all of them blank and none a control character");
            return Err(invalid("name", why));
        }
        let (by, id, now) = (by.to_owned(), TenantId(self.ids.uuid()), self.clock.now());
        let create = self.store.run_once("create_tenant", As::Worker, |tx| {
            let (by, name) = (by.clone(), name.clone());
            Box::pin(async move {
                if tenants::insert(tx, id, &name, now).await? {
                    audit::append(tx, &entry(&by, "tenant.create", id)).await?;
                }
                // Absent when the name is another tenant's.
                tenants::get(tx, id).await?.ok_or(IdentityError::Conflict("a tenant of that name exists"))
            })
        });
        create.await
    }

    /// Tenants by name.
    pub async fn list_tenants(&self, after: Option<&str>, limit: i64) -> Result<Vec<Tenant>, IdentityError> {
        let after = after.map(str::to_owned);
        let list = self.store.run_tx("list_tenants", As::Worker, |tx| {
            let after = after.clone();
            Box::pin(async move { Ok::<_, IdentityError>(tenants::list(tx, after.as_deref(), limit).await?) })
        });
        list.await
    }

    /// The tenant of this name.
    pub async fn tenant_named(&self, name: &str) -> Result<Tenant, IdentityError> {
        let name = name.to_owned();
        let find = self.store.run_tx("tenant_named", As::Worker, |tx| {
            let name = name.clone();
            Box::pin(async move { tenants::named(tx, &name).await?.ok_or(IdentityError::NotFound("tenant")) })
        });
        find.await
    }

    /// Suspends or resumes. A suspended tenant's callers are refused; its data stays as it is.
    pub async fn set_tenant_status(
        &self,
        by: &str,
        id: TenantId,
        status: TenantStatus,
    ) -> Result<Tenant, IdentityError> {
        if id == TenantId::DEFAULT && status == TenantStatus::Suspended {
            // Its administrators are the operators: nobody could resume it.
            return Err(IdentityError::Conflict("the default tenant cannot be suspended"));
        }
        let action = match status {
            TenantStatus::Active => "tenant.resume",
            TenantStatus::Suspended => "tenant.suspend",
        };
        let (by, now) = (by.to_owned(), self.clock.now());
        let set = self.store.run_once("set_tenant_status", As::Worker, |tx| {
            let by = by.clone();
            Box::pin(async move {
                if tenants::set_status(tx, id, status, now).await? {
                    audit::append(tx, &entry(&by, action, id)).await?;
                }
                tenants::get(tx, id).await?.ok_or(IdentityError::NotFound("tenant"))
            })
        });
        let tenant = set.await?;
        self.forget();
        Ok(tenant)
    }
}

impl Identity {
    /// One tenant, for whoever may know its settings.
    pub async fn tenant(&self, id: TenantId) -> Result<Tenant, IdentityError> {
        self.store.tenant(id).await?.ok_or(IdentityError::NotFound("tenant"))
    }

    /// Changes what a tenant decides about cmi5. It counts for what is stored from then on, on every node.
    pub async fn set_cmi5(&self, by: &str, id: TenantId, cmi5: Cmi5Settings) -> Result<Tenant, IdentityError> {
        let by = by.to_owned();
        let set = self.store.run_once("set_tenant_cmi5", As::Worker, |tx| {
            let by = by.clone();
            Box::pin(async move {
                if tenants::set_cmi5(tx, id, cmi5).await? {
                    satisfied::note_open(tx, id).await?;
                    let detail = json!({ "cmi5Strict": cmi5.strict, "cmi5Satisfied": cmi5.satisfied });
                    audit::append(tx, &Entry { detail, ..entry(&by, "tenant.settings", id) }).await?;
                }
                tenants::get(tx, id).await?.ok_or(IdentityError::NotFound("tenant"))
            })
        });
        set.await
    }
}

fn entry<'e>(by: &'e str, action: &'static str, id: TenantId) -> Entry<'e> {
    Entry { tenant: Some(id), actor: by, action, subject: id.to_string(), detail: json!({}) }
}
