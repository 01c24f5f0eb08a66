//! What a migration left behind: indexes, constraints, policies, partitions.

use chrono::{DateTime, Utc};

use super::functions::{self, Function};
use crate::store::{StoreError, door::ddl::Session};

#[derive(Clone, Debug, Default)]
pub struct AfterFacts {
    pub invalid_indexes: Vec<InvalidIndex>,
    /// `schema.table.constraint` of constraints that were never validated.
    pub unvalidated: Vec<String>,
    pub tenant_tables: Vec<TenantTable>,
    pub functions: Vec<Function>,
    /// Partitions whose detaching was broken off half-way.
    pub detach_pending: Vec<String>,
    /// Absent where there is no ledger.
    pub months: Option<Months>,
}

#[derive(Clone, Debug)]
pub struct InvalidIndex {
    pub index: String,
    pub table: String,
    /// Somebody builds it right now.
    pub building: bool,
    /// On a partitioned table with a foreign partition, for which there can be no index; all others have theirs.
    pub foreign_only: bool,
}

/// A table with a `tenant_id`.
#[derive(Clone, Debug)]
pub struct TenantTable {
    pub table: String,
    pub enabled: bool,
    pub forced: bool,
    pub policies: i64,
    /// Policies stand on the parent; its partitions need none, and then show nothing to whoever reads them directly.
    pub is_partition: bool,
}

#[derive(Clone, Debug)]
pub struct Months {
    /// Where the last month that can be written to ends.
    pub until: Option<DateTime<Utc>>,
}

const INDEXES: &str = "/* after::checks_indexes */
    SELECT n.nspname || '.' || c.relname, i.indrelid::regclass::text,
           EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid),
           c.relkind = 'I'
           AND EXISTS (SELECT FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhrelid
                       WHERE h.inhparent = i.indrelid AND p.relkind = 'f')
           AND NOT EXISTS (SELECT FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhrelid
                           WHERE h.inhparent = i.indrelid AND p.relkind <> 'f' AND NOT EXISTS (
                               SELECT FROM pg_inherits ih JOIN pg_index ci ON ci.indexrelid = ih.inhrelid
                               WHERE ih.inhparent = i.indexrelid AND ci.indrelid = p.oid AND ci.indisvalid))
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND n.nspname = ANY($1) ORDER BY 1";

const CONSTRAINTS: &str = "/* after::checks_constraints */
    SELECT k.conrelid::regclass::text || '.' || k.conname
    FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
    WHERE NOT k.convalidated AND k.conrelid <> 0 AND n.nspname = ANY($1) ORDER BY 1";

const TENANT_TABLES: &str = "/* after::checks_tenant_tables */
    SELECT n.nspname || '.' || c.relname, c.relrowsecurity, c.relforcerowsecurity,
           (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid), c.relispartition
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY($1) ORDER BY 1";

const DETACHING: &str = "/* after::checks_detaching */
    SELECT h.inhrelid::regclass::text FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE h.inhdetachpending AND n.nspname = ANY($1) ORDER BY 1";

const MONTHS: &str = "/* after::checks_months */ SELECT max(upper_bound) FROM ledger.partitions WHERE state = 'open'";

/// Reads what stands in the catalog about `schemas`.
pub async fn after(session: &Session, schemas: &[String]) -> Result<AfterFacts, StoreError> {
    read(session, schemas).await.map_err(|e| StoreError::from_pg("checks_after", &e))
}

async fn read(session: &Session, schemas: &[String]) -> Result<AfterFacts, tokio_postgres::Error> {
    let client = session.client();
    let indexes = client.query(INDEXES, &[&schemas]).await?;
    let unvalidated = client.query(CONSTRAINTS, &[&schemas]).await?;
    let tables = client.query(TENANT_TABLES, &[&schemas]).await?;
    let functions = functions::read(client, schemas).await?;
    let detaching = client.query(DETACHING, &[&schemas]).await?;
    let ledger = "/* after::checks_ledger */ SELECT to_regclass('ledger.partitions') IS NOT NULL";
    let has_ledger: bool = client.query_one(ledger, &[]).await?.get(0);
    let months = match has_ledger && schemas.iter().any(|schema| schema == "ledger") {
        true => Some(Months { until: client.query_one(MONTHS, &[]).await?.get(0) }),
        false => None,
    };
    Ok(AfterFacts {
        invalid_indexes: indexes
            .iter()
            .map(|r| InvalidIndex { index: r.get(0), table: r.get(1), building: r.get(2), foreign_only: r.get(3) })
            .collect(),
        unvalidated: unvalidated.iter().map(|row| row.get(0)).collect(),
        tenant_tables: tables
            .iter()
            .map(|row| TenantTable {
                table: row.get(0),
                enabled: row.get(1),
                forced: row.get(2),
                policies: row.get(3),
                is_partition: row.get(4),
            })
            .collect(),
        functions,
        detach_pending: detaching.iter().map(|row| row.get(0)).collect(),
        months,
    })
}
