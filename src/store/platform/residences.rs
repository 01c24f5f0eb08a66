//! Where a tenant stands, as this cell knows it, and the doors that are closed with it: relay and projections of a tenant that is
//! not at home have their cursors parked beyond all time, so that nothing is told of it twice.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::{TenantId, residence::Standing};
use crate::store::{StoreError, Tx, door::tx::column, platform::leases};

/// Where a tenant stands that was ever moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residence {
    pub tenant: TenantId,
    pub standing: Standing,
    /// The other cell, and where it answers.
    pub cell: String,
    pub endpoint: String,
    pub move_id: Uuid,
    pub turn: i64,
}

const COLUMNS: &str = "tenant_id, standing, cell, endpoint, move_id, turn";

fn residence(row: &Row) -> Result<Residence, StoreError> {
    let standing: &str = column(row, "standing")?;
    let unknown = || StoreError::Shape { name: "residences", detail: format!("unknown standing {standing:?}") };
    Ok(Residence {
        tenant: TenantId(column(row, "tenant_id")?),
        standing: Standing::named(standing).ok_or_else(unknown)?,
        cell: column(row, "cell")?,
        endpoint: column(row, "endpoint")?,
        move_id: column(row, "move_id")?,
        turn: column(row, "turn")?,
    })
}

/// Where the tenant stands; `None`: it was never moved, and is at home.
pub async fn get(tx: &Tx<'_>, tenant: TenantId) -> Result<Option<Residence>, StoreError> {
    let sql =
        format!("/* residences::get */ SELECT {COLUMNS} FROM platform.residences WHERE tenant_id = $1 /* tenant */");
    tx.query_opt(&sql, &[&tenant.0]).await?.as_ref().map(residence).transpose()
}

/// Everybody who is not at home.
pub async fn elsewhere(tx: &Tx<'_>) -> Result<Vec<Residence>, StoreError> {
    let sql = format!("/* residences::elsewhere */ SELECT {COLUMNS} FROM platform.residences WHERE standing <> 'home'");
    tx.query(&sql, &[]).await?.iter().map(residence).collect()
}

/// Whether a tenant is on its way here.
pub async fn somebody_arrives(tx: &Tx<'_>) -> Result<bool, StoreError> {
    let sql = "/* residences::somebody_arrives */ SELECT EXISTS (SELECT FROM platform.residences WHERE standing = 'arriving') AS arrives";
    column(&tx.query_one(sql, &[]).await?, "arrives")
}

/// How a tenant comes to stand otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    pub tenant: TenantId,
    /// As it must stand now. Whoever never moved is at home.
    pub from: Standing,
    pub to: Standing,
    pub move_id: Uuid,
    pub cell: &'a str,
    pub endpoint: &'a str,
}

const TURN: &str = "/* residences::turn */
    INSERT INTO platform.residences AS r (tenant_id, standing, cell, endpoint, move_id)
    SELECT $1 /* tenant */, $3 /* to */, $5 /* cell */, $6 /* endpoint */, $4 /* move */
    WHERE $2 /* from */ = 'home' OR EXISTS (SELECT FROM platform.residences WHERE tenant_id = $1)
    ON CONFLICT (tenant_id) DO UPDATE SET standing = excluded.standing, cell = excluded.cell, endpoint = excluded.endpoint,
        move_id = excluded.move_id, turn = r.turn + 1, changed_at = clock_timestamp()
    WHERE r.standing = $2 AND (r.move_id = $4 OR r.standing IN ('home', 'away'))";

/// Changes where the tenant stands, unless somebody else has meanwhile; answers whether it did.
pub async fn turn(tx: &Tx<'_>, turn: &Turn<'_>) -> Result<bool, StoreError> {
    leases::check(tx).await?;
    let Turn { tenant, from, to, move_id, cell, endpoint } = turn;
    Ok(tx.execute(TURN, &[&tenant.0, &from.name(), &to.name(), move_id, cell, endpoint]).await? == 1)
}

const PARK: [&str; 4] = [
    "/* residences::cursors */ INSERT INTO progress.projection_cursors (tenant_id, position, effects_version)
     VALUES ($1 /* tenant */, 'epoch', $2 /* effects */) ON CONFLICT DO NOTHING",
    "/* residences::relay_cursor */ INSERT INTO progress.relay_cursors (tenant_id, position)
     VALUES ($1, 'epoch') ON CONFLICT DO NOTHING",
    // The lock waits for the step that is under way.
    "/* residences::park */ WITH projected AS (
         UPDATE progress.projection_cursors c SET position = '9999-12-31', updated_at = clock_timestamp()
         FROM (SELECT position FROM progress.projection_cursors WHERE tenant_id = $1 FOR UPDATE) old
         WHERE c.tenant_id = $1 AND old.position < '9999-12-31' RETURNING old.position)
     UPDATE platform.residences SET projected = (SELECT position FROM projected)
     WHERE tenant_id = $1 AND EXISTS (SELECT FROM projected)",
    "/* residences::park_relay */ WITH relayed AS (
         UPDATE progress.relay_cursors c SET position = '9999-12-31', updated_at = clock_timestamp()
         FROM (SELECT position FROM progress.relay_cursors WHERE tenant_id = $1 FOR UPDATE) old
         WHERE c.tenant_id = $1 AND old.position < '9999-12-31' RETURNING old.position)
     UPDATE platform.residences SET relayed = (SELECT position FROM relayed)
     WHERE tenant_id = $1 AND EXISTS (SELECT FROM relayed)",
];

/// Stops relay and projections of a tenant that has a row here; where they stood is kept.
pub async fn park(tx: &Tx<'_>, tenant: TenantId, effects_version: i32) -> Result<(), StoreError> {
    tx.execute(PARK[0], &[&tenant.0, &effects_version]).await?;
    for sql in &PARK[1..] {
        tx.execute(sql, &[&tenant.0]).await?;
    }
    Ok(())
}

const PARKED: &str =
    "/* residences::parked */ SELECT projected, relayed FROM platform.residences WHERE tenant_id = $1 /* tenant */";

/// Where projections and relay stood.
pub async fn parked(tx: &Tx<'_>, tenant: TenantId) -> Result<(DateTime<Utc>, DateTime<Utc>), StoreError> {
    let row = tx.query_one(PARKED, &[&tenant.0]).await?;
    let moment = |name| Ok::<_, StoreError>(column::<Option<_>>(&row, name)?.unwrap_or(DateTime::UNIX_EPOCH));
    Ok((moment("projected")?, moment("relayed")?))
}

const GO_ON: [&str; 2] = [
    "/* residences::project_on */ UPDATE progress.projection_cursors SET position = $2 /* position */, updated_at = clock_timestamp()
     WHERE tenant_id = $1 /* tenant */ AND position = '9999-12-31'",
    "/* residences::relay_on */ UPDATE progress.relay_cursors SET position = $2 /* position */, updated_at = clock_timestamp()
     WHERE tenant_id = $1 /* tenant */ AND position = '9999-12-31'",
];

/// Lets projections and relay go on from where they stood, here or in the other cell.
pub async fn go_on(
    tx: &Tx<'_>,
    tenant: TenantId,
    (projected, relayed): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), StoreError> {
    tx.execute(GO_ON[0], &[&tenant.0, &projected]).await?;
    tx.execute(GO_ON[1], &[&tenant.0, &relayed]).await?;
    let sql =
        "/* residences::unpark */ UPDATE platform.residences SET projected = NULL, relayed = NULL WHERE tenant_id = $1";
    tx.execute(sql, &[&tenant.0]).await.map(drop)
}

const DROP_UNSENT: &str = "/* residences::drop_unsent */
    DELETE FROM progress.outbox WHERE tenant_id = $1 /* tenant */ AND published_at IS NULL";

/// Forgets what was to be told of a tenant: the other cell tells it.
pub async fn drop_unsent(tx: &Tx<'_>, tenant: TenantId) -> Result<(), StoreError> {
    tx.execute(DROP_UNSENT, &[&tenant.0]).await.map(drop)
}

const UNSENT: &str = "/* residences::unsent */ SELECT
    (SELECT min(position) FROM progress.outbox WHERE tenant_id = $1 /* tenant */ AND published_at IS NULL) AS unsent,
    EXISTS (SELECT FROM ledger.links_due WHERE tenant_id = $1) AS unlinked";

/// The first event of the tenant that waits for the brokers, and whether references wait to be followed.
pub async fn waits(tx: &Tx<'_>, tenant: TenantId) -> Result<(Option<i64>, bool), StoreError> {
    let row = tx.query_one(UNSENT, &[&tenant.0]).await?;
    Ok((column(&row, "unsent")?, column(&row, "unlinked")?))
}

// Who is writing holds this lock on the table from before the snapshot by which it is judged whether the tenant is closed: whoever
// has it now may have been judged by an older one, and whoever takes it later was not.
const WRITING: &str = "/* residences::writing */
    SELECT DISTINCT l.virtualtransaction AS writer FROM pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND l.relation IN ('ledger.statement_ids'::regclass, 'ledger.documents'::regclass)";

/// The transactions that are writing just now.
pub async fn writing(tx: &Tx<'_>) -> Result<Vec<String>, StoreError> {
    tx.query(WRITING, &[]).await?.iter().map(|row| column(row, "writer")).collect()
}

const ARRIVES: &str = "/* residences::arrives */
    SELECT set_config('app.move_id', $2::uuid::text /* move */, true) FROM platform.residences
    WHERE tenant_id = $1 /* tenant */ AND standing = 'arriving' AND move_id = $2 FOR SHARE";

/// Lets the rest of this transaction bring something of a tenant that arrives by this move; `false` where it does not any more.
pub async fn let_in(tx: &Tx<'_>, tenant: TenantId, move_id: Uuid) -> Result<bool, StoreError> {
    Ok(tx.query_opt(ARRIVES, &[&tenant.0, &move_id]).await?.is_some())
}

const JOIN: &str = "/* residences::join */ SELECT platform.join_cells($1 /* actor */, $2 /* erasure */)";
const UNUSED: &str = "/* residences::unused */ SELECT NOT EXISTS (SELECT FROM ledger.statement_ids)
    AND NOT EXISTS (SELECT FROM ledger.erasures) AND NOT EXISTS (SELECT FROM ledger.documents) AS unused";

/// Takes another cell's keys for pseudonyms and erasures; `false` where something was made with this cell's own.
pub async fn join(tx: &Tx<'_>, actor: &[u8], erasure: &[u8]) -> Result<bool, StoreError> {
    if !column::<bool>(&tx.query_one(UNUSED, &[]).await?, "unused")? {
        return Ok(false);
    }
    tx.execute(JOIN, &[&actor, &erasure]).await?;
    Ok(true)
}

/// What the database's clock says.
pub async fn clock(tx: &Tx<'_>) -> Result<DateTime<Utc>, StoreError> {
    column(&tx.query_one("/* residences::clock */ SELECT clock_timestamp() AS now", &[]).await?, "now")
}
