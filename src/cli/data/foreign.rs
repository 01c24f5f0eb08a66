//! `data import` of a file of statements from elsewhere.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::{Desk, bar, follow};
use crate::{
    cli::{
        access::{self, BY},
        exit,
    },
    model::{Clock, TenantId, plan},
    projections::effects::EFFECTS,
    transfer::{
        Arrival, Load,
        fault::Problems,
        foreign::{Intake, Statements, Taken},
        import::note,
    },
};

/// Statements that are taken together.
const BATCH: usize = 1_000;

/// A file of statements, and what is to be done with it.
pub struct File<'a> {
    pub path: &'a Path,
    pub tenant: Option<&'a str>,
    pub authority: Option<&'a str>,
    pub apply: bool,
    pub plan: Option<&'a str>,
    pub events: &'a str,
}

/// Whether it is a file of JSON: neither a folder nor a zip.
pub fn is_one(path: &Path) -> anyhow::Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    let named = || format!("cannot read {}", path.display());
    let mut first = [0; 2];
    let read =
        std::io::Read::read(&mut std::fs::File::open(path).with_context(named)?, &mut first).with_context(named)?;
    Ok(read < 2 || &first != b"PK")
}

pub async fn run(desk: &Desk<'_>, file: &File<'_>) -> anyhow::Result<ExitCode> {
    let Some(name) = file.tenant else {
        bail!("{} is a file of statements: say with --tenant into which tenant they go", file.path.display());
    };
    let tenant = access::tenant(&desk.identity, name).await?;
    let is_replay = file.events == "replay";
    if is_replay && desk.store.has_statements(tenant).await? {
        bail!("the tenant has statements already, which would be told again: --events replay is for one that has none");
    }
    let (count, looked, problems) = Box::pin(look(desk, file, tenant)).await?;
    let plan = json!({ "file": file.path, "into": tenant, "statements": count, "upgraded": looked.upgraded, "events": file.events });
    let digest = plan::digest(&plan);
    if problems.count > 0 || !file.apply {
        return Ok(print_plan(desk, &plan, &digest, &problems));
    }
    plan::must_be_the_one(file.plan, &digest).map_err(anyhow::Error::msg)?;
    let taken = Box::pin(take(desk, file, tenant)).await?;
    follow::references(desk).await?;
    if is_replay {
        desk.store.tell_again(tenant).await?;
    } else {
        Box::pin(follow::rebuild(desk, tenant)).await?;
    }
    note(&desk.store, tenant, BY, "data.import", &json!({ "done": taken, "events": file.events })).await?;
    if desk.json {
        say!("{}", json!({ "applied": true, "done": taken, "events": file.events }));
    } else {
        let Taken { new, same, erased, moved, .. } = taken;
        say!("statements   {new} new, {same} were there, {erased} of people who were erased were left out");
        say!("moved        {moved} by some microseconds, so that each has its own");
    }
    Ok(ExitCode::SUCCESS)
}

fn intake(desk: &Desk<'_>, file: &File<'_>, tenant: TenantId) -> anyhow::Result<Intake> {
    let authority: Option<Map<String, Value>> =
        file.authority.map(serde_json::from_str).transpose().context("--authority is no agent as JSON")?;
    let load = Load::begin(desk.store.clone(), EFFECTS.version);
    Ok(Intake::new(tenant, load, authority, Clock::system().now()))
}

/// Looks at all of it: how many there are, the steps that were needed, and what is wrong.
async fn look(desk: &Desk<'_>, file: &File<'_>, tenant: TenantId) -> anyhow::Result<(u64, Taken, Problems)> {
    let (mut intake, mut statements) = (intake(desk, file, tenant)?, Statements::open(file.path)?);
    let (name, bar) = (file.path.display().to_string(), bar()?);
    let (mut count, mut problems, mut batch) = (0, Problems::default(), Vec::new());
    loop {
        let next = statements.following()?;
        let is_over = next.is_none();
        if let Some((place, value)) = next {
            count += 1;
            batch.extend(intake.read(&name, Some(place), value, &mut problems).map(|arrival| (place, arrival)));
        }
        if is_over || batch.len() == BATCH {
            intake.look(&name, &batch, &mut problems).await?;
            batch.clear();
            bar.set_position(count);
        }
        if is_over {
            bar.finish_and_clear();
            return Ok((count, intake.taken, problems));
        }
    }
}

async fn take(desk: &Desk<'_>, file: &File<'_>, tenant: TenantId) -> anyhow::Result<Taken> {
    let (mut intake, mut statements) = (intake(desk, file, tenant)?, Statements::open(file.path)?);
    let (name, bar) = (file.path.display().to_string(), bar()?);
    let (mut problems, mut batch): (Problems, Vec<Arrival>) = (Problems::default(), Vec::new());
    loop {
        let next = statements.following()?;
        let is_over = next.is_none();
        if let Some((place, value)) = next {
            batch.extend(intake.read(&name, Some(place), value, &mut problems));
            bar.inc(1);
        }
        if let Some(problem) = problems.found.first() {
            bail!("{problem}: the file was changed while it was read");
        }
        if is_over || batch.len() == BATCH {
            intake.take(std::mem::take(&mut batch)).await?;
        }
        if is_over {
            break;
        }
    }
    intake.finish().await?;
    bar.finish_and_clear();
    Ok(intake.taken)
}

fn print_plan(desk: &Desk<'_>, plan: &Value, digest: &str, problems: &Problems) -> ExitCode {
    if desk.json {
        say!(
            "{}",
            json!({ "plan": plan, "digest": digest, "applied": false, "problems": problems.found, "problemCount": problems.count })
        );
    } else {
        say!("statements   {}", plan["statements"]);
        say!("upgraded     {}", plan["upgraded"]);
        say!("plan         {digest}");
    }
    problems.found.iter().for_each(|problem| eprintln!("error: {problem}"));
    if problems.count > 0 {
        eprintln!("error: {} problems: nothing was done", problems.count);
        return ExitCode::from(exit::FAILED);
    }
    if !desk.json {
        say!("nothing was done; --apply does it");
    }
    ExitCode::SUCCESS
}
