//! `/api/v1/courses`: structures of cmi5 courses, which the LMS gives as the `cmi5.xml` of the course's package.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Api, body,
    cursor::Pages,
    endpoint::endpoints,
    query::{PAGE_CURSOR, PAGE_SIZE, PageParameters, Parameters, refuse},
    shown::{Page, one_more},
};
use crate::{
    cmi5::Structure,
    http::{HttpError, Problem},
    identity::Caller,
    model::Scope,
    projections::courses::{self, CourseRow},
    xapi::Violations,
};

endpoints! {
    /// Courses.
    Courses: list_courses as __path_list_courses, put_course as __path_put_course,
}

/// A course whose structure is known.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CourseStructure)]
struct Course {
    id: Uuid,
    /// The publisher's id.
    #[schema(format = "iri")]
    course_id: String,
    /// In the first language of the structure.
    title: String,
    /// How many assignable units it has.
    #[schema(minimum = 0)]
    units: u32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<CourseRow> for Course {
    fn from(row: CourseRow) -> Self {
        let units = u32::try_from(row.structure.units().len()).unwrap_or(u32::MAX);
        let Structure { id: course_id, title, .. } = row.structure;
        Self { id: row.key, course_id, title, units, created_at: row.created_at, updated_at: row.updated_at }
    }
}

/// Keeps the structure of a course, in the place of the one it had. For administrators.
#[utoipa::path(post, path = "/api/v1/courses", tag = "courses", operation_id = "putCourse",
    request_body(content = String, content_type = "application/xml", description = "a cmi5.xml"),
    responses((status = 201, description = "the course is new", body = Course),
              (status = 200, description = "its structure is replaced", body = Course)))]
async fn put_course(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    caller.require(Scope::Admin)?;
    Parameters::read(req.query_string(), &[])?;
    let text = body::xml(&req, payload, &caller).await?;
    let read = api.work.sized(caller.tenant, text.len(), move || Structure::read(&text)).await?;
    let structure = read.map_err(|why| HttpError::from(Violations::whole("api.course", why)))?;
    let by = caller.credential.audit_name();
    let (course, is_new) = courses::put(&api.store, &by, caller.tenant, &structure).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(Course::from(course)))
}

/// The courses whose structure is known. For administrators.
#[utoipa::path(get, path = "/api/v1/courses", tag = "courses", operation_id = "listCourses", params(PageParameters),
    responses((status = 200, description = "a page of courses", body = Page<Course>)))]
async fn list_courses(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    caller.require(Scope::Admin)?;
    let parameters = Parameters::read(req.query_string(), &[PAGE_SIZE, PAGE_CURSOR])?;
    let size = parameters.page_size()?;
    let key = api.reader.more_key().await?;
    let pages = Pages { key, tenant: caller.tenant, path: req.path(), parameters: &parameters };
    let after = pages.place()?.map(|place| place.parse::<Uuid>()).transpose();
    let after = after.map_err(|_| refuse(PAGE_CURSOR, "it leads nowhere"))?;
    let found = courses::list(&api.store, caller.tenant, after, one_more(size)).await?;
    let found: Vec<Course> = found.into_iter().map(Course::from).collect();
    Ok(Page::cut(found, size, |last| pages.link(&last.id.to_string())).answer())
}
