//! What runs beside everybody's work, outside a transaction: how each kind of statement waits, and the recipe for an
//! index on a partitioned table, which no single statement can build that way.

use sha2::{Digest, Sha256};

use super::{ExecuteError, alone::Door, quoted};

/// A statement outside a transaction, as far as how it waits depends on what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alone {
    /// Asks for its locks at once, and everybody queues behind it: it steps back like a file in a transaction.
    Brief,
    /// Lets everybody work while it waits for transactions to end; a lock timeout would break it off half-way.
    Concurrent,
    BuildIndex(IndexParts),
    DropIndex(String),
}

/// `CREATE INDEX CONCURRENTLY IF NOT EXISTS name ON table rest`, its parts as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexParts {
    pub unique: bool,
    pub name: String,
    pub table: String,
    /// From `USING` or the columns on.
    pub rest: String,
}

/// A table as the catalog has it.
struct Table {
    oid: u32,
    schema: String,
    name: String,
    partitioned: bool,
}

impl Table {
    fn full(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

/// An index as it stands.
struct Index {
    oid: u32,
    valid: bool,
    on: u32,
}

impl IndexParts {
    fn bare_name(&self) -> String {
        match self.name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) => inner.replace("\"\"", "\""),
            None => self.name.to_lowercase(),
        }
    }

    fn create(&self, how: &str, name: &str, on: &str) -> String {
        let unique = if self.unique { "UNIQUE " } else { "" };
        format!("CREATE {unique}INDEX {how} IF NOT EXISTS {} ON {on} {}", quoted(name), self.rest)
    }
}

/// Builds the index as `sql` says; one that an interrupted build left invalid is not taken for the finished one.
pub(super) async fn build_index(door: &Door<'_>, sql: &str, parts: &IndexParts) -> Result<(), ExecuteError> {
    match table(door, &parts.table).await? {
        Some(table) if table.partitioned => everywhere(door, parts, &table).await,
        Some(table) => on_table(door, sql, &table, &parts.bare_name()).await,
        // The server says it better than we could.
        None => door.concurrently(sql).await,
    }
}

/// Drops an index as `sql` says. One of a partitioned table cannot go beside the work: it goes at once, when nobody is in
/// the way.
pub(super) async fn drop_index(door: &Door<'_>, sql: &str, name: &str) -> Result<(), ExecuteError> {
    let kind = "/* concurrent::migration_index_kind */
        SELECT relkind = 'I' FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1)";
    let partitioned = door.row(kind, &[&name]).await?.is_some_and(|row| row.get::<_, bool>(0));
    if partitioned { door.briefly(&format!("DROP INDEX IF EXISTS {name}")).await } else { door.concurrently(sql).await }
}

/// Builds it again also after a deadlock with somebody, who was let through by it.
async fn on_table(door: &Door<'_>, sql: &str, table: &Table, name: &str) -> Result<(), ExecuteError> {
    door.patiently(|_| Box::pin(once_on_table(door, sql, table, name))).await
}

/// An index belongs to the schema of its table, whichever module's file makes it.
async fn once_on_table(door: &Door<'_>, sql: &str, table: &Table, name: &str) -> Result<(), ExecuteError> {
    for _ in 0..2 {
        if index(door, table, name).await?.is_some_and(|index| !index.valid) {
            door.concurrently(&drop_leftover(&table.schema, name)).await?;
        }
        door.concurrently(sql).await?;
        if index(door, table, name).await?.is_some_and(|index| index.valid) {
            return Ok(());
        }
    }
    Err(ExecuteError::InvalidIndex(name.to_owned()))
}

fn drop_leftover(schema: &str, name: &str) -> String {
    format!("DROP INDEX CONCURRENTLY IF EXISTS {}.{}", quoted(schema), quoted(name))
}

/// The recipe: an index of the parent alone, which is invalid and at once there; then one on each partition, beside the
/// work; each attached when it is done, and with the last one the parent's is valid. A partition that is made meanwhile
/// gets its own from the parent's. Whatever is there already is kept, so it can be broken off anywhere and run again.
async fn everywhere(door: &Door<'_>, parts: &IndexParts, root: &Table) -> Result<(), ExecuteError> {
    let name = parts.bare_name();
    if index(door, root, &name).await?.is_none() {
        door.briefly(&parts.create("", &name, &format!("ONLY {}", root.full()))).await?;
    }
    let Some(parent) = index(door, root, &name).await? else { return Err(ExecuteError::InvalidIndex(name)) };
    while let Some((partition, above)) = lacking(door, root, &parent).await? {
        let own = child_name(&partition.name, &name);
        if partition.partitioned {
            door.briefly(&parts.create("", &own, &format!("ONLY {}", partition.full()))).await?;
        } else {
            on_table(door, &parts.create("CONCURRENTLY", &own, &partition.full()), &partition, &own).await?;
        }
        let child = format!("{}.{}", quoted(&partition.schema), quoted(&own));
        door.briefly(&format!("ALTER INDEX {above} ATTACH PARTITION {child}")).await?;
    }
    let valid = index(door, root, &name).await?.is_some_and(|index| index.valid);
    // For a foreign partition there can be no index, so the parent's stays invalid; it does its work all the same.
    if valid || has_foreign(door, root).await? { Ok(()) } else { Err(ExecuteError::InvalidIndex(name)) }
}

/// A name that tells both, and fits into what PostgreSQL keeps of a name.
fn child_name(table: &str, index: &str) -> String {
    const LONGEST: usize = 63;
    let name = format!("{table}_{index}");
    if name.len() <= LONGEST {
        return name;
    }
    let digest = hex::encode(&Sha256::digest(name.as_bytes())[..6]);
    let kept: String = name.char_indices().take_while(|(at, c)| at + c.len_utf8() <= 50).map(|(_, c)| c).collect();
    format!("{kept}_{digest}")
}

async fn table(door: &Door<'_>, written: &str) -> Result<Option<Table>, ExecuteError> {
    let sql = "/* concurrent::migration_indexed */
        SELECT c.oid, n.nspname::text, c.relname::text, c.relkind = 'p' FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass($1)";
    let row = door.row(sql, &[&written]).await?;
    Ok(row.map(|row| Table { oid: row.get(0), schema: row.get(1), name: row.get(2), partitioned: row.get(3) }))
}

/// The index of this name beside the table; an error where it is another table's.
async fn index(door: &Door<'_>, table: &Table, name: &str) -> Result<Option<Index>, ExecuteError> {
    let sql = "/* concurrent::migration_index */
        SELECT i.indexrelid, i.indisvalid, i.indrelid FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";
    let row = door.row(sql, &[&table.schema, &name]).await?;
    let found = row.map(|row| Index { oid: row.get(0), valid: row.get(1), on: row.get(2) });
    match found {
        Some(index) if index.on != table.oid => Err(ExecuteError::TakenIndex(name.to_owned())),
        found => Ok(found),
    }
}

/// A partition, at any depth, without an index that is attached to that of the table above it; and that one's name.
async fn lacking(door: &Door<'_>, root: &Table, parent: &Index) -> Result<Option<(Table, String)>, ExecuteError> {
    let sql = "/* concurrent::migration_lacking_index */
        WITH RECURSIVE tree(relid, own, above) AS (
            SELECT $1::oid, $2::oid, 0::oid
            UNION ALL
            SELECT h.inhrelid, i.own, t.own FROM tree t JOIN pg_catalog.pg_inherits h ON h.inhparent = t.relid
            LEFT JOIN LATERAL (
                SELECT ih.inhrelid AS own FROM pg_catalog.pg_inherits ih
                JOIN pg_catalog.pg_index x ON x.indexrelid = ih.inhrelid
                WHERE ih.inhparent = t.own AND x.indrelid = h.inhrelid) i ON true
            WHERE t.own IS NOT NULL AND NOT h.inhdetachpending)
        SELECT c.oid, n.nspname::text, c.relname::text, c.relkind = 'p', format('%I.%I', an.nspname, a.relname)
        FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_class a ON a.oid = t.above JOIN pg_catalog.pg_namespace an ON an.oid = a.relnamespace
        WHERE t.own IS NULL AND c.relkind IN ('r', 'p') ORDER BY 2, 3 LIMIT 1";
    let row = door.row(sql, &[&root.oid, &parent.oid]).await?;
    Ok(row.map(|row| {
        let table = Table { oid: row.get(0), schema: row.get(1), name: row.get(2), partitioned: row.get(3) };
        (table, row.get(4))
    }))
}

async fn has_foreign(door: &Door<'_>, root: &Table) -> Result<bool, ExecuteError> {
    let sql = "/* concurrent::migration_foreign_partitions */
        SELECT EXISTS (SELECT FROM pg_catalog.pg_partition_tree($1::oid) t
                       JOIN pg_catalog.pg_class c ON c.oid = t.relid WHERE c.relkind = 'f')";
    Ok(door.row(sql, &[&root.oid]).await?.is_some_and(|row| row.get(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_name_tells_both_and_fits() {
        assert_eq!(child_name("statements_2026_03", "by_verb"), "statements_2026_03_by_verb");
        let [a, b] = ["a", "b"].map(|end| child_name(&"t".repeat(60), &format!("index_{end}")));
        assert!(a.len() <= 63 && a != b, "{a} {b}");
    }
}
