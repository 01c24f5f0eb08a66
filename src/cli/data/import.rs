//! `data import`: looks at an export, and takes it in.

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Desk, bar, follow, foreign};
use crate::{
    bundle::{BundleError, Source},
    cli::{
        access::{self, BY},
        exit,
    },
    model::{Clock, TenantId, plan},
    projections::effects::EFFECTS,
    store::{As, platform::installation},
    transfer::{
        Load,
        check::{self, Checked, Target},
        export::Tell,
        import::{self, Import, Imported, note},
    },
};

#[derive(clap::Args)]
pub struct Args {
    /// The folder or zip that `data export` has written; or with --tenant a file of statements: a statement on each line, an
    /// array, a page as a GET answers it, an export of Learning Locker
    #[arg(long)]
    file: PathBuf,
    /// Into which tenant, by its id or name; without it into the one with the export's id, which is made where it is not there
    #[arg(long)]
    tenant: Option<String>,
    /// For a file of statements: the authority of those that have none, an agent as JSON
    #[arg(long)]
    authority: Option<String>,
    /// Take what another installation has exported: its id, as the refusal names it
    #[arg(long, value_name = "INSTALLATION")]
    from: Option<Uuid>,
    /// Look at everything, print what would be done, and do nothing
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,
    /// Do it; without this it is looked at alone
    #[arg(long)]
    apply: bool,
    /// Do it only if this is the digest of the plan
    #[arg(long, requires = "apply")]
    plan: Option<String>,
    /// Whether others are told: `silent` tells nobody; `replay` lets the service tell of each statement, and of the attempts
    /// that follow from them, as of new ones. Only for a tenant that has no statements yet
    #[arg(long, default_value = "silent", value_parser = ["silent", "replay"])]
    events: String,
}

pub async fn run(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    if foreign::is_one(&args.file)? {
        let file = foreign::File {
            path: &args.file,
            tenant: args.tenant.as_deref(),
            authority: args.authority.as_deref(),
            apply: args.apply,
            plan: args.plan.as_deref(),
            events: &args.events,
        };
        return foreign::run(desk, &file).await;
    }
    let source = Source::open(&args.file)?;
    installation(desk, &source, args.from).await?;
    let target = target(desk, args, &source).await?;
    let is_there = desk.store.tenant(target.tenant).await?.is_some();
    let is_replay = args.events == "replay";
    if is_replay && is_there && desk.store.has_statements(target.tenant).await? {
        bail!("the tenant has statements already, which would be told again: --events replay is for one that has none");
    }
    let bar = bar()?;
    let tell = |what: &str, count: u64| {
        bar.set_message(what.to_owned());
        if what == "checked" { bar.inc(count) } else { bar.set_position(count) }
    };
    let mut load = is_there.then(|| Load::begin(desk.store.clone(), EFFECTS.version));
    let checked = check::check(&source, target, load.as_mut(), &tell).await?;
    let plan = plan_of(&source, target, is_there, &checked, args);
    let digest = plan::digest(&plan);
    if checked.problems.count > 0 || !args.apply {
        bar.finish_and_clear();
        return Ok(print_plan(desk, &plan, &digest, &checked));
    }
    plan::must_be_the_one(args.plan.as_deref(), &digest).map_err(anyhow::Error::msg)?;
    let done = Box::pin(apply(desk, &source, target, is_replay, &tell)).await?;
    bar.finish_and_clear();
    print(desk, args, &done);
    Ok(ExitCode::SUCCESS)
}

/// An export of another installation is taken only by its name.
async fn installation(desk: &Desk<'_>, source: &Source, from: Option<Uuid>) -> anyhow::Result<()> {
    let here = desk.store.run_tx("this_installation", As::Worker, |tx| Box::pin(installation::this(tx))).await?.id;
    let made_by = source.manifest.installation;
    if made_by != here && from != Some(made_by) {
        bail!(BundleError::OtherInstallation { made_by, here });
    }
    Ok(())
}

async fn target(desk: &Desk<'_>, args: &Args, source: &Source) -> anyhow::Result<Target> {
    let theirs = TenantId(source.manifest.tenant.id);
    let tenant = match &args.tenant {
        Some(text) => access::tenant(&desk.identity, text).await?,
        None => theirs,
    };
    if tenant != theirs && desk.store.tenant(tenant).await?.is_none() {
        bail!("there is no tenant {tenant}");
    }
    Ok(Target { tenant, is_same: tenant == theirs })
}

fn plan_of(source: &Source, target: Target, is_there: bool, checked: &Checked, args: &Args) -> Value {
    let manifest = &source.manifest;
    json!({ "file": source.path(), "format": manifest.format, "installation": manifest.installation,
            "from": manifest.tenant, "into": target.tenant, "makesTenant": !is_there, "madeAt": manifest.made_at,
            "through": manifest.through, "coming": checked.coming, "events": args.events,
            "months": manifest.months.iter().map(|one| json!({ "month": one.month, "statements": one.statements })).collect::<Vec<_>>(),
            "credentialsToMakeAnew": manifest.counts.get("credentials") })
}

fn print_plan(desk: &Desk<'_>, plan: &Value, digest: &str, checked: &Checked) -> ExitCode {
    let problems = &checked.problems;
    if desk.json {
        say!(
            "{}",
            json!({ "plan": plan, "digest": digest, "applied": false, "problems": problems.found, "problemCount": problems.count })
        );
    } else {
        let coming = &checked.coming;
        let making = if plan["makesTenant"] == true { ", which is made" } else { "" };
        say!(
            "tenant       {} -> {}{making}",
            plan["from"]["name"].as_str().unwrap_or_default(),
            plan["into"].as_str().unwrap_or_default()
        );
        say!(
            "statements   {}, of which {} are there and {} are of people who were erased",
            coming.statements,
            coming.there,
            coming.erased
        );
        say!("documents    {}", coming.documents);
        say!("attachments  {}", coming.attachments);
        say!("plan         {digest}");
    }
    for problem in &problems.found {
        eprintln!("error: {problem}");
    }
    if problems.count > 0 {
        let more = problems.count - problems.found.len() as u64;
        eprintln!(
            "error: {} problems{}: nothing was done",
            problems.count,
            if more > 0 { format!(", {more} of them not shown") } else { String::new() }
        );
        return ExitCode::from(exit::FAILED);
    }
    if !desk.json {
        say!("nothing was done; --apply does it");
    }
    ExitCode::SUCCESS
}

async fn apply(
    desk: &Desk<'_>,
    source: &Source,
    target: Target,
    is_replay: bool,
    tell: Tell<'_>,
) -> anyhow::Result<Imported> {
    let (store, tenant, now) = (&desk.store, target.tenant, Clock::system().now());
    if target.is_same {
        import::make_tenant(store, tenant, &source.manifest.tenant.name, BY, now).await?;
    }
    let load = Load::begin(store.clone(), EFFECTS.version);
    let done = Box::pin(Import::begin(store, source, target, load, BY).apply(tell)).await?;
    tell("following references", 0);
    follow::references(desk).await?;
    if is_replay {
        store.tell_again(tenant).await?;
    } else {
        tell("making attempts", 0);
        Box::pin(follow::rebuild(desk, tenant)).await?;
        // Closings by hand name attempts that are there only now.
        if import::ends(store, source, tenant).await? > 0 {
            Box::pin(follow::rebuild(desk, tenant)).await?;
        }
    }
    let manifest = &source.manifest;
    let detail = json!({ "done": done, "installation": manifest.installation, "from": manifest.tenant.id, "madeAt": manifest.made_at,
                         "events": if is_replay { "replay" } else { "silent" } });
    note(store, tenant, BY, "data.import", &detail).await?;
    Ok(done)
}

fn print(desk: &Desk<'_>, args: &Args, done: &Imported) {
    if desk.json {
        say!("{}", json!({ "applied": true, "done": done, "events": args.events }));
        return;
    }
    say!(
        "statements   {} new, {} were there, {} of people who were erased were left out",
        done.new,
        done.same,
        done.erased
    );
    say!("documents    {}", done.documents);
    say!("attachments  {}", done.attachments);
    say!("credentials have no secrets in an export: `progress-service credentials create` makes them anew");
}
