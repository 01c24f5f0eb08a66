//! What happens around a run and not to one file: kept among the attempts of the first module.

use super::{error::MigrateError, run::Runner};
use crate::store::schema::migrations::{
    facts::HistoryTable,
    record::{self, NewAttempt},
};

/// Something that happened around a run, for the attempts.
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    pub action: &'a str,
    pub outcome: &'a str,
    pub detail: &'a str,
    pub by: &'a str,
}

impl Runner {
    /// Writes a finished attempt of the whole run, under the first module.
    pub(super) async fn note(&self, note: &Note<'_>) -> Result<(), MigrateError> {
        self.write_note(note, true).await
    }

    /// The same, unless nothing of ours is there to write it into.
    pub(super) async fn note_where_possible(&self, note: &Note<'_>) -> Result<(), MigrateError> {
        self.write_note(note, false).await
    }

    async fn write_note(&self, note: &Note<'_>, make: bool) -> Result<(), MigrateError> {
        let session = self.connect().await?;
        let world = self.world(&session).await?;
        let Some(one) = world.known().first().copied() else { return Ok(()) };
        if world.server.read_only || (!make && one.facts.table != HistoryTable::Canonical) {
            return Ok(());
        }
        let schema = &one.module.schema;
        record::prepare(&session, schema, one.facts.schema_exists).await?;
        let Note { action, outcome, detail, by } = *note;
        let attempt = NewAttempt { file: "*", action, checksum: None, by, approved_by: None };
        let id = record::begin(&session, schema, attempt).await?;
        Ok(record::finish(&session, schema, id, outcome, Some(detail).filter(|text| !text.is_empty()), None).await?)
    }
}
