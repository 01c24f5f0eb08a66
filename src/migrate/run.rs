//! The runner: takes the lock, reads the history, makes the plan, and does it.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    bridge::{self, Context},
    checks,
    error::{self, MigrateError},
    modules::{File, Module},
    names::Category,
    person::check_approver,
    plan::{self, Action, Known, Plan, Step, Wish},
    promise,
    report::{self, Described, Done, Event, Failure, Report, RunReport},
    watched::Watched,
};
use crate::store::{
    Endpoint,
    door::ddl::Session,
    schema::migrations::{
        Budget, execute,
        facts::{self, Applied, SchemaFacts, ServerFacts},
        legacy::Neighbour,
        lock::{self, Held},
        millis,
        record::{self, NewAttempt, NewRow},
        watcher::Watcher,
    },
};

/// How patient the runner is.
#[derive(Clone, Debug)]
pub struct Settings {
    pub budget: Budget,
    /// How long to wait for another runner.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { budget: Budget::default(), patience: Duration::from_secs(15 * 60) }
    }
}

/// A run somebody asks for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub wish: Wish,
    pub dry_run: bool,
    /// Goes into the history.
    pub applied_by: String,
}

/// Takes events; [`silent`] where nobody listens.
pub type Listener<'a> = &'a (dyn Fn(Event) + Send + Sync);

/// A listener for those who need none.
pub fn silent(_: Event) {}

/// The modules, and the database they belong to.
#[derive(Clone, Debug)]
pub struct Runner {
    pub(super) modules: Vec<Module>,
    pub(super) owner: Endpoint,
    pub(super) settings: Settings,
}

/// All facts, beside the modules they are about.
pub(super) struct World<'a> {
    pub modules: &'a [Module],
    pub server: ServerFacts,
    pub facts: Vec<SchemaFacts>,
}

impl World<'_> {
    pub fn known(&self) -> Vec<Known<'_>> {
        self.modules.iter().zip(&self.facts).map(|(module, facts)| Known { module, facts }).collect()
    }
}

impl Runner {
    /// `owner` is the login that owns the schemas.
    pub fn new(modules: Vec<Module>, owner: Endpoint, settings: Settings) -> Self {
        Self { modules, owner, settings }
    }

    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// [`Runner::status`] with the files of one module alone; what is wrong elsewhere is still told.
    pub async fn status_of(&self, module: Option<&str>) -> Result<Report, MigrateError> {
        module.map_or(Ok(()), |name| error::check_name(&self.modules, name))?;
        let mut report = self.status().await?;
        report.modules.retain(|one| module.is_none_or(|name| name == one.name));
        Ok(report)
    }

    /// What is applied, pending and wrong. Reads only.
    pub async fn status(&self) -> Result<Report, MigrateError> {
        let session = self.connect().await?;
        let world = self.world(&session).await?;
        let known = world.known();
        let modules: Vec<_> = known.iter().map(|one| report::module_status(*one)).collect();
        let count = |state| modules.iter().flat_map(|m| &m.files).filter(|f| f.state == state).count();
        Ok(Report {
            applied: count(report::State::Applied),
            pending: count(report::State::Pending),
            gated: gated(&known),
            problems: promise::for_serving(&known, plan::problems(&known)).into_iter().map(Described::from).collect(),
            abandoned: world.server.abandoned.clone(),
            neighbours: world.server.neighbours.clone(),
            server: world.server.version.clone(),
            role: world.server.user.clone(),
            read_only: world.server.read_only,
            modules,
        })
    }

    /// Applies what the request allows, each file once, whoever else tries at the same time.
    pub async fn run(&self, request: &Request, progress: Listener<'_>) -> Result<RunReport, MigrateError> {
        self.check(request)?;
        let session = self.connect().await?;
        let held = self.lock(&session, progress).await?;
        let world = self.world(&session).await?;
        let report = self.run_locked(&session, &world, request, progress).await?;
        if !report.failed.as_ref().is_some_and(|failure| failure.connection_lost) {
            held.release().await?;
        }
        Ok(report)
    }

    /// The run itself, for one who holds the lock and has just read the world.
    pub(super) async fn run_locked(
        &self,
        session: &Session,
        world: &World<'_>,
        request: &Request,
        progress: Listener<'_>,
    ) -> Result<RunReport, MigrateError> {
        let started = Instant::now();
        let known = world.known();
        let wish = Wish { requested_by: request.applied_by.clone(), ..request.wish.clone() };
        let plan = plan::make(&known, &wish);
        if !plan.problems.is_empty() {
            return Err(MigrateError::Problems { problems: plan.problems });
        }
        plan.tell_findings();
        progress(Event::Planned { files: plan.steps.len(), withheld: plan.withheld.len() });
        let mut report = RunReport { dry_run: request.dry_run, ..RunReport::of_plan(&plan) };
        if plan.steps.is_empty() {
            return Ok(report);
        }
        if world.server.read_only {
            return Err(MigrateError::ReadOnly { pending: plan.steps.len() });
        }
        if request.dry_run {
            self.rehearse(session, &known, &plan, &mut report).await?;
        } else {
            for Neighbour { table, tool } in &world.server.neighbours {
                tracing::info!(table, tool, "the history of another tool is somebody else's and left alone");
            }
            self.apply(session, &known, &plan, request, progress, &mut report).await?;
        }
        report.duration_ms = millis(started.elapsed());
        Ok(report)
    }

    async fn apply(
        &self,
        session: &Session,
        known: &[Known<'_>],
        plan: &Plan<'_>,
        request: &Request,
        progress: Listener<'_>,
        report: &mut RunReport,
    ) -> Result<(), MigrateError> {
        let of = plan.steps.len();
        let watcher = self.watcher(session).await;
        for one in known {
            if plan.steps.iter().any(|step| step.module.name == one.module.name) {
                prepare(session, *one).await?;
            }
            if !one.facts.promises.is_empty() {
                record::withdraw(session, &one.module.schema, promise::previous()).await?;
            }
        }
        'modules: for one in known {
            for category in Category::ALL {
                let steps = steps_of(plan, one.module, category);
                let context = Context {
                    watched: Watched { session, budget: &self.settings.budget, watcher: watcher.as_ref(), progress },
                    by: &request.applied_by,
                    approved_by: request.wish.approved_by.as_deref(),
                    number: report.done.len(),
                    of,
                };
                if let Err(failure) = run_category(&context, *one, category, &steps, report).await? {
                    progress(Event::Failed { failure: failure.clone() });
                    report.failed = Some(failure);
                    break 'modules;
                }
            }
        }
        if report.failed.as_ref().is_some_and(|failure| failure.connection_lost) {
            return Ok(());
        }
        for one in known.iter().filter(|one| plan.steps.iter().any(|step| step.module.name == one.module.name)) {
            record::share(session, &one.module.schema).await?;
        }
        Ok(())
    }

    /// Whether the request itself can be granted, whatever the database holds.
    pub fn check(&self, request: &Request) -> Result<(), MigrateError> {
        self.check_modules(request.wish.modules.as_deref())?;
        check_approver(request.wish.approved_by.as_deref(), &request.applied_by).map_err(MigrateError::Refused)
    }

    pub(super) fn check_modules(&self, wanted: Option<&[String]>) -> Result<(), MigrateError> {
        wanted.unwrap_or_default().iter().try_for_each(|name| error::check_name(&self.modules, name))
    }

    pub(super) async fn connect(&self) -> Result<Session, MigrateError> {
        let session = Session::connect(&self.owner).await?;
        execute::refresh(&session).await;
        Ok(session)
    }

    /// The second session, which sees who is in the way of the first and who waits for it. Without it all goes on unseen.
    pub(super) async fn watcher(&self, session: &Session) -> Option<Watcher> {
        let begun = match session.process().await {
            Ok(pid) => Watcher::begin(&self.owner, pid).await,
            Err(error) => Err(error),
        };
        begun.inspect_err(|error| tracing::debug!(%error, "nobody watches who waits")).ok()
    }

    pub(super) async fn lock<'a>(
        &self,
        session: &'a Session,
        progress: Listener<'_>,
    ) -> Result<Held<'a>, MigrateError> {
        let waiting = |holder: Option<lock::Holder>| {
            let (pid, application) = holder.map(|h| (h.pid, h.application)).unzip();
            progress(Event::Waiting { pid, application });
        };
        match lock::acquire(session, self.settings.patience, waiting).await? {
            Some(held) => Ok(held),
            None => {
                let holder = lock::holder(session).await?;
                Err(MigrateError::Locked { holder: holder.map(|h| format!(" (server process {})", h.pid)) })
            }
        }
    }

    pub(super) async fn world(&self, session: &Session) -> Result<World<'_>, MigrateError> {
        let schemas: Vec<_> = self.modules.iter().map(|module| module.schema.clone()).collect();
        let (server, facts) = facts::read(session, &schemas).await?;
        if let Some(why) = checks::unfit(server.version_num, &server.encoding) {
            return Err(MigrateError::Unfit(why));
        }
        Ok(World { modules: &self.modules, server, facts })
    }
}

/// Pending files that wait for an operator, as `module/file`: whatever a start would withhold.
pub(super) fn gated(known: &[Known<'_>]) -> Vec<String> {
    let plan = plan::make(known, &Wish::default());
    plan.withheld.iter().map(|held| format!("{}/{}", held.module.name, held.file.file())).collect()
}

/// The schema's bookkeeping is made, and attempts whose runner went away are closed.
pub(super) async fn prepare(session: &Session, one: Known<'_>) -> Result<(), MigrateError> {
    record::prepare(session, &one.module.schema, one.facts.schema_exists).await?;
    let closed = record::close_interrupted(session, &one.module.schema).await?;
    if closed > 0 {
        tracing::warn!(module = %one.module.name, closed, "an earlier run went away in the middle of a file");
    }
    Ok(())
}

fn steps_of<'a>(plan: &Plan<'a>, module: &Module, category: Category) -> Vec<Step<'a>> {
    let wanted = |step: &&Step<'_>| step.module.name == module.name && step.file.category() == category;
    plan.steps.iter().filter(wanted).copied().collect()
}

/// Records the squashes, then applies the rest through refinery.
async fn run_category(
    context: &Context<'_>,
    one: Known<'_>,
    category: Category,
    steps: &[Step<'_>],
    report: &mut RunReport,
) -> Result<Result<(), Failure>, MigrateError> {
    for step in steps.iter().filter(|step| step.action == Action::Record) {
        let done = record_squash(context, one, step.file).await?;
        (context.watched.progress)(Event::Done { done: done.clone() });
        report.done.push(done);
    }
    let files: Vec<&File> = steps.iter().filter(|s| s.action == Action::Execute).map(|s| s.file).collect();
    if files.is_empty() {
        return Ok(Ok(()));
    }
    // Squashes recorded just now have rows that were not read; refinery must see them as applied.
    let recorded: Vec<Applied> = steps.iter().filter(|s| s.action == Action::Record).map(|s| row_of(s.file)).collect();
    let superseded = plan::superseded_names(one);
    let rows = one.facts.applied.iter().chain(&recorded);
    let rows = rows.filter(|row| row.category == category.name() && !superseded.contains(row.name.as_str())).collect();
    match bridge::apply(context, one.module, category, rows, files).await {
        Ok(done) => report.done.extend(done),
        Err((done, failure)) => {
            report.done.extend(done);
            return Ok(Err(failure));
        }
    }
    Ok(Ok(()))
}

fn row_of(file: &File) -> Applied {
    Applied {
        name: file.file(),
        category: file.category().name().to_owned(),
        checksum: file.checksum.clone(),
        applied_at: chrono::DateTime::UNIX_EPOCH,
        applied_by: String::new(),
        duration_ms: 0,
    }
}

async fn record_squash(context: &Context<'_>, one: Known<'_>, file: &File) -> Result<Done, MigrateError> {
    let (schema, name) = (&one.module.schema, file.file());
    let supersedes = plan::superseded_here(one, file).unwrap_or_default();
    let attempt = NewAttempt {
        file: &name,
        action: "baseline",
        checksum: Some(&file.checksum),
        by: context.by,
        approved_by: context.approved_by,
    };
    let id = record::begin(context.watched.session, schema, attempt).await?;
    let row = NewRow {
        schema,
        file: &name,
        category: file.category().name(),
        checksum: &file.checksum,
        by: context.by,
        promised: promise::made_by(one.module, file),
    };
    record::baseline(context.watched.session, row, &supersedes).await?;
    record::finish(context.watched.session, schema, id, "recorded", None, None).await?;
    let module = one.module.name.clone();
    let (duration_ms, lock_wait_ms, tries) = (0, 0, 1);
    Ok(Done { module, file: name, action: "recorded", duration_ms, lock_wait_ms, tries, rows: None, waits: None })
}
