//! The rows of a month, from the ledger's tables to a segment's form and back.

use chrono::{DateTime, Utc};

use super::{Archive, ArchiveError};
use crate::{
    model::{TenantId, partition::Bounds},
    objects::segment::Row,
    store::{
        As,
        ledger::{
            fills::FullRow,
            month_rows::{self, MonthRow},
        },
    },
};

/// Reads a tenant's month from its table, a page at a time.
pub(super) struct Rows<'a> {
    archive: &'a Archive,
    month: Bounds,
    tenant: TenantId,
    after: DateTime<Utc>,
}

impl<'a> Rows<'a> {
    pub fn of(archive: &'a Archive, month: Bounds, tenant: TenantId) -> Self {
        Self { archive, month, tenant, after: DateTime::UNIX_EPOCH }
    }

    /// The next rows in their order; none at the end.
    pub async fn next(&mut self) -> Result<Vec<Row>, ArchiveError> {
        let (month, tenant, after) = (&self.month, self.tenant, self.after);
        let store = &self.archive.store;
        let read = store.run_tx("month_page", As::Worker, |tx| Box::pin(month_rows::page(tx, month, tenant, after)));
        let page = read.await?;
        if let Some(last) = page.last() {
            self.after = last.stored;
        }
        Ok(page.into_iter().map(|row| to_segment(tenant, row)).collect())
    }
}

fn to_segment(tenant: TenantId, row: MonthRow) -> Row {
    Row {
        tenant,
        id: row.id,
        stored: row.stored,
        occurred: row.occurred,
        verb_key: row.verb_key,
        agent_key: row.agent_key,
        activity_key: row.activity_key,
        registration_key: row.registration_key,
        refers_to: row.refers_to,
        voiding: row.voiding,
        voids_only_of: row.voids_only_of,
        voided_by: row.voided_by,
        converts: row.converts,
        relations: row.relations,
        payload: row.payload,
    }
}

/// A row as the ledger's tables take it.
pub(super) fn to_ledger(row: &Row) -> FullRow<'_> {
    FullRow {
        tenant: row.tenant,
        id: row.id,
        stored: row.stored,
        occurred: row.occurred,
        verb_key: row.verb_key,
        agent_key: row.agent_key,
        activity_key: row.activity_key,
        registration_key: row.registration_key,
        refers_to: row.refers_to,
        voiding: row.voiding,
        converts: row.converts,
        payload: &row.payload,
        relations: &row.relations,
    }
}

/// Whether two rows say the same. What voids a statement may have come after it was written down, or be limited no more: that is
/// asked of the ledger's references, which stay.
pub(super) fn same(one: &Row, other: &Row) -> bool {
    let bare = |row: &Row| Row { voided_by: None, voids_only_of: None, payload: String::new(), ..row.clone() };
    one.payload == other.payload && bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_row_is_the_same_whoever_voids_it_and_no_other_way() {
        let row = Row {
            tenant: TenantId(Uuid::from_u128(1)),
            id: Uuid::from_u128(2),
            stored: DateTime::UNIX_EPOCH,
            occurred: None,
            verb_key: Uuid::from_u128(3),
            agent_key: None,
            activity_key: None,
            registration_key: None,
            refers_to: None,
            voiding: false,
            voids_only_of: None,
            voided_by: None,
            converts: false,
            relations: vec![Uuid::from_u128(4)],
            payload: "{}".to_owned(),
        };
        assert!(same(&row, &Row { voided_by: Some(Uuid::from_u128(9)), ..row.clone() }));
        for other in [
            Row { payload: "{ }".to_owned(), ..row.clone() },
            Row { relations: Vec::new(), ..row.clone() },
            Row { occurred: Some(DateTime::UNIX_EPOCH), ..row.clone() },
            Row { converts: true, ..row.clone() },
        ] {
            assert!(!same(&row, &other), "{other:?}");
        }
        assert_eq!(to_ledger(&row).relations, row.relations);
    }
}
