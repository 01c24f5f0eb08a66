//! GET /statements: one by its id, or a page.

use actix_web::{HttpResponse, ResponseError, http::header};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{ARCHIVED, Incoming, Xapi, http_date, stamp, stream};
use crate::{
    flags::declared::PAGE,
    http::HttpError,
    identity::{Caller, reach},
    model::TenantId,
    query::{Consistent, Found, Reader, Sight, more::More},
    xapi::{
        Violations,
        canonical::{self, Known, canonical},
        format::{self, Stored},
        language::Languages,
        query::{self, Format, OneStatement, StatementQuery, StatementsQuery},
    },
};

/// Refusals too say how far all is consistent: whoever waits for a statement reads nothing else.
pub(super) async fn get(incoming: &Incoming, caller: &Caller, xapi: &Xapi) -> HttpResponse {
    match read(incoming, caller, xapi).await {
        Ok(response) => response,
        Err(refusal) => {
            let known = xapi.reader.known_through();
            // A store that has just failed is not asked once more.
            let through = match refusal {
                HttpError::Store(_) => known,
                _ => xapi.reader.consistent_through(caller.tenant).await.unwrap_or(known),
            };
            let mut response = refusal.error_response();
            stamp(&mut response, through);
            response
        }
    }
}

async fn read(incoming: &Incoming, caller: &Caller, xapi: &Xapi) -> Result<HttpResponse, HttpError> {
    let sight = sight(caller, xapi).await?;
    let (given, after) = continued(incoming, caller, xapi).await?;
    let answer = match understood(&given, caller.tenant, xapi)? {
        StatementQuery::One(one) => match one_statement(&one, incoming, caller, &sight, xapi).await? {
            Ok(answer) => answer,
            Err(absent) => return Ok(absent),
        },
        StatementQuery::Many(many) => page(&many, (given, after), incoming, caller, &sight, xapi).await?,
    };
    if answer.single && answer.modified.is_some_and(|modified| incoming.has_since(modified)) {
        let mut response = HttpResponse::NotModified().insert_header((ARCHIVED, answer.archived)).finish();
        stamp(&mut response, answer.through);
        return Ok(response);
    }
    let mut response = HttpResponse::Ok();
    response.insert_header((ARCHIVED, answer.archived));
    if let Some(modified) = answer.modified {
        response.insert_header((header::LAST_MODIFIED, http_date(modified)));
    }
    let mut response = if answer.attachments {
        let contents = stream::Contents { tenant: caller.tenant, reader: xapi.reader.clone(), sight };
        stream::respond(&mut response, answer.json, contents, xapi.ids.uuid()).await?
    } else {
        response.content_type("application/json").body(answer.json)
    };
    stamp(&mut response, answer.through);
    Ok(response)
}

/// The JSON of an answer, and what its headers need.
struct Answer {
    json: String,
    modified: Option<DateTime<Utc>>,
    through: DateTime<Utc>,
    attachments: bool,
    /// How many of its statements came out of archived months.
    archived: usize,
    /// One statement never changes, so a client may keep it. A page of the same second may still grow.
    single: bool,
}

type Given = Vec<(String, String)>;

/// What the parameters ask for.
fn understood(given: &query::Given, tenant: TenantId, xapi: &Xapi) -> Result<StatementQuery, Violations> {
    let mut query = query::statements(given, &xapi.limits)?;
    if let StatementQuery::Many(many) = &mut query
        && !given.iter().any(|(name, _)| name == "limit")
    {
        let own = xapi.flags.number(tenant, &PAGE).and_then(|page| usize::try_from(page).ok());
        many.limit = own.unwrap_or(xapi.page_default).min(xapi.limits.page).max(1);
    }
    Ok(query)
}

/// The parameters of the request; a `more` token brings those of the first page and the place to go on from.
async fn continued(
    incoming: &Incoming,
    caller: &Caller,
    xapi: &Xapi,
) -> Result<(Given, Option<DateTime<Utc>>), HttpError> {
    let (tokens, appended): (Given, Given) = incoming.given.iter().cloned().partition(|(name, _)| name == "more");
    let token = match tokens.as_slice() {
        [] => return Ok((appended, None)),
        [(_, token)] => token,
        _ => return Err(Violations::whole("query.twice", "parameter more is given twice").into()),
    };
    let key = xapi.reader.more_key().await?;
    let more = More::open(token, key, caller.tenant).ok_or_else(|| {
        Violations::whole("query.more", "this more link was not made here for this credential's tenant")
    })?;
    say_the_same(&more.given, &appended, caller.tenant, xapi)?;
    Ok((more.given, Some(more.after)))
}

/// Some clients append their query to a `more` link, which holds it already. Each parameter may say what it says there,
/// in whatever spelling; another question needs another first page.
fn say_the_same(first: &query::Given, appended: &query::Given, tenant: TenantId, xapi: &Xapi) -> Result<(), HttpError> {
    if appended.is_empty() {
        return Ok(());
    }
    // What is wrong in itself is told as in every request.
    query::statements(appended, &xapi.limits)?;
    let asked = understood(first, tenant, xapi)?;
    let differs = |(name, value): &&(String, String)| {
        let mut changed: Given = first.iter().filter(|(known, _)| known != name).cloned().collect();
        changed.push((name.clone(), value.clone()));
        understood(&changed, tenant, xapi).ok().as_ref() != Some(&asked)
    };
    let others: Vec<&str> = appended.iter().filter(differs).map(|(name, _)| name.as_str()).collect();
    if others.is_empty() {
        return Ok(());
    }
    let message = format!(
        "this more link continues a query in which {} says something else; follow the link as it is, or begin anew",
        others.join(", ")
    );
    Err(Violations::whole("query.more", message).into())
}

/// The answer to who asks for one statement, or what to say where there is none.
async fn one_statement(
    one: &OneStatement,
    incoming: &Incoming,
    caller: &Caller,
    sight: &Sight,
    xapi: &Xapi,
) -> Result<Result<Answer, HttpResponse>, HttpError> {
    let Consistent { value, through } = xapi.reader.statement(caller.tenant, one.id, sight).await?;
    let found = value.filter(|(_, voided)| *voided == one.voided).map(|(found, _)| found);
    let Some(found) = found else {
        let kind = if one.voided { "voided statement" } else { "statement" };
        let mut absent = HttpError::NotFound(format!("there is no {kind} with id {}", one.id)).error_response();
        stamp(&mut absent, through);
        return Ok(Err(absent));
    };
    let mut json = String::new();
    let known = known(std::slice::from_ref(&found), one.format, caller, xapi).await?;
    show(&mut json, &found, one.format, incoming, &known)?;
    Ok(Ok(Answer {
        json,
        modified: Some(found.stored),
        through,
        attachments: one.attachments,
        archived: found.is_archived.into(),
        single: true,
    }))
}

async fn page(
    query: &StatementsQuery,
    (given, after): (Given, Option<DateTime<Utc>>),
    incoming: &Incoming,
    caller: &Caller,
    sight: &Sight,
    xapi: &Xapi,
) -> Result<Answer, HttpError> {
    if let Some(agent) = &query.agent {
        // Before anything is read: without its entry such a query gets no answer.
        let detail = json!({ "related": query.related_agents });
        xapi.trail.note(caller.tenant, caller.credential.audit_name(), "query.statements", agent, detail).await?;
    }
    let Consistent { value: page, through } = xapi.reader.page(caller.tenant, query, sight.clone(), after).await?;
    let more = match page.next {
        None => String::new(),
        Some(after) => {
            let token = More { given, after }.seal(xapi.reader.more_key().await?, caller.tenant);
            format!("{}?more={token}", incoming.path)
        }
    };
    let size: usize = page.found.iter().map(|found| found.payload.len() + 80).sum();
    // The rows and the answer that is made of them.
    let mut room = incoming.hold.beside();
    room.grow(2 * size)?;
    let known = known(&page.found, query.format, caller, xapi).await?;
    let mut json = String::with_capacity(size + more.len() + 40);
    json.push_str("{\"statements\":[");
    for (index, found) in page.found.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        show(&mut json, found, query.format, incoming, &known)?;
    }
    json.push_str("],\"more\":\"");
    json.push_str(&more);
    json.push_str("\"}");
    let modified = page.found.iter().map(|found| found.stored).max();
    let archived = page.found.iter().filter(|found| found.is_archived).count();
    Ok(Answer { json, modified, through, attachments: query.attachments, archived, single: false })
}

/// What this caller sees, as the ledger finds it.
pub(in crate::http) async fn sight(caller: &Caller, xapi: &Xapi) -> Result<Sight, HttpError> {
    Ok(match reach::statements(caller)? {
        reach::Sight::Everything => Sight::Everything,
        reach::Sight::Mine(authority) => Reader::of_authority(authority),
        reach::Sight::About(person) => xapi.reader.of_person(caller.tenant, &person).await?,
    })
}

/// What the canonical form needs to know about the activities and verbs of the page.
async fn known(found: &[Found], format: Format, caller: &Caller, xapi: &Xapi) -> Result<Known, HttpError> {
    if format != Format::Canonical {
        return Ok(Known::default());
    }
    let docs: Vec<Map<String, Value>> =
        found.iter().map(|found| stored(found).doc()).collect::<Result<_, _>>().map_err(HttpError::internal)?;
    let (mut activities, mut verbs) = (Vec::new(), Vec::new());
    for doc in &docs {
        canonical::mentioned(doc, &mut activities, &mut verbs);
    }
    for iris in [&mut activities, &mut verbs] {
        iris.sort_unstable();
        iris.dedup();
    }
    let definitions = xapi.reader.definitions(caller.tenant, &activities).await?.into_iter().collect();
    let displays = xapi.reader.displays(caller.tenant, &verbs).await?.into_iter().collect();
    Ok(Known { definitions, displays })
}

fn show(json: &mut String, found: &Found, format: Format, incoming: &Incoming, known: &Known) -> Result<(), HttpError> {
    let stored = stored(found);
    if format == Format::Exact {
        stored.exact(json);
        return Ok(());
    }
    let mut doc = stored.doc().map_err(HttpError::internal)?;
    if format == Format::Ids {
        format::ids(&mut doc);
    } else {
        canonical(&mut doc, &Languages::parse(incoming.header("accept-language").unwrap_or_default()), known);
    }
    json.push_str(&serde_json::to_string(&doc).map_err(HttpError::internal)?);
    Ok(())
}

fn stored(found: &Found) -> Stored<'_> {
    Stored { payload: &found.payload, stored: found.stored, has_timestamp: found.has_timestamp }
}
