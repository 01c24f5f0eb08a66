//! `flags`: what is switched on and set per tenant, and who changed it when.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    access::{self, BY},
    beside::with_database,
};
use crate::{
    flags::{self, Change, Flags, Set, Standing, declared},
    model::{Clock, Ids, TenantId},
    store::Store,
};

#[derive(clap::Args)]
pub struct Args {
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    /// Whose: a tenant's id or name; without it what holds for everybody who has none of their own
    #[arg(long, global = true)]
    tenant: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print every flag, what it is, and whose value that is
    List,
    /// Set a flag; every node knows it within a second
    #[command(after_help = "Example: progress-service flags set xapi.writes off --tenant acme --reason 'they move'")]
    Set {
        name: String,
        /// on, off or a whole number
        value: String,
        /// Why; it stands in the history
        #[arg(long)]
        reason: String,
        /// Who does it, as the audit trail will know them
        #[arg(long, default_value = BY)]
        by: String,
    },
    /// Take a flag back: what holds for everybody counts again, or what is configured
    Unset {
        name: String,
        /// Why; it stands in the history
        #[arg(long)]
        reason: String,
        /// Who does it, as the audit trail will know them
        #[arg(long, default_value = BY)]
        by: String,
    },
    /// Print the changes, the newest first
    History {
        /// Only of this flag
        name: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        most: u32,
    },
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = super::begin()?;
    super::runtime()?.block_on(with_database(&loaded.config, async |database| {
        let identity = database.identity(&loaded.config, Clock::system(), Ids::random())?;
        let tenant = match &args.tenant {
            Some(text) => Some(access::tenant(&identity, text).await?),
            None => None,
        };
        let store = Store::open(&database.settings)?;
        let done = with_flags(args, &Flags::new(&store), tenant).await;
        store.close();
        done.map(|()| ExitCode::SUCCESS)
    }))
}

async fn with_flags(args: &Args, flags: &Flags, tenant: Option<TenantId>) -> anyhow::Result<()> {
    match &args.command {
        Command::List => {
            flags.refresh().await?;
            flags.standing(tenant).iter().for_each(|one| print(one, args.json));
        }
        Command::Set { name, value, reason, by } => {
            let value = declared::read(flags::flag(name)?, value).map_err(anyhow::Error::msg)?;
            change(flags, &Change { name, tenant, value: Some(value), reason }, by, args.json).await?;
        }
        Command::Unset { name, reason, by } => {
            change(flags, &Change { name, tenant, value: None, reason }, by, args.json).await?;
        }
        Command::History { name, most } => {
            let found = flags.history(name.as_deref(), tenant, i64::from(*most)).await?;
            found.iter().for_each(|one| print_change(one, args.json));
        }
    }
    Ok(())
}

async fn change(flags: &Flags, change: &Change<'_>, by: &str, json: bool) -> anyhow::Result<()> {
    flags.set(change, by).await?;
    let standing = flags.standing(change.tenant);
    standing.iter().filter(|one| one.flag.name == change.name).for_each(|one| print(one, json));
    Ok(())
}

fn words(value: Option<&Value>) -> Option<String> {
    value.map(declared::written)
}

fn print(Standing { flag, value, from }: &Standing, json: bool) {
    let value = words(value.as_ref());
    if json {
        let line =
            json!({ "name": flag.name, "kind": flag.kind.name(), "about": flag.about, "value": value, "from": from });
        say!("{line}");
    } else {
        let value = value.unwrap_or_else(|| "as configured".to_owned());
        say!("{:<24}  {value:<13}  {from:<9}  {}", flag.name, flag.about);
    }
}

fn print_change(Set { number, name, tenant, value, reason, by, at }: &Set, json: bool) {
    let value = words(value.as_ref());
    if json {
        let line = json!({ "number": number, "name": name, "tenantId": tenant, "value": value, "reason": reason, "setBy": by,
            "setAt": at });
        say!("{line}");
    } else {
        let whose = tenant.map_or_else(|| "everybody".to_owned(), |tenant| tenant.to_string());
        let value = value.unwrap_or_else(|| "taken back".to_owned());
        say!("{number:>6}  {at}  {name} = {value} for {whose} by {by}: {reason}", at = at.format("%Y-%m-%dT%H:%M:%SZ"));
    }
}
