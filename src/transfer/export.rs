//! An export: everything of a tenant, or a part of it, hot and archived alike, written into a folder or sent as a zip while it is made.
//! Reads alone.

use std::{collections::BTreeSet, io::Write, path::Path};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use super::{
    TransferError,
    kind::{FILES, Kind},
    lines::{self, Pages, Whose},
};
use crate::{
    bundle::{
        BundleError, Folder, Form, Making, Manifest, MonthFile, Packing, Selection, Source,
        line::{Seen, line},
        manifest::{FileEntry, Head, NAME, Whose as Owner},
        zip::Zip,
    },
    cold::Cold,
    model::{TenantId, partition::Month},
    store::{As, Store, ledger::statements, platform::installation, progress::projections::Line},
    xapi::keys,
};

/// Statements read at once.
const LINES: i64 = 2_000;
/// Bytes that are sent on at once.
const PIECE: usize = 256 << 10;
/// Pieces that wait to be taken.
pub const AHEAD: usize = 8;

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
    /// Of statements; everything else is lines.
    pub form: Form,
}

impl Wish {
    /// Everything.
    pub fn all(tenant: TenantId, name: &str) -> Self {
        let kinds = Kind::ALL.to_vec();
        Self { tenant, name: name.to_owned(), learner: None, kinds, since: None, until: None, form: Form::default() }
    }

    pub(super) fn is_of_all(&self) -> bool {
        self.learner.is_none() && self.since.is_none() && self.until.is_none()
    }

    /// Whether only the attachments are wanted that its statements name.
    fn picks_attachments(&self) -> bool {
        self.kinds.contains(&Kind::Attachments) && !self.is_of_all()
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
    let mut folder = Folder::open(folder, head(cold.store(), wish).await?)?;
    let mut named = BTreeSet::new();
    if wish.picks_attachments() {
        folder.each_line("statements/", |text| hashes(&serde_json::from_str(text).unwrap_or_default(), &mut named))?;
    }
    Box::pin(fill(cold, wish, &mut Way { making: &mut folder, to: None, tell, named })).await?;
    Ok(folder.seal(made_at)?)
}

/// Sends an export as a zip, and keeps nothing of it.
pub async fn send(
    cold: &Cold,
    wish: &Wish,
    made_at: DateTime<Utc>,
    to: &Sender<Vec<u8>>,
) -> Result<Manifest, TransferError> {
    let mut packing = Packing::new(head(cold.store(), wish).await?);
    let mut way = Way { making: &mut packing, to: Some(to), tell: &|_, _| (), named: BTreeSet::new() };
    Box::pin(fill(cold, wish, &mut way)).await?;
    let (manifest, rest) = packing.seal(made_at)?;
    to.send(rest).await.map_err(|_| TransferError::Left)?;
    Ok(manifest)
}

/// An export on its way.
struct Way<'w> {
    making: &'w mut dyn Making,
    /// Who takes it, where it is not kept here.
    to: Option<&'w Sender<Vec<u8>>>,
    tell: Tell<'w>,
    /// The hashes that its statements name, where only those attachments are wanted.
    named: BTreeSet<String>,
}

impl Way<'_> {
    /// Sends on what waits, if it is as much as a piece.
    async fn give(&mut self) -> Result<(), TransferError> {
        let (Some(to), Some(piece)) = (self.to, self.making.take(PIECE)) else { return Ok(()) };
        to.send(piece).await.map_err(|_| TransferError::Left)
    }
}

async fn fill(cold: &Cold, wish: &Wish, way: &mut Way<'_>) -> Result<(), TransferError> {
    if wish.kinds.contains(&Kind::Statements) {
        statements(cold, wish, way).await?;
    }
    for (kind, file) in FILES {
        let is_wanted = wish.kinds.contains(&kind) && (wish.learner.is_none() || kind.is_personal());
        if is_wanted && !way.making.notes().has(file) && file != "attachments.ndjson" {
            plain(cold.store(), wish, way, (kind, file)).await?;
        }
    }
    if wish.kinds.contains(&Kind::Attachments) && !way.making.notes().has("attachments.ndjson") {
        attachments(cold.store(), wish, way).await?;
    }
    Ok(())
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

async fn statements(cold: &Cold, wish: &Wish, way: &mut Way<'_>) -> Result<(), TransferError> {
    let notes = way.making.notes();
    let through = notes.head.through;
    let end = wish.until.map_or(through, |until| until.min(through)) + TimeDelta::microseconds(1);
    let behind = notes.months.last().map(|last| last.month.end() - TimeDelta::microseconds(1));
    let begin = behind.max(wish.since).unwrap_or(DateTime::UNIX_EPOCH);
    let mut written: u64 = notes.months.iter().map(|month| month.statements).sum();
    let mut source = cold.lines(wish.tenant, begin, end, LINES);
    let mut open: Option<MonthFile> = None;
    loop {
        let lines = Box::pin(source.next()).await?;
        if lines.is_empty() {
            break;
        }
        let hidden = cold.hidden(wish.tenant).await?;
        for one in lines.iter().filter(|one| !hidden.contains(&one.stored) && is_wanted(wish, one)) {
            let month = Month::of(one.stored);
            if open.as_ref().is_some_and(|file| file.month != month) {
                close(way, open.take())?;
            }
            let file = match &mut open {
                Some(file) => file,
                None => open.insert(MonthFile::begin(way.making, wish.form, month)?),
            };
            let text = line(&one.payload, one.stored);
            let seen: Seen<'_> =
                serde_json::from_str(&text).map_err(|error| TransferError::Unreadable(one.id, error.to_string()))?;
            if wish.picks_attachments() {
                hashes(&serde_json::from_str(&text).unwrap_or_default(), &mut way.named);
            }
            file.line(way.making, (&text, &seen), one.stored)?;
            way.give().await?;
            written += 1;
        }
        (way.tell)("statements", written);
    }
    close(way, open)
}

fn close(way: &mut Way<'_>, open: Option<MonthFile>) -> Result<(), TransferError> {
    Ok(open.map_or(Ok(()), |file| file.end(way.making))?)
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
    way: &mut Way<'_>,
    (kind, name): (Kind, &'static str),
) -> Result<(), TransferError> {
    way.making.begin(name)?;
    let (mut pages, mut lines) = (Pages::of(store, &wish.whose(), name), 0);
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        for line in &page {
            way.making.line(line)?;
            way.give().await?;
        }
        lines += page.len() as u64;
        (way.tell)(name.trim_end_matches(".ndjson"), lines);
    }
    // What belongs to a kind without being one of it is not counted as one.
    let is_named = name.trim_end_matches(".ndjson") == kind.name();
    let count = if is_named { lines } else { 0 };
    let file = way.making.end()?;
    Ok(way.making.finish(kind.name(), count, vec![file])?)
}

/// Their list, and then the contents; of a part of the statements those that these name.
async fn attachments(store: &Store, wish: &Wish, way: &mut Way<'_>) -> Result<(), TransferError> {
    way.making.begin("attachments.ndjson")?;
    let (mut pages, mut listed) = (Pages::of(store, &Whose::all(wish.tenant), "attachments.ndjson"), Vec::new());
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        for line in &page {
            let said: Value = serde_json::from_str(line).unwrap_or_default();
            let sha2 = said["sha2"].as_str().unwrap_or_default();
            if wish.picks_attachments() && !way.named.contains(sha2) {
                continue;
            }
            way.making.line(line)?;
            way.give().await?;
            listed.push(sha2.to_owned());
        }
    }
    let mut files = vec![way.making.end()?];
    for (number, sha2) in (1..).zip(&listed) {
        files.push(content(store, wish.tenant, way, sha2).await?);
        (way.tell)("attachments", number);
    }
    Ok(way.making.finish("attachments", listed.len() as u64, files)?)
}

async fn content(store: &Store, tenant: TenantId, way: &mut Way<'_>, sha2: &str) -> Result<FileEntry, TransferError> {
    let (hash, mut piece) = (hex::decode(sha2).unwrap_or_default(), 0);
    way.making.begin(&format!("attachments/{sha2}"))?;
    while let Some(bytes) = lines::attachment_piece(store, tenant, &hash, piece).await? {
        way.making.add(&bytes)?;
        way.give().await?;
        piece += 1;
    }
    Ok(way.making.end()?)
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
