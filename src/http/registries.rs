//! `/api/v1/verbs` and `/api/v1/extensions`: what the registries hold, and additions by an operator.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, ServiceConfig},
};
use serde::Deserialize;
use serde_json::json;

use super::{HttpError, Problem};
use crate::{
    identity::Caller,
    model::Scope,
    store::{
        Store,
        registries::{Entry, Registry},
    },
    xapi::{Violations, syntax::iri},
};

pub fn routes(store: Data<Store>) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |cfg| {
        cfg.app_data(store.clone())
            .service(
                web::resource("/api/v1/verbs")
                    .route(web::get().to(verbs))
                    .route(web::post().to(|c, s, b| add(Registry::Verbs, c, s, b))),
            )
            .service(
                web::resource("/api/v1/extensions")
                    .route(web::get().to(extensions))
                    .route(web::post().to(|c, s, b| add(Registry::ExtensionNamespaces, c, s, b))),
            );
    }
}

/// What is to be registered. The IRI of an extension namespace is the beginning that its keys share.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Addition {
    iri: String,
    name: String,
    vocabulary: String,
}

async fn verbs(caller: Caller, store: Data<Store>) -> Result<HttpResponse, Problem> {
    may_read(&caller)?;
    let (registered, unregistered) =
        futures_util::try_join!(store.registry(Registry::Verbs), store.unregistered_verbs(caller.tenant))?;
    Ok(HttpResponse::Ok().json(json!({ "verbs": registered, "unregistered": unregistered })))
}

async fn extensions(caller: Caller, store: Data<Store>) -> Result<HttpResponse, Problem> {
    may_read(&caller)?;
    Ok(HttpResponse::Ok().json(json!({ "extensions": store.registry(Registry::ExtensionNamespaces).await? })))
}

/// The registries are open to everybody who may read anything.
fn may_read(caller: &Caller) -> Result<(), Problem> {
    if caller.scopes.allows(Scope::StatementsReadMine) {
        return Ok(());
    }
    Ok(caller.require(Scope::ApiStatementRead)?)
}

async fn add(
    registry: Registry,
    caller: Caller,
    store: Data<Store>,
    body: Json<Addition>,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    let Addition { iri, name, vocabulary } = body.into_inner();
    if !iri::is_iri(&iri) || iri.len() > 2_000 {
        return Err(Violations::whole("registry.iri", "iri must be an IRI with a scheme, of at most 2000 bytes").into());
    }
    let entry = Entry { iri, name, vocabulary, introduced_in: env!("CARGO_PKG_VERSION").to_owned() };
    if store.register(registry, &entry, &caller.credential.audit_name()).await? {
        return Ok(HttpResponse::Created().json(entry));
    }
    let same = store.registry(registry).await?.into_iter().find(|known| known.iri == entry.iri);
    match same {
        Some(known) if (&known.name, &known.vocabulary) == (&entry.name, &entry.vocabulary) => {
            Ok(HttpResponse::Ok().json(known))
        }
        _ => {
            let why = format!("{} is registered with other words, and an entry never changes", entry.iri);
            Err(HttpError::Conflict(why).into())
        }
    }
}
