//! `/api/v1/reports`: how much was done, how attempts went, and how many people were active. Counts alone, of the caller's tenant.

use actix_web::{HttpRequest, HttpResponse, http::header, web::Data};
use chrono::{DateTime, Days, NaiveDate, Utc};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    access::{Reach, usual_id},
    attempts::SCOPES,
    cursor::Pages,
    endpoint::endpoints,
    format::{FORMAT, wants},
    query::{PAGE_CURSOR, PAGE_SIZE, PageParameters, Parameters, refuse},
    shown::{Links, Page, one_more},
};
use crate::{
    http::{HttpError, Problem, answer::Unhurried, csv},
    identity::Caller,
    store::progress::reports::{ActivityRow, Asked, By, CompletionRow, Counted, days_of_learners},
};

endpoints! {
    /// Reports.
    Reports: get_activity as __path_get_activity, get_completions as __path_get_completions,
        get_learners as __path_get_learners,
}

const FROM: &str = "from";
const TO: &str = "to";
const BY: &str = "by";
const WINDOW: &str = "window";
const COURSE: &str = "filter[courseId]";
/// The other form, and its media type.
const CSV: (&str, &str) = ("csv", "text/csv");
/// Rows that are read at once of a report that is wanted as a whole.
const PIECE: i64 = 500;

/// Days of a report, unless told.
const USUAL: i64 = 30;
/// The most days of each report: what is read stays bounded.
const MOST_OF_ACTIVITY: i64 = 366;
const MOST_OF_COMPLETIONS: i64 = 92;
const MOST_OF_LEARNERS: i64 = 31;

/// Which days.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what `Parameters` reads")]
struct DayParameters {
    /// The first day, in UTC; unless told, 29 days before the last one.
    #[param(required = false)]
    from: NaiveDate,
    /// The last day, in UTC; unless told, the present one.
    #[param(required = false)]
    to: NaiveDate,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what `Parameters` reads")]
struct CourseParameters {
    /// Of this course alone, as attempts have it.
    #[param(rename = "filter[courseId]", required = false)]
    course: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `wants` takes")]
enum Format {
    Json,
    Csv,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `one_of` takes")]
enum ActivityBy {
    Day,
    Verb,
    Course,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `one_of` takes")]
enum CompletionsBy {
    Day,
    Course,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `one_of` takes")]
enum Window {
    #[schema(rename = "1")]
    Day,
    #[schema(rename = "7")]
    Week,
    #[schema(rename = "30")]
    Month,
}

/// How many statements there were of one day, one verb or one course.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Activity {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    day: Option<NaiveDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    verb_id: Option<String>,
    /// Absent for what belongs to no attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    course_id: Option<String>,
    /// Those that stand: neither voided nor erased, and without those that void others.
    statements: i64,
}

/// How the attempts went that began on one day, or in one course.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Completions {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    day: Option<NaiveDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    course_id: Option<String>,
    begun: i64,
    open: i64,
    passed: i64,
    failed: i64,
    incomplete: i64,
    abandoned: i64,
    /// Of those that began, how many passed by now; four decimals.
    completion_rate: f64,
}

/// How many people were active within the days that end with this one.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Learners {
    day: NaiveDate,
    /// Absent where there are too few to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    learners: Option<i64>,
    /// Instead of a number that is smaller than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fewer_than: Option<u32>,
}

/// A page of a report, and what of the ledger is counted in it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Report<T> {
    data: Vec<T>,
    links: Links,
    /// Only what was stored after this is counted; null where everything is. `projections rebuild --apply` counts the rest.
    #[schema(required)]
    counted_since: Option<DateTime<Utc>>,
    /// What was stored after this is not counted yet; null where nothing is.
    #[schema(required)]
    counted_through: Option<DateTime<Utc>>,
}

impl<T> Report<T> {
    fn of(Page { data, links }: Page<T>, Counted { since, through }: Counted) -> Self {
        Self { data, links, counted_since: since, counted_through: through }
    }
}

/// How many statements were stored, by day, verb or course.
#[utoipa::path(get, path = "/api/v1/reports/activity", tag = "reports", operation_id = "getActivity",
    params(("by" = inline(Option<ActivityBy>), Query, description = "what is added up; `day` unless told"),
        ("format" = inline(Option<Format>), Query, description = "goes before the header Accept; `csv` is the whole report, without pages"),
        DayParameters, CourseParameters, PageParameters),
    responses((status = 200, description = "a page of counts, of at most 366 days", content(
        (Report<Activity> = "application/json"),
        (String = "text/csv"),
    ))))]
async fn get_activity(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    everybody(&caller, &api).await?;
    let parameters = Parameters::read(req.query_string(), &[BY, FROM, TO, COURSE, FORMAT, PAGE_SIZE, PAGE_CURSOR])?;
    let by = match parameters.one_of(BY, &["day", "verb", "course"])?.as_deref() {
        Some("verb") => By::Verb,
        Some("course") => By::Course,
        _ => By::Day,
    };
    let days = days(&parameters, api.clock.now(), MOST_OF_ACTIVITY)?;
    if wants(&req, &parameters, CSV)? {
        let columns = [if by == By::Verb { "verbId" } else { named(by) }, "statements"];
        let rows = whole(asked(&parameters, by, days, None, 0), &parameters, move |asked| {
            let (api, tenant) = (api.clone(), caller.tenant);
            async move {
                let (_, found) = api.store.activity(tenant, &asked).await?;
                let last = found.last().map(|row| row.key.clone());
                Ok((last, found.into_iter().map(|row| value(&activity(by, row))).collect::<Result<_, _>>()?))
            }
        })?;
        return Ok(sheet("activity", &columns, rows));
    }
    let (size, key) = (parameters.page_size()?, api.reader.more_key().await?);
    let pages = Pages { key, tenant: caller.tenant, path: req.path(), parameters: &parameters };
    let asked = asked(&parameters, by, days, pages.place()?, size);
    let (counted, found) = api.store.activity(caller.tenant, &asked).await?;
    let Page { data, links } = Page::cut(found, size, |last| pages.link(&last.key));
    let data = data.into_iter().map(|row| activity(by, row)).collect();
    Ok(HttpResponse::Ok().json(Report::of(Page { data, links }, counted)))
}

/// How the attempts went that began within some days, by day or course.
#[utoipa::path(get, path = "/api/v1/reports/completions", tag = "reports", operation_id = "getCompletions",
    params(("by" = inline(Option<CompletionsBy>), Query, description = "what is added up; `day` unless told"),
        ("format" = inline(Option<Format>), Query, description = "goes before the header Accept; `csv` is the whole report, without pages"),
        DayParameters, CourseParameters, PageParameters),
    responses((status = 200, description = "a page of counts, of at most 92 days", content(
        (Page<Completions> = "application/json"),
        (String = "text/csv"),
    ))))]
async fn get_completions(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    everybody(&caller, &api).await?;
    let parameters = Parameters::read(req.query_string(), &[BY, FROM, TO, COURSE, FORMAT, PAGE_SIZE, PAGE_CURSOR])?;
    let by = if parameters.one_of(BY, &["day", "course"])?.as_deref() == Some("course") { By::Course } else { By::Day };
    let days = days(&parameters, api.clock.now(), MOST_OF_COMPLETIONS)?;
    if wants(&req, &parameters, CSV)? {
        let columns = [named(by), "begun", "open", "passed", "failed", "incomplete", "abandoned", "completionRate"];
        let rows = whole(asked(&parameters, by, days, None, 0), &parameters, move |asked| {
            let (api, tenant) = (api.clone(), caller.tenant);
            async move {
                let found = api.store.completions(tenant, &asked).await?;
                let last = found.last().map(|row| row.key.clone());
                Ok((last, found.into_iter().map(|row| value(&completions(by, row))).collect::<Result<_, _>>()?))
            }
        })?;
        return Ok(sheet("completions", &columns, rows));
    }
    let (size, key) = (parameters.page_size()?, api.reader.more_key().await?);
    let pages = Pages { key, tenant: caller.tenant, path: req.path(), parameters: &parameters };
    let asked = asked(&parameters, by, days, pages.place()?, size);
    let found = api.store.completions(caller.tenant, &asked).await?;
    let Page { data, links } = Page::cut(found, size, |last| pages.link(&last.key));
    let data = data.into_iter().map(|row| completions(by, row)).collect();
    Ok(Page { data, links }.answer())
}

/// How many people were active, by day. A number of few people is not told.
#[utoipa::path(get, path = "/api/v1/reports/learners", tag = "reports", operation_id = "getLearners",
    params(("window" = inline(Option<Window>), Query, description = "how many days that end with each day count; 1 unless told"),
        ("format" = inline(Option<Format>), Query, description = "goes before the header Accept"),
        DayParameters),
    responses((status = 200, description = "every day, of at most 31", content(
        (Report<Learners> = "application/json"),
        (String = "text/csv"),
    ))))]
async fn get_learners(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    everybody(&caller, &api).await?;
    let parameters = Parameters::read(req.query_string(), &[WINDOW, FROM, TO, FORMAT])?;
    let window = parameters.one_of(WINDOW, &["1", "7", "30"])?.and_then(|days| days.parse().ok()).unwrap_or(1);
    let today = api.clock.now().date_naive();
    let (from, to) = days(&parameters, api.clock.now(), MOST_OF_LEARNERS)?;
    let known = days_of_learners() - i64::from(window);
    if (today - from).num_days() > known {
        return Err(refuse(FROM, &format!("who was active is known for the last {known} days with this window")).into());
    }
    let (counted, found) = api.store.active_learners(caller.tenant, (from, to), window).await?;
    let least = api.erasures.least_people;
    let data = found.into_iter().map(|(day, learners)| {
        let is_told = learners >= i64::from(least);
        Learners { day, learners: is_told.then_some(learners), fewer_than: (!is_told).then_some(least) }
    });
    if wants(&req, &parameters, CSV)? {
        let rows: Result<Vec<Value>, HttpError> = data.map(|one| value(&one)).collect();
        return Ok(sheet("learners", &["day", "learners", "fewerThan"], stream::iter([rows])));
    }
    let page = Page { data: data.collect(), links: Links { next: None } };
    Ok(HttpResponse::Ok().json(Report::of(page, counted)))
}

/// What one key of a report is, but for a verb.
fn named(by: By) -> &'static str {
    if by == By::Course { "courseId" } else { "day" }
}

fn value(row: &impl Serialize) -> Result<Value, HttpError> {
    serde_json::to_value(row).map_err(HttpError::internal)
}

/// All rows of a report, piece by piece: `read` answers some of them, and the key of the last.
fn whole<F>(
    first: Asked,
    parameters: &Parameters,
    read: impl Fn(Asked) -> F + 'static,
) -> Result<impl Stream<Item = Result<Vec<Value>, HttpError>> + 'static, HttpError>
where
    F: Future<Output = Result<(Option<String>, Vec<Value>), HttpError>> + 'static,
{
    if let Some(name) = [PAGE_SIZE, PAGE_CURSOR].into_iter().find(|name| parameters.text(name).is_some()) {
        return Err(refuse(name, "as CSV a report comes as a whole, without pages"));
    }
    let first = Asked { limit: PIECE, ..first };
    Ok(stream::try_unfold((Some(first), read), |(asked, read)| async move {
        let Some(asked) = asked else { return Ok(None) };
        let (last, rows) = read(asked.clone()).await?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= PIECE);
        let next = last.filter(|_| is_full).map(|last| Asked { after: Some(last), ..asked });
        Ok(Some((rows, (next, read))))
    }))
}

/// A report as a table: the names of its columns, then its rows as they are read.
fn sheet(
    name: &str,
    columns: &[&'static str],
    rows: impl Stream<Item = Result<Vec<Value>, HttpError>> + 'static,
) -> HttpResponse {
    let columns: Vec<&'static str> = columns.to_vec();
    let head = csv::row(columns.iter().map(|name| (*name).to_owned()));
    let lines = rows.map(move |rows| {
        let line = |one: &Value| csv::row(columns.iter().map(|name| csv::cell(one.get(name))));
        rows.map(|rows| rows.iter().map(line).collect::<String>())
    });
    let lines = stream::iter([Ok(head)]).chain(lines).map(|text| text.map(actix_web::web::Bytes::from));
    let mut response = HttpResponse::Ok();
    response.content_type(csv::CONTENT_TYPE).insert_header((header::CONTENT_DISPOSITION, csv::named(name)));
    let mut response = response.streaming(lines);
    response.extensions_mut().insert(Unhurried);
    response
}

/// A report is of everybody: whoever reads only their own reads none.
async fn everybody(caller: &Caller, api: &Api) -> Result<(), Problem> {
    match Reach::of(caller, &SCOPES, api.trail.pseudonyms().await?)? {
        Reach::Everybody => Ok(()),
        Reach::Own(_) => {
            Err(HttpError::Forbidden("a report is of everybody, and this token reads its own alone".to_owned()).into())
        }
    }
}

/// The days that are asked for, both included.
fn days(parameters: &Parameters, now: DateTime<Utc>, most: i64) -> Result<(NaiveDate, NaiveDate), HttpError> {
    let expected = "expected a day as YYYY-MM-DD";
    // The parser takes more than this form: days without a leading zero, spaces before them.
    let day = |text: &str| text.parse::<NaiveDate>().ok().filter(|day| day.to_string() == text);
    let to = parameters.parsed(TO, expected, day)?.unwrap_or_else(|| now.date_naive());
    let usual = || to.checked_sub_days(Days::new(USUAL.unsigned_abs() - 1)).unwrap_or(to);
    let from = parameters.parsed(FROM, expected, day)?.unwrap_or_else(usual);
    match (to - from).num_days() + 1 {
        ..1 => Err(refuse(FROM, &format!("it is after the last day, {to}"))),
        days if days > most => {
            Err(refuse(FROM, &format!("{days} days were asked for, and this report is of at most {most}")))
        }
        _ => Ok((from, to)),
    }
}

fn asked(
    parameters: &Parameters,
    by: By,
    (from, to): (NaiveDate, NaiveDate),
    after: Option<String>,
    size: usize,
) -> Asked {
    Asked { by, from, to, course: parameters.text(COURSE).map(usual_id), after, limit: one_more(size) }
}

fn activity(by: By, ActivityRow { key, verb, statements }: ActivityRow) -> Activity {
    let rest = Activity { statements, ..Activity::default() };
    match by {
        By::Day => Activity { day: key.parse().ok(), ..rest },
        By::Verb => Activity { verb_id: Some(verb.unwrap_or(key)), ..rest },
        By::Course => Activity { course_id: Some(key).filter(|key| !key.is_empty()), ..rest },
    }
}

fn completions(by: By, row: CompletionRow) -> Completions {
    let CompletionRow { key, begun, open, passed, failed, incomplete, abandoned } = row;
    let (day, course_id) = match by {
        By::Course => (None, Some(key).filter(|key| !key.is_empty())),
        By::Day | By::Verb => (key.parse().ok(), None),
    };
    let completion_rate = (passed as f64 * 10_000.0 / begun.max(1) as f64).round() / 10_000.0;
    Completions { day, course_id, begun, open, passed, failed, incomplete, abandoned, completion_rate }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_bounded_and_refused_by_name() {
        let now = "2026-11-28T23:59:59Z".parse().unwrap();
        let read = |query: &str| days(&Parameters::read(query, &[FROM, TO]).unwrap(), now, 31);
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        assert_eq!(read("").unwrap(), (day("2026-10-30"), day("2026-11-28")));
        assert_eq!(read("from=2026-11-28&to=2026-11-28").unwrap(), (day("2026-11-28"), day("2026-11-28")));
        assert_eq!(read("to=2026-01-30").unwrap(), (day("2026-01-01"), day("2026-01-30")));
        for bad in [
            "from=2026-11-29",
            "from=2026-10-01",
            "from=1",
            "from=2026-02-30",
            "to=+2026-1-01",
            "from=",
            "to=2026-11-28T00:00:00Z",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rate_has_four_decimals_and_divides_by_nothing() {
        let row = |begun, passed| {
            let (open, failed, incomplete, abandoned) = (0, 0, 0, 0);
            completions(
                By::Course,
                CompletionRow { key: String::new(), begun, open, passed, failed, incomplete, abandoned },
            )
        };
        assert_eq!((row(3, 2).completion_rate, row(0, 0).completion_rate), (0.6667, 0.0));
        assert_eq!(row(1, 1).course_id, None);
    }
}
