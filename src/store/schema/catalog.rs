//! What a database holds, as sorted lines that can be compared: every object of some schemas, and rows of seeds.
//!
//! Owners and object ids are left out, since they differ between installations; the dump tools' text is not used,
//! since it differs from run to run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::store::{StoreError, door::ddl::Session};

/// A database's catalog as readable lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// One line for each object and each of its parts.
    pub objects: Vec<String>,
    /// One line for each table with its columns in physical order, which means nothing to queries by name.
    pub column_order: Vec<String>,
    /// One line for each table that holds rows, with their number and digest.
    pub rows: Vec<String>,
}

/// Each query yields one text column. Parameter: $1 the schemas. History tables stay out: they tell how a database
/// came to be, and that may differ.
const OBJECTS: [&str; 10] = [
    "/* catalog::catalog_schemas */ SELECT format('schema %s', nspname) FROM pg_namespace WHERE nspname = ANY($1)",
    "/* catalog::catalog_relations */
     SELECT format('%s %s.%s%s%s%s%s%s',
         CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                        WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' ELSE 'type' END,
         n.nspname, c.relname,
         CASE WHEN c.relpersistence <> 'p' THEN ' persistence ' || c.relpersistence::text ELSE '' END,
         CASE WHEN c.relrowsecurity THEN ' row security' ELSE '' END || CASE WHEN c.relforcerowsecurity THEN ' forced' ELSE '' END,
         CASE WHEN c.relkind = 'p' THEN ' partitioned by ' || pg_get_partkeydef(c.oid) ELSE '' END,
         CASE WHEN c.relispartition THEN ' ' || (SELECT format('of %s.%s ', pn.nspname, p.relname) FROM pg_inherits i
              JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
              WHERE i.inhrelid = c.oid) || pg_get_expr(c.relpartbound, c.oid) ELSE '' END,
         coalesce(' with ' || c.reloptions::text, '')
             || CASE WHEN c.relkind IN ('v', 'm') THEN ' as ' || pg_get_viewdef(c.oid) ELSE '' END)
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')",
    "/* catalog::catalog_columns */
     SELECT format('column %s.%s.%s %s%s%s%s%s%s', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
         CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
         CASE WHEN a.attidentity <> '' THEN ' identity ' || a.attidentity::text ELSE '' END,
         coalesce(CASE WHEN a.attgenerated <> '' THEN ' generated ' ELSE ' default ' END || pg_get_expr(d.adbin, d.adrelid), ''),
         CASE WHEN a.attcollation <> t.typcollation THEN ' collate ' || a.attcollation::regcollation::text ELSE '' END,
         CASE WHEN a.attstorage <> t.typstorage THEN ' storage ' || a.attstorage::text ELSE '' END
             || CASE WHEN a.attcompression <> '' THEN ' compression ' || a.attcompression::text ELSE '' END)
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE n.nspname = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')",
    // Since 18 NOT NULL is a constraint with a name; the column's own line says it on every version.
    "/* catalog::catalog_constraints */
     SELECT format('constraint %s.%s.%s %s', n.nspname, coalesce(c.relname, t.typname), k.conname, pg_get_constraintdef(k.oid))
     FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
     LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_type t ON t.oid = k.contypid
     WHERE n.nspname = ANY($1) AND k.contype NOT IN ('n', 't')",
    "/* catalog::catalog_indexes */
     SELECT format('index %s%s%s', pg_get_indexdef(i.indexrelid), CASE WHEN i.indisvalid THEN '' ELSE ' invalid' END,
                   CASE WHEN i.indisclustered THEN ' clustered' ELSE '' END)
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY($1)",
    "/* catalog::catalog_policies */
     SELECT format('policy %s.%s.%s %s for %s to %s using (%s) check (%s)', schemaname, tablename, policyname, permissive,
                   cmd, (SELECT string_agg(r, ',' ORDER BY r) FROM unnest(roles) r), qual, with_check)
     FROM pg_policies WHERE schemaname = ANY($1)",
    "/* catalog::catalog_triggers */
     SELECT format('trigger %s enabled %s', pg_get_triggerdef(t.oid), t.tgenabled)
     FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY($1) AND NOT t.tgisinternal
     UNION ALL
     SELECT format('rule %s', definition) FROM pg_rules WHERE schemaname = ANY($1)",
    "/* catalog::catalog_functions */
     SELECT format('function %s.%s(%s) sha256 %s', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid),
         encode(sha256(convert_to(CASE WHEN p.prokind = 'a' THEN p.proname ELSE pg_get_functiondef(p.oid) END, 'UTF8')), 'hex'))
     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY($1)",
    "/* catalog::catalog_types */
     SELECT format('enum %s.%s (%s)', n.nspname, t.typname,
                   (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
     FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = ANY($1) AND t.typtype = 'e'
     UNION ALL
     SELECT format('domain %s.%s %s%s%s', n.nspname, t.typname, format_type(t.typbasetype, t.typtypmod),
                   CASE WHEN t.typnotnull THEN ' not null' ELSE '' END, coalesce(' default ' || t.typdefault, ''))
     FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = ANY($1) AND t.typtype = 'd'
     UNION ALL
     SELECT format('sequence %s.%s %s start %s by %s from %s to %s cache %s cycle %s', schemaname, sequencename, data_type,
                   start_value, increment_by, min_value, max_value, cache_size, cycle)
     FROM pg_sequences WHERE schemaname = ANY($1)
     UNION ALL
     SELECT format('extension %s', e.extname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
     WHERE n.nspname = ANY($1)",
    // What the owner may do to what is his own says nothing; everybody else's rights do.
    "/* catalog::catalog_grants */
     WITH held AS (
         SELECT 'schema ' || nspname AS what, nspacl AS acl, nspowner AS owner, 'n'::\"char\" AS kind
             FROM pg_namespace WHERE nspname = ANY($1)
         UNION ALL
         SELECT 'relation ' || n.nspname || '.' || c.relname, c.relacl, c.relowner,
             (CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END)::\"char\"
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
         UNION ALL
         SELECT 'function ' || n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
             p.proacl, p.proowner, 'f'
             FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY($1)
         UNION ALL
         SELECT 'type ' || n.nspname || '.' || t.typname, t.typacl, t.typowner, 'T'
             FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
             WHERE n.nspname = ANY($1) AND t.typtype IN ('e', 'd')
     ), granted AS (
         SELECT what, owner, (aclexplode(coalesce(acl, acldefault(kind, owner)))).* FROM held
         UNION ALL
         SELECT 'column ' || n.nspname || '.' || c.relname || '.' || a.attname, c.relowner, (aclexplode(a.attacl)).*
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = ANY($1) AND a.attacl IS NOT NULL AND NOT a.attisdropped
     )
     SELECT format('grant %s on %s to %s%s', privilege_type, what,
         CASE grantee WHEN 0 THEN 'public' ELSE grantee::regrole::text END, CASE WHEN is_grantable THEN ' grantable' ELSE '' END)
     FROM granted WHERE grantee <> owner",
];

const COLUMN_ORDER: &str = "/* catalog::catalog_column_order */
    SELECT format('order %s.%s %s', n.nspname, c.relname, string_agg(a.attname, ',' ORDER BY a.attnum))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f')
    GROUP BY n.nspname, c.relname";

/// Tables whose rows may be compared, with the columns that do not depend on when and where a row was written.
const COMPARABLE: &str = "/* catalog::catalog_comparable */
    SELECT format('%I.%I', n.nspname, c.relname), string_agg(format('%I', a.attname), ', ' ORDER BY a.attname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = ''
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND c.relname NOT LIKE 'schema\\_migration%'
      AND coalesce(pg_get_expr(d.adbin, d.adrelid), '') !~* 'clock_timestamp|now\\(|current_timestamp|random|nextval'
    GROUP BY 1, n.nspname, c.relname ORDER BY 1";

/// Lists the schemas' objects and rows. It reads whole tables: meant for databases that hold no more than seeds.
pub async fn listing(session: &Session, schemas: &[String]) -> Result<Listing, StoreError> {
    reading(session, async |client| {
        let mut listing = objects_of(client, schemas).await?;
        for table in client.query(COMPARABLE, &[&schemas]).await? {
            let (name, columns): (String, String) = (table.get(0), table.get(1));
            listing.rows.extend(rows(client, &name, &columns).await?);
        }
        Ok(listing)
    })
    .await
}

/// Lists the schemas' objects alone, of a database of any size.
pub async fn objects(session: &Session, schemas: &[String]) -> Result<Listing, StoreError> {
    reading(session, async |client| objects_of(client, schemas).await).await
}

/// How many rows a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub rows: i64,
    /// A trigger for each row lets nobody delete one on the way: whatever else there is comes and goes.
    pub only_grows: bool,
}

// A table that is divided counts with all its parts, and parts that are out of it count with the parent they are under. 9 is the type of
// a trigger for each row that is deleted.
const COUNTS: &str = "/* catalog::row_counts */
    SELECT name, only_grows, (xpath('/row/c/text()', query_to_xml('SELECT count(*) AS c FROM ' || name, false, true, '')))[1]::text::bigint AS rows
    FROM (SELECT format('%I.%I', n.nspname, c.relname) AS name,
              EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgfoid = to_regproc('platform.refuse_change')
                  AND t.tgtype & 9 = 9) AS only_grows
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition) t ORDER BY name";

/// How many rows each table of the schemas holds, all as of one moment. Reads them all.
pub async fn row_counts(session: &Session, schemas: &[String]) -> Result<BTreeMap<String, Count>, StoreError> {
    let counted =
        session.client().query(COUNTS, &[&schemas]).await.map_err(|e| StoreError::from_pg("row_counts", &e))?;
    Ok(counted
        .iter()
        .map(|row| (row.get("name"), Count { rows: row.get("rows"), only_grows: row.get("only_grows") }))
        .collect())
}

async fn reading<T>(
    session: &Session,
    read: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
) -> Result<T, StoreError> {
    let client = session.client();
    // Definitions print names relative to the search path, so it must be the same every time.
    let begin = "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; SET LOCAL timezone = 'UTC'";
    client.batch_execute(begin).await.map_err(|e| StoreError::from_pg("catalog", &e))?;
    let listed = read(client).await;
    client.batch_execute("ROLLBACK").await.map_err(|e| StoreError::from_pg("catalog", &e))?;
    listed.map_err(|e| StoreError::from_pg("catalog", &e))
}

async fn objects_of(client: &Client, schemas: &[String]) -> Result<Listing, tokio_postgres::Error> {
    let mut listing = Listing::default();
    for query in OBJECTS {
        listing.objects.extend(lines(client, query, schemas).await?);
    }
    listing.objects.sort();
    listing.objects.dedup();
    listing.column_order = lines(client, COLUMN_ORDER, schemas).await?;
    listing.column_order.sort();
    Ok(listing)
}

async fn lines(client: &Client, query: &str, schemas: &[String]) -> Result<Vec<String>, tokio_postgres::Error> {
    Ok(client.query(query, &[&schemas]).await?.iter().map(|row| row.get(0)).collect())
}

/// One line for a table, or none for an empty one. Both parameters come quoted from the catalog.
async fn rows(client: &Client, table: &str, columns: &str) -> Result<Option<String>, tokio_postgres::Error> {
    let query = format!(
        "/* catalog::catalog_rows */ SELECT count(*), encode(sha256(convert_to(coalesce(
             string_agg(r, E'\\n' ORDER BY r COLLATE \"C\"), ''), 'UTF8')), 'hex')
         FROM (SELECT row({columns})::text AS r FROM {table}) AS all_rows"
    );
    let row = client.query_one(&query, &[]).await?;
    let count: i64 = row.get(0);
    Ok((count > 0).then(|| format!("rows {table} {count} sha256 {}", row.get::<_, String>(1))))
}
