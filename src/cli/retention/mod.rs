//! `retention`: how long what is kept, what goes by that, holds, and what two persons sign. Whatever removes shows its plan first.

mod hold;
mod planned;
mod policy;

use std::process::ExitCode;

use clap::Subcommand;

use super::{access, beside::with_database, exit};
use crate::{
    app,
    config::Loaded,
    identity::Identity,
    model::{Clock, Ids, TenantId, retention::days},
    retention::{Retention, RetentionError},
    store::Store,
    telemetry::Metrics,
};

#[derive(clap::Args)]
pub struct Args {
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    /// Whose: a tenant's id or name; without it that of all tenants, where that makes sense
    #[arg(long, global = true)]
    tenant: Option<String>,
    /// Who does it, as the audit trail will know them
    #[arg(long, global = true, default_value = access::BY)]
    by: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The classes and rules: list them with their history, set them, say which tenant is of which class
    #[command(subcommand)]
    Policy(policy::Command),
    /// Print what goes and what stays, and which principle decided; nothing is done
    Plan {
        /// What if everything older than this went, such as 90d or 2y; what is kept or held stays
        #[arg(long, value_parser = days)]
        older_than: Option<u32>,
        /// Also what stays
        #[arg(long)]
        all: bool,
    },
    /// Mark what the plan removes, spare what is kept after all, and remove what was marked long enough ago
    Apply {
        /// Do it; without this only the plan is printed
        #[arg(long)]
        apply: bool,
        /// Only if the plan still has this digest
        #[arg(long, requires = "apply")]
        plan: Option<String>,
        /// Mark and spare alone
        #[arg(long)]
        mark_only: bool,
    },
    /// Print what is marked; with --all also what went or was spared
    Removals {
        #[arg(long)]
        all: bool,
    },
    /// Place, print and end legal holds
    #[command(subcommand)]
    Hold(hold::Command),
    /// Print the plans that wait for another person's word
    Requests,
    /// Sign the plan of this digest, which somebody else asked for
    SignOff {
        digest: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// What every verb works with.
struct Desk<'a> {
    retention: Retention,
    identity: &'a Identity,
    tenant: Option<TenantId>,
    by: &'a str,
    json: bool,
}

impl Desk<'_> {
    /// The tenant that was named, or the one that is there from the first start on.
    fn one(&self) -> TenantId {
        self.tenant.unwrap_or(TenantId::DEFAULT)
    }
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    with_database(config, async |database| {
        let (clock, ids) = (Clock::system(), Ids::random());
        let identity = database.identity(config, clock.clone(), ids.clone())?;
        let tenant = match &args.tenant {
            Some(text) => Some(access::tenant(&identity, text).await?),
            None => None,
        };
        let store = Store::open(&database.settings)?;
        let retention = app::retention(config, &store, None, &clock, &ids, &Metrics::new()?);
        let desk = Desk { retention, identity: &identity, tenant, by: &args.by, json: args.json };
        let done = match &args.command {
            Command::Policy(command) => policy::run(&desk, command).await,
            Command::Plan { older_than, all } => planned::plan(&desk, *older_than, *all).await,
            Command::Apply { apply, plan, mark_only } => {
                planned::apply(&desk, *apply, plan.as_deref(), !mark_only).await
            }
            Command::Removals { all } => planned::removals(&desk, *all).await,
            Command::Hold(command) => hold::run(&desk, command).await,
            Command::Requests => policy::requests(&desk).await,
            Command::SignOff { digest, reason } => policy::sign_off(&desk, digest, reason).await,
        };
        store.close();
        withheld(done)
    })
    .await
}

/// What waits for another person has an exit code of its own.
fn withheld(done: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    match done {
        Err(error) if matches!(error.downcast_ref(), Some(RetentionError::NeedsSignOff { .. })) => {
            eprintln!("{error}");
            Ok(ExitCode::from(exit::WITHHELD))
        }
        done => done,
    }
}
