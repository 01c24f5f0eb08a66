//! An export: everything of a tenant, or a part of it, written into a folder, hot and archived alike. Reads alone.

use std::{collections::BTreeSet, io::Write, path::Path};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{
    TransferError,
    kind::{FILES, Kind},
    lines::{self, Pages, Whose},
};
use crate::{
    bundle::{
        BundleError, Folder, Manifest, Selection, Source, Tally, Writing,
        line::{Seen, line},
        manifest::{FileEntry, Head, NAME, Whose as Owner},
        tally,
        zip::Zip,
    },
    cold::Cold,
    model::{TenantId, partition::Month},
    store::{
        As, Store,
        ledger::{hidden, statements},
        platform::installation,
        progress::projections::Line,
    },
    xapi::keys,
};

/// Statements read at once.
const LINES: i64 = 2_000;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    pub tenant: TenantId,
    pub name: String,
    /// One learner as attempts know them, with the keys of their agents.
    pub learner: Option<(String, Vec<Uuid>)>,
    pub kinds: Vec<Kind>,
    /// Statements that were stored after this.
    pub since: Option<DateTime<Utc>>,
    /// And not after this.
    pub until: Option<DateTime<Utc>>,
}

impl Wish {
    /// Everything.
    pub fn all(tenant: TenantId, name: &str) -> Self {
        let kinds = Kind::ALL.to_vec();
        Self { tenant, name: name.to_owned(), learner: None, kinds, since: None, until: None }
    }

    pub(super) fn is_of_all(&self) -> bool {
        self.learner.is_none() && self.since.is_none() && self.until.is_none()
    }

    pub(super) fn whose(&self) -> Whose {
        Whose { tenant: self.tenant, learner: self.learner.clone() }
    }
}

/// How far it is: the kind, and how many of it.
pub type Tell<'t> = &'t (dyn Fn(&str, u64) + Sync);

/// Writes an export into a folder, or goes on with the one that stands there.
pub async fn export(
    cold: &Cold,
    wish: &Wish,
    folder: &Path,
    made_at: DateTime<Utc>,
    tell: Tell<'_>,
) -> Result<Manifest, TransferError> {
    let head = head(cold.store(), wish).await?;
    let mut folder = Folder::open(folder, head)?;
    if wish.kinds.contains(&Kind::Statements) {
        statements(cold, wish, &mut folder, tell).await?;
    }
    for (kind, file) in FILES {
        let is_wanted = wish.kinds.contains(&kind) && (wish.learner.is_none() || kind.is_personal());
        if is_wanted && !folder.has(file) && file != "attachments.ndjson" {
            plain(cold.store(), wish, &mut folder, (kind, file), tell).await?;
        }
    }
    if wish.kinds.contains(&Kind::Attachments) && !folder.has("attachments.ndjson") {
        attachments(cold.store(), wish, &mut folder, tell).await?;
    }
    Ok(folder.seal(made_at)?)
}

/// Packs an export into a zip, which must not be there yet.
pub fn pack(folder: &Path, zip: &Path, tell: Tell<'_>) -> Result<(), TransferError> {
    let source = Source::open(folder)?;
    let part = zip.with_extension("part");
    let written = (|| {
        let mut file = std::fs::File::create_new(&part).map_err(BundleError::io(&part))?;
        let mut out = Zip::default();
        let mut put = |bytes: &[u8]| file.write_all(bytes).map_err(BundleError::io(zip));
        put(&out.begin(NAME))?;
        let manifest = std::fs::read(folder.join(NAME)).map_err(BundleError::io(folder.join(NAME)))?;
        out.add(&manifest);
        put(&manifest)?;
        for (number, entry) in (1..).zip(&source.manifest.files) {
            put(&out.begin(&entry.path))?;
            let (mut reading, mut failed) = (source.read(entry)?, None);
            reading.to_end(|piece| {
                out.add(piece);
                if let Err(error) = put(piece) {
                    failed.get_or_insert(error);
                }
            })?;
            failed.map_or(Ok(()), Err)?;
            reading.finish()?;
            tell("packed", number);
        }
        put(&out.finish())?;
        file.sync_all().map_err(BundleError::io(zip))?;
        std::fs::rename(&part, zip).map_err(BundleError::io(zip))
    })();
    if written.is_err() {
        // Half an archive is none.
        std::fs::remove_file(&part).ok();
    }
    Ok(written?)
}

async fn head(store: &Store, wish: &Wish) -> Result<Head, TransferError> {
    let here = store.run_tx("this_installation", As::Worker, |tx| Box::pin(installation::this(tx))).await?;
    // Where nobody writes the bound would rest.
    store.run_tx("catch_up", As::Tenant(wish.tenant), |tx| Box::pin(statements::catch_up(tx))).await?;
    let bound = store.run_tx("safe_bound", As::Tenant(wish.tenant), |tx| Box::pin(statements::safe_bound(tx))).await?;
    let mut kinds: Vec<String> = wish.kinds.iter().map(|kind| kind.name().to_owned()).collect();
    kinds.sort();
    let learner = wish.learner.as_ref().map(|(learner, _)| learner.clone());
    Ok(Head {
        installation: here.id,
        tenant: Owner { id: wish.tenant.0, name: wish.name.clone() },
        selection: Selection { learner, kinds, since: wish.since, until: wish.until },
        through: bound - TimeDelta::microseconds(1),
    })
}

/// A month that is being written.
struct Open {
    month: Month,
    file: Writing,
    tally: Tally,
}

async fn statements(cold: &Cold, wish: &Wish, folder: &mut Folder, tell: Tell<'_>) -> Result<(), TransferError> {
    let through = folder.head().through;
    let end = wish.until.map_or(through, |until| until.min(through)) + TimeDelta::microseconds(1);
    let behind = folder.months().last().map(|last| last.month.end() - TimeDelta::microseconds(1));
    let begin = behind.max(wish.since).unwrap_or(DateTime::UNIX_EPOCH);
    let mut written: u64 = folder.months().iter().map(|month| month.statements).sum();
    let mut source = cold.lines(wish.tenant, begin, end, LINES);
    let mut open: Option<Open> = None;
    loop {
        let lines = Box::pin(source.next()).await?;
        if lines.is_empty() {
            break;
        }
        // Asked after the lines were read: who was hidden before that is known.
        let hidden = cold
            .store()
            .run_tx("hidden", As::Tenant(wish.tenant), |tx| Box::pin(hidden::archived(tx, wish.tenant)))
            .await?;
        for one in lines.iter().filter(|one| !hidden.contains(&one.stored) && is_wanted(wish, one)) {
            let month = Month::of(one.stored);
            if open.as_ref().is_some_and(|open| open.month != month) {
                close(folder, open.take())?;
            }
            if open.is_none() {
                let file = folder.begin(&format!("statements/{month}.ndjson"))?;
                open = Some(Open { month, file, tally: Tally::default() });
            }
            let Some(open) = &mut open else { continue };
            let text = line(&one.payload, one.stored);
            let seen: Seen<'_> =
                serde_json::from_str(&text).map_err(|error| TransferError::Unreadable(one.id, error.to_string()))?;
            open.tally.add(month, &seen.verb.id, &tally::line(&text));
            open.file.line(&text)?;
            written += 1;
        }
        tell("statements", written);
    }
    close(folder, open)
}

fn close(folder: &mut Folder, open: Option<Open>) -> Result<(), TransferError> {
    let Some(Open { file, tally, .. }) = open else { return Ok(()) };
    let file = file.finish()?;
    match tally.months().pop() {
        Some(month) => Ok(folder.finish_month(month, file)?),
        None => Ok(()),
    }
}

pub(super) fn is_wanted(wish: &Wish, line: &Line) -> bool {
    let Some((_, people)) = &wish.learner else { return true };
    let statement: Value = serde_json::from_str(&line.payload).unwrap_or_default();
    let actor = statement["actor"].as_object().and_then(keys::Ifi::of);
    actor.is_some_and(|ifi| people.contains(&keys::agent(wish.tenant.0, &ifi)))
}

async fn plain(
    store: &Store,
    wish: &Wish,
    folder: &mut Folder,
    (kind, name): (Kind, &'static str),
    tell: Tell<'_>,
) -> Result<(), TransferError> {
    let mut file = folder.begin(name)?;
    let mut pages = Pages::of(store, &wish.whose(), name);
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        for line in &page {
            file.line(line)?;
        }
        tell(name.trim_end_matches(".ndjson"), file.lines());
    }
    // What belongs to a kind without being one of it is not counted as one.
    let is_named = name.trim_end_matches(".ndjson") == kind.name();
    let count = if is_named { file.lines() } else { 0 };
    let file = file.finish()?;
    Ok(folder.finish(kind.name(), count, vec![file])?)
}

/// Contents with their list; of a part of the statements those that these name.
async fn attachments(store: &Store, wish: &Wish, folder: &mut Folder, tell: Tell<'_>) -> Result<(), TransferError> {
    let named = if wish.is_of_all() { None } else { Some(named(folder)?) };
    let (mut list, mut files) = (folder.begin("attachments.ndjson")?, Vec::new());
    let mut pages = Pages::of(store, &Whose::all(wish.tenant), "attachments.ndjson");
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        for line in &page {
            let said: Value = serde_json::from_str(line).unwrap_or_default();
            let sha2 = said["sha2"].as_str().unwrap_or_default();
            if named.as_ref().is_some_and(|named| !named.contains(sha2)) {
                continue;
            }
            files.push(content(store, wish.tenant, folder, sha2).await?);
            list.line(line)?;
            tell("attachments", list.lines());
        }
    }
    let count = list.lines();
    files.push(list.finish()?);
    Ok(folder.finish("attachments", count, files)?)
}

async fn content(store: &Store, tenant: TenantId, folder: &Folder, sha2: &str) -> Result<FileEntry, TransferError> {
    let hash = hex::decode(sha2).unwrap_or_default();
    let (mut file, mut piece) = (folder.begin(&format!("attachments/{sha2}"))?, 0);
    while let Some(bytes) = lines::attachment_piece(store, tenant, &hash, piece).await? {
        file.add(&bytes)?;
        piece += 1;
    }
    Ok(file.finish()?)
}

/// The hashes that the statements of this export name: read back, for an export may have been gone on with.
fn named(folder: &Folder) -> Result<BTreeSet<String>, TransferError> {
    let mut named = BTreeSet::new();
    folder.each_line("statements/", |text| hashes(&serde_json::from_str(text).unwrap_or_default(), &mut named))?;
    Ok(named)
}

/// The hashes that a statement names.
pub(super) fn hashes(value: &Value, named: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(hash) = map.get("sha2").and_then(Value::as_str) {
                named.insert(hash.to_ascii_lowercase());
            }
            map.values().for_each(|inner| hashes(inner, named));
        }
        Value::Array(list) => list.iter().for_each(|inner| hashes(inner, named)),
        _ => {}
    }
}
