//! `residency`: move a tenant to another cell, look at it, take it back, and remove what is left.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    access::{self, BY},
    beside::with_database,
    exit,
    jobs::see_through,
};
use crate::{
    app::{self, Database},
    config::{Config, Loaded},
    model::{Clock, Ids, job::State},
    residency::{Act, Move, Residency},
    store::{
        Store,
        platform::{audit::EntryId, jobs::Placed},
    },
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
    /// Print the cells that tenants can be moved to
    Cells,
    /// Give a new cell this one's keys for pseudonyms and erasures, so that tenants can move between the two
    Join {
        #[arg(long)]
        cell: String,
        /// Do it; without it nothing is done
        #[arg(long)]
        apply: bool,
    },
    /// Say what a move would do and what is in its way; with --apply it is noted, and can be started
    #[command(
        after_help = "Example: progress-service residency plan --tenant acme --to eu --apply --reason 'asked to'"
    )]
    Plan {
        /// The tenant's id or name
        #[arg(long)]
        tenant: String,
        /// The cell it goes to
        #[arg(long)]
        to: String,
        /// Note it; without it nothing is done
        #[arg(long)]
        apply: bool,
        /// Only if the plan still has this digest
        #[arg(long)]
        plan: Option<String>,
        /// Why; it stands in the audit trail
        #[arg(long, default_value = "asked for")]
        reason: String,
    },
    /// Copy what the tenant has while it works, and compare; done again it brings what came meanwhile
    Start(Of),
    /// The same as start: bring what came meanwhile and compare again
    Verify(Of),
    /// Freeze the tenant for a moment, bring the rest, compare, and let the other cell serve it
    Switch(Of),
    /// Take the tenant back, with what the other cell took meanwhile
    Reverse(Of),
    /// Leave everything as it was and remove what went over; before the switch
    Cancel(Of),
    /// Ask for the removal of what is left here; by somebody else it is agreed to, and done
    Purge(Of),
    /// Print moves, the newest first
    List {
        /// Only of this tenant
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Print a move and where the tenant stands
    Status { r#move: Uuid },
    /// Print the signed report of a move: a receipt of the audit trail
    Report { r#move: Uuid },
}

#[derive(clap::Args)]
struct Of {
    r#move: Uuid,
    /// Do it; without it what would be done is printed
    #[arg(long)]
    apply: bool,
}

/// What the commands work with.
struct Desk<'a> {
    config: &'a Config,
    database: &'a Database,
    store: Store,
    residency: Residency,
    json: bool,
    by: &'a str,
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    with_database(&loaded.config, async |database| {
        let store = Store::open(&database.settings)?;
        let residency = app::residency(&loaded.config, &store, &Clock::system(), &Ids::random())?;
        let config = &loaded.config;
        let desk = Desk { config, database, store: store.clone(), residency, json: args.json, by: &args.by };
        let done = Box::pin(desk.command(&args.command)).await;
        store.close();
        done
    })
    .await
}

impl Desk<'_> {
    async fn command(&self, command: &Command) -> anyhow::Result<ExitCode> {
        match command {
            Command::Cells => {
                for (name, endpoint) in self.residency.cells() {
                    self.line(&json!({ "cell": name, "endpoint": endpoint }), &format!("{name}  {endpoint}"));
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Join { cell, apply } => self.join(cell, *apply).await,
            Command::Plan { tenant, to, apply, plan, reason } => {
                self.plan((tenant, to), *apply, plan.as_deref(), reason).await
            }
            Command::Start(of) | Command::Verify(of) => self.act(of, Act::Start).await,
            Command::Switch(of) => self.act(of, Act::Switch).await,
            Command::Reverse(of) => self.act(of, Act::Reverse).await,
            Command::Cancel(of) => self.act(of, Act::Cancel).await,
            Command::Purge(of) => self.purge(of).await,
            Command::List { tenant } => {
                let tenant = match tenant {
                    Some(text) => Some(self.tenant(text).await?),
                    None => None,
                };
                for one in self.residency.list(tenant, 100).await? {
                    self.print(&one);
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Status { r#move } => self.status(*r#move).await,
            Command::Report { r#move } => self.report(*r#move).await,
        }
    }

    async fn tenant(&self, text: &str) -> anyhow::Result<crate::model::TenantId> {
        access::tenant(&self.database.identity(self.config, Clock::system(), Ids::random())?, text).await
    }

    fn line(&self, json: &Value, words: &str) {
        if self.json {
            say!("{json}");
        } else {
            say!("{words}");
        }
    }

    async fn join(&self, cell: &str, apply: bool) -> anyhow::Result<ExitCode> {
        if !apply {
            let words = format!(
                "{cell} makes pseudonyms, and knows who was erased, by this cell's keys from then on; its nodes are \
                started again after that\nnothing was done; --apply does it"
            );
            self.line(&json!({ "cell": cell, "applied": false }), &words);
            return Ok(ExitCode::SUCCESS);
        }
        self.residency.join(cell, self.by).await?;
        self.line(
            &json!({ "cell": cell, "applied": true }),
            &format!("{cell} has this cell's keys; start its nodes again"),
        );
        Ok(ExitCode::SUCCESS)
    }

    async fn plan(
        &self,
        (tenant, to): (&str, &str),
        apply: bool,
        seen: Option<&str>,
        reason: &str,
    ) -> anyhow::Result<ExitCode> {
        let tenant = self.tenant(tenant).await?;
        let plan = self.residency.plan(tenant, to).await?;
        let digest = plan.digest();
        if !apply {
            if self.json {
                say!("{}", json!({ "plan": plan, "digest": digest, "applied": false }));
            } else {
                say!("{} ({tenant}): {} -> {} ({})", plan.name, plan.from, plan.to, plan.endpoint);
                say!("{} statements in {} months", plan.statements, plan.months.len() + plan.old_months.len());
                for old in &plan.old_months {
                    say!("goes along: {}, which is {} here, with {} statements", old.month, old.is, old.statements);
                }
                plan.stays.iter().for_each(|what| say!("stays here: {what}"));
                plan.blockers.iter().for_each(|what| say!("in the way: {what}"));
                say!("plan {digest}\nnothing was done; --apply does it");
            }
            return Ok(if plan.blockers.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) });
        }
        let noted = self.residency.begin((tenant, to), seen, (self.by, reason)).await?;
        self.print(&noted);
        Ok(ExitCode::SUCCESS)
    }

    async fn act(&self, of: &Of, act: Act) -> anyhow::Result<ExitCode> {
        let (found, words) = self.residency.ask(of.r#move, act).await?;
        if !of.apply {
            self.would(&found, act, &words);
            return Ok(ExitCode::SUCCESS);
        }
        let placed = self.residency.order(of.r#move, act, self.by).await?;
        self.follow(&placed).await
    }

    fn would(&self, found: &Move, act: Act, words: &[String]) {
        if self.json {
            say!("{}", json!({ "move": found.id, "act": act.name(), "does": words, "applied": false }));
        } else {
            words.iter().for_each(|line| say!("{line}"));
            say!("nothing was done; --apply does it");
        }
    }

    async fn purge(&self, of: &Of) -> anyhow::Result<ExitCode> {
        let found = self.residency.get(of.r#move).await?;
        if !of.apply {
            let words = vec![
                "what the tenant had is removed here; two persons ask for it, and there is no way back".to_owned(),
            ];
            self.would(&found, Act::Purge, &words);
            return Ok(ExitCode::SUCCESS);
        }
        let is_second = found.purge_asked_by.as_deref().is_some_and(|first| first != self.by);
        if !is_second {
            let asked = self.residency.ask_purge(of.r#move, self.by).await?;
            self.print(&asked);
            if !self.json {
                say!("somebody else agrees to it: residency purge {} --by NAME --apply", of.r#move);
            }
            return Ok(ExitCode::SUCCESS);
        }
        let placed = self.residency.approve_purge(of.r#move, self.by).await?;
        self.follow(&placed).await
    }

    async fn follow(&self, placed: &Placed) -> anyhow::Result<ExitCode> {
        let job = match placed {
            Placed::This(job) => *job,
            Placed::Other(job) => anyhow::bail!("another move is at work as job {job}: `jobs show {job}`"),
        };
        let done = see_through(self.config, self.database, &self.store, job, self.json).await?;
        if let Some(outcome) = done.outcome.as_ref().filter(|outcome| !self.json && !outcome.is_null()) {
            say!("{outcome}");
        }
        Ok(if done.state == State::Succeeded { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
    }

    async fn status(&self, id: Uuid) -> anyhow::Result<ExitCode> {
        let found = self.residency.get(id).await?;
        self.print(&found);
        let (standing, other) = self.residency.home(found.tenant).await?;
        let left = self.residency.left(found.tenant).await?;
        let other = other.map(|(cell, endpoint)| json!({ "cell": cell, "endpoint": endpoint }));
        let line = json!({ "tenant": found.tenant, "standing": standing.name(), "other": other, "rowsHere": left });
        self.line(&line, &format!("the tenant is {} here; {left} rows of it are in this cell", standing.name()));
        Ok(ExitCode::SUCCESS)
    }

    async fn report(&self, id: Uuid) -> anyhow::Result<ExitCode> {
        let found = self.residency.get(id).await?;
        let Some(entry) = found.report else {
            anyhow::bail!("the move is {}: there is a report of it once it has switched", found.state.name());
        };
        let metrics = crate::telemetry::Metrics::new()?;
        let audit = app::audit(self.config, &self.store, &Clock::system(), &metrics)?;
        let receipt = audit.receipt(EntryId(entry)).await?;
        say!("{}", serde_json::to_string_pretty(&receipt)?);
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, one: &Move) {
        let Move { id, tenant, cell, endpoint, state, reason, requested_by, proved_at, trouble, frozen_ms, .. } = one;
        let statements =
            one.proof.as_ref().and_then(|proof| proof.pointer("/forth/statements")).and_then(Value::as_u64);
        let line = json!({ "move": id, "tenant": tenant, "cell": cell, "endpoint": endpoint, "state": state.name(),
            "reason": reason, "requestedBy": requested_by, "provedAt": proved_at, "statements": statements, "trouble": trouble,
            "frozenMs": frozen_ms, "purgeAskedBy": one.purge_asked_by, "report": one.report });
        let trouble = trouble.as_ref().map(|why| format!("  {why}")).unwrap_or_default();
        self.line(&line, &format!("{id}  {tenant} -> {cell}  {}{trouble}", state.name()));
    }
}
