//! How answers look: tables for people, and the JSON documents that `docs/migrations.md` promises.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::Output;
use crate::migrate::{
    adopt::AdoptReport,
    approve::{Forced, LogLine},
    checked::Checked,
    down::DownReport,
    lint::Review,
    modules::Module,
    names::Category,
    plan::Because,
    report::{Done, Failure, Planned, RehearsalNote, Report, RunReport},
    squash::Squash,
};
use crate::store::schema::migrations::{legacy::Neighbour, waits::Waits};

/// The version of every JSON document below; it grows when a field changes its meaning or goes.
const FORMAT: u32 = 1;

/// A document with its version, and what it is.
#[derive(Serialize)]
struct Document<'a, T> {
    format: u32,
    kind: &'a str,
    #[serde(flatten)]
    body: T,
}

impl Output {
    fn document(kind: &str, body: impl Serialize) {
        match serde_json::to_string_pretty(&Document { format: FORMAT, kind, body }) {
            Ok(text) => say!("{text}"),
            Err(error) => eprintln!("error: the answer cannot be written as JSON: {error}"),
        }
    }

    pub fn failure(self, message: &str, code: u8) {
        if self.json {
            Self::document("error", json!({ "message": message, "exit_code": code }));
        } else {
            eprintln!("error: {message}");
        }
    }

    pub fn modules(self, modules: &[Module]) {
        let counts = |module: &Module| Category::ALL.map(|category| module.of(category).count());
        if self.json {
            let list = modules.iter().map(|m| {
                let [startup, release, seed, data] = counts(m);
                let files = json!({ "startup": startup, "release": release, "seed": seed, "data": data });
                json!({ "name": m.name, "schema": m.schema, "plugin": m.plugin, "files": files })
            });
            return Self::document("modules", json!({ "modules": list.collect::<Vec<_>>() }));
        }
        let rows = modules.iter().map(|module| {
            let from = if module.plugin { "plug-in" } else { "built in" };
            let counts = counts(module).map(|n| n.to_string());
            [vec![module.name.clone(), from.to_owned()], counts.to_vec()].concat()
        });
        table(&["module", "from", "startup", "release", "seed", "data"], rows);
    }

    pub fn status(self, report: &Report) {
        if self.json {
            return Self::document("status", report);
        }
        say!("PostgreSQL {} as {}", report.server, report.role);
        let rows = report.modules.iter().flat_map(|module| {
            module.files.iter().map(|file| {
                let at = file.applied_at.map_or(String::new(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string());
                let took = file.duration_ms.map_or(String::new(), |ms| format!("{ms} ms"));
                let category = file.category.map_or("?", Category::name).to_owned();
                let by = file.applied_by.clone().unwrap_or_default();
                vec![module.name.clone(), file.name.clone(), category, file.state.name().to_owned(), at, took, by]
            })
        });
        table(&["module", "file", "category", "state", "applied at", "took", "by"], rows);
        say!("{} applied, {} pending", report.applied, report.pending);
        for module in &report.modules {
            for (file, about) in module.files.iter().filter_map(|file| Some((file, file.about.as_ref()?))) {
                for exemption in &about.exemptions {
                    let because = &exemption.because;
                    say!("excused: {}/{} from {} because {because}", module.name, file.name, exemption.rule);
                }
            }
        }
        for file in &report.gated {
            say!("waits for an operator: {file}");
        }
        print_around(report);
    }

    pub fn verify(self, report: &Report, reviews: &[Review], stale: &[String]) {
        if self.json {
            let body = json!({
                "problems": report.problems, "reviews": reviews, "pending": report.pending,
                "abandoned": report.abandoned, "neighbours": report.neighbours, "stale": stale,
            });
            return Self::document("verify", body);
        }
        print_around(report);
        print_reviews(reviews);
        if report.problems.is_empty() {
            say!("{} applied files are as shipped; {} pending", report.applied, report.pending);
        }
    }

    pub fn reviews(self, reviews: &[Review], stale: &[String]) {
        if self.json {
            return Self::document("validate", json!({ "reviews": reviews, "stale": stale }));
        }
        print_reviews(reviews);
        if reviews.is_empty() && stale.is_empty() {
            say!("all files are sound");
        }
    }

    pub fn run(self, run: &Checked) {
        if self.json {
            return Self::document("run", run);
        }
        match &run.error {
            None => self.applied(&run.report),
            Some(error) => {
                print_run(&run.report);
                eprintln!("{error}");
            }
        }
    }

    /// A run that no check surrounds.
    pub fn applied(self, report: &RunReport) {
        if self.json {
            return Self::document("run", report);
        }
        print_run(report);
        if report.planned.is_empty() && report.withheld.is_empty() && report.failed.is_none() {
            say!("nothing to do");
        }
    }

    pub fn down(self, report: &DownReport) {
        if self.json {
            return Self::document("down", report);
        }
        if !report.applied {
            for step in &report.planned {
                let loss = if step.destructive { ", takes something away" } else { "" };
                say!("would undo {}/{}{loss}", step.module, step.file);
            }
            say!("{}", if report.planned.is_empty() { "nothing to undo" } else { "nothing done: add --apply" });
        }
        print_done(&report.done);
        print_failure(report.failed.as_ref());
    }

    pub fn logs(self, lines: &[LogLine]) {
        if self.json {
            return Self::document("logs", json!({ "attempts": lines }));
        }
        let rows = lines.iter().map(|LogLine { module, attempt: a }| {
            let at = a.started_at.format("%Y-%m-%d %H:%M:%S").to_string();
            let outcome = a.outcome.clone().unwrap_or_else(|| "running".to_owned());
            let detail = a.detail.clone().unwrap_or_default();
            let longest = a.waits.as_ref().and_then(|waits| waits["longest_ms"].as_i64());
            let waited = longest.map_or(String::new(), |ms| format!("{ms} ms"));
            let who = a.approved_by.as_ref().map_or(a.done_by.clone(), |n| format!("{} (approved by {n})", a.done_by));
            vec![at, module.clone(), a.name.clone(), a.action.clone(), outcome, waited, who, detail]
        });
        table(&["at", "module", "file", "action", "outcome", "made wait", "by", "detail"], rows);
    }

    pub fn forced(self, forced: &Forced) {
        if self.json {
            return Self::document("force", forced);
        }
        let Forced { module, file, word, approved_by, applied, .. } = forced;
        let word = format!("{word:?}").to_lowercase();
        let done = if *applied { "recorded" } else { "nothing written, add --apply" };
        say!("{word} {module}/{file} on the word of {approved_by}: {done}");
    }

    pub fn squashed(self, squash: &Squash, paths: &[PathBuf; 2], written: bool, refused: &[String]) {
        let [up, down] = paths;
        if self.json {
            let body = json!({ "file": up, "down_file": down, "supersedes": squash.supersedes, "written": written,
                "refused": refused });
            return Self::document("squash", body);
        }
        let done = if written { "wrote" } else { "would write" };
        say!("{done} {} and {}", up.display(), down.display());
        for file in &squash.supersedes {
            say!("takes the place of {file}: remove that in the same change");
        }
        for why in refused {
            say!("not fit: {why}");
        }
    }

    pub fn adopted(self, report: &AdoptReport) {
        if self.json {
            return Self::document("adopt", report);
        }
        let at = |at: Option<DateTime<Utc>>| {
            at.map_or("not kept".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
        };
        let rows = report.matched.iter().map(|m| vec![m.legacy.clone(), m.file.clone(), at(m.applied_at)]);
        table(&[&report.table, "file", "applied at"], rows);
        for (what, files) in [
            ("no file for the row", &report.without_file),
            ("begun and not finished", &report.unfinished),
            ("out of order", &report.out_of_order),
            ("pending afterwards", &report.pending),
        ] {
            files.iter().for_each(|file| say!("{what}: {file}"));
        }
        say!("{}", if report.applied { "adopted" } else { "nothing written" });
    }

    pub fn created(self, paths: &[PathBuf; 2]) {
        let [up, down] = paths;
        if self.json {
            return Self::document("create", json!({ "file": up, "down_file": down }));
        }
        say!("wrote {}\nwrote {}", up.display(), down.display());
    }
}

fn print_run(report: &RunReport) {
    if report.dry_run {
        report.planned.iter().for_each(print_rehearsed);
    }
    print_done(&report.done);
    print_reviews(&report.warnings);
    for file in &report.withheld {
        say!("withheld  {}/{}: {}", file.module, file.file, because(file.withheld.as_ref()));
    }
    print_failure(report.failed.as_ref());
}

fn print_around(report: &Report) {
    for schema in &report.abandoned {
        say!("no module: the schema {schema} has a history, and nothing here knows its files");
    }
    for Neighbour { table, tool } in &report.neighbours {
        say!("left alone: {table}, the history of {tool}");
    }
    for problem in &report.problems {
        say!("problem: {}", problem.message);
    }
}

fn print_reviews(reviews: &[Review]) {
    for review in reviews {
        for finding in &review.findings {
            say!("{}/{} {finding}", review.module, review.file);
        }
    }
}

fn print_done(done: &[Done]) {
    for Done { module, file, action, duration_ms, lock_wait_ms, waits, .. } in done {
        let waited = if *lock_wait_ms > 0 { format!(", after {lock_wait_ms} ms of locks") } else { String::new() };
        say!("{action:<9} {module}/{file} in {duration_ms} ms{waited}");
        print_waits(waits.as_ref());
    }
}

fn print_failure(failed: Option<&Failure>) {
    if let Some(Failure { module, file, error, waits, .. }) = failed {
        say!("failed    {module}/{file}: {error}");
        print_waits(waits.as_deref());
    }
}

/// Where somebody waited. Of a file for which nobody was seen waiting there is nothing to say.
fn print_waits(waits: Option<&Waits>) {
    if let Some(waits) = waits.filter(|waits| waits.waits > 0) {
        say!("          {waits}; looked every {} ms or more often", waits.gap_ms);
    }
}

fn print_rehearsed(planned: &Planned) {
    let Planned { module, file, .. } = planned;
    match &planned.rehearsal {
        Some(RehearsalNote::Ran { duration_ms, locks }) => {
            say!("would run {module}/{file}: {duration_ms} ms");
            for lock in locks {
                say!("          {} on {}", lock.mode, lock.relation);
            }
        }
        Some(RehearsalNote::Failed { error }) => say!("would fail {module}/{file}: {error}"),
        Some(RehearsalNote::NotExecutable) => {
            say!("would run {module}/{file}: outside a transaction, so not rehearsed");
        }
        Some(RehearsalNote::NotReached) | None => say!("not reached {module}/{file}"),
    }
}

fn because(why: Option<&Because>) -> String {
    match why {
        Some(Because::Gate) => "waits for an operator (--force)".to_owned(),
        Some(Because::Approval) => "destructive, needs a name (--approved-by)".to_owned(),
        Some(Because::Behind { file }) => format!("comes after {file}"),
        Some(Because::Steps) => "beyond --steps".to_owned(),
        Some(Because::Unfit { findings }) => {
            let lines: Vec<String> = findings.iter().map(|finding| format!("\n          {finding}")).collect();
            format!("the linter refuses it{}", lines.concat())
        }
        None => String::new(),
    }
}

/// Columns as wide as their widest value.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        say!("{}", padded.join("  ").trim_end());
    };
    line(&mut head.iter().copied());
    for row in &rows {
        line(&mut row.iter().map(String::as_str));
    }
}
