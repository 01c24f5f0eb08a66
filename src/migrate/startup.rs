//! What a start does: fill an empty database, apply what is automatic, and say whether the data plane may open.

use serde::Serialize;

use super::{
    error::MigrateError,
    names::Category,
    plan::{self, Because, Known, Plan, Problem, Wish, Withheld},
    promise,
    report::{Failure, RunReport},
    run::{self, Listener, Request, Runner, World},
};
use crate::store::{
    door::ddl::Session,
    schema::migrations::record::{self, NewAttempt},
};

/// Whether this node may serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    Ready {
        applied: usize,
    },
    /// Something is needed that waits: health and administration answer; the data plane says 503 and names these files, with the
    /// reason where it is another than that they are for a person to start.
    Maintenance {
        pending: Vec<String>,
        failed: Option<Failure>,
    },
    /// This binary must not touch this database.
    Refuse {
        why: Vec<String>,
    },
}

const BOOTSTRAP: &str = "bootstrap";

impl Runner {
    /// Brings the database as far as a start may, and judges it. Any number of nodes may do so at once.
    pub async fn startup(&self, applied_by: &str, progress: Listener<'_>) -> Result<Verdict, MigrateError> {
        let session = self.connect().await?;
        // Most starts find nothing to do: they should neither wait for a lock nor write.
        let world = self.world(&session).await?;
        if let Some(verdict) = settled(&world.known()) {
            return Ok(verdict);
        }
        let held = self.lock(&session, progress).await?;
        let world = self.world(&session).await?;
        if let Some(verdict) = settled(&world.known()) {
            held.release().await?;
            return Ok(verdict);
        }
        let first = plan::is_empty(&world.known()) || plan::is_bootstrapping(&world.known());
        let report = if first {
            self.bootstrap(&session, &world, applied_by, progress).await?
        } else {
            let categories = Some(vec![Category::Startup, Category::Seed]);
            let wish = Wish { categories, ..Wish::default() };
            let request = Request { wish, dry_run: false, applied_by: applied_by.to_owned() };
            self.run_locked(&session, &world, &request, progress).await?
        };
        let verdict = self.verdict(&session, report).await?;
        if !matches!(&verdict, Verdict::Refuse { .. }) {
            held.release().await?;
        }
        Ok(verdict)
    }

    /// Applies everything, with a mark around it: a first start that is killed goes on at the next one.
    async fn bootstrap(
        &self,
        session: &Session,
        world: &World<'_>,
        by: &str,
        progress: Listener<'_>,
    ) -> Result<RunReport, MigrateError> {
        let known = world.known();
        let Some(one) = known.first() else { return Ok(RunReport::default()) };
        if world.server.read_only {
            let pending = known.iter().map(|one| one.module.files.len()).sum();
            return Err(MigrateError::ReadOnly { pending });
        }
        let schema = &one.module.schema;
        let open = one.facts.attempts.iter().find(|a| a.action == BOOTSTRAP && a.finished_at.is_none());
        let mark = match open {
            Some(attempt) => attempt.id,
            None => {
                run::prepare(session, *one).await?;
                let attempt = NewAttempt { file: "*", action: BOOTSTRAP, checksum: None, by, approved_by: None };
                record::begin(session, schema, attempt).await?
            }
        };
        // The mark's own schema exists from here on.
        let world = self.world(session).await?;
        let wish = Wish { bootstrap: true, ..Wish::default() };
        let request = Request { wish, dry_run: false, applied_by: by.to_owned() };
        let report = self.run_locked(session, &world, &request, progress).await?;
        if report.failed.is_none() {
            record::finish(session, schema, mark, "applied", None, None).await?;
        }
        Ok(report)
    }

    async fn verdict(&self, session: &Session, report: RunReport) -> Result<Verdict, MigrateError> {
        if let Some(failure) = report.failed.as_ref().filter(|failure| failure.connection_lost) {
            return Ok(Verdict::Refuse { why: vec![sentence(failure)] });
        }
        let world = self.world(session).await?;
        let known = world.known();
        let pending = waiting(&known);
        match report.failed {
            // A file that waits for an operator may be what the failed one needed.
            Some(failure) if !pending.is_empty() && !plan::is_bootstrapping(&known) => {
                Ok(Verdict::Maintenance { pending, failed: Some(failure) })
            }
            Some(failure) => Ok(Verdict::Refuse { why: vec![sentence(&failure)] }),
            None if !needs(&plan::make(&known, &Wish::default())) => Ok(Verdict::Ready { applied: report.done.len() }),
            None => Ok(Verdict::Maintenance { pending, failed: None }),
        }
    }
}

/// Whether something waits without which this binary cannot serve.
fn needs(plan: &Plan<'_>) -> bool {
    plan.withheld.iter().any(|held| !held.file.head.can_wait)
}

fn sentence(failure: &Failure) -> String {
    format!("{}/{} failed: {}", failure.module, failure.file, failure.error)
}

/// Every file that a start leaves to a person.
fn waiting(known: &[Known<'_>]) -> Vec<String> {
    plan::make(known, &Wish::default()).withheld.iter().map(why).collect()
}

fn why(held: &Withheld<'_>) -> String {
    let file = format!("{}/{}", held.module.name, held.file.file());
    match &held.because {
        Because::Gate => file,
        Because::Approval => format!("{file} (destructive: it needs a name, --approved-by)"),
        Because::Behind { file: first } => format!("{file} (after {first})"),
        Because::Steps => format!("{file} (later)"),
        Because::Unfit { findings } => {
            let first = findings.first().map(ToString::to_string).unwrap_or_default();
            format!("{file} (the linter refuses it: {first})")
        }
    }
}

/// The verdict where a start has nothing to write.
fn settled(known: &[Known<'_>]) -> Option<Verdict> {
    let problems = promise::for_serving(known, plan::problems(known));
    // A file that stopped half-way waits for a person, whom maintenance lets in.
    let half = |problem: &Problem| match problem {
        Problem::Unresolved { module, file } => Some(format!("{module}/{file}")),
        _ => None,
    };
    let wrong: Vec<_> = problems.iter().filter(|p| half(p).is_none()).map(ToString::to_string).collect();
    if !wrong.is_empty() {
        return Some(Verdict::Refuse { why: wrong });
    }
    if !problems.is_empty() {
        let named = run::gated(known);
        let mut pending = waiting(known);
        pending.extend(problems.iter().filter_map(half).filter(|file| !named.contains(file)));
        return Some(Verdict::Maintenance { pending, failed: None });
    }
    let plan = plan::make(known, &Wish::default());
    if !plan.steps.is_empty() {
        return None;
    }
    if !needs(&plan) {
        return Some(Verdict::Ready { applied: 0 });
    }
    let first = plan::is_empty(known) || plan::is_bootstrapping(known);
    (!first).then(|| Verdict::Maintenance { pending: waiting(known), failed: None })
}
