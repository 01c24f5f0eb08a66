//! `erasure`: one person leaves everything that is kept of a tenant.

mod asked;
mod log;
mod scrub;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};
use uuid::Uuid;

use self::asked::{Decided, Who};
use super::{
    access::{self, BY},
    audit::{Files, hand_out},
    beside::with_database,
    exit,
    jobs::see_through,
};
use crate::{
    app::{self, Database},
    config::{Config, Loaded},
    erasure::{
        Erasures,
        plan::{Plan, Statements},
        request::{Going, Request},
    },
    model::{
        Clock, Ids, TenantId,
        erasure::{Arrivals, Mentions, State},
        job::State as JobState,
    },
    store::{
        As, Store,
        ledger::erasures::{self, Erasure},
        platform::audit::EntryId,
        progress::erasing,
    },
    telemetry::Metrics,
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
    /// Count everything there is of a person, place by place, and what stands against erasing it
    Plan {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        decided: Decided,
    },
    /// The same, and with --apply record it, do it and wait
    #[command(after_help = "Example: progress-service erasure request --mbox mailto:ann@example.com --apply")]
    Request {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        decided: Decided,
        /// Do it; without this only the plan is printed
        #[arg(long)]
        apply: bool,
        /// Only if the plan still has this digest
        #[arg(long, requires = "apply")]
        plan: Option<String>,
    },
    /// Go on with a request that waits, or that nobody works on any more
    Run { id: Uuid },
    /// Print how far requests are: one, or all
    Status {
        id: Option<Uuid>,
        /// Id or name; absent means every tenant
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Look for what an erasure removed, by ids; and with identifiers, for the person; exit code 4 when something is there
    Verify {
        id: Uuid,
        #[command(flatten)]
        who: Who,
    },
    /// Print the signed receipt: what was done, what may remain until when, and the proof that the audit trail has it
    Receipt {
        id: Uuid,
        #[command(flatten)]
        files: Files,
    },
    /// Print what tenants decide about mentions and later arrivals, or decide it
    Policy {
        /// Id or name
        #[arg(long, default_value = "default")]
        tenant: String,
        /// What becomes of statements that only mention the person: redact, keep or delete
        #[arg(long)]
        mentions: Option<Mentions>,
        /// What becomes of what the same person does later: erase or accept
        #[arg(long)]
        arrivals: Option<Arrivals>,
    },
    /// Print how many attempts the erased had made, by course
    Counts {
        /// Id or name
        #[arg(long, default_value = "default")]
        tenant: String,
    },
    /// Print the log of erasures as it is kept outside of the database: keyed hashes and ids, a line each
    Log,
    /// Erase again, after a backup was restored, whom the log says: from a file, or from the archive's storage
    Replay {
        /// What `erasure log` printed; absent means what lies in the archive's storage
        #[arg(long)]
        log: Option<std::path::PathBuf>,
        /// Do it; without this it is only told what would be done
        #[arg(long)]
        apply: bool,
    },
    /// Rewrite tables so that free space in them holds nothing of what was removed; each is locked while it is rewritten
    Scrub {
        /// Do it; without this the tables are only named
        #[arg(long)]
        apply: bool,
    },
}

/// What every verb works with.
struct Desk<'a> {
    config: &'a Config,
    database: &'a Database,
    store: Store,
    erasures: Erasures,
    json: bool,
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let (config, json) = (&loaded.config, args.json);
    with_database(config, async |database| {
        let store = Store::open(&database.settings)?;
        let erasures = app::erasures(config, &store, &Ids::random(), &Metrics::new()?);
        let desk = Desk { config, database, store, erasures, json };
        match &args.command {
            Command::Plan { who, decided } => desk.plan(who, decided, (false, None)).await,
            Command::Request { who, decided, apply, plan } => desk.plan(who, decided, (*apply, plan.as_deref())).await,
            Command::Run { id } => Box::pin(desk.go_on(*id)).await,
            Command::Status { id, tenant } => desk.status(*id, tenant.as_deref()).await,
            Command::Verify { id, who } => desk.verify(*id, who).await,
            Command::Receipt { id, files } => desk.receipt(*id, files).await,
            Command::Policy { tenant, mentions, arrivals } => desk.policy(tenant, *mentions, *arrivals).await,
            Command::Counts { tenant } => desk.counts(tenant).await,
            Command::Log => log::print(&desk).await,
            Command::Replay { log, apply } => Box::pin(log::replay(&desk, log.as_deref(), *apply)).await,
            Command::Scrub { apply } => scrub::run(&desk, *apply).await,
        }
    })
    .await
}

impl Desk<'_> {
    async fn tenant(&self, text: &str) -> anyhow::Result<TenantId> {
        let identity = self.database.identity(self.config, Clock::system(), Ids::random())?;
        access::tenant(&identity, text).await
    }

    async fn plan(
        &self,
        who: &Who,
        decided: &Decided,
        (apply, seen): (bool, Option<&str>),
    ) -> anyhow::Result<ExitCode> {
        let tenant = self.tenant(&who.tenant).await?;
        let subject = who.subject()?;
        let policy = Some(decided.over(self.erasures.policy(tenant).await?));
        let request = Request { tenant, subject: &subject, policy, by: BY, saga_request: None, seen };
        if !apply {
            let plan = self.erasures.look(&request).await?;
            self.print_plan(&plan);
            if !self.json {
                say!("nothing was done; `erasure request … --apply` does it");
            }
            return Ok(ExitCode::SUCCESS);
        }
        let asked = self.erasures.request(&request).await?;
        self.print_plan(&asked.plan);
        self.see(asked.id, asked.job).await
    }

    fn print_plan(&self, plan: &Plan) {
        if self.json {
            say!("{}", json!({ "plan": plan, "digest": plan.digest() }));
            return;
        }
        for (place, Statements { own, mentions }) in plan.found.statements() {
            say!("statements, {place:<9} {own:>10} own {mentions:>10} mention them");
        }
        for (place, count) in plan.found.beside() {
            say!("{place:<29} {count:>10}");
        }
        plan.aliases.iter().for_each(|alias| say!("theirs as well: {alias}"));
        plan.laws.iter().for_each(|law| say!("kept by {}: {}", law.law, law.reason));
        plan.remarks.iter().for_each(|remark| say!("note: {remark}"));
        say!("mentions: {}, later arrivals: {}", plan.policy.mentions.name(), plan.policy.arrivals.name());
        say!("plan {}", plan.digest());
    }

    /// Watches a job to its end and prints what came of it.
    async fn see(&self, id: Uuid, job: Uuid) -> anyhow::Result<ExitCode> {
        let done = see_through(self.config, self.database, &self.store, job, self.json).await?;
        let erasure = self.get(id).await?;
        self.print(&erasure);
        Ok(match (done.state, erasure.state) {
            (JobState::Succeeded, State::Erased) => ExitCode::SUCCESS,
            (JobState::Succeeded, _) => ExitCode::from(exit::FOUND),
            _ => ExitCode::from(exit::FAILED),
        })
    }

    async fn get(&self, id: Uuid) -> anyhow::Result<Erasure> {
        let found = self.erasures.get(id).await?;
        found.ok_or_else(|| anyhow::anyhow!("there is no erasure {id}; `progress-service erasure status` prints them"))
    }

    async fn go_on(&self, id: Uuid) -> anyhow::Result<ExitCode> {
        let erasure = self.get(id).await?;
        if erasure.state.is_over() {
            self.print(&erasure);
            return Ok(ExitCode::SUCCESS);
        }
        match self.erasures.go_on(erasure.tenant, id, BY).await? {
            Going::Begun(job) => self.see(id, job).await,
            Going::Joined(job) if job.state == JobState::Paused => {
                let job = job.id;
                anyhow::bail!(
                    "the job {job} does it, and is paused: `progress-service jobs resume {job}` lets it go on"
                )
            }
            Going::Joined(job) => {
                eprintln!("the job {} does it already: it is followed to its end", job.id);
                self.see(id, job.id).await
            }
        }
    }

    async fn status(&self, id: Option<Uuid>, tenant: Option<&str>) -> anyhow::Result<ExitCode> {
        let all = match (id, tenant) {
            (Some(id), _) => vec![self.get(id).await?],
            (None, tenant) => {
                let tenant = match tenant {
                    Some(tenant) => Some(self.tenant(tenant).await?),
                    None => None,
                };
                let list = self
                    .store
                    .run_tx("list_erasures", As::Worker, |tx| Box::pin(erasures::list(tx, tenant, false, 10_000)));
                list.await?
            }
        };
        all.iter().for_each(|erasure| self.print(erasure));
        if all.is_empty() && !self.json {
            say!("there are none");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, erasure: &Erasure) {
        let Erasure { id, tenant, stamp, state, requested_at, counts, reason, audit_id, .. } = erasure;
        if self.json {
            say!("{}", shown(erasure, &self.erasures.remains(erasure)));
            return;
        }
        say!("{id}  {tenant}  {:<9}  stamp {stamp}  {}", state.name(), requested_at.format("%Y-%m-%d %H:%M:%S"));
        for (place, count) in counts.as_object().into_iter().flatten() {
            say!("  {place} {count}");
        }
        reason.iter().for_each(|reason| say!("  because of {reason}"));
        audit_id.iter().for_each(|entry| say!("  entry {entry} of the audit trail"));
    }

    async fn verify(&self, id: Uuid, who: &Who) -> anyhow::Result<ExitCode> {
        let subject = if who.is_nobody() { None } else { Some(who.subject()?) };
        let verified = self.erasures.verify(id, subject.as_ref()).await?;
        if self.json {
            say!("{}", json!(verified));
        } else {
            say!("{} statements went, {} of them are still there", verified.statements, verified.still_there);
            if let Some(is_them) = verified.is_them {
                say!(
                    "the identifiers are {}",
                    if is_them { "those of somebody who was erased" } else { "nobody's who was erased" }
                );
            }
            verified.under_identifiers.iter().for_each(|there| say!("{there} statements are there under them now"));
        }
        Ok(if verified.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
    }

    async fn receipt(&self, id: Uuid, files: &Files) -> anyhow::Result<ExitCode> {
        let erasure = self.get(id).await?;
        let state = erasure.state.name();
        let entry = erasure.audit_id.filter(|_| erasure.state.is_over());
        let entry =
            entry.with_context(|| format!("the erasure {id} is {state}: there is a receipt when it is over"))?;
        let audit = app::audit(self.config, &self.store, &Clock::system(), &Metrics::new()?)?;
        hand_out(self.config, &audit, EntryId(entry), files, self.json).await
    }

    async fn policy(
        &self,
        tenant: &str,
        mentions: Option<Mentions>,
        arrivals: Option<Arrivals>,
    ) -> anyhow::Result<ExitCode> {
        let tenant = self.tenant(tenant).await?;
        let mut policy = self.erasures.policy(tenant).await?;
        if mentions.is_some() || arrivals.is_some() {
            policy.mentions = mentions.unwrap_or(policy.mentions);
            policy.arrivals = arrivals.unwrap_or(policy.arrivals);
            self.erasures.decide(tenant, policy, BY).await?;
        }
        if self.json {
            say!("{}", json!({ "tenant": tenant, "mentions": policy.mentions, "arrivals": policy.arrivals }));
        } else {
            say!("{tenant}  mentions: {}, later arrivals: {}", policy.mentions.name(), policy.arrivals.name());
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn counts(&self, tenant: &str) -> anyhow::Result<ExitCode> {
        let tenant = self.tenant(tenant).await?;
        let counted = self.store.run_tx("anonymous_counts", As::Worker, |tx| Box::pin(erasing::counted(tx, tenant)));
        for one in counted.await? {
            let erasing::Counted { course, version, outcome, attempts, people } = one;
            if self.json {
                say!(
                    "{}",
                    json!({ "course": course, "version": version, "outcome": outcome, "attempts": attempts, "people": people })
                );
            } else {
                say!("{course}  {version}  {outcome:<10}  {attempts} attempts of {people} people");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Erases again, in a database that was just restored, everybody whom the log names: after this nobody of them is there.
pub(super) async fn forget_again(
    config: &Config,
    database: &Database,
    log: Option<&std::path::Path>,
    json: bool,
) -> anyhow::Result<()> {
    let store = Store::open(&database.settings)?;
    let erasures = app::erasures(config, &store, &Ids::random(), &Metrics::new()?);
    Box::pin(log::replay(&Desk { config, database, store, erasures, json }, log, true)).await.map(drop)
}

/// A request as it is shown to machines.
fn shown(erasure: &Erasure, remains: &Value) -> Value {
    let months: Vec<String> = erasure.months.iter().map(ToString::to_string).collect();
    json!({ "id": erasure.id, "tenant": erasure.tenant, "stamp": erasure.stamp, "state": erasure.state, "policy": erasure.policy,
        "requestedBy": erasure.requested_by, "requestedAt": erasure.requested_at, "hiddenAt": erasure.hidden_at,
        "finishedAt": erasure.finished_at, "counts": erasure.counts, "months": months, "reason": erasure.reason,
        "auditEntry": erasure.audit_id, "remains": remains })
}
