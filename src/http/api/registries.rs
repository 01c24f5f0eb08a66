//! `/api/v1/verbs` and `/api/v1/extensions`: what the registries hold, and additions by an operator.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{body::JsonBody, endpoint::endpoints, query::Parameters};
use crate::http::{HttpError, Problem};
use crate::{
    identity::{Caller, reach},
    store::{
        Store,
        progress::registries::{Registered, Registry, Unregistered},
    },
    xapi::{Violations, syntax::iri},
};

endpoints! {
    /// The registries.
    Registries: list_verbs as __path_list_verbs, add_verb as __path_add_verb,
        list_extensions as __path_list_extensions, add_extension as __path_add_extension,
}

/// Characters of a name or vocabulary at most.
const LONGEST_TEXT: usize = 500;

/// What is to be registered. The IRI of an extension namespace is the beginning that its keys share.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Addition {
    #[schema(format = "iri", min_length = 3, max_length = 2000)]
    iri: String,
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    name: String,
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    vocabulary: String,
}

/// Verbs that are registered, and those that statements of the tenant use all the same.
#[derive(Serialize, ToSchema)]
struct Verbs {
    verbs: Vec<Registered>,
    unregistered: Vec<Unregistered>,
}

/// Namespaces whose extensions are known.
#[derive(Serialize, ToSchema)]
struct Extensions {
    extensions: Vec<Registered>,
}

/// Every registered verb.
#[utoipa::path(get, path = "/api/v1/verbs", tag = "registries", operation_id = "listVerbs",
    responses((status = 200, description = "the registry of verbs", body = Verbs)))]
async fn list_verbs(caller: Caller, store: Data<Store>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    reach::registries(&caller)?;
    Parameters::read(req.query_string(), &[])?;
    let (verbs, unregistered) =
        futures_util::try_join!(store.registry(Registry::Verbs), store.unregistered_verbs(caller.tenant))?;
    Ok(HttpResponse::Ok().json(Verbs { verbs, unregistered }))
}

/// Registers a verb. An entry never changes; the same one again answers 200. For operators.
#[utoipa::path(post, path = "/api/v1/verbs", tag = "registries", operation_id = "addVerb", request_body = Addition,
    responses((status = 201, description = "registered", body = Registered),
              (status = 200, description = "it was registered already", body = Registered)))]
async fn add_verb(
    caller: Caller,
    store: Data<Store>,
    req: HttpRequest,
    body: JsonBody<Addition>,
) -> Result<HttpResponse, Problem> {
    Parameters::read(req.query_string(), &[])?;
    add(Registry::Verbs, &caller, &store, body.0).await
}

/// Every registered extension namespace.
#[utoipa::path(get, path = "/api/v1/extensions", tag = "registries", operation_id = "listExtensions",
    responses((status = 200, description = "the registry of extension namespaces", body = Extensions)))]
async fn list_extensions(caller: Caller, store: Data<Store>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    reach::registries(&caller)?;
    Parameters::read(req.query_string(), &[])?;
    Ok(HttpResponse::Ok().json(Extensions { extensions: store.registry(Registry::ExtensionNamespaces).await? }))
}

/// Registers an extension namespace, as a verb is.
#[utoipa::path(post, path = "/api/v1/extensions", tag = "registries", operation_id = "addExtension",
    request_body = Addition,
    responses((status = 201, description = "registered", body = Registered),
              (status = 200, description = "it was registered already", body = Registered)))]
async fn add_extension(
    caller: Caller,
    store: Data<Store>,
    req: HttpRequest,
    body: JsonBody<Addition>,
) -> Result<HttpResponse, Problem> {
    Parameters::read(req.query_string(), &[])?;
    add(Registry::ExtensionNamespaces, &caller, &store, body.0).await
}

async fn add(registry: Registry, caller: &Caller, store: &Store, new: Addition) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    let Addition { iri, name, vocabulary } = new;
    if !iri::is_iri(&iri) || iri.len() > 2_000 {
        return Err(Violations::whole("registry.iri", "iri must be an IRI with a scheme, of at most 2000 bytes").into());
    }
    let is_text = |text: &str| text.chars().count() <= LONGEST_TEXT && !text.chars().any(char::is_control);
    if let Some((field, _)) =
        [("name", &name), ("vocabulary", &vocabulary)].into_iter().find(|(_, text)| !is_text(text))
    {
        let message = format!("{field} must be at most {LONGEST_TEXT} characters, none of them a control character");
        return Err(Violations::whole("registry.text", message).into());
    }
    let entry = Registered { iri, name, vocabulary, introduced_in: env!("CARGO_PKG_VERSION").to_owned() };
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
