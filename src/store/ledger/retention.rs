//! The rules of retention with their history, the classes of tenants, sign-offs, and courses that were withdrawn. Rows are only added.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::{
    TenantId,
    retention::{Course, Place, Rule, Starts},
};
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
};

/// A class of retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    pub name: String,
    /// Shortened by two persons only.
    pub needs_sign_off: bool,
    pub about: String,
}

/// A rule as it was set, in force or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    pub rule: Rule,
    pub reason: String,
    pub by: String,
    pub at: DateTime<Utc>,
    pub signed_off: Option<String>,
}

/// All classes.
pub async fn classes(tx: &Tx<'_>) -> Result<Vec<Class>, StoreError> {
    let sql =
        "/* retention::classes */ SELECT class, needs_sign_off, about FROM ledger.retention_classes ORDER BY class";
    let class = |row: &Row| {
        let (name, needs_sign_off) = (column(row, "class")?, column(row, "needs_sign_off")?);
        Ok(Class { name, needs_sign_off, about: column(row, "about")? })
    };
    tx.query(sql, &[]).await?.iter().map(class).collect()
}

/// Adds a class; one that is there stays as it is.
pub async fn add_class(tx: &Tx<'_>, class: &Class, by: &str) -> Result<(), StoreError> {
    let sql = "/* retention::add_class */ INSERT INTO ledger.retention_classes (class, needs_sign_off, about, added_by)
               VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    tx.execute(sql, &[&class.name, &class.needs_sign_off, &class.about, &by]).await.map(drop)
}

macro_rules! columns {
    () => {
        "number, tenant_id, class, covers, course, course_key, starts, keep_days, delete_days, reason, set_by, set_at, signed_off"
    };
}

// The newest of a kind is the one; with neither number it says that there is none.
const IN_FORCE: &str = concat!(
    "/* retention::in_force */ SELECT * FROM (SELECT DISTINCT ON (tenant_id, class, covers, course_key, starts) ",
    columns!(),
    " FROM ledger.retention_rules ORDER BY tenant_id, class, covers, course_key, starts, number DESC) newest
      WHERE (keep_days IS NOT NULL OR delete_days IS NOT NULL) AND ($1::uuid IS NULL OR tenant_id IS NULL OR tenant_id = $1)
      ORDER BY number"
);

/// The rules that are in force: for everybody and for a tenant, or all.
pub async fn in_force(tx: &Tx<'_>, tenant: Option<TenantId>) -> Result<Vec<Set>, StoreError> {
    tx.query(IN_FORCE, &[&tenant.map(|tenant| tenant.0)]).await?.iter().map(set).collect()
}

const HISTORY: &str = concat!(
    "/* retention::history */ SELECT ",
    columns!(),
    " FROM ledger.retention_rules WHERE $1::uuid IS NULL OR tenant_id IS NULL OR tenant_id = $1 ORDER BY number"
);

/// Every change there ever was, oldest first.
pub async fn history(tx: &Tx<'_>, tenant: Option<TenantId>) -> Result<Vec<Set>, StoreError> {
    tx.query(HISTORY, &[&tenant.map(|tenant| tenant.0)]).await?.iter().map(set).collect()
}

const ADD: &str = "/* retention::add */
    INSERT INTO ledger.retention_rules (tenant_id, class, covers, course, course_key, starts, keep_days, delete_days, reason,
        set_by, signed_off)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING number";

/// Sets a rule, in the place of the one of its kind; answers its number. The database refuses what needs another person's word.
pub async fn add(
    tx: &Tx<'_>,
    rule: &Rule,
    (reason, by): (&str, &str),
    signed_off: Option<&str>,
) -> Result<i64, StoreError> {
    let (tenant, course) = (rule.tenant.map(|tenant| tenant.0), rule.course.as_ref());
    let (id, key) = (course.map(|course| course.id.as_str()), course.map(|course| course.key));
    let days = |days: Option<u32>| days.and_then(|days| i32::try_from(days).ok());
    let (keep, delete, covers, starts) = (days(rule.keep), days(rule.delete), rule.covers.name(), rule.starts.name());
    let row = tx
        .query_one(ADD, &[&tenant, &rule.class, &covers, &id, &key, &starts, &keep, &delete, &reason, &by, &signed_off])
        .await?;
    column(&row, "number")
}

/// The class of a tenant.
pub async fn class_of(tx: &Tx<'_>, tenant: TenantId) -> Result<String, StoreError> {
    let sql = "/* retention::class_of */ SELECT ledger.retention_class($1) AS class";
    column(&tx.query_one(sql, &[&tenant.0]).await?, "class")
}

/// Makes a tenant one of a class. The database refuses what needs another person's word.
pub async fn assign(
    tx: &Tx<'_>,
    (tenant, class): (TenantId, &str),
    (reason, by): (&str, &str),
    signed_off: Option<&str>,
) -> Result<(), StoreError> {
    let sql = "/* retention::assign */
        INSERT INTO ledger.retention_assignments (tenant_id, class, reason, set_by, signed_off) VALUES ($1, $2, $3, $4, $5)";
    tx.execute(sql, &[&tenant.0, &class, &reason, &by, &signed_off]).await.map(drop)
}

/// A plan that waits for another person, or has their word.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub digest: String,
    pub tenant: Option<TenantId>,
    pub plan: Value,
    pub requested_by: String,
    pub requested_at: DateTime<Utc>,
    pub signed_by: Option<String>,
}

/// Keeps a plan as it was shown; answers its digest, which the database works out. The same plan is one request.
pub async fn request(tx: &Tx<'_>, tenant: Option<TenantId>, plan: &Value, by: &str) -> Result<String, StoreError> {
    let digest = column(
        &tx.query_one(
            "/* retention::digest */ SELECT encode(sha256(convert_to($1::jsonb::text, 'UTF8')), 'hex') AS digest",
            &[plan],
        )
        .await?,
        "digest",
    )?;
    let sql = "/* retention::request */
        INSERT INTO ledger.retention_requests (digest, tenant_id, plan, requested_by) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING";
    let tenant = tenant.map(|tenant| tenant.0);
    tx.execute(sql, &[&digest, &tenant, plan, &by]).await?;
    Ok(digest)
}

const REQUESTED: &str = "/* retention::requested */
    SELECT r.digest, r.tenant_id, r.plan, r.requested_by, r.requested_at, s.signed_by
    FROM ledger.retention_requests r LEFT JOIN ledger.retention_sign_offs s USING (digest)
    WHERE $1::text IS NULL OR r.digest = $1 ORDER BY r.requested_at";

/// A request by its digest, or all of them.
pub async fn requests(tx: &Tx<'_>, digest: Option<&str>) -> Result<Vec<Request>, StoreError> {
    let request = |row: &Row| {
        Ok(Request {
            digest: column(row, "digest")?,
            tenant: column::<Option<Uuid>>(row, "tenant_id")?.map(TenantId),
            plan: column(row, "plan")?,
            requested_by: column(row, "requested_by")?,
            requested_at: column(row, "requested_at")?,
            signed_by: column(row, "signed_by")?,
        })
    };
    tx.query(REQUESTED, &[&digest]).await?.iter().map(request).collect()
}

/// Another person's word for a plan. The database refuses it of who asked.
pub async fn sign_off(tx: &Tx<'_>, request: &Request, by: &str, reason: &str) -> Result<(), StoreError> {
    let sql = "/* retention::sign_off */
        INSERT INTO ledger.retention_sign_offs (digest, tenant_id, requested_by, signed_by, reason) VALUES ($1, $2, $3, $4, $5)";
    let tenant = request.tenant.map(|tenant| tenant.0);
    tx.execute(sql, &[&request.digest, &tenant, &request.requested_by, &by, &reason]).await.map(drop)
}

const WITHDRAW: &str = "/* retention::withdraw */
    INSERT INTO ledger.course_ends (tenant_id, course_key, course, withdrawn_at, noted_by) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (tenant_id, course_key) DO UPDATE SET withdrawn_at = excluded.withdrawn_at, noted_by = excluded.noted_by,
        noted_at = clock_timestamp()";

/// Notes when a course was withdrawn.
pub async fn withdraw(
    tx: &Tx<'_>,
    tenant: TenantId,
    course: &Course,
    at: DateTime<Utc>,
    by: &str,
) -> Result<(), StoreError> {
    tx.execute(WITHDRAW, &[&tenant.0, &course.key, &course.id, &at, &by]).await.map(drop)
}

/// When which courses of a tenant were withdrawn.
pub async fn ends(tx: &Tx<'_>, tenant: TenantId) -> Result<HashMap<Uuid, DateTime<Utc>>, StoreError> {
    let sql = "/* retention::ends */ SELECT course_key, withdrawn_at FROM ledger.course_ends WHERE tenant_id = $1";
    let end = |row: &Row| Ok((column(row, "course_key")?, column(row, "withdrawn_at")?));
    tx.query(sql, &[&tenant.0]).await?.iter().map(end).collect()
}

fn set(row: &Row) -> Result<Set, StoreError> {
    let shape = |what: &str, text: &str| StoreError::Shape { name: "retention", detail: format!("{what} is {text:?}") };
    let (covers, starts): (String, String) = (column(row, "covers")?, column(row, "starts")?);
    let days = |name| column::<Option<i32>>(row, name).map(|days| days.and_then(|days| u32::try_from(days).ok()));
    let (id, key): (Option<String>, Option<Uuid>) = (column(row, "course")?, column(row, "course_key")?);
    let rule = Rule {
        number: column(row, "number")?,
        tenant: column::<Option<Uuid>>(row, "tenant_id")?.map(TenantId),
        class: column(row, "class")?,
        covers: Place::parse(&covers).ok_or_else(|| shape("what is covered", &covers))?,
        course: id.zip(key).map(|(id, key)| Course { id, key }),
        starts: Starts::parse(&starts).ok_or_else(|| shape("the beginning", &starts))?,
        keep: days("keep_days")?,
        delete: days("delete_days")?,
    };
    let (reason, by, at) = (column(row, "reason")?, column(row, "set_by")?, column(row, "set_at")?);
    Ok(Set { rule, reason, by, at, signed_off: column(row, "signed_off")? })
}
