//! `retention plan`, `retention apply`, `retention removals`.

use std::process::ExitCode;

use serde_json::json;

use super::Desk;
use crate::{
    retention::{Plan, Trial, Unit, What, digest},
    store::ledger::removals::Removal,
};

pub async fn plan(desk: &Desk<'_>, older_than: Option<u32>, all: bool) -> anyhow::Result<ExitCode> {
    let trial = older_than.map(Trial::OlderThan);
    let plan = desk.retention.plan(desk.tenant, trial.as_ref()).await?;
    print(desk, &plan, all);
    Ok(ExitCode::SUCCESS)
}

pub async fn apply(desk: &Desk<'_>, apply: bool, seen: Option<&str>, removes: bool) -> anyhow::Result<ExitCode> {
    if !apply {
        let plan = desk.retention.plan(desk.tenant, None).await?;
        print(desk, &plan, false);
        removals(desk, false).await?;
        if !desk.json {
            say!("nothing was done; --apply marks what goes, and removes what was marked long enough ago");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let done = desk.retention.apply(desk.tenant, (seen, desk.by), removes).await?;
    for (what, some) in
        [("marked", &done.marked), ("waits", &done.waiting), ("spared", &done.spared), ("removed", &done.removed)]
    {
        some.iter().for_each(|one| removal(desk, what, one));
    }
    if !desk.json {
        let (marked, waiting, spared, removed) =
            (done.marked.len(), done.waiting.len(), done.spared.len(), done.removed.len());
        say!("{marked} marked, {waiting} wait, {spared} spared, {removed} removed");
        if done.removed.iter().any(|one| one.of.revision.is_some()) {
            say!("the objects of segments go with `progress-service archive gc`, in an hour at the earliest");
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn removals(desk: &Desk<'_>, all: bool) -> anyhow::Result<ExitCode> {
    for one in desk.retention.removals(desk.tenant, all).await? {
        removal(desk, one.state.name(), &one);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(desk: &Desk<'_>, plan: &Plan, all: bool) {
    for unit in plan.units.iter().filter(|unit| all || unit.goes() || unit.hold.is_some()) {
        if desk.json {
            say!("{}", json!(unit));
        } else {
            say!("{}", line(unit));
        }
    }
    let digest = digest(plan);
    if desk.json {
        say!("{}", json!({ "digest": digest }));
    } else {
        let goes = plan.units.iter().filter(|unit| unit.goes());
        let (rows, lines) = goes.fold((0, 0), |(rows, lines), unit| (rows + unit.rows, lines + 1));
        say!("plan {digest}: {rows} rows go, in {lines} places");
    }
}

/// A line of the plan for people.
pub fn line(unit: &Unit) -> String {
    let month = unit.month.map(|month| format!(" {month}")).unwrap_or_default();
    let what = match (unit.what, unit.revision) {
        (What::Segment, Some(revision)) => format!("segment r{revision}"),
        _ => "rows".to_owned(),
    };
    let fate =
        unit.until.map_or_else(|| "stays".to_owned(), |until| format!("goes up to {}", until.format("%Y-%m-%d %H:%M")));
    let course = unit.course.map(|_| " of a course").unwrap_or_default();
    let rule = unit.rule.filter(|number| *number > 0).map(|number| format!(" rule {number}")).unwrap_or_default();
    let hold = unit.hold.map(|id| format!(" {id}")).unwrap_or_default();
    let (tenant, place, rows, principle) = (unit.tenant, unit.place.name(), unit.rows, unit.principle.name());
    format!("{tenant}  {place}{month}  {what}{course}  {rows} rows  {fate}: {principle}{rule}{hold}")
}

fn removal(desk: &Desk<'_>, what: &str, one: &Removal) {
    let (of, place) = (&one.of, one.of.place.name());
    if desk.json {
        let line = json!({ "id": one.id, "tenant": of.tenant, "place": of.place, "month": of.month, "revision": of.revision,
            "until": one.until, "rule": one.rule, "principle": one.principle, "markedBy": one.marked_by,
            "markedAt": one.marked_at, "due": one.due_at, "state": what, "sparedBy": one.spared_by, "rows": one.rows });
        say!("{line}");
    } else {
        let month = of.month.map(|month| format!(" {month}")).unwrap_or_default();
        let revision = of.revision.map(|revision| format!(" segment r{revision}")).unwrap_or_default();
        let spared = one.spared_by.as_ref().map(|why| format!(" by {why}")).unwrap_or_default();
        let due = one.due_at.format("%Y-%m-%d %H:%M");
        say!("{what}{spared}  {}  {}  {place}{month}{revision}  due {due}  {} rows gone", one.id, of.tenant, one.rows);
    }
}
