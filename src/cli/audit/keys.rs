//! `audit keys`: the keys with which the log commits to entries, and the end of one: what was committed to with it tells nobody
//! anything any more, and the log stays whole.

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use serde_json::json;

use super::Desk;
use crate::{
    audit::keys,
    cli::access::BY,
    model::plan,
    store::{door::ddl::Session, platform::audit_log::keys::KeyLine},
};

/// How long transactions that can still see a key are waited for, and then the table's lock.
const LONGEST: Duration = Duration::from_mins(1);

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the keys, with how many entries were committed to with each
    List {
        /// Only of a tenant, by its id or name
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Destroy the key of a tenant, for good: its entries stay where they are, and nobody can check them against the log any more
    Destroy {
        /// The number of the key, as `audit keys list` prints it
        key: i64,
        /// Why, for the trail; nothing personal
        #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        reason: String,
        /// Who does it, as the trail will know them
        #[arg(long, default_value = BY)]
        by: String,
        /// Do it; without this it is only told what would be done
        #[arg(long)]
        apply: bool,
        /// Only if the plan still has this digest
        #[arg(long, requires = "apply")]
        plan: Option<String>,
    },
}

pub(super) async fn run(desk: &Desk<'_>, verb: &Command) -> anyhow::Result<ExitCode> {
    match verb {
        Command::List { tenant } => {
            let tenant = desk.tenant(tenant.as_deref()).await?;
            desk.audit.keys(tenant).await?.iter().for_each(|line| print(desk, line));
        }
        Command::Destroy { key, reason, by, apply, plan } => {
            destroy(desk, *key, (by, reason), (*apply, plan.as_deref())).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(desk: &Desk<'_>, line: &KeyLine) {
    let KeyLine { id, tenant, made_at, destroyed_at, entries } = line;
    let whose = tenant.map_or_else(|| "the installation".to_owned(), |tenant| tenant.to_string());
    let state = destroyed_at.map_or_else(|| "in use".to_owned(), |at| format!("destroyed {at}"));
    desk.say(
        &format!("{id:>8}  {whose:<36}  {entries:>10} entries  made {made_at}  {state}"),
        || json!({ "key": id, "tenant": tenant, "entries": entries, "madeAt": made_at, "destroyedAt": destroyed_at }),
    );
}

async fn destroy(
    desk: &Desk<'_>,
    key: i64,
    (by, reason): (&str, &str),
    (apply, seen): (bool, Option<&str>),
) -> anyhow::Result<()> {
    let ending = desk.audit.ending_of(key).await?;
    let digest = ending.digest();
    plan::must_be_the_one(seen, &digest).map_err(anyhow::Error::msg)?;
    if apply {
        // Neither requests nor background work may do it: the owner of the schema does.
        let owner = Session::connect(&desk.database.settings.owner).await?;
        desk.audit.end_key(&owner, key, (by, reason)).await?;
        if let Err(error) = keys::scrub(&owner, LONGEST).await {
            eprintln!(
                "the table of keys could not be rewritten, and its free space holds the key ({error}): \
                 `erasure scrub --apply` does it later"
            );
        }
        if let Err(error) = desk.audit.anchor().await {
            eprintln!("what tells of it is not outside yet, and the service goes on trying: {error}");
        }
    }
    let (tenant, entries) = (ending.tenant, ending.entries);
    let done = if apply { "was destroyed" } else { "would be destroyed" };
    desk.say(
        &format!("key {key} of tenant {tenant} {done}: {entries} entries are sealed by that, and the log stays whole"),
        || json!({ "plan": ending, "digest": digest, "done": apply }),
    );
    if !desk.json {
        let next = if apply {
            "backups made before have the key until they are thrown away; `audit verify` counts what is sealed"
                .to_owned()
        } else {
            format!("plan {digest}\nnothing was done; --apply does it, and nothing takes it back")
        };
        say!("{next}");
    }
    Ok(())
}
