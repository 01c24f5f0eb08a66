//! `forward`: what of a tenant goes on to another LRS, and how far that is.

use std::process::ExitCode;

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    access::{self, BY},
    beside::{cold, with_database},
};
use crate::{
    app::{self, Database},
    config::Loaded,
    model::{Clock, Ids, TenantId},
    store::{
        Store,
        progress::forwards::{Again, Forward, New},
    },
    telemetry::Metrics,
    transfer::forward::desk,
    xapi::time,
};

#[derive(clap::Args)]
pub struct Args {
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    /// Who does it, as the audit trail will know them
    #[arg(long, global = true, default_value = BY)]
    by: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send a tenant's statements on to an LRS of `forward.targets`
    #[command(after_help = "Example: progress-service forward add partner --tenant acme --to partner-lrs \
                            --verb http://adlnet.gov/expapi/verbs/completed --apply")]
    Add(Add),
    /// Print the forwards
    List {
        /// Only of this tenant
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Print how far one is, and what the other LRS refused of it
    Status {
        #[command(flatten)]
        of: Of,
        /// At most so many of what was refused, the newest first
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000))]
        refused: u32,
    },
    /// Stop one where it is; statements wait
    Pause(Of),
    /// Let one go on from where it is, at once
    Resume(Of),
    /// Send what the other LRS refused once more, once it is mended there
    Retry {
        #[command(flatten)]
        of: Of,
        /// Only this statement; may be given several times
        #[arg(long = "id", value_name = "UUID")]
        ids: Vec<Uuid>,
        /// Do it; without it what would be sent is printed
        #[arg(long)]
        apply: bool,
    },
    /// Remove one, and forget how far it was
    Remove {
        #[command(flatten)]
        of: Of,
        /// Do it; without it what would be done is printed
        #[arg(long)]
        apply: bool,
    },
}

#[derive(clap::Args)]
struct Of {
    /// What it is called
    name: String,
    /// Whose it is: a tenant's id or name
    #[arg(long)]
    tenant: String,
}

#[derive(clap::Args)]
struct Add {
    #[command(flatten)]
    of: Of,
    /// Where to: a name in `forward.targets`
    #[arg(long)]
    to: String,
    /// Only statements with this verb, an IRI; may be given several times
    #[arg(long = "verb", value_name = "IRI")]
    verbs: Vec<String>,
    /// Only statements about this activity, an IRI, or with it in their context; may be given several times
    #[arg(long = "activity", value_name = "IRI")]
    activities: Vec<String>,
    /// Also what was stored after this moment, such as 2026-01-01T00:00:00Z; without it what is stored from now on
    #[arg(long, value_name = "MOMENT", conflicts_with = "all")]
    after: Option<DateTime<Utc>>,
    /// Also everything that is there
    #[arg(long)]
    all: bool,
    /// Do it; without it what would be done is printed
    #[arg(long)]
    apply: bool,
}

/// What the commands work with.
struct Desk<'a> {
    loaded: &'a Loaded,
    database: &'a Database,
    store: Store,
    json: bool,
    by: &'a str,
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    with_database(&loaded.config, async |database| {
        let store = Store::open(&database.settings)?;
        let desk = Desk { loaded, database, store: store.clone(), json: args.json, by: &args.by };
        let done = Box::pin(desk.command(&args.command)).await;
        store.close();
        done.map(|()| ExitCode::SUCCESS)
    })
    .await
}

impl Desk<'_> {
    async fn command(&self, command: &Command) -> anyhow::Result<()> {
        match command {
            Command::Add(add) => self.add(add).await,
            Command::List { tenant } => {
                let tenant = match tenant {
                    Some(text) => Some(self.tenant(text).await?),
                    None => None,
                };
                desk::list(&self.store, tenant).await?.iter().for_each(|one| self.print(one));
                Ok(())
            }
            Command::Status { of, refused } => self.status(of, i64::from(*refused)).await,
            Command::Pause(of) => self.pause(of, true).await,
            Command::Resume(of) => self.pause(of, false).await,
            Command::Retry { of, ids, apply } => self.retry(of, ids, *apply).await,
            Command::Remove { of, apply } => self.remove(of, *apply).await,
        }
    }

    async fn tenant(&self, text: &str) -> anyhow::Result<TenantId> {
        let identity = self.database.identity(&self.loaded.config, Clock::system(), Ids::random())?;
        access::tenant(&identity, text).await
    }

    async fn find(&self, of: &Of) -> anyhow::Result<Forward> {
        Ok(desk::get(&self.store, self.tenant(&of.tenant).await?, &of.name).await?)
    }

    fn line(&self, json: &Value, words: &str) {
        if self.json {
            say!("{json}");
        } else {
            say!("{words}");
        }
    }

    /// Where a target is; an error where the configuration names none of that name.
    fn endpoint(&self, target: &str) -> anyhow::Result<String> {
        let targets = app::forward_targets(&self.loaded.config)?;
        match targets.iter().find(|one| one.name == target) {
            Some(found) => Ok(found.endpoint.to_string()),
            None if targets.is_empty() => bail!("forward.targets is empty: it names the LRSs, with their logins"),
            None => {
                let names: Vec<_> = targets.iter().map(|one| one.name.as_str()).collect();
                bail!("forward.targets names no {target}: it has {}", names.join(", "))
            }
        }
    }

    async fn add(&self, add: &Add) -> anyhow::Result<()> {
        let (tenant, name, endpoint) = (self.tenant(&add.of.tenant).await?, &add.of.name, self.endpoint(&add.to)?);
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=63).contains(&name.len()) || !name.chars().all(fits) || name.starts_with('-') {
            bail!("{name:?} is no name: 1 to 63 of a-z, 0-9 and '-' were expected");
        }
        let after = match add.after {
            Some(after) => after,
            None if add.all => DateTime::UNIX_EPOCH,
            None => desk::now(&self.store).await?,
        };
        let new = New {
            tenant,
            name: name.clone(),
            target: add.to.clone(),
            verbs: add.verbs.clone(),
            activities: add.activities.clone(),
            after,
        };
        if add.apply {
            desk::add(&self.store, &new, self.by).await?;
            self.print(&self.find(&add.of).await?);
            return Ok(());
        }
        let line = json!({ "forward": name, "tenant": tenant, "to": new.target, "endpoint": endpoint, "verbs": new.verbs,
            "activities": new.activities, "after": time::text(after), "applied": false });
        let from = if add.all {
            "all that is there and comes".to_owned()
        } else {
            format!("what is stored after {}", time::text(after))
        };
        let filter = filter(&new.verbs, &new.activities);
        let words = format!("{name}: {from} goes to {endpoint}, {filter}\nnothing was done; --apply does it");
        self.line(&line, &words);
        Ok(())
    }

    async fn status(&self, of: &Of, most: i64) -> anyhow::Result<()> {
        let found = self.find(of).await?;
        self.print(&found);
        for one in desk::refusals(&self.store, &found, most).await? {
            let stored = time::text(one.stored);
            let line = json!({ "refused": one.id, "stored": stored, "reason": one.reason });
            self.line(&line, &format!("refused  {}  {stored}  {}", one.id, one.reason));
        }
        Ok(())
    }

    async fn pause(&self, of: &Of, is_paused: bool) -> anyhow::Result<()> {
        desk::pause(&self.store, &self.find(of).await?, is_paused, self.by).await?;
        self.print(&self.find(of).await?);
        Ok(())
    }

    /// Fails where something is still refused, after all was tried.
    async fn retry(&self, of: &Of, ids: &[Uuid], apply: bool) -> anyhow::Result<()> {
        let found = self.find(of).await?;
        let mut refused = desk::refusals(&self.store, &found, i64::MAX).await?;
        if let Some(unknown) = ids.iter().find(|id| refused.iter().all(|one| one.id != **id)) {
            bail!("{unknown} is not among what was refused; `forward status` prints that");
        }
        refused.retain(|one| ids.is_empty() || ids.contains(&one.id));
        refused.reverse();
        if !apply {
            for one in &refused {
                let line = json!({ "statement": one.id, "outcome": "planned", "reason": one.reason });
                self.line(&line, &format!("{}  {}", one.id, one.reason));
            }
            self.line(&json!({ "planned": refused.len(), "applied": false }), "nothing was done; --apply does it");
            return Ok(());
        }
        let cold = cold(self.store.clone(), &self.loaded.config)?;
        let metrics = Metrics::new()?;
        let forwarder = app::forwarder(&self.loaded.config, &cold, &Clock::system(), &Ids::random(), &metrics)?;
        let ids: Vec<Uuid> = refused.iter().map(|one| one.id).collect();
        desk::retries(&self.store, &found, &ids, self.by).await?;
        let mut left = 0;
        for one in &refused {
            let (outcome, reason) = match forwarder.again(&found, one).await? {
                Again::Taken => ("taken", None),
                Again::Gone => ("gone", None),
                Again::Refused(why) => ("refused", Some(why)),
            };
            left += usize::from(reason.is_some());
            let line = json!({ "statement": one.id, "outcome": outcome, "reason": reason });
            self.line(&line, format!("{}  {outcome}  {}", one.id, reason.unwrap_or_default()).trim_end());
        }
        match left {
            0 => Ok(()),
            left => bail!("{left} of {} are still refused", refused.len()),
        }
    }

    async fn remove(&self, of: &Of, apply: bool) -> anyhow::Result<()> {
        let found = self.find(of).await?;
        let (name, position) = (&found.name, time::text(found.position));
        if apply {
            desk::remove(&self.store, &found, self.by).await?;
        }
        let line = json!({ "forward": name, "position": position, "sent": found.sent, "refused": found.refused, "applied": apply });
        let words = if apply {
            format!("{name} is removed; it was at {position}")
        } else {
            format!(
                "{name} is at {position}: nothing more is sent, and the list of what was refused goes\nnothing was done; --apply does it"
            )
        };
        self.line(&line, &words);
        Ok(())
    }

    fn print(&self, one: &Forward) {
        let Forward { name, target, sent, refused, failures, .. } = one;
        let (state, position) = (state(one), time::text(one.position));
        let moment = |at: Option<DateTime<Utc>>| at.map(time::text);
        let endpoint = self.endpoint(target).ok();
        let line = json!({ "forward": name, "tenant": one.tenant, "tenantName": one.tenant_name, "to": target, "endpoint": endpoint,
            "verbs": one.verbs, "activities": one.activities, "state": state, "position": position, "positionId": one.position_id,
            "waitingSince": moment(one.oldest), "sent": sent, "refused": refused, "sentAt": moment(one.sent_at), "failures": failures,
            "lastError": one.last_error, "failedAt": moment(one.failed_at), "retryAt": moment(one.retry_at), "by": one.created_by });
        let trouble = match &one.last_error {
            Some(why) if *failures > 0 => format!("\n  {failures} times: {why}"),
            _ => String::new(),
        };
        let words = format!(
            "{name}  {} -> {target}  {state}  at {position}, {sent} sent, {refused} refused, {}{trouble}",
            one.tenant_name,
            filter(&one.verbs, &one.activities)
        );
        self.line(&line, &words);
    }
}

/// What a forward is doing.
fn state(one: &Forward) -> &'static str {
    match one {
        Forward { is_paused: true, .. } => "paused",
        Forward { is_served: false, .. } => "resting",
        Forward { failures: 1.., .. } => "waiting",
        Forward { oldest: Some(_), .. } => "sending",
        Forward { .. } => "running",
    }
}

fn filter(verbs: &[String], activities: &[String]) -> String {
    let of = |what: &str, list: &[String]| (!list.is_empty()).then(|| format!("{what} {}", list.join(" or ")));
    let parts: Vec<String> = [of("with", verbs), of("about", activities)].into_iter().flatten().collect();
    if parts.is_empty() { "all statements".to_owned() } else { format!("statements {}", parts.join(", ")) }
}
