//! Structures of courses, as an LMS gives them, and which course a unit belongs to.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    cmi5::Structure,
    model::{TenantId, names::derived},
    store::{StoreError, Tx, door::tx::column},
};

/// A course as it is kept.
#[derive(Clone, Debug)]
pub struct CourseRow {
    pub key: Uuid,
    pub structure: Structure,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The key of a unit by its publisher's id.
pub fn unit_key(tenant: TenantId, id: &str) -> Uuid {
    derived(tenant, "cmi5 unit", &[id])
}

fn read(row: &Row) -> Result<CourseRow, StoreError> {
    let structure: String = column(row, "structure")?;
    let shape = |error: serde_json::Error| StoreError::Shape { name: "courses", detail: error.to_string() };
    Ok(CourseRow {
        key: column(row, "key")?,
        structure: serde_json::from_str(&structure).map_err(shape)?,
        created_at: column(row, "created_at")?,
        updated_at: column(row, "updated_at")?,
    })
}

/// Keeps a structure, in the place of the one that the course had; `true` when it had none.
pub async fn put(tx: &Tx<'_>, tenant: TenantId, structure: &Structure) -> Result<(CourseRow, bool), StoreError> {
    let key = derived(tenant, "cmi5 course", &[&structure.id]);
    let shape = |error: serde_json::Error| StoreError::Shape { name: "courses", detail: error.to_string() };
    let text = serde_json::to_string(structure).map_err(shape)?;
    let row = tx
        .query_one(
            "/* courses::put */ INSERT INTO progress.courses (tenant_id, key, course_id, structure) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, key) DO UPDATE SET structure = excluded.structure, updated_at = clock_timestamp()
             RETURNING key, structure, created_at, updated_at, xmax = 0 AS is_new",
            &[&tenant.0, &key, &structure.id, &text],
        )
        .await?;
    let is_new = column(&row, "is_new")?;
    tx.execute(
        "/* courses::forget_units */ DELETE FROM progress.course_units WHERE tenant_id = $1 AND course_key = $2",
        &[&tenant.0, &key],
    )
    .await?;
    let mut units: Vec<Uuid> = structure.units().into_iter().map(|(id, _)| unit_key(tenant, id)).collect();
    units.sort_unstable();
    tx.execute(
        "/* courses::put_units */ INSERT INTO progress.course_units (tenant_id, unit_key, course_key)
         SELECT $1, new.key, $3 FROM unnest($2::uuid[]) AS new (key) ON CONFLICT DO NOTHING",
        &[&tenant.0, &units, &key],
    )
    .await?;
    Ok((read(&row)?, is_new))
}

/// A tenant's courses by key, from the one after `after`.
pub async fn list(
    tx: &Tx<'_>,
    tenant: TenantId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<CourseRow>, StoreError> {
    let rows = tx
        .query(
            "/* courses::list */ SELECT key, structure, created_at, updated_at FROM progress.courses
             WHERE tenant_id = $1 AND ($2::uuid IS NULL OR key > $2) ORDER BY key LIMIT $3",
            &[&tenant.0, &after, &limit],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// The course that has the most of these units.
pub async fn of_units(tx: &Tx<'_>, tenant: TenantId, units: &[Uuid]) -> Result<Option<Structure>, StoreError> {
    let row = tx
        .query_opt(
            "/* courses::of_units */ SELECT c.key, c.structure, c.created_at, c.updated_at
             FROM (SELECT u.course_key FROM unnest($2::uuid[]) AS wanted (key)
                   JOIN progress.course_units u ON u.tenant_id = $1 AND u.unit_key = wanted.key
                   GROUP BY u.course_key ORDER BY count(*) DESC, u.course_key LIMIT 1) best
             JOIN progress.courses c ON c.tenant_id = $1 AND c.key = best.course_key",
            &[&tenant.0, &units],
        )
        .await?;
    row.as_ref().map(read).transpose().map(|course| course.map(|course| course.structure))
}
