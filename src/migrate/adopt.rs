//! Takes another tool's history over, once: order and times kept, checksums those of the shipped files, and what the
//! other tool kept beside them in the attempts.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    error::{self, MigrateError},
    modules::{File, Module},
    names::{Category, Name},
    plan::Known,
    run::{Listener, Runner},
};
use crate::store::{
    door::ddl::Session,
    schema::migrations::{
        facts::{Applied, HistoryTable},
        legacy::{self, Adopted, Legacy, LegacyRow},
        record::{self, NewAttempt, NewRow},
    },
};

/// An adoption somebody asks for.
#[derive(Clone, Debug, Default)]
pub struct AdoptRequest {
    pub module: String,
    /// `schema.table`, wherever it is; absent: the one in the module's own schema.
    pub table: Option<String>,
    /// Files for rows that do not tell theirs, as (row, file); a row goes by its version or by a name.
    pub map: Vec<(String, String)>,
    pub by: String,
    /// Without it only the comparison is made.
    pub apply: bool,
}

/// A legacy row that has its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matched {
    pub legacy: String,
    pub file: String,
    pub checksum: String,
    /// Absent where the other tool kept no time; then the moment of the adoption is written.
    pub applied_at: Option<DateTime<Utc>>,
    /// What the other tool kept; it goes into the attempts.
    pub legacy_checksum: Option<String>,
}

/// Both histories beside each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AdoptReport {
    pub module: String,
    pub table: String,
    pub tool: String,
    pub applied: bool,
    pub matched: Vec<Matched>,
    /// Rows for which this binary has no file: nothing is adopted while there are any.
    pub without_file: Vec<String>,
    /// Rows of files that the other tool began and did not finish: neither is anything while there are any of these.
    pub unfinished: Vec<String>,
    /// Files the other tool never applied; they are pending afterwards.
    pub pending: Vec<String>,
    /// Files whose turn comes before one that the other tool applied, but were not applied.
    pub out_of_order: Vec<String>,
}

impl AdoptReport {
    pub fn is_clean(&self) -> bool {
        self.without_file.is_empty()
            && self.unfinished.is_empty()
            && self.out_of_order.is_empty()
            && !self.matched.is_empty()
    }
}

/// Compares a legacy history with a module's files. Pure.
pub fn compare(module: &Module, table: &str, legacy: &Legacy, map: &[(String, String)]) -> AdoptReport {
    let (module_name, tool) = (module.name.clone(), legacy.tool.to_owned());
    let mut report = AdoptReport { module: module_name, table: table.to_owned(), tool, ..AdoptReport::default() };
    for row in &legacy.rows {
        if row.unfinished {
            report.unfinished.push(label(row));
            continue;
        }
        let found = mapped(module, row, map).or_else(|| find(module, row));
        let meant: Vec<&File> = match found {
            Some(file) if legacy.head => upto(module, file).collect(),
            found => found.into_iter().collect(),
        };
        let taken = |file: &&File| report.matched.iter().any(|m| m.file == file.file());
        if meant.is_empty() || meant.iter().any(taken) {
            report.without_file.push(label(row));
            continue;
        }
        report.matched.extend(meant.into_iter().map(|file| Matched {
            legacy: label(row),
            file: file.file(),
            checksum: file.checksum.clone(),
            applied_at: row.applied_at,
            legacy_checksum: row.checksum.clone(),
        }));
    }
    let adopted = |file: &File| report.matched.iter().any(|m| m.file == file.file());
    let pending: Vec<&File> = module.files.iter().filter(|file| !adopted(file)).collect();
    let behind =
        |file: &File| module.of(file.category()).any(|other| other.name.number > file.name.number && adopted(other));
    report.out_of_order = pending.iter().filter(|file| behind(file)).map(|file| file.file()).collect();
    report.pending = pending.iter().filter(|file| !behind(file)).map(|file| file.file()).collect();
    report
}

fn label(row: &LegacyRow) -> String {
    match (&row.version, row.names.first()) {
        (Some(version), Some(name)) => format!("V{version}__{name}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => "a row without a name".to_owned(),
    }
}

/// The files that a tool which keeps only its head has applied: those of the schema up to it.
fn upto<'a>(module: &'a Module, last: &'a File) -> impl Iterator<Item = &'a File> {
    let place = |file: &File| (file.category(), file.name.number);
    let of_schema = |file: &File| matches!(file.category(), Category::Startup | Category::Release);
    module.files.iter().filter(move |file| of_schema(file) && place(file) <= place(last))
}

/// The file that somebody said a row means.
fn mapped<'a>(module: &'a Module, row: &LegacyRow, map: &[(String, String)]) -> Option<&'a File> {
    let goes_by = |name: &String| row.version.as_ref() == Some(name) || row.names.contains(name) || label(row) == *name;
    map.iter().find(|(row, _)| goes_by(row)).and_then(|(_, file)| module.find(file))
}

/// The file a legacy row means: by its exact name, by number and description, by a description that is unique, and
/// where the tool keeps nothing but a number by that.
fn find<'a>(module: &'a Module, row: &LegacyRow) -> Option<&'a File> {
    let version = row.version.as_ref().and_then(|version| version.parse::<u32>().ok());
    if row.names.is_empty() {
        let of_schema = |file: &&File| matches!(file.category(), Category::Startup | Category::Release);
        return version.and_then(|n| module.files.iter().filter(of_schema).find(|file| file.name.number == n));
    }
    row.names.iter().find_map(|name| find_by_name(module, name, version))
}

fn find_by_name<'a>(module: &'a Module, name: &str, version: Option<u32>) -> Option<&'a File> {
    let stem = name.strip_suffix(".sql").unwrap_or(name);
    if let Ok(name) = Name::parse(&format!("{stem}.sql")) {
        return module.find(&name.file());
    }
    let (number, description) = match split(stem) {
        (number @ Some(_), rest) => (number, rest),
        (None, rest) => (version, rest),
    };
    let same = |file: &&File| plain(&file.name.description) == plain(description);
    let numbered = number.and_then(|n| module.files.iter().filter(same).find(|file| file.name.number == n));
    let mut named = module.files.iter().filter(same);
    numbered.or_else(|| named.next().filter(|_| named.next().is_none()))
}

/// `V1__init`, `0001_initial`, `20240101120000-init` → the number, if it can be one of ours, and the description.
fn split(stem: &str) -> (Option<u32>, &str) {
    let digits_from = stem.find(|c: char| c.is_ascii_digit()).filter(|at| *at <= 2);
    let Some((prefix, rest)) = digits_from.map(|at| stem.split_at(at)) else { return (None, stem) };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let description = rest[digits..].trim_start_matches(['_', '-', '.', ' ']);
    if prefix.bytes().all(|b| b.is_ascii_uppercase()) && !description.is_empty() {
        (rest[..digits].parse().ok(), description)
    } else {
        (None, stem)
    }
}

/// A description as every tool spells it: `add users`, `AddUsers` and `add_users` are one.
fn plain(description: &str) -> String {
    description.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

impl Runner {
    /// Compares, and on request adopts.
    pub async fn adopt(&self, request: &AdoptRequest, progress: Listener<'_>) -> Result<AdoptReport, MigrateError> {
        let session = self.connect().await?;
        let held = self.lock(&session, progress).await?;
        let world = self.world(&session).await?;
        let known = world.known();
        let one = known.iter().find(|one| one.module.name == request.module).copied();
        let one = one.ok_or_else(|| error::unknown(&self.modules, &request.module))?;
        if let Some((_, file)) = request.map.iter().find(|(_, file)| one.module.find(file).is_none()) {
            return Err(MigrateError::UnknownFile { module: request.module.clone(), file: file.clone() });
        }
        if !one.facts.applied.is_empty() {
            let why = format!("{} has a history of its own already; a history is adopted once", one.module.name);
            return Err(MigrateError::Refused(why));
        }
        let table = table(one, request.table.as_deref())?;
        let legacy = read(&session, &table, &one.module.name).await?;
        let mut report = compare(one.module, &table, &legacy, &request.map);
        if request.apply {
            if !report.is_clean() {
                let why = format!("{table} and the files of {} do not agree; nothing was adopted", one.module.name);
                return Err(MigrateError::Refused(why));
            }
            self.take_over(&session, one, &report, request).await?;
            report.applied = true;
        }
        held.release().await?;
        Ok(report)
    }

    async fn take_over(
        &self,
        session: &Session,
        one: Known<'_>,
        report: &AdoptReport,
        request: &AdoptRequest,
    ) -> Result<(), MigrateError> {
        let schema = &one.module.schema;
        let by = format!("legacy:{}", report.table);
        let category = |file: &str| one.module.find(file).map_or("", |f| f.category().name());
        let rows: Vec<_> = report
            .matched
            .iter()
            .map(|m| {
                let (file, checksum) = (m.file.as_str(), m.checksum.as_str());
                let row = NewRow { schema, file, category: category(file), checksum, by: &by, promised: None };
                Adopted { row, at: m.applied_at, checksum: m.legacy_checksum.as_deref(), label: &m.legacy }
            })
            .collect();
        let in_the_way = matches!(one.facts.table, HistoryTable::Foreign(_));
        legacy::adopt(session, schema, one.facts.schema_exists, in_the_way, &rows).await?;
        let attempt = NewAttempt { file: "*", action: "adopt", checksum: None, by: &request.by, approved_by: None };
        let id = record::begin(session, schema, attempt).await?;
        let detail = format!("{} rows of {}", rows.len(), report.table);
        record::finish(session, schema, id, "adopted", Some(&detail), None).await?;
        self.prove(session, one, report).await
    }

    /// Reads back what was written: every row with its time, and nothing else.
    async fn prove(&self, session: &Session, one: Known<'_>, report: &AdoptReport) -> Result<(), MigrateError> {
        let world = self.world(session).await?;
        let facts = world.known().into_iter().find(|known| known.module.name == one.module.name);
        let rows = facts.map_or(&[][..], |known| &known.facts.applied);
        let same = |m: &Matched| {
            let time = |row: &Applied| m.applied_at.is_none_or(|at| at == row.applied_at);
            rows.iter().any(|row| (&row.name, &row.checksum) == (&m.file, &m.checksum) && time(row))
        };
        if rows.len() == report.matched.len() && report.matched.iter().all(same) {
            return Ok(());
        }
        Err(MigrateError::Refused(format!("the adopted history of {} does not read back as written", one.module.name)))
    }
}

fn table(one: Known<'_>, wanted: Option<&str>) -> Result<String, MigrateError> {
    if let Some(table) = wanted {
        return Ok(table.to_owned());
    }
    if matches!(one.facts.table, HistoryTable::Foreign(_)) {
        return Ok(format!("{}.schema_migrations", one.module.schema));
    }
    match one.facts.legacy.as_slice() {
        [only] => Ok(only.clone()),
        [] => {
            let why = format!("no other tool's history is in the schema {}: name one with --from", one.module.schema);
            Err(MigrateError::Refused(why))
        }
        many => Err(MigrateError::Refused(format!("several histories were found, name one: {}", many.join(", ")))),
    }
}

async fn read(session: &Session, table: &str, module: &str) -> Result<Legacy, MigrateError> {
    let (schema, name) = table.split_once('.').unwrap_or(("public", table));
    let form = || MigrateError::Refused(format!("{table} is not there, or tells no history in a form that is known"));
    legacy::read(session, schema, name, module).await?.ok_or_else(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module() -> Module {
        let text = "-- Description: d\n-- Breaking: no\n-- Manual: no\nSELECT 1;";
        let files = ["001_init.sql", "002_users.sql", "100_big.sql", "S001_users.sql"];
        Module::new("m", files.map(|file| (file, text)), false).unwrap()
    }

    fn row(version: Option<i64>, name: &str, second: i64) -> LegacyRow {
        let applied_at = DateTime::from_timestamp(second, 0);
        let (version, names) = (version.map(|v| v.to_string()), vec![name.to_owned()]);
        LegacyRow { version, names, applied_at, ..LegacyRow::default() }
    }

    fn legacy(rows: &[LegacyRow]) -> Legacy {
        Legacy { tool: "t", head: false, rows: rows.to_vec() }
    }

    #[test]
    fn finds_files_however_the_other_tool_spelled_them() {
        for (legacy, file) in [
            (row(Some(1), "init", 0), "001_init.sql"),
            (row(Some(7), "big", 0), "100_big.sql"),
            (row(Some(2), "users", 0), "002_users.sql"),
            (row(None, "001_init", 0), "001_init.sql"),
            (row(None, "100_big.sql", 0), "100_big.sql"),
            (row(None, "V1__init", 0), "001_init.sql"),
            (row(None, "V1__init.sql", 0), "001_init.sql"),
            (row(None, "0001_init", 0), "001_init.sql"),
            (row(None, "20240101120000_big", 0), "100_big.sql"),
            (row(None, "20240101120000-Big", 0), "100_big.sql"),
            (LegacyRow { version: Some("100".into()), ..LegacyRow::default() }, "100_big.sql"),
            (LegacyRow { version: Some("00000000000002".into()), ..LegacyRow::default() }, "002_users.sql"),
        ] {
            assert_eq!(find(&module(), &legacy).map(File::file).as_deref(), Some(file), "{legacy:?}");
        }
        // Two files are called "users": without the right number it could be either.
        assert!(find(&module(), &row(None, "9_users", 0)).is_none());
        assert!(find(&module(), &row(None, "001_other", 0)).is_none());
    }

    #[test]
    fn compares_both_ways() {
        let rows = [row(Some(2), "users", 5), row(Some(9), "gone", 6)];
        let report = compare(&module(), "public.refinery_schema_history", &legacy(&rows), &[]);
        assert_eq!(report.matched[0].applied_at.unwrap().timestamp(), 5);
        assert_eq!(report.without_file, ["V9__gone"]);
        assert_eq!(report.out_of_order, ["001_init.sql"]);
        assert_eq!(report.pending, ["100_big.sql", "S001_users.sql"]);
        assert!(!report.is_clean());
    }

    #[test]
    fn one_file_is_not_adopted_twice() {
        let rows = [row(Some(1), "init", 1), row(Some(1), "init", 2)];
        assert_eq!(compare(&module(), "t", &legacy(&rows), &[]).without_file, ["V1__init"]);
    }

    #[test]
    fn a_head_stands_for_everything_up_to_it() {
        let only = LegacyRow { version: Some("100".into()), ..LegacyRow::default() };
        let report = compare(&module(), "t", &Legacy { head: true, ..legacy(&[only]) }, &[]);
        let files: Vec<_> = report.matched.iter().map(|m| m.file.as_str()).collect();
        assert_eq!(files, ["001_init.sql", "002_users.sql", "100_big.sql"]);
        assert!(report.is_clean());
    }

    #[test]
    fn a_person_may_say_which_file_a_row_means_and_an_unfinished_one_stops_everything() {
        let rows = [row(None, "9f1c_hash", 1)];
        let map = [("9f1c_hash".to_owned(), "001_init.sql".to_owned())];
        assert!(compare(&module(), "t", &legacy(&rows), &[]).matched.is_empty());
        assert_eq!(compare(&module(), "t", &legacy(&rows), &map).matched[0].file, "001_init.sql");
        let half = LegacyRow { unfinished: true, ..row(Some(1), "init", 1) };
        let report = compare(&module(), "t", &legacy(&[half]), &[]);
        assert!(report.unfinished == ["V1__init"] && !report.is_clean());
    }
}
