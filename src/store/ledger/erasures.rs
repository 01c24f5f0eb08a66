//! The log of erasures: who asked for what, how far it is, and what was done. Who it is about stands in it only while it is not done.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::{
    TenantId,
    erasure::{Arrivals, Mentions, OnHold, Policy, State},
    partition::Month,
};
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
    platform::leases,
};

/// A request as the log has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Erasure {
    pub tenant: TenantId,
    pub id: Uuid,
    /// Grows with every request.
    pub stamp: i64,
    pub state: State,
    pub requested_by: String,
    pub requested_at: DateTime<Utc>,
    /// Who it is about, as JSON; `None` once it is over.
    pub subject: Option<String>,
    pub policy: Policy,
    pub saga_request: Option<String>,
    pub months: Vec<Month>,
    /// What was done, by place.
    pub counts: Value,
    pub reason: Option<String>,
    pub hidden_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// The number of the trail's entry that says it is done.
    pub audit_id: Option<i64>,
    /// What was learned on the way, in the form of whoever erases; `None` before, and once it is over.
    pub learned: Option<Value>,
}

/// A request that is to be recorded.
#[derive(Clone, Debug)]
pub struct NewErasure<'a> {
    pub tenant: TenantId,
    pub id: Uuid,
    pub by: &'a str,
    pub subject: &'a str,
    pub policy: Policy,
    pub saga_request: Option<&'a str>,
}

macro_rules! columns {
    () => {
        "tenant_id, id, stamp, state, requested_by, requested_at, subject, mentions, arrivals, on_hold, saga_request,
         (SELECT coalesce(array_agg(to_char(m, 'YYYY-MM') ORDER BY m), '{}') FROM unnest(months) m) AS months,
         counts, reason, hidden_at, finished_at, audit_id, learned"
    };
}

// Stamps become visible in their order: nobody copies rows by a stamp beyond which an earlier one may still come. Whoever says
// that a copy counts shares the lock, so that it is either before an erasure's end or sees it.
const OWN: &str = "/* erasures::own */ SELECT pg_advisory_xact_lock(76301, 14)";
const SHARE: &str = "/* erasures::share */ SELECT pg_advisory_xact_lock_shared(76301, 14)";

/// Nobody says that a copy counts, and no stamp is given, until this transaction ends.
pub async fn own(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.query_one(OWN, &[]).await.map(drop)
}

/// No erasure ends, and none begins, until this transaction ends.
pub async fn share(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.query_one(SHARE, &[]).await.map(drop)
}

const RECORD: &str = "/* erasures::record */
    INSERT INTO ledger.erasures (tenant_id, id, requested_by, subject, mentions, arrivals, on_hold, saga_request)
    VALUES ($1 /* tenant */, $2 /* id */, $3 /* by */, $4 /* subject */, $5 /* mentions */, $6 /* arrivals */,
            $7 /* on hold */, $8 /* saga */)
    ON CONFLICT (tenant_id, id) DO NOTHING";

/// Records a request; one that is there already stays as it is.
pub async fn record(tx: &Tx<'_>, new: &NewErasure<'_>) -> Result<(), StoreError> {
    own(tx).await?;
    let Policy { mentions, arrivals, on_hold } = new.policy;
    let names = (mentions.name(), arrivals.name(), on_hold.name());
    tx.execute(
        RECORD,
        &[&new.tenant.0, &new.id, &new.by, &new.subject, &names.0, &names.1, &names.2, &new.saga_request],
    )
    .await
    .map(drop)
}

const ONE: &str = concat!(
    "/* erasures::one */ SELECT ",
    columns!(),
    " FROM ledger.erasures WHERE id = $1 /* id */ AND ($2::uuid /* tenant */ IS NULL OR tenant_id = $2)"
);

/// A request by its id: of a tenant, or of whichever.
pub async fn one(tx: &Tx<'_>, id: Uuid, tenant: Option<TenantId>) -> Result<Option<Erasure>, StoreError> {
    tx.query_opt(ONE, &[&id, &tenant.map(|tenant| tenant.0)]).await?.as_ref().map(erasure).transpose()
}

const LIST: &str = concat!(
    "/* erasures::list */ SELECT ",
    columns!(),
    " FROM ledger.erasures WHERE ($1::uuid /* tenant */ IS NULL OR tenant_id = $1)
      AND (NOT $2 /* only open */ OR state IN ('requested', 'queued', 'hidden')) ORDER BY stamp DESC LIMIT $3 /* most */"
);

/// The newest requests: of a tenant or of all, every one or only those that are not over.
pub async fn list(
    tx: &Tx<'_>,
    tenant: Option<TenantId>,
    only_open: bool,
    most: i64,
) -> Result<Vec<Erasure>, StoreError> {
    tx.query(LIST, &[&tenant.map(|tenant| tenant.0), &only_open, &most]).await?.iter().map(erasure).collect()
}

const PAGE: &str = concat!(
    "/* erasures::page */ SELECT ",
    columns!(),
    " FROM ledger.erasures WHERE tenant_id = $1 /* tenant */ AND ($2::bigint /* before */ IS NULL OR stamp < $2)
      ORDER BY stamp DESC LIMIT $3 /* most */"
);

/// The requests of a tenant before the one with this stamp, the newest first.
pub async fn page(tx: &Tx<'_>, tenant: TenantId, before: Option<i64>, most: i64) -> Result<Vec<Erasure>, StoreError> {
    tx.query(PAGE, &[&tenant.0, &before, &most]).await?.iter().map(erasure).collect()
}

/// Of which erasures a copy is clean that is begun now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clean {
    /// Of all that were asked for up to this one.
    pub stamp: i64,
    /// Of all that ended up to this one, which is more where one waits for a law.
    pub finished: i64,
}

const CLEAN: &str =
    "/* erasures::clean */ SELECT ledger.erasure_stamp() AS stamp, ledger.erasures_finished() AS finished";

/// Of which erasures what is copied from here on is clean.
pub async fn clean(tx: &Tx<'_>) -> Result<Clean, StoreError> {
    clean_of(&tx.query_one(CLEAN, &[]).await?)
}

const CLEAN_BUT: &str = "/* erasures::clean_but */
    SELECT coalesce((SELECT min(stamp) - 1 FROM ledger.erasures WHERE state IN ('requested', 'queued', 'hidden') AND id <> $1 /* id */),
                    (SELECT max(stamp) FROM ledger.erasures), 0) AS stamp, ledger.erasures_finished() AS finished";

/// The same of what is written clean of this one as well.
pub async fn clean_but(tx: &Tx<'_>, erasure: Uuid) -> Result<Clean, StoreError> {
    clean_of(&tx.query_one(CLEAN_BUT, &[&erasure]).await?)
}

fn clean_of(row: &Row) -> Result<Clean, StoreError> {
    Ok(Clean { stamp: column(row, "stamp")?, finished: column(row, "finished")? })
}

const SINCE: &str = "/* erasures::since */
    SELECT EXISTS (SELECT FROM ledger.erasures e JOIN ledger.segments s USING (tenant_id)
                   WHERE e.tenant_id = $1 /* tenant */ AND e.state = 'erased' AND s.month = ANY (e.months)
                     AND s.month = $2::text::date /* month */ AND s.revision = $3 /* revision */
                     AND coalesce(e.finished, e.stamp) > coalesce(s.erasures_finished, s.erasure_stamp)) AS was";

/// Whether an erasure that touched a segment's month ended since that was begun. Share the lock first.
pub async fn was_since(tx: &Tx<'_>, tenant: Uuid, month: &str, revision: i32) -> Result<bool, StoreError> {
    column(&tx.query_one(SINCE, &[&tenant, &month, &revision]).await?, "was")
}

// What changes of a request.
#[derive(Clone, Debug, Default)]
pub struct Change<'a> {
    pub state: Option<State>,
    pub reason: Option<&'a str>,
    /// Months that are added.
    pub months: &'a [Month],
    pub counts: Option<&'a Value>,
    pub audit_id: Option<i64>,
}

const CHANGE: &str = "/* erasures::change */
    UPDATE ledger.erasures e SET state = coalesce($3 /* state */, e.state),
        reason = CASE WHEN $3 IS NULL THEN e.reason ELSE $4 /* reason */ END,
        months = (SELECT coalesce(array_agg(DISTINCT m ORDER BY m), '{}') FROM unnest(e.months || $5::text[]::date[] /* months */) m),
        counts = coalesce($6 /* counts */, e.counts), audit_id = coalesce($7 /* audit */, e.audit_id),
        hidden_at = CASE WHEN $3 IN ('hidden', 'queued') THEN coalesce(e.hidden_at, clock_timestamp()) ELSE e.hidden_at END,
        finished_at = CASE WHEN $3 IN ('erased', 'refused') THEN clock_timestamp() ELSE e.finished_at END,
        subject = CASE WHEN $3 IN ('erased', 'refused') THEN NULL ELSE e.subject END
    WHERE e.tenant_id = $1 /* tenant */ AND e.id = $2 /* id */ AND e.state NOT IN ('erased', 'refused')";

/// Writes down how far a request is. One that is over does not change any more.
pub async fn change(tx: &Tx<'_>, tenant: TenantId, id: Uuid, change: &Change<'_>) -> Result<bool, StoreError> {
    leases::check(tx).await?;
    let months: Vec<String> = change.months.iter().map(|month| format!("{month}-01")).collect();
    let state = change.state.map(State::name);
    let changed = tx
        .execute(CHANGE, &[&tenant.0, &id, &state, &change.reason, &months, &change.counts, &change.audit_id])
        .await?;
    Ok(changed > 0)
}

const TALLY: &str = "/* erasures::tally */
    UPDATE ledger.erasures SET counts = counts || jsonb_build_object($3::text /* place */,
        coalesce((counts ->> $3::text)::bigint, 0) + $4::bigint /* more */)
    WHERE tenant_id = $1 /* tenant */ AND id = $2 /* id */";

/// Adds to what was done at a place, in the transaction that did it.
pub async fn tally(tx: &Tx<'_>, (tenant, erasure): (TenantId, Uuid), place: &str, more: u64) -> Result<(), StoreError> {
    let more = i64::try_from(more).unwrap_or(i64::MAX);
    if more == 0 {
        return Ok(());
    }
    tx.execute(TALLY, &[&tenant.0, &erasure, &place, &more]).await.map(drop)
}

const LEARN: &str = "/* erasures::learn */
    UPDATE ledger.erasures SET learned = $3 /* learned */
    WHERE tenant_id = $1 /* tenant */ AND id = $2 /* id */ AND state NOT IN ('erased', 'refused')";

/// Keeps what was learned on the way, in the transaction that learned it.
pub async fn learn(tx: &Tx<'_>, (tenant, erasure): (TenantId, Uuid), learned: &Value) -> Result<(), StoreError> {
    leases::check(tx).await?;
    tx.execute(LEARN, &[&tenant.0, &erasure, &learned]).await.map(drop)
}

const POLICY: &str = "/* erasures::policy */
    SELECT mentions, arrivals FROM ledger.erasure_policies WHERE tenant_id = $1 /* tenant */";

/// What a tenant has decided; the default where it has not.
pub async fn policy(tx: &Tx<'_>, tenant: TenantId) -> Result<Policy, StoreError> {
    let Some(row) = tx.query_opt(POLICY, &[&tenant.0]).await? else { return Ok(Policy::default()) };
    Ok(Policy { mentions: mentions(&row)?, arrivals: arrivals(&row)?, on_hold: OnHold::Queue })
}

const SET_POLICY: &str = "/* erasures::set_policy */
    INSERT INTO ledger.erasure_policies (tenant_id, mentions, arrivals, changed_by)
    VALUES ($1 /* tenant */, $2 /* mentions */, $3 /* arrivals */, $4 /* by */)
    ON CONFLICT (tenant_id) DO UPDATE SET mentions = excluded.mentions, arrivals = excluded.arrivals,
        changed_by = excluded.changed_by, changed_at = clock_timestamp()";

/// Says what a tenant decides from now on.
pub async fn set_policy(tx: &Tx<'_>, tenant: TenantId, policy: Policy, by: &str) -> Result<(), StoreError> {
    tx.execute(SET_POLICY, &[&tenant.0, &policy.mentions.name(), &policy.arrivals.name(), &by]).await.map(drop)
}

const NOTE: &str = "/* erasures::note */
    INSERT INTO ledger.erased_statements (tenant_id, erasure_id, stored, id, is_redacted)
    SELECT $1 /* tenant */, $2 /* erasure */, done.stored, done.id, $5 /* redacted */
    FROM unnest($3::timestamptz[] /* stored */, $4::uuid[] /* ids */) AS done (stored, id) ON CONFLICT DO NOTHING";

/// Remembers which statements went, or say nothing of the person any more; answers how many were not known to have.
pub async fn note(
    tx: &Tx<'_>,
    (tenant, erasure): (TenantId, Uuid),
    statements: &[(Uuid, DateTime<Utc>)],
    is_redacted: bool,
) -> Result<u64, StoreError> {
    let (ids, stored): (Vec<Uuid>, Vec<DateTime<Utc>>) = statements.iter().copied().unzip();
    tx.execute(NOTE, &[&tenant.0, &erasure, &stored, &ids, &is_redacted]).await
}

const NOTED: &str = "/* erasures::noted */
    SELECT id, stored FROM ledger.erased_statements
    WHERE tenant_id = $1 /* tenant */ AND erasure_id = $2 /* erasure */ AND is_redacted = $3 /* redacted */ ORDER BY stored";

/// Which statements those were.
pub async fn noted(
    tx: &Tx<'_>,
    tenant: TenantId,
    erasure: Uuid,
    is_redacted: bool,
) -> Result<Vec<(Uuid, DateTime<Utc>)>, StoreError> {
    let rows = tx.query(NOTED, &[&tenant.0, &erasure, &is_redacted]).await?;
    rows.iter().map(|row| Ok((column(row, "id")?, column(row, "stored")?))).collect()
}

fn erasure(row: &Row) -> Result<Erasure, StoreError> {
    let months: Vec<String> = column(row, "months")?;
    let months = months.iter().map(|name| name.parse().map_err(shape)).collect::<Result<_, _>>()?;
    let state: String = column(row, "state")?;
    let on_hold: String = column(row, "on_hold")?;
    Ok(Erasure {
        tenant: TenantId(column(row, "tenant_id")?),
        id: column(row, "id")?,
        stamp: column(row, "stamp")?,
        state: State::parse(&state).ok_or_else(|| shape(format!("a state is {state:?}")))?,
        requested_by: column(row, "requested_by")?,
        requested_at: column(row, "requested_at")?,
        subject: column(row, "subject")?,
        policy: Policy {
            mentions: mentions(row)?,
            arrivals: arrivals(row)?,
            on_hold: OnHold::parse(&on_hold).ok_or_else(|| shape(format!("a rule on holds is {on_hold:?}")))?,
        },
        saga_request: column(row, "saga_request")?,
        months,
        counts: column(row, "counts")?,
        reason: column(row, "reason")?,
        hidden_at: column(row, "hidden_at")?,
        finished_at: column(row, "finished_at")?,
        audit_id: column(row, "audit_id")?,
        learned: column(row, "learned")?,
    })
}

fn mentions(row: &Row) -> Result<Mentions, StoreError> {
    let name: String = column(row, "mentions")?;
    Mentions::parse(&name).ok_or_else(|| shape(format!("a rule on mentions is {name:?}")))
}

fn arrivals(row: &Row) -> Result<Arrivals, StoreError> {
    let name: String = column(row, "arrivals")?;
    Arrivals::parse(&name).ok_or_else(|| shape(format!("a rule on arrivals is {name:?}")))
}

fn shape(detail: String) -> StoreError {
    StoreError::Shape { name: "erasures", detail }
}

/// What the database's clock says.
pub async fn now(tx: &Tx<'_>) -> Result<DateTime<Utc>, StoreError> {
    column(&tx.query_one("/* erasures::now */ SELECT clock_timestamp() AS now", &[]).await?, "now")
}
