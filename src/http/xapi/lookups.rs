//! Activities, agents and about.

use actix_web::{HttpResponse, http::header};
use serde_json::{Map, Value, json};

use super::{Incoming, Xapi};
use crate::{
    http::HttpError,
    identity::{Caller, reach},
    xapi::{self, query},
};

pub(super) fn about(incoming: &Incoming, xapi: &Xapi) -> Result<HttpResponse, HttpError> {
    if incoming.method != actix_web::http::Method::GET {
        return Err(HttpError::Method);
    }
    query::none(&incoming.given, &xapi.limits)?;
    Ok(HttpResponse::Ok().json(xapi::about::about(&xapi.limits, xapi.page_default, env!("CARGO_PKG_VERSION"))))
}

/// An activity with its definition merged over all statements; one never heard of has none.
pub(super) async fn activity(incoming: &Incoming, caller: &Caller, xapi: &Xapi) -> Result<HttpResponse, HttpError> {
    let iri = query::activities(&incoming.given, &xapi.limits)?;
    // Definitions are of the tenant, and of nobody in it.
    reach::statements(caller)?;
    let known = xapi.reader.activity(caller.tenant, &iri).await?;
    let mut activity = Map::from_iter([("objectType".to_owned(), "Activity".into()), ("id".to_owned(), iri.into())]);
    if let Some(definition) = known.and_then(|known| known.definition) {
        activity.insert("definition".to_owned(), Value::Object(definition));
    }
    Ok(HttpResponse::Ok().json(activity))
}

/// The Person behind an agent: the identifier asked for, and for who may know them the names it was seen under.
pub(super) async fn agent(incoming: &Incoming, caller: &Caller, xapi: &Xapi) -> Result<HttpResponse, HttpError> {
    let agent = query::agents(&incoming.given, &xapi.limits)?;
    let sight = reach::statements(caller)?;
    let names = match reach::names(caller, &sight, &agent) {
        true => xapi.reader.names(caller.tenant, &agent).await?,
        false => Vec::new(),
    };
    let mut person = Map::from_iter([("objectType".to_owned(), Value::from("Person"))]);
    if !names.is_empty() {
        person.insert("name".to_owned(), names.into());
    }
    for (identifier, value) in agent.to_map() {
        person.insert(identifier, json!([value]));
    }
    let body = serde_json::to_vec(&person).map_err(HttpError::internal)?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(body))
}
