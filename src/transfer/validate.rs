//! Does the ledger still hold its own rules: statements against the guard of their ids, references, documents, the bytes of attachments.
//! Finds, and where nothing is lost or made up by it, repairs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use uuid::Uuid;

use super::{Arrival, Reader, TransferError, document, export::Tell, lines};
use crate::{
    bundle::line::line as line_of,
    cold::Cold,
    model::{TenantId, partition::Month},
    store::{
        As, Store, StoreError,
        ledger::{attachments, links, loads, statements, statements::NewStatement},
        platform::portable::{RepairedRef, Rows},
    },
    xapi::document::etag,
};

/// Statements read at once.
const LINES: i64 = 1_000;
/// So many findings are told.
const MOST: usize = 1_000;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub rule: &'static str,
    /// The id of what it is about.
    pub subject: String,
    pub message: String,
    pub is_repairable: bool,
}

/// What was looked at, and what was found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    pub statements: u64,
    pub documents: u64,
    pub attachments: u64,
    pub found: Vec<Finding>,
    pub by_rule: BTreeMap<&'static str, u64>,
    pub repaired: u64,
}

impl Findings {
    fn add(&mut self, rule: &'static str, subject: impl ToString, is_repairable: bool, message: impl Into<String>) {
        *self.by_rule.entry(rule).or_default() += 1;
        if self.found.len() < MOST {
            self.found.push(Finding { rule, subject: subject.to_string(), message: message.into(), is_repairable });
        }
    }
}

/// Looks at everything of a tenant; with `repairs` mends what can be mended.
pub async fn validate(cold: &Cold, tenant: TenantId, repairs: bool, tell: Tell<'_>) -> Result<Findings, TransferError> {
    let mut validation = Validation {
        cold,
        tenant,
        repairs,
        reader: Reader::of(tenant),
        named: BTreeSet::new(),
        findings: Findings::default(),
    };
    validation.statements(tell).await?;
    validation.documents(tell).await?;
    validation.attachments(tell).await?;
    Ok(validation.findings)
}

struct Validation<'v> {
    cold: &'v Cold,
    tenant: TenantId,
    repairs: bool,
    reader: Reader,
    /// The contents that statements bring.
    named: BTreeSet<String>,
    findings: Findings,
}

impl Validation<'_> {
    fn store(&self) -> &Store {
        self.cold.store()
    }

    async fn statements(&mut self, tell: Tell<'_>) -> Result<(), TransferError> {
        let tenant = self.tenant;
        let bound =
            self.store().run_tx("safe_bound", As::Tenant(tenant), |tx| Box::pin(statements::safe_bound(tx))).await?;
        let mut source = self.cold.lines(tenant, DateTime::UNIX_EPOCH, bound, LINES);
        let mut months: BTreeMap<Month, i64> = BTreeMap::new();
        loop {
            let lines = Box::pin(source.next()).await?;
            if lines.is_empty() {
                break;
            }
            let hidden = self.cold.hidden(tenant).await?;
            let mut arrivals = Vec::with_capacity(lines.len());
            for line in &lines {
                *months.entry(Month::of(line.stored)).or_default() += 1;
                self.findings.statements += 1;
                match self.reader.read(line_of(&line.payload, line.stored).as_bytes()) {
                    _ if hidden.contains(&line.stored) => {}
                    Ok(arrival) if arrival.statement.id != line.id => {
                        let message = format!("its row says {}, and its text {}", line.id, arrival.statement.id);
                        self.findings.add("row-and-text", line.id, false, message);
                    }
                    Ok(arrival) => arrivals.push(arrival),
                    Err(error) => self.findings.add("unreadable", line.id, false, error.to_string()),
                }
            }
            self.guards(&arrivals).await?;
            self.references(&arrivals).await?;
            for arrival in &arrivals {
                let brought = arrival.statement.attachments.iter().filter(|one| !one.has_file_url);
                self.named.extend(brought.map(|one| one.sha2.clone()));
            }
            tell("statements", self.findings.statements);
        }
        self.lost(&months, bound).await
    }

    /// The guard of ids knows each statement, with its moment and what it says.
    async fn guards(&mut self, arrivals: &[Arrival]) -> Result<(), TransferError> {
        let (tenant, ids) = (self.tenant, arrivals.iter().map(|one| one.statement.id).collect::<Vec<Uuid>>());
        let known = self.store().run_tx("known_ids", As::Tenant(tenant), |tx| {
            let ids = ids.clone();
            Box::pin(async move { loads::known(tx, tenant, &ids).await })
        });
        let known: HashMap<Uuid, loads::Claimed> = known.await?.into_iter().map(|known| (known.id, known)).collect();
        let mut missing = Vec::new();
        for Arrival { statement, stored } in arrivals {
            match known.get(&statement.id) {
                None => {
                    self.findings.add("guard-missing", statement.id, true, "the guard of ids does not know it");
                    missing.push(NewStatement { statement, stored: *stored });
                }
                Some(known) if known.erased => {
                    self.findings.add(
                        "erased",
                        statement.id,
                        false,
                        "the guard says that it was erased, and it is there",
                    );
                }
                Some(known) if known.stored != *stored => {
                    let message = format!("it was stored {stored}, and the guard says {}", known.stored);
                    self.findings.add("guard-moment", statement.id, false, message);
                }
                Some(known) if known.digest != statement.digest => {
                    self.findings.add(
                        "digest",
                        statement.id,
                        false,
                        "its text is not what was accepted: its digest is another one",
                    );
                }
                Some(_) => {}
            }
        }
        if self.repairs && !missing.is_empty() {
            let missing = &missing;
            let claimed = self.store().run_tx("repair_guards", As::Tenant(tenant), |tx| {
                Box::pin(async move { loads::claim(tx, tenant, missing).await })
            });
            self.findings.repaired += (missing.len() - claimed.await?.len()) as u64;
        }
        Ok(())
    }

    /// Each statement that refers to another has its reference.
    async fn references(&mut self, arrivals: &[Arrival]) -> Result<(), TransferError> {
        let tenant = self.tenant;
        let refer: Vec<&Arrival> = arrivals.iter().filter(|one| one.statement.refers_to.is_some()).collect();
        let ids: Vec<Uuid> = refer.iter().map(|one| one.statement.id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let there: HashSet<Uuid> = self.store().referring(tenant, &ids).await?.into_iter().collect();
        let mut missing = Vec::new();
        for one in refer.into_iter().filter(|one| !there.contains(&one.statement.id)) {
            let target = one.statement.refers_to.unwrap_or_default();
            self.findings.add("reference", one.statement.id, true, format!("its reference to {target} is not there"));
            missing.push(RepairedRef {
                target,
                referrer: one.statement.id,
                stored: one.stored,
                voids: one.statement.is_voiding,
                // Nobody knows any more what it might void: what is its own, in any case.
                only_of: one.statement.is_voiding.then(|| statements::authority_form(one.statement.authority_key)),
            });
        }
        if self.repairs && !missing.is_empty() {
            self.findings.repaired += self.store().repair_refs(tenant, &missing).await?;
            let targets: Vec<Uuid> = missing.iter().map(|one| one.target).collect();
            let again = self.store().run_tx("look_again", As::Tenant(tenant), |tx| {
                let targets = targets.clone();
                Box::pin(async move { links::look_again(tx, tenant, &targets, &[]).await })
            });
            again.await?;
        }
        Ok(())
    }

    /// No id is known whose statement is nowhere.
    async fn lost(&mut self, months: &BTreeMap<Month, i64>, bound: DateTime<Utc>) -> Result<(), TransferError> {
        let guarded = self.store().guarded_months(self.tenant, bound - TimeDelta::microseconds(1)).await?;
        let unguarded = self.findings.by_rule.get("guard-missing").copied().unwrap_or_default();
        for (month, ids) in guarded {
            let there = months.get(&month).copied().unwrap_or_default();
            if ids > there && (unguarded == 0 || self.repairs) {
                let message = format!("the guard knows {ids} statements of this month, and {there} are there");
                self.findings.add("lost", month, false, message);
            }
        }
        Ok(())
    }

    async fn documents(&mut self, tell: Tell<'_>) -> Result<(), TransferError> {
        let mut after = Uuid::nil();
        loop {
            let heads = self.store().portable_heads(self.tenant, after, None).await?;
            let Some((last, _)) = heads.last() else { return Ok(()) };
            after = *last;
            for (key, _) in heads {
                for kept in self.store().portable_documents(self.tenant, &[key]).await? {
                    self.findings.documents += 1;
                    if etag(&kept.content) != kept.etag {
                        self.findings.add(
                            "etag",
                            &kept.document_id,
                            false,
                            "its content is not what was written: its ETag is another one",
                        );
                    }
                    let placed = document::read(document::write(&kept).as_bytes(), self.tenant, true);
                    if placed.is_ok_and(|(place, _)| place.key != kept.key) {
                        self.findings.add("document-key", &kept.document_id, false, "its key is not that of its names");
                    }
                }
            }
            tell("documents", self.findings.documents);
        }
    }

    /// The bytes of each attachment are what their hash says, and what statements bring is there.
    async fn attachments(&mut self, tell: Tell<'_>) -> Result<(), TransferError> {
        let mut place = String::new();
        loop {
            let page = self.store().portable_rows(self.tenant, Rows::Attachments, &place, None).await?;
            let Some((last, _)) = page.last() else { break };
            place.clone_from(last);
            for (hash, _) in &page {
                self.findings.attachments += 1;
                let content = self.content(hash).await?;
                if hex::encode(hashed(&content, hash.len() / 2)) != *hash {
                    self.findings.add("attachment", hash, false, "its bytes are not what its hash says");
                }
            }
            tell("attachments", self.findings.attachments);
        }
        let named: Vec<Vec<u8>> = self.named.iter().filter_map(|hash| hex::decode(hash).ok()).collect();
        let tenant = self.tenant;
        for some in named.chunks(LINES as usize) {
            let present = self.store().run_tx("attachments_present", As::Tenant(tenant), |tx| {
                Box::pin(async move { attachments::present(tx, tenant, some).await })
            });
            let present: HashSet<Vec<u8>> = present.await?.into_iter().collect();
            for hash in some.iter().filter(|hash| !present.contains(*hash)) {
                self.findings.add(
                    "attachment-missing",
                    hex::encode(hash),
                    false,
                    "a statement brings it, and its bytes are not there",
                );
            }
        }
        Ok(())
    }

    async fn content(&self, hash: &str) -> Result<Vec<u8>, StoreError> {
        let (sha2, mut content, mut piece) = (hex::decode(hash).unwrap_or_default(), Vec::new(), 0);
        while let Some(bytes) = lines::attachment_piece(self.store(), self.tenant, &sha2, piece).await? {
            content.extend(bytes);
            piece += 1;
        }
        Ok(content)
    }
}

/// The hash of the family that has so many bytes.
pub(super) fn hashed(content: &[u8], bytes: usize) -> Vec<u8> {
    match bytes {
        28 => Sha224::digest(content).to_vec(),
        48 => Sha384::digest(content).to_vec(),
        64 => Sha512::digest(content).to_vec(),
        _ => Sha256::digest(content).to_vec(),
    }
}
