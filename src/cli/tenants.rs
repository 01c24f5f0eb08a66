//! `tenants`: create, list, suspend, resume, settings.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::access::{self, BY};
use crate::{
    identity::Identity,
    store::platform::tenants::{Cmi5Settings, Tenant, TenantStatus},
};

#[derive(clap::Args)]
pub struct Args {
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Add a tenant
    Create { name: String },
    /// Print all tenants by name
    List,
    /// Refuse a tenant's callers from now on; its data stays
    Suspend {
        /// Id or name
        tenant: String,
    },
    /// Serve a suspended tenant again
    Resume {
        /// Id or name
        tenant: String,
    },
    /// Print or change what a tenant decides for itself
    Settings {
        /// Id or name
        tenant: String,
        /// Refuse statements that break cmi5's rules (true), or count them (false)
        #[arg(long)]
        cmi5_strict: Option<bool>,
        /// Compute and send `satisfied` for courses whose structure is known
        #[arg(long)]
        cmi5_satisfied: Option<bool>,
    },
}

const PAGE: i64 = 500;

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    access::run(async |identity| {
        match &args.command {
            Command::Create { name } => print(&identity.create_tenant(BY, name).await?, args.json),
            Command::List => list(identity, args.json).await?,
            Command::Suspend { tenant } => set(identity, tenant, TenantStatus::Suspended, args.json).await?,
            Command::Resume { tenant } => set(identity, tenant, TenantStatus::Active, args.json).await?,
            Command::Settings { tenant, cmi5_strict, cmi5_satisfied } => {
                settings(identity, tenant, *cmi5_strict, *cmi5_satisfied, args.json).await?;
            }
        }
        Ok(())
    })
}

async fn list(identity: &Identity, json: bool) -> anyhow::Result<()> {
    let mut after: Option<String> = None;
    loop {
        let page = identity.list_tenants(after.as_deref(), PAGE).await?;
        page.iter().for_each(|tenant| print(tenant, json));
        match page.last().filter(|_| page.len() as i64 == PAGE) {
            Some(last) => after = Some(last.name.clone()),
            None => return Ok(()),
        }
    }
}

async fn set(identity: &Identity, tenant: &str, status: TenantStatus, json: bool) -> anyhow::Result<()> {
    let id = access::tenant(identity, tenant).await?;
    print(&identity.set_tenant_status(BY, id, status).await?, json);
    Ok(())
}

async fn settings(
    identity: &Identity,
    tenant: &str,
    strict: Option<bool>,
    satisfied: Option<bool>,
    json: bool,
) -> anyhow::Result<()> {
    let id = access::tenant(identity, tenant).await?;
    let mut cmi5 = identity.tenant(id).await?.cmi5;
    if strict.is_some() || satisfied.is_some() {
        let wanted =
            Cmi5Settings { strict: strict.unwrap_or(cmi5.strict), satisfied: satisfied.unwrap_or(cmi5.satisfied) };
        cmi5 = identity.set_cmi5(BY, id, wanted).await?.cmi5;
    }
    if json {
        say!("{}", json!({ "cmi5Strict": cmi5.strict, "cmi5Satisfied": cmi5.satisfied }));
    } else {
        say!("cmi5-strict     {}\ncmi5-satisfied  {}", cmi5.strict, cmi5.satisfied);
    }
    Ok(())
}

fn print(tenant: &Tenant, json: bool) {
    if json {
        let line = json!({ "id": tenant.id, "name": tenant.name, "status": tenant.status.name(),
                           "createdAt": tenant.created_at, "statusChangedAt": tenant.status_changed_at });
        say!("{line}");
    } else {
        say!("{}  {:<9}  {}", tenant.id, tenant.status.name(), tenant.name);
    }
}
