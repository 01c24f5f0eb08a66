//! Takes an export in that was looked at before: batch by batch, each of them a transaction. A month of statements that was not there
//! appears once it is whole. Who was interrupted does the same again: what is there is skipped.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Arrival, Brought, Load, Reader, TransferError, check::Target, document, export::Tell};
use crate::{
    bundle::{BundleError, Source, manifest::FileEntry},
    cmi5::Structure,
    model::TenantId,
    store::{
        As, Store, StoreError,
        ledger::statements::authority_form,
        platform::{
            audit::{self, Entry},
            portable::Rows,
            tenants::{self, Cmi5Settings},
        },
        progress::{
            courses,
            registries::{Registered, Registry},
        },
    },
    xapi::{Author, Version},
};

/// Statements in one transaction.
const BATCH: usize = 2_000;
/// Documents in one transaction, and their bytes, about.
const DOCUMENTS: (usize, usize) = (200, 8 << 20);

/// What was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    pub new: u64,
    /// Was there already.
    pub same: u64,
    /// Of people who were erased: left out.
    pub erased: u64,
    pub documents: u64,
    pub attachments: u64,
    pub courses: u64,
    /// Entries that came to the registries.
    pub registered: u64,
}

/// Makes the tenant of an export, where there is none of its id.
pub async fn make_tenant(
    store: &Store,
    tenant: TenantId,
    name: &str,
    by: &str,
    now: DateTime<Utc>,
) -> Result<bool, TransferError> {
    store
        .run_once("make_tenant", As::Worker, |tx| {
            Box::pin(async move {
                if tenants::get(tx, tenant).await?.is_some() {
                    return Ok(false);
                }
                if !tenants::insert(tx, tenant, name, now).await? {
                    let why = format!("the name {name:?} is another tenant's: name that one with --tenant, or give it another name first");
                    return Err(TransferError::Refused(why));
                }
                let (action, subject, detail) = ("tenant.create", tenant.to_string(), Value::Object(Map::new()));
                audit::append(tx, &Entry { tenant: Some(tenant), actor: by, action, subject, detail }).await?;
                Ok(true)
            })
        })
        .await
}

/// An import under way.
pub struct Import<'a> {
    store: Store,
    source: &'a Source,
    target: Target,
    load: Load,
    by: &'a str,
    /// The keys of authorities as the export has them, and here. Empty where they are the same.
    authorities: HashMap<Uuid, Uuid>,
    done: Imported,
}

impl<'a> Import<'a> {
    pub fn begin(store: &Store, source: &'a Source, target: Target, load: Load, by: &'a str) -> Self {
        let (authorities, done) = (HashMap::new(), Imported::default());
        Self { store: store.clone(), source, target, load, by, authorities, done }
    }

    /// Takes all of it.
    pub async fn apply(mut self, tell: Tell<'_>) -> Result<Imported, TransferError> {
        if !self.target.is_same {
            self.meet_authorities()?;
        }
        self.settings().await?;
        self.documents(tell).await?;
        self.attachments(tell).await?;
        let limits = self.limits()?;
        for entry in self.files("statements/") {
            self.statements(&entry, &limits, tell).await?;
        }
        Ok(self.done)
    }

    fn files(&self, prefix: &str) -> Vec<FileEntry> {
        self.source.manifest.files.iter().filter(|file| file.path.starts_with(prefix)).cloned().collect()
    }

    async fn statements(
        &mut self,
        entry: &FileEntry,
        limits: &HashMap<Uuid, Uuid>,
        tell: Tell<'_>,
    ) -> Result<(), TransferError> {
        let (mut reading, mut reader) = (self.source.read(entry)?, Reader::of(self.target.tenant));
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let text = reading.line()?;
            if let Some(text) = &text {
                let mut arrival = reader.read(text)?;
                arrival.statement.voids_only_of = limits.get(&arrival.statement.id).copied();
                batch.push(arrival);
            }
            if batch.len() == BATCH || text.is_none() {
                self.take(std::mem::take(&mut batch)).await?;
                tell("statements", self.done.new + self.done.same + self.done.erased);
            }
            if text.is_none() {
                break;
            }
        }
        // Before the month appears: it is what was looked at.
        reading.finish()?;
        self.load.finish(None).await?;
        Ok(())
    }

    async fn take(&mut self, mut batch: Vec<Arrival>) -> Result<(), TransferError> {
        let erased = self.load.look(self.target.tenant, &batch).await?.erased;
        batch.retain(|arrival| !erased.contains(&arrival.statement.id));
        let loaded = self.load.take(self.target.tenant, &batch).await?;
        self.done.erased += erased.len() as u64;
        self.done.new += loaded.new;
        self.done.same += loaded.same;
        Ok(())
    }

    async fn documents(&mut self, tell: Tell<'_>) -> Result<(), TransferError> {
        let Target { tenant, is_same } = self.target;
        for entry in self.files("documents.ndjson") {
            let (mut reading, mut batch, mut bytes) = (self.source.read(&entry)?, Vec::new(), 0);
            loop {
                let text = reading.line()?;
                if let Some(text) = &text {
                    bytes += text.len();
                    let placed = document::read(text, tenant, is_same);
                    batch.push(placed.map_err(|error| TransferError::Refused(error.to_string()))?);
                }
                if text.is_none() || batch.len() == DOCUMENTS.0 || bytes > DOCUMENTS.1 {
                    self.done.documents += self.load.placed(tenant, &batch).await?;
                    (batch, bytes) = (Vec::new(), 0);
                    tell("documents", self.done.documents);
                }
                if text.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn attachments(&mut self, tell: Tell<'_>) -> Result<(), TransferError> {
        for line in self.lines("attachments.ndjson")? {
            let hash = line["sha2"].as_str().unwrap_or_default();
            let path = format!("attachments/{hash}");
            let entry = self.source.manifest.file(&path).ok_or(BundleError::Stray(path))?;
            let content = self.source.content(entry)?;
            let sha2 = hex::decode(hash).unwrap_or_default();
            let keys = line["broughtBy"].as_array().into_iter().flatten().filter_map(uuid);
            let brought: Vec<Brought> = keys
                .filter_map(|key| self.here(key))
                .map(|authority| Brought { sha2: sha2.clone(), content: content.clone(), authority })
                .collect();
            self.load.attachments(self.target.tenant, &brought).await?;
            self.done.attachments += 1;
            tell("attachments", self.done.attachments);
        }
        Ok(())
    }

    /// The key of an authority here.
    fn here(&self, key: Uuid) -> Option<Uuid> {
        if self.target.is_same { Some(key) } else { self.authorities.get(&key).copied() }
    }

    /// Voidings that void only what is under one authority: by their id, whose.
    fn limits(&self) -> Result<HashMap<Uuid, Uuid>, TransferError> {
        let mut limits = HashMap::new();
        for line in self.lines("voidings.ndjson")? {
            if let (Some(id), Some(form)) = (uuid(&line["id"]), uuid(&line["onlyOf"])) {
                // The form turns back into the key it is of. One that nobody has here voids nothing.
                limits.insert(id, self.here(authority_form(form)).unwrap_or(form));
            }
        }
        Ok(limits)
    }

    /// Learns what the authorities' keys in the export mean.
    fn meet_authorities(&mut self) -> Result<(), TransferError> {
        #[derive(serde::Deserialize)]
        struct Signed {
            authority: Option<Map<String, Value>>,
        }
        for entry in self.files("statements/") {
            let mut reading = self.source.read(&entry)?;
            while let Some(text) = reading.line()? {
                let Ok(Signed { authority: Some(authority) }) = serde_json::from_slice(&text) else { continue };
                let key = |tenant: Uuid| Author::new(tenant, &authority, Version::V1_0_3).key();
                self.authorities.insert(key(self.source.manifest.tenant.id), key(self.target.tenant.0));
            }
        }
        Ok(())
    }

    /// The lines of a small file; none where it is not in the export.
    fn lines(&self, name: &str) -> Result<Vec<Value>, TransferError> {
        let Some(entry) = self.source.manifest.file(name) else { return Ok(Vec::new()) };
        let (mut reading, mut lines) = (self.source.read(entry)?, Vec::new());
        while let Some(text) = reading.line()? {
            lines.push(serde_json::from_slice(&text).unwrap_or_default());
        }
        reading.finish()?;
        Ok(lines)
    }

    /// What the tenant decides, its courses, and words that the registries do not know.
    async fn settings(&mut self) -> Result<(), TransferError> {
        let tenant = self.target.tenant;
        for line in self.lines("settings.ndjson")? {
            let said = |name: &str| line[name].as_bool().unwrap_or_default();
            let cmi5 = Cmi5Settings { strict: said("cmi5Strict"), satisfied: said("cmi5Satisfied") };
            self.store
                .run_tx("import_settings", As::Worker, |tx| Box::pin(tenants::set_cmi5(tx, tenant, cmi5)))
                .await?;
        }
        for line in self.lines("courses.ndjson")? {
            let structure: Structure = serde_json::from_value(line)
                .map_err(|error| TransferError::Refused(format!("courses.ndjson: {error}")))?;
            let structure = &structure;
            let put = self.store.run_tx("import_course", As::Tenant(tenant), |tx| {
                Box::pin(async move { courses::put(tx, tenant, structure).await.map(drop) })
            });
            put.await?;
            self.done.courses += 1;
        }
        for line in self.lines("registries.ndjson")? {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let registry = if line["registry"] == "verbs" { Registry::Verbs } else { Registry::ExtensionNamespaces };
            let (iri, name, vocabulary, introduced_in) =
                (text("iri"), text("name"), text("vocabulary"), text("introducedIn"));
            let entry = Registered { iri, name, vocabulary, introduced_in };
            self.done.registered += u64::from(self.store.register(registry, &entry, self.by).await?);
        }
        Ok(())
    }
}

fn uuid(value: &Value) -> Option<Uuid> {
    value.as_str().and_then(|text| Uuid::parse_str(text).ok())
}

/// Puts closings by hand and silences to attempts that the projections have made; answers how many were new.
pub async fn ends(store: &Store, source: &Source, tenant: TenantId) -> Result<u64, TransferError> {
    let mut put = 0;
    for (name, rows) in [("closures.ndjson", Rows::Closures), ("silences.ndjson", Rows::Silences)] {
        let Some(entry) = source.manifest.file(name) else { continue };
        let (mut reading, mut lines) = (source.read(entry)?, Vec::new());
        while let Some(text) = reading.line()? {
            lines.push(serde_json::from_slice::<Value>(&text).unwrap_or_default());
        }
        reading.finish()?;
        for some in lines.chunks(BATCH) {
            put += store.put_ends(tenant, rows, &Value::Array(some.to_vec())).await?;
        }
    }
    Ok(put)
}

/// Leaves an entry in the audit trail.
pub async fn note(
    store: &Store,
    tenant: TenantId,
    by: &str,
    action: &'static str,
    detail: &Value,
) -> Result<(), StoreError> {
    store
        .run_once("transfer_noted", As::Worker, |tx| {
            Box::pin(async move {
                let entry = Entry {
                    tenant: Some(tenant),
                    actor: by,
                    action,
                    subject: tenant.to_string(),
                    detail: detail.clone(),
                };
                audit::append(tx, &entry).await.map(drop)
            })
        })
        .await
}
