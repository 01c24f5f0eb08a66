//! Structures of courses: an LMS gives them, so that `satisfied` can be found out; each replaces the one before.

use serde_json::json;
use uuid::Uuid;

use crate::{
    cmi5::Structure,
    model::TenantId,
    store::{
        As, Store, StoreError,
        platform::audit::{self, Entry},
        progress::{courses, satisfied},
    },
};

pub use courses::CourseRow;

/// Keeps the structure of a course; `true` when the course is new. Registrations that are open are looked at again.
pub async fn put(
    store: &Store,
    by: &str,
    tenant: TenantId,
    structure: &Structure,
) -> Result<(CourseRow, bool), StoreError> {
    let put = store.run_once("put_course", As::Tenant(tenant), |tx| {
        Box::pin(async move {
            let (course, is_new) = courses::put(tx, tenant, structure).await?;
            satisfied::note_open(tx, tenant).await?;
            let (subject, detail) = (course.key.to_string(), json!({ "units": structure.units().len() }));
            let entry = Entry { tenant: Some(tenant), actor: by, action: "course.put", subject, detail };
            audit::append(tx, &entry).await?;
            Ok((course, is_new))
        })
    });
    put.await
}

/// A tenant's courses by key.
pub async fn list(
    store: &Store,
    tenant: TenantId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<CourseRow>, StoreError> {
    store.run_tx("list_courses", As::Tenant(tenant), |tx| Box::pin(courses::list(tx, tenant, after, limit))).await
}
