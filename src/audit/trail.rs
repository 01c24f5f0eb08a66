//! The entries and anchors as an auditor lists them, and the signatures of witnesses.

use chrono::DateTime;
use serde_json::json;

use super::{Audit, AuditError, note::Note};
use crate::{
    model::TenantId,
    store::{
        As,
        platform::{
            audit::EntryId,
            audit_log::{
                self as log, Recorded,
                checkpoints::{self, Anchor},
            },
        },
    },
};

impl Audit {
    /// Entries of a tenant, or of everybody, the newest first, with their places.
    pub async fn entries(
        &self,
        tenant: Option<TenantId>,
        action: Option<&str>,
        before: Option<EntryId>,
        most: i64,
    ) -> Result<Vec<(Recorded, Option<i64>)>, AuditError> {
        let list =
            self.store.run_tx("audit_entries", As::Worker, |tx| Box::pin(log::list(tx, tenant, action, before, most)));
        Ok(list.await?)
    }

    /// Whether there is such an entry, of this tenant where one is named.
    pub async fn has(&self, tenant: Option<TenantId>, entry: EntryId) -> Result<bool, AuditError> {
        let found = self.entries(tenant, None, Some(EntryId(entry.0.saturating_add(1))), 1).await?;
        Ok(found.first().is_some_and(|(found, _)| found.id == entry))
    }

    /// Where checkpoints lie outside, the newest first; those that come after a size and place.
    pub async fn anchors(&self, after: Option<(i64, &str)>, most: i64) -> Result<Vec<Anchor>, AuditError> {
        let anchors =
            self.store.run_tx("audit_anchors", As::Worker, |tx| Box::pin(checkpoints::anchors(tx, after, most)));
        Ok(anchors.await?)
    }

    /// Keeps the signature of a witness under a checkpoint of ours.
    pub async fn cosign(&self, text: &str) -> Result<Anchor, AuditError> {
        let unfit = |why: &'static str| AuditError::Witness(why);
        let note = Note::read(text).ok_or_else(|| unfit("it is no checkpoint"))?;
        let size = note.tree.size;
        let at = self.read("audit_checkpoint_of", |tx| Box::pin(checkpoints::after(tx, size - 1, 1))).await?;
        let own = at.into_iter().find(|own| own.size == size);
        if own.is_none_or(|own| Note::read(&own.note).map(|own| own.body()) != Some(note.body())) {
            return Err(unfit("this log has not signed such a checkpoint"));
        }
        let witness = self.witnesses.iter().find(|witness| witness.proves(&note));
        let witness = witness.ok_or_else(|| unfit("no key of audit.witnesses has signed it"))?;
        let line = witness.line(&note).ok_or_else(|| unfit("no key of audit.witnesses has signed it"))?;
        let (place, detail) = (format!("witness:{}", witness.name), json!({ "signature": line }));
        let micros = self.clock.now().timestamp_micros();
        let at = DateTime::from_timestamp_micros(micros).unwrap_or_default();
        let anchor = Anchor { size, place, at, detail };
        let kept = &anchor;
        self.store
            .run_tx("audit_cosigned", As::Worker, |tx| {
                Box::pin(async move { checkpoints::append_anchor(tx, kept).await })
            })
            .await?;
        Ok(anchor)
    }
}
