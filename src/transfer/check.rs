//! Looks at an export from its first to its last bit before anything of it is taken: the manifest, every file, every statement by the
//! rules of xAPI, every id, and what is in the way where it should go. Writes nothing.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Arrival, Load, Reader, TransferError, document, export::Tell, fault::Problems, kind::FILES};
use crate::{
    bundle::{BundleError, Source, Tally, line::Seen, manifest::FileEntry, month_of, tally},
    model::{TenantId, partition::Month},
};

/// Statements that are looked up together.
const BATCH: usize = 1_000;

/// What an import would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Coming {
    pub statements: u64,
    /// Of these, those that are there already.
    pub there: u64,
    /// Of these, those of people who were erased: they are left out.
    pub erased: u64,
    pub documents: u64,
    pub attachments: u64,
}

/// What was found.
pub struct Checked {
    pub coming: Coming,
    pub problems: Problems,
}

/// The tenant into which something should go.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub tenant: TenantId,
    /// Whether what is exported has this id, so that its keys mean the same.
    pub is_same: bool,
}

/// Looks at all of it. Without `load` nobody is asked what is there already.
pub async fn check(
    source: &Source,
    target: Target,
    mut load: Option<&mut Load>,
    tell: Tell<'_>,
) -> Result<Checked, TransferError> {
    let mut checking = Checking {
        target,
        reader: Reader::of(target.tenant),
        ids: HashMap::new(),
        tally: Tally::default(),
        named: BTreeSet::new(),
        checked: Checked { coming: Coming::default(), problems: Problems::default() },
    };
    for entry in &source.manifest.files {
        let read = match () {
            () if entry.path.starts_with("statements/") => {
                Box::pin(checking.statements(source, entry, load.as_deref_mut(), tell)).await
            }
            () if entry.path.starts_with("attachments/") => checking.attachment(source, entry),
            () => checking.lines(source, entry),
        };
        match read {
            Ok(()) => {}
            Err(TransferError::Bundle(error)) => {
                checking.checked.problems.at(&entry.path, None, rule_of(&error), error.to_string());
            }
            Err(error) => return Err(error),
        }
        tell("checked", 1);
    }
    checking.compare(source);
    Ok(checking.checked)
}

fn rule_of(error: &BundleError) -> &'static str {
    match error {
        BundleError::Truncated { .. } => "truncated",
        BundleError::Longer { .. } | BundleError::Digest { .. } => "digest",
        BundleError::Stray(_) => "stray",
        _ => "file",
    }
}

struct Checking {
    target: Target,
    reader: Reader,
    /// What each id that came by says: the beginning of its digest.
    ids: HashMap<Uuid, [u8; 16]>,
    tally: Tally,
    /// The contents that statements bring.
    named: BTreeSet<String>,
    checked: Checked,
}

impl Checking {
    async fn statements(
        &mut self,
        source: &Source,
        entry: &FileEntry,
        mut load: Option<&mut Load>,
        tell: Tell<'_>,
    ) -> Result<(), TransferError> {
        let month = month_of(&entry.path);
        let (mut reading, mut number, mut last) = (source.read(entry)?, 0, None);
        let mut batch: Vec<(u64, Arrival)> = Vec::new();
        while let Some(text) = reading.line()? {
            number += 1;
            if let Some(arrival) = self.statement(&entry.path, number, &text, month, &mut last) {
                batch.push((number, arrival));
            }
            if batch.len() == BATCH {
                self.ask(&entry.path, std::mem::take(&mut batch), load.as_deref_mut()).await?;
                tell("checked", BATCH as u64);
            }
        }
        self.ask(&entry.path, batch, load).await?;
        Ok(reading.finish()?)
    }

    fn statement(
        &mut self,
        file: &str,
        number: u64,
        text: &[u8],
        month: Option<Month>,
        last: &mut Option<DateTime<Utc>>,
    ) -> Option<Arrival> {
        self.checked.coming.statements += 1;
        let arrival = match self.reader.read(text) {
            Ok(arrival) => arrival,
            Err(error) => {
                self.checked.problems.load(file, Some(number), &error);
                return None;
            }
        };
        let problems = &mut self.checked.problems;
        if month.is_none_or(|month| !month.holds(arrival.stored)) {
            problems.at(
                file,
                Some(number),
                "month",
                format!("it was stored {}, which is another month than the file's", arrival.stored),
            );
        }
        if last.is_some_and(|last| last >= arrival.stored) {
            problems.at(
                file,
                Some(number),
                "order",
                "it was stored no later than the one before it: every one has its own microsecond",
            );
        }
        *last = Some(arrival.stored);
        let mut digest = [0; 16];
        digest.copy_from_slice(&arrival.statement.digest[..16]);
        match self.ids.entry(arrival.statement.id) {
            Entry::Vacant(slot) => _ = slot.insert(digest),
            Entry::Occupied(before) => {
                let what = if *before.get() == digest { "the same statement" } else { "another statement" };
                problems.at(
                    file,
                    Some(number),
                    "id",
                    format!("{what} of this export has the id {} already", arrival.statement.id),
                );
            }
        }
        if let Ok(seen) = serde_json::from_slice::<Seen<'_>>(text) {
            let text = String::from_utf8_lossy(text);
            self.tally.add(Month::of(arrival.stored), &seen.verb.id, &tally::line(&text));
        }
        self.named
            .extend(arrival.statement.attachments.iter().filter(|one| !one.has_file_url).map(|one| one.sha2.clone()));
        Some(arrival)
    }

    /// Asks what is there already, and what is in the way.
    async fn ask(
        &mut self,
        file: &str,
        batch: Vec<(u64, Arrival)>,
        load: Option<&mut Load>,
    ) -> Result<(), TransferError> {
        let Some(load) = load.filter(|_| !batch.is_empty()) else { return Ok(()) };
        let (numbers, arrivals): (Vec<u64>, Vec<Arrival>) = batch.into_iter().unzip();
        let outlook = load.look(self.target.tenant, &arrivals).await?;
        self.checked.coming.there += outlook.same.len() as u64;
        self.checked.coming.erased += outlook.erased.len() as u64;
        let numbers: HashMap<Uuid, u64> = arrivals.iter().map(|arrival| arrival.statement.id).zip(numbers).collect();
        for (id, error) in outlook.refused {
            self.checked.problems.load(file, numbers.get(&id).copied(), &error);
        }
        Ok(())
    }

    fn attachment(&mut self, source: &Source, entry: &FileEntry) -> Result<(), TransferError> {
        self.checked.coming.attachments += 1;
        let mut reading = source.read(entry)?;
        reading.to_end(|_| ())?;
        Ok(reading.finish()?)
    }

    fn lines(&mut self, source: &Source, entry: &FileEntry) -> Result<(), TransferError> {
        if !FILES.iter().any(|(_, file)| *file == entry.path) {
            return Err(BundleError::Stray(entry.path.clone()).into());
        }
        let (mut reading, mut number) = (source.read(entry)?, 0);
        while let Some(text) = reading.line()? {
            number += 1;
            let wrong = match entry.path.as_str() {
                "documents.ndjson" => {
                    self.checked.coming.documents += 1;
                    document::read(&text, self.target.tenant, self.target.is_same).err().map(|error| error.to_string())
                }
                _ => serde_json::from_slice::<Map<String, Value>>(&text).err().map(|error| error.to_string()),
            };
            if let Some(wrong) = wrong {
                self.checked.problems.at(&entry.path, Some(number), "shape", wrong);
            }
        }
        Ok(reading.finish()?)
    }

    /// Whether it is what the manifest says.
    fn compare(&mut self, source: &Source) {
        let (is, said) = (self.tally.months(), &source.manifest.months);
        for month in said {
            let Some(found) = is.iter().find(|found| found.month == month.month) else {
                self.checked.problems.at(
                    "manifest.json",
                    None,
                    "count",
                    format!("it says {} statements of {}, and there are none", month.statements, month.month),
                );
                continue;
            };
            for cell in &month.verbs {
                let there = found.verbs.iter().find(|other| other.verb == cell.verb);
                let count = there.map_or(0, |there| there.statements);
                if there != Some(cell) {
                    let message = format!(
                        "it says {} statements of {} with the verb {}, and there are {count}, or others",
                        cell.statements, month.month, cell.verb
                    );
                    self.checked.problems.at("manifest.json", None, "count", message);
                }
            }
        }
        let there: BTreeSet<&str> =
            source.manifest.files.iter().filter_map(|file| file.path.strip_prefix("attachments/")).collect();
        let kinds = &source.manifest.selection.kinds;
        if kinds.iter().any(|kind| kind == "attachments") {
            // Contents that never came are no fault of the export, but are worth a word.
            let missing = self.named.iter().filter(|hash| !there.contains(hash.as_str())).count();
            if missing > 0 {
                tracing::warn!(missing, "statements name attachments whose content is not in the export");
            }
        }
    }
}
