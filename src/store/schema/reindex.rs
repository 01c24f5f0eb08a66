//! Indexes that are broken or grown out of proportion, and their rebuilding beside the running work.

use std::time::Duration;

use serde::Serialize;

use crate::store::{StoreError, door::ddl::Session};

/// An index that should be built anew, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    pub index: String,
    pub table: String,
    pub bytes: i64,
    pub why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A concurrent build was broken off.
    Invalid,
    /// Left over by a broken rebuild: the index it was to replace is sound, and this one can go.
    Leftover,
    /// Several times larger than its rows can explain.
    Bloated,
}

/// An index entry takes at least its item pointer, header and key columns; twice the estimate is normal B-tree life.
const CANDIDATES: &str = "/* reindex::reindex_candidates */
    SELECT format('%I.%I', n.nspname, c.relname), i.indrelid::regclass::text, pg_relation_size(c.oid),
           CASE WHEN NOT i.indisvalid AND c.relname ~ '_ccnew[0-9]*$' THEN 'leftover'
                WHEN NOT i.indisvalid THEN 'invalid' ELSE 'bloated' END
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_am am ON am.oid = c.relam
    CROSS JOIN LATERAL (SELECT 16 + coalesce(sum(s.avg_width), 8) AS width
        FROM pg_attribute a LEFT JOIN pg_stats s
            ON s.schemaname = n.nspname AND s.tablename = (SELECT relname FROM pg_class WHERE oid = i.indrelid)
               AND s.attname = a.attname
        WHERE a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey::int2[])) AS entry
    WHERE n.nspname = ANY($1) AND c.relkind = 'i'
      AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)
      AND (NOT i.indisvalid
           OR am.amname = 'btree' AND c.reltuples > 0 AND pg_relation_size(c.oid) > $2::bigint
              AND pg_relation_size(c.oid) > 3 * c.reltuples * entry.width)
    ORDER BY 4 DESC, 3 DESC";

/// The indexes of `schemas` worth the work. Small ones are never called bloated: nobody would notice.
pub async fn candidates(
    session: &Session,
    schemas: &[String],
    smallest_bloated: i64,
) -> Result<Vec<Candidate>, StoreError> {
    let rows = session.client().query(CANDIDATES, &[&schemas, &smallest_bloated]).await;
    let rows = rows.map_err(|e| StoreError::from_pg("reindex_candidates", &e))?;
    let of = |row: &tokio_postgres::Row| Candidate {
        index: row.get(0),
        table: row.get(1),
        bytes: row.get(2),
        why: match row.get(3) {
            "leftover" => Why::Leftover,
            "invalid" => Why::Invalid,
            _ => Why::Bloated,
        },
    };
    Ok(rows.iter().map(of).collect())
}

/// The statement that mends it. Names come quoted from the catalog.
pub fn remedy(candidate: &Candidate) -> String {
    match candidate.why {
        Why::Leftover => format!("DROP INDEX CONCURRENTLY IF EXISTS {}", candidate.index),
        Why::Invalid | Why::Bloated => format!("REINDEX INDEX CONCURRENTLY {}", candidate.index),
    }
}

/// Rebuilds one index while everybody works on. It waits for older transactions, so it gets no lock timeout.
pub async fn rebuild(session: &Session, candidate: &Candidate) -> Result<(), StoreError> {
    session.run("reindex", &remedy(candidate), Duration::ZERO).await
}

const PROGRESS: &str = "/* reindex::reindex_progress */
    SELECT phase, blocks_done, blocks_total FROM pg_stat_progress_create_index WHERE datname = current_database() LIMIT 1";

/// The phase of the build that runs now, and its blocks done and in all.
pub async fn progress(session: &Session) -> Result<Option<(String, u64, u64)>, StoreError> {
    let row =
        session.client().query_opt(PROGRESS, &[]).await.map_err(|e| StoreError::from_pg("reindex_progress", &e))?;
    let count = |row: &tokio_postgres::Row, at| row.get::<_, i64>(at).unsigned_abs();
    Ok(row.map(|row| (row.get(0), count(&row, 1), count(&row, 2))))
}
