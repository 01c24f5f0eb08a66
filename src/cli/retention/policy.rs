//! `retention policy`, `retention requests`, `retention sign-off`.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::json;

use super::{Desk, access, planned::line};
use crate::{
    model::{
        Clock,
        retention::{Place, Rule, Starts, days},
    },
    retention::{Change, Preview, who},
    store::ledger::retention::{Class, Set},
};

#[derive(Subcommand)]
pub enum Command {
    /// Print the classes and the rules in force
    List {
        /// Every change there ever was
        #[arg(long)]
        history: bool,
    },
    /// Set a rule, in the place of the one of its kind; its effect is shown first. Without --keep and --delete it is taken away
    Set {
        /// Of which class, such as standard or regulated
        #[arg(long)]
        class: String,
        /// What it covers: statements, documents, attachments, attempts or events
        #[arg(long, value_parser = place)]
        covers: Place,
        /// Only what is of this course, by its id; it needs --tenant
        #[arg(long, requires = "tenant")]
        course: Option<String>,
        /// When its time begins: stored, or withdrawn (of the course)
        #[arg(long, default_value = "stored", value_parser = starts)]
        starts: Starts,
        /// Keeps for so long, such as 7y
        #[arg(long, value_parser = days)]
        keep: Option<u32>,
        /// Deletes after so long, such as 90d
        #[arg(long, value_parser = days)]
        delete: Option<u32>,
        #[command(flatten)]
        how: How,
    },
    /// Say of which class a tenant is
    Assign {
        /// Such as regulated
        class: String,
        #[command(flatten)]
        how: How,
    },
    /// Add a class
    AddClass {
        name: String,
        /// What it is for
        #[arg(long)]
        about: String,
        /// It is shortened by two persons only
        #[arg(long)]
        needs_sign_off: bool,
    },
    /// Note that a course was withdrawn, which rules may begin with
    Withdraw {
        /// The course's id
        course: String,
        /// When, as 2026-03-01T00:00:00Z; now without it
        #[arg(long)]
        at: Option<DateTime<Utc>>,
    },
}

#[derive(clap::Args)]
pub struct How {
    /// Why
    #[arg(long)]
    reason: String,
    /// Do it; without this only its effect is shown
    #[arg(long)]
    apply: bool,
    /// The digest of the plan that another person has signed
    #[arg(long, requires = "apply")]
    plan: Option<String>,
}

fn place(text: &str) -> Result<Place, String> {
    let names = Place::ALL.map(Place::name).join(", ");
    let trail = "the audit trail is never shortened; ";
    let hint = if text == "audit" { trail } else { "" };
    Place::parse(text).ok_or_else(|| format!("{hint}one of {names}"))
}

fn starts(text: &str) -> Result<Starts, String> {
    Starts::parse(text).ok_or_else(|| "stored or withdrawn".to_owned())
}

pub async fn run(desk: &Desk<'_>, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List { history } => list(desk, *history).await?,
        Command::Set { class, covers, course, starts, keep, delete, how } => {
            let course = course.as_ref().map(|id| who::course(desk.one(), id)).transpose()?;
            let (class, starts, keep, delete) = (class.clone(), *starts, *keep, *delete);
            let rule = Rule { number: 0, tenant: desk.tenant, class, covers: *covers, course, starts, keep, delete };
            change(desk, Change::Rule(rule), how).await?;
        }
        Command::Assign { class, how } => {
            change(desk, Change::Class { tenant: desk.one(), class: class.clone() }, how).await?;
        }
        Command::AddClass { name, about, needs_sign_off } => {
            let class = Class { name: name.clone(), needs_sign_off: *needs_sign_off, about: about.clone() };
            desk.retention.add_class(&class, desk.by).await?;
        }
        Command::Withdraw { course, at } => {
            let course = who::course(desk.one(), course)?;
            let at = at.unwrap_or_else(|| Clock::system().now());
            desk.retention.withdraw(desk.one(), &course, at, desk.by).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(desk: &Desk<'_>, history: bool) -> anyhow::Result<()> {
    let (classes, set) = desk.retention.policy(desk.tenant, history).await?;
    for Class { name, needs_sign_off, about } in &classes {
        if desk.json {
            say!("{}", json!({ "class": name, "needsSignOff": needs_sign_off, "about": about }));
        } else {
            say!("class {name}{}: {about}", if *needs_sign_off { " (two persons)" } else { "" });
        }
    }
    set.iter().for_each(|one| print(desk, one));
    if let Some(tenant) = desk.tenant {
        let (class, name) = (desk.retention.class_of(tenant).await?, desk.identity.tenant(tenant).await?.name);
        if desk.json {
            say!("{}", json!({ "tenant": tenant, "class": class }));
        } else {
            say!("tenant {name} is {class}");
        }
    }
    Ok(())
}

fn print(desk: &Desk<'_>, one: &Set) {
    let Set { rule, reason, by, at, signed_off } = one;
    let course = rule.course.as_ref().map(|course| &course.id);
    if desk.json {
        let line = json!({ "number": rule.number, "tenant": rule.tenant, "class": rule.class, "covers": rule.covers,
            "course": course, "starts": rule.starts, "keepDays": rule.keep, "deleteDays": rule.delete, "reason": reason,
            "setBy": by, "setAt": at, "signedOff": signed_off });
        say!("{line}");
        return;
    }
    let whose = rule.tenant.map_or_else(|| "everybody".to_owned(), |tenant| tenant.to_string());
    let span = |verb: &str, days: Option<u32>| days.map(|days| format!(" {verb} {days} days")).unwrap_or_default();
    let (keep, delete) = (span("keeps", rule.keep), span("deletes after", rule.delete));
    let of = course.map(|id| format!(" of {id}")).unwrap_or_default();
    let (number, class, covers, starts) = (rule.number, &rule.class, rule.covers.name(), rule.starts.name());
    say!(
        "rule {number}  {whose}  {class}  {covers}{of} from {starts}:{keep}{delete}  ({by}, {}: {reason})",
        at.format("%Y-%m-%d")
    );
}

/// Shows what a change comes to, and makes it where that was wanted.
async fn change(desk: &Desk<'_>, change: Change, how: &How) -> anyhow::Result<()> {
    let preview = desk.retention.preview(change).await?;
    show(desk, &preview);
    if !how.apply {
        if !desk.json {
            say!("nothing was done; --apply does it");
        }
        return Ok(());
    }
    desk.retention.change(&preview, (&how.reason, desk.by), how.plan.as_deref()).await?;
    if !desk.json {
        say!("done");
    }
    Ok(())
}

fn show(desk: &Desk<'_>, preview: &Preview) {
    for effect in &preview.effects {
        if desk.json {
            say!("{}", json!(effect));
            continue;
        }
        let words = |unit: &Option<_>| unit.as_ref().map_or_else(|| "nothing".to_owned(), line);
        say!("now   {}\nthen  {}", words(&effect.before), words(&effect.after));
    }
    if !desk.json {
        say!("{} places are decided differently", preview.effects.len());
        if let Some(class) = &preview.guarded {
            say!("{class} is shortened by two persons");
        }
    }
}

pub async fn requests(desk: &Desk<'_>) -> anyhow::Result<ExitCode> {
    for one in desk.retention.requests().await? {
        if desk.json {
            let line = json!({ "digest": one.digest, "tenant": one.tenant, "plan": one.plan, "requestedBy": one.requested_by,
                "requestedAt": one.requested_at, "signedBy": one.signed_by });
            say!("{line}");
        } else {
            let signed = one.signed_by.map_or_else(|| "waits".to_owned(), |by| format!("signed by {by}"));
            say!("{}  {signed}  asked by {}  {}", one.digest, one.requested_by, one.plan["change"]);
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn sign_off(desk: &Desk<'_>, digest: &str, reason: &str) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(desk.by != access::BY, "who signs says so: --by NAME");
    let signed = desk.retention.sign_off(digest, desk.by, reason).await?;
    if desk.json {
        say!("{}", json!({ "digest": signed.digest, "signedBy": signed.signed_by }));
    } else {
        say!("signed: {} asked for {}", signed.requested_by, signed.plan["change"]);
    }
    Ok(ExitCode::SUCCESS)
}
