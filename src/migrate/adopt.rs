//! Takes another tool's history over, once: order and timestamps kept, checksums derived from the shipped files.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    modules::{File, Module},
    names::Name,
    plan::Known,
    run::{MigrateError, Progress, Runner},
};
use crate::store::{
    ddl::Session,
    migrations::{
        facts::HistoryTable,
        legacy::{self, LegacyRow},
        record::{self, NewAttempt, NewRow},
    },
};

/// An adoption somebody asks for.
#[derive(Clone, Debug)]
pub struct AdoptRequest {
    pub module: String,
    /// `schema.table`; absent: the one that is found.
    pub table: Option<String>,
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
    pub applied_at: DateTime<Utc>,
}

/// Both histories beside each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AdoptReport {
    pub module: String,
    pub table: String,
    pub applied: bool,
    pub matched: Vec<Matched>,
    /// Rows for which this binary has no file: nothing is adopted while there are any.
    pub without_file: Vec<String>,
    /// Files the other tool never applied; they are pending afterwards.
    pub pending: Vec<String>,
    /// Files whose turn comes before one that the other tool applied, but were not applied.
    pub out_of_order: Vec<String>,
}

impl AdoptReport {
    pub fn is_clean(&self) -> bool {
        self.without_file.is_empty() && self.out_of_order.is_empty() && !self.matched.is_empty()
    }
}

/// Compares a legacy history with a module's files. Pure.
pub fn compare(module: &Module, table: &str, rows: &[LegacyRow]) -> AdoptReport {
    let mut report = AdoptReport { module: module.name.clone(), table: table.to_owned(), ..AdoptReport::default() };
    for row in rows {
        let free = |file: &&File| !report.matched.iter().any(|m| m.file == file.file());
        match find(module, row).filter(|file| free(file)) {
            Some(file) => report.matched.push(Matched {
                legacy: label(row),
                file: file.file(),
                checksum: file.checksum.clone(),
                applied_at: row.applied_at,
            }),
            None => report.without_file.push(label(row)),
        }
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
    row.version.map_or_else(|| row.name.clone(), |version| format!("V{version}__{}", row.name))
}

/// The file a legacy row means: by its exact name, by number and description, by a description that is unique.
fn find<'a>(module: &'a Module, row: &LegacyRow) -> Option<&'a File> {
    let stem = row.name.strip_suffix(".sql").unwrap_or(&row.name);
    if let Ok(name) = Name::parse(&format!("{stem}.sql")) {
        return module.find(&name.file());
    }
    let (number, description) = match row.version {
        Some(version) => (u32::try_from(version).ok(), stem),
        None => split(stem),
    };
    let same = |file: &&File| file.name.description == description;
    let numbered = number.and_then(|n| module.files.iter().filter(same).find(|file| file.name.number == n));
    let mut named = module.files.iter().filter(same);
    numbered.or_else(|| named.next().filter(|_| named.next().is_none()))
}

/// `V1__init`, `1_init`, `20240101120000_init` → the number, if it can be one of ours, and the description.
fn split(stem: &str) -> (Option<u32>, &str) {
    let digits_from = stem.find(|c: char| c.is_ascii_digit()).filter(|at| *at <= 2);
    let Some((prefix, rest)) = digits_from.map(|at| stem.split_at(at)) else { return (None, stem) };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let description = rest[digits..].trim_start_matches('_');
    if prefix.bytes().all(|b| b.is_ascii_uppercase()) && !description.is_empty() {
        (rest[..digits].parse().ok(), description)
    } else {
        (None, stem)
    }
}

impl Runner {
    /// Compares, and on request adopts.
    pub async fn adopt(&self, request: &AdoptRequest, progress: Progress<'_>) -> Result<AdoptReport, MigrateError> {
        let session = self.connect().await?;
        let held = self.lock(&session, progress).await?;
        let world = self.world(&session).await?;
        let known = world.known();
        let one = known.iter().find(|one| one.module.name == request.module).copied();
        let one = one.ok_or_else(|| MigrateError::UnknownModule(request.module.clone()))?;
        if !one.facts.applied.is_empty() {
            let why = format!("{} has a history of its own already; a history is adopted once", one.module.name);
            return Err(MigrateError::Refused(why));
        }
        let table = table(one, request.table.as_deref())?;
        let rows = read(&session, &table).await?;
        let mut report = compare(one.module, &table, &rows);
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
                (NewRow { schema, file, category: category(file), checksum, by: &by }, m.applied_at)
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
            rows.iter().any(|row| (&row.name, &row.checksum, row.applied_at) == (&m.file, &m.checksum, m.applied_at))
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
        [] => Err(MigrateError::Refused(format!("no other tool's history was found for {}", one.module.name))),
        many => Err(MigrateError::Refused(format!("several histories were found, name one: {}", many.join(", ")))),
    }
}

async fn read(session: &Session, table: &str) -> Result<Vec<LegacyRow>, MigrateError> {
    let (schema, name) = table.split_once('.').unwrap_or(("public", table));
    let form = || MigrateError::Refused(format!("{table} is neither a refinery history nor (name, applied_at)"));
    legacy::read(session, schema, name).await?.ok_or_else(form)
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
        LegacyRow { version, name: name.into(), applied_at: DateTime::from_timestamp(second, 0).unwrap() }
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
            (row(None, "20240101120000_big", 0), "100_big.sql"),
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
        let report = compare(&module(), "public.refinery_schema_history", &rows);
        assert_eq!(report.matched[0].applied_at.timestamp(), 5);
        assert_eq!(report.without_file, ["V9__gone"]);
        assert_eq!(report.out_of_order, ["001_init.sql"]);
        assert_eq!(report.pending, ["100_big.sql", "S001_users.sql"]);
        assert!(!report.is_clean());
    }

    #[test]
    fn one_file_is_not_adopted_twice() {
        let rows = [row(Some(1), "init", 1), row(Some(1), "init", 2)];
        assert_eq!(compare(&module(), "t", &rows).without_file, ["V1__init"]);
    }
}
