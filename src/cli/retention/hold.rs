//! `retention hold`: place, print and end legal holds.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::Desk;
use crate::{
    retention::{
        NewHold,
        who::{self, Person},
    },
    store::ledger::holds::{Hold, Scope},
};

#[derive(Subcommand)]
pub enum Command {
    /// Place a hold: what stands under it is not removed until it ends
    Add(Box<Add>),
    /// Print the holds that stand
    List {
        /// Also those that have ended
        #[arg(long)]
        all: bool,
    },
    /// End a hold
    Release {
        id: Uuid,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

#[derive(clap::Args)]
pub struct Add {
    /// All that the tenant has
    #[arg(long, conflicts_with_all = ["user", "mbox", "sha1", "openid", "account", "registration", "course"])]
    whole: bool,
    /// A person by the platform's id
    #[arg(long, conflicts_with_all = ["registration", "course"])]
    user: Option<String>,
    /// A person by mail address, such as mailto:ada@example.com; may be given again, as the next three
    #[arg(long, conflicts_with_all = ["registration", "course"])]
    mbox: Vec<String>,
    /// By the SHA-1 of a mail address
    #[arg(long, conflicts_with_all = ["registration", "course"])]
    sha1: Vec<String>,
    /// By OpenID
    #[arg(long, conflicts_with_all = ["registration", "course"])]
    openid: Vec<String>,
    /// By account, as HOMEPAGE|NAME
    #[arg(long, conflicts_with_all = ["registration", "course"])]
    account: Vec<String>,
    /// A registration, by its UUID
    #[arg(long, conflicts_with = "course")]
    registration: Option<String>,
    /// A course, by its id
    #[arg(long)]
    course: Option<String>,
    /// Why; it is kept for ever, so name nobody
    #[arg(long)]
    reason: String,
    /// The law or order it rests on: who is refused is told this
    #[arg(long)]
    law: String,
}

pub async fn run(desk: &Desk<'_>, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Add(add) => {
            let (tenant, scope) = (desk.one(), scope(desk, add).await?);
            let new = NewHold { tenant, scope, reason: &add.reason, law: &add.law };
            let placed = desk.retention.hold(&new, desk.by).await?;
            print(desk, &placed);
            // What was decided before it came is said, and not hidden.
            for gone in
                desk.retention.removals(Some(tenant), false).await?.iter().filter(|one| one.of.revision.is_some())
            {
                if gone.state == crate::store::ledger::removals::State::Removing {
                    eprintln!("it comes too late for a segment that gave way before: removal {}", gone.id);
                }
            }
        }
        Command::List { all } => {
            desk.retention.holds(desk.tenant, *all).await?.iter().for_each(|hold| print(desk, hold));
        }
        Command::Release { id, reason } => {
            print(desk, &desk.retention.release(desk.one(), *id, desk.by, reason).await?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn scope(desk: &Desk<'_>, add: &Add) -> anyhow::Result<Scope> {
    let tenant = desk.one();
    if add.whole {
        return Ok(Scope::Tenant);
    }
    if let Some(text) = &add.registration {
        return Ok(who::registration(tenant, text)?);
    }
    if let Some(id) = &add.course {
        let course = who::course(tenant, id)?;
        return Ok(Scope::Course { named: course.id, key: course.key });
    }
    let plain = [("mbox", &add.mbox), ("mbox_sha1sum", &add.sha1), ("openid", &add.openid)];
    let mut agents: Vec<_> = plain
        .into_iter()
        .flat_map(|(name, values)| values.iter().map(move |value| who::agent(name, json!(value))))
        .collect();
    for text in &add.account {
        agents.push(who::account(text)?);
    }
    Ok(desk.retention.person(tenant, &Person { agents, user: add.user.clone() }).await?)
}

fn print(desk: &Desk<'_>, hold: &Hold) {
    let Hold { tenant, id, scope, named, reason, law, placed_by, placed_at, released, .. } = hold;
    if desk.json {
        let ended = released.as_ref().map(|ended| json!({ "by": ended.by, "at": ended.at, "reason": ended.reason }));
        let line = json!({ "id": id, "tenant": tenant, "scope": scope, "named": named, "reason": reason, "law": law,
            "placedBy": placed_by, "placedAt": placed_at, "released": ended });
        say!("{line}");
        return;
    }
    let named = named.as_ref().map(|named| format!(" {named}")).unwrap_or_default();
    let ended = released.as_ref().map(|ended| format!("; ended {} by {}", ended.at.format("%Y-%m-%d"), ended.by));
    let (day, ended) = (placed_at.format("%Y-%m-%d"), ended.unwrap_or_default());
    say!("{id}  {tenant}  {scope}{named}  {law}: {reason} ({placed_by}, {day}{ended})");
}
