//! The description of `/api/v1` in OpenAPI 3.1, made of the same annotations that the endpoints are mounted from.

use actix_web::{HttpRequest, HttpResponse};
use utoipa::{
    OpenApi,
    openapi::{
        self, Components, ComponentsBuilder, ContentBuilder, Deprecated, HeaderBuilder, Info, InfoBuilder, Ref, RefOr,
        Required, ResponseBuilder, SecurityRequirement,
        path::{Operation, Parameter, ParameterIn},
        schema::{ObjectBuilder, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    admin, attempts, audit, courses,
    endpoint::endpoints,
    enrollments, erasures, exact, ofrep,
    query::Parameters,
    registries, reports,
    stamp::{API_VERSION, RENAMED},
    users,
};
use crate::http::{
    Problem,
    error::{ProblemDocument, ViolationDocument},
};

endpoints! {
    /// The description of everything.
    Description: describe as __path_describe,
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "description", operation_id = "getDescription", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn describe(req: HttpRequest) -> Result<HttpResponse, Problem> {
    Parameters::read(req.query_string(), &[])?;
    Ok(HttpResponse::Ok().json(document()))
}

/// What may go wrong anywhere, and where more may: with something named in the path, with a body.
const ANYWHERE: [(&str, &str); 7] = [
    ("400", "a parameter or the body is not valid; the violations say which"),
    ("401", "credentials are missing or wrong"),
    ("403", "the credential may not do this"),
    ("405", "the method is not answered here"),
    ("429", "too many requests"),
    ("500", "the service failed"),
    ("503", "not available right now"),
];
const WITH_PATH: [(&str, &str); 1] = [("404", "there is no such thing for this caller")];
const WITH_BODY: [(&str, &str); 5] = [
    ("404", "the body names something that is not there for this caller, such as a tenant"),
    ("408", "the body took too long to arrive"),
    ("409", "it conflicts with what is stored"),
    ("413", "the body is too large; the detail names the limit"),
    ("415", "the media type is not understood"),
];

/// The whole description.
pub fn document() -> openapi::OpenApi {
    let mut whole = openapi::OpenApi::new(info(), openapi::Paths::new());
    for part in [
        attempts::Attempts::openapi(),
        enrollments::Enrollments::openapi(),
        courses::Courses::openapi(),
        users::Users::openapi(),
        erasures::Requests::openapi(),
        registries::Registries::openapi(),
        reports::Reports::openapi(),
        audit::entries::Entries::openapi(),
        super::retention::Retention::openapi(),
        admin::credentials::Credentials::openapi(),
        admin::tenants::Tenants::openapi(),
        admin::backfills::BackfillsOfFiles::openapi(),
        admin::exports::ExportsOfTenants::openapi(),
        admin::flags::FlagsOfTenants::openapi(),
        admin::jobs::Jobs::openapi(),
        admin::migrations::Migrations::openapi(),
        admin::partitions::Partitions::openapi(),
        admin::archive::Archive::openapi(),
        admin::rollouts::Rollouts::openapi(),
        admin::residency::Moves::openapi(),
        ofrep::Evaluations::openapi(),
        Description::openapi(),
    ] {
        whole.merge(part);
    }
    whole.info = info();
    old_names(&mut whole);
    let schemes = ComponentsBuilder::new()
        .schema_from::<ProblemDocument>()
        .schema_from::<ViolationDocument>()
        .security_scheme(
            "bearer",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build()),
        )
        .security_scheme("key", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Basic).build()));
    let schemes: Components = schemes.build();
    let components = whole.components.get_or_insert_with(Components::new);
    components.schemas.extend(schemes.schemas);
    components.security_schemes.extend(schemes.security_schemes);
    let anyone_of = ["bearer", "key"].map(|name| SecurityRequirement::new::<_, _, String>(name, []));
    whole.security = Some(anyone_of.to_vec());
    for item in whole.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten() {
            complete(operation);
            exact::operation(operation);
        }
    }
    exact::components(&mut whole);
    whole
}

/// Old names stay in the description until they go, as deprecated operations of the new ones.
fn old_names(whole: &mut openapi::OpenApi) {
    for renamed in RENAMED {
        let Some(mut item) = whole.paths.paths.get(renamed.new).cloned() else { continue };
        for operation in [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten() {
            operation.deprecated = Some(Deprecated::True);
            operation.operation_id = operation.operation_id.as_ref().map(|name| format!("{name}ByOldName"));
            let gone = renamed.sunset().unwrap_or_default();
            operation.description = Some(format!("The old name of {}, until {gone}.", renamed.new));
        }
        whole.paths.paths.insert(renamed.old.to_owned(), item);
    }
}

fn info() -> Info {
    InfoBuilder::new()
        .title("progress-service")
        .description(Some("Attempts, progress, transcripts, registries and administration. See docs/api.md."))
        .version(API_VERSION)
        .build()
}

/// Adds what every operation answers with: the version, and the problems that may come.
fn complete(operation: &mut Operation) {
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    // Something is named in the path, or another's tenant beside it.
    let names = |parameter: &Parameter| parameter.parameter_in == ParameterIn::Path || parameter.name == "tenantId";
    let has_path = parameters.iter().any(names);
    let has_body = operation.request_body.is_some();
    let mut problems: Vec<(&str, &str)> = ANYWHERE.to_vec();
    problems.extend(WITH_PATH.iter().filter(|_| has_path));
    problems.extend(WITH_BODY.iter().filter(|_| has_body));
    let problem = || {
        let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
        ContentBuilder::new().schema(Some(schema)).build()
    };
    for (status, description) in problems {
        let response = ResponseBuilder::new().description(description).content("application/problem+json", problem());
        let place = operation.responses.responses.entry(status.to_owned());
        place.or_insert_with(|| RefOr::T(response.build()));
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            let version = HeaderBuilder::new().schema(text).description(Some("the version of this API")).build();
            response.headers.insert("X-API-Version".to_owned(), version);
        }
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if parameter.parameter_in == ParameterIn::Path {
            parameter.required = Required::True;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::http::Method;

    use super::*;
    use crate::http::api;

    #[test]
    fn every_endpoint_is_described_and_nothing_else() {
        let place = |path: &str, method: &Method| (path.to_owned(), method.as_str().to_lowercase());
        let mut mounted = BTreeSet::new();
        for endpoint in api::endpoints() {
            mounted.insert(place(&endpoint.path, &endpoint.method));
            let old = RENAMED.iter().filter(|renamed| renamed.new == endpoint.path);
            mounted.extend(old.map(|renamed| place(renamed.old, &endpoint.method)));
        }
        let document = serde_json::to_value(document()).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            described.extend(item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())));
        }
        assert_eq!(mounted, described);
        assert!(mounted.len() > 20, "{mounted:?}");
    }

    #[test]
    fn every_reference_leads_somewhere_and_operations_have_names_of_their_own() {
        let document = serde_json::to_value(document()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        let names: Vec<&str> = text.split("\"operationId\":\"").skip(1).map(|s| s.split('"').next().unwrap()).collect();
        let distinct: BTreeSet<&&str> = names.iter().collect();
        assert_eq!(names.len(), distinct.len(), "{names:?}");
    }
}
