//! Statements of lrsql on their way in: read by the rules that hold for every statement, their contents brought first, and taken
//! by the one way that keeps their past.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::source::{Lrsql, groups};
use crate::{
    model::TenantId,
    store::{
        As, Store,
        ledger::attachments,
        lrsql::{Attachment, Content, Statement},
    },
    transfer::{Arrival, Brought, TransferError, fault::Problems, foreign::Intake, validate::hashed},
};

pub struct Taker<'t> {
    pub lrsql: &'t mut Lrsql,
    pub intake: Intake,
    store: Store,
    tenant: TenantId,
    /// Contents that were brought.
    pub attachments: u64,
    /// Contents whose bytes are not what their hash says: left out.
    pub broken: u64,
}

/// A content that a statement names.
pub struct Named {
    pub sha2: Vec<u8>,
    pub authority: Uuid,
    content: Content,
}

impl<'t> Taker<'t> {
    pub fn new(lrsql: &'t mut Lrsql, intake: Intake, store: Store, tenant: TenantId) -> Self {
        Self { lrsql, intake, store, tenant, attachments: 0, broken: 0 }
    }

    /// Reads statements; the first that cannot be taken is told, with where in it and by which rule.
    pub fn read(&mut self, rows: Vec<Statement>) -> Result<Vec<Arrival>, TransferError> {
        let (mut problems, mut arrivals) = (Problems::default(), Vec::with_capacity(rows.len()));
        for row in rows {
            let name = format!("xapi_statement {}", row.id);
            let value = serde_json::from_str(&row.payload).map_err(|error| error.to_string());
            match self.intake.read(&name, None, value, &mut problems) {
                Some(arrival) if arrival.statement.id != row.id => {
                    problems.at(&name, None, "id", format!("its payload has the id {}", arrival.statement.id));
                }
                arrival => arrivals.extend(arrival),
            }
        }
        match problems.found.first() {
            Some(problem) => Err(TransferError::Refused(format!("a statement of lrsql cannot be taken: {problem}"))),
            None => Ok(arrivals),
        }
    }

    /// Takes statements, and before them what is attached to them.
    pub async fn take(&mut self, arrivals: Vec<Arrival>) -> Result<(), TransferError> {
        let wanted = self.wanted(&arrivals).await?;
        self.bring(wanted).await?;
        self.intake.take(arrivals).await
    }

    /// The contents that lrsql has of these statements, but for those of people who were erased.
    pub async fn named(&mut self, arrivals: &[Arrival]) -> Result<Vec<Named>, TransferError> {
        let with: Vec<Arrival> =
            arrivals.iter().filter(|arrival| !arrival.statement.attachments.is_empty()).cloned().collect();
        if with.is_empty() {
            return Ok(Vec::new());
        }
        let erased = self.intake.erased(&with).await?;
        let authorities: HashMap<Uuid, Uuid> = with
            .iter()
            .map(|arrival| (arrival.statement.id, arrival.statement.authority_key))
            .filter(|(id, _)| !erased.contains(id))
            .collect();
        let ids: Vec<Uuid> = authorities.keys().copied().collect();
        let mut named = Vec::new();
        for attachment in self.lrsql.attachments(&ids).await? {
            let Some(authority) = authorities.get(&attachment.statement) else { continue };
            let sha2 = hex::decode(&attachment.sha2).map_err(|_| {
                let Attachment { statement, sha2, .. } = &attachment;
                TransferError::Refused(format!("lrsql's attachment of statement {statement}: {sha2:?} is no hash"))
            })?;
            named.push(Named { sha2, authority: *authority, content: attachment.content });
        }
        Ok(named)
    }

    /// Those of them that are not here under their authority yet, each once.
    async fn wanted(&mut self, arrivals: &[Arrival]) -> Result<BTreeMap<(Vec<u8>, Uuid), Named>, TransferError> {
        let named = self.named(arrivals).await?;
        if named.is_empty() {
            return Ok(BTreeMap::new());
        }
        let pairs: Vec<(Vec<u8>, Uuid)> = named.iter().map(|one| (one.sha2.clone(), one.authority)).collect();
        let tenant = self.tenant;
        let here = self.store.run_tx("lrsql_brought", As::Tenant(tenant), |tx| {
            let pairs = pairs.clone();
            Box::pin(async move { attachments::brought(tx, tenant, &pairs).await })
        });
        let here = here.await?;
        let is_new = |one: &Named| !here.contains(&(one.sha2.clone(), one.authority));
        Ok(named.into_iter().filter(is_new).map(|one| ((one.sha2.clone(), one.authority), one)).collect())
    }

    async fn bring(&mut self, wanted: BTreeMap<(Vec<u8>, Uuid), Named>) -> Result<(), TransferError> {
        let contents: Vec<_> = wanted.values().map(|one| one.content).collect();
        let mut by_key: HashMap<Uuid, Named> = wanted.into_values().map(|one| (one.content.key, one)).collect();
        for keys in groups(&contents) {
            let mut brought = Vec::new();
            for (key, content) in self.lrsql.contents(&keys).await? {
                let Some(Named { sha2, authority, .. }) = by_key.remove(&key) else { continue };
                if hashed(&content, sha2.len()) == sha2 {
                    brought.push(Brought { sha2, content, authority });
                } else {
                    self.broken += 1;
                }
            }
            self.intake.attachments(&brought).await?;
            self.attachments += brought.len() as u64;
        }
        Ok(())
    }
}
