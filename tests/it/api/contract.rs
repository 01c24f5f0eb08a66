//! An answer held against the OpenAPI description: its status, its media type and its body.

use std::collections::HashMap;

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::app::Answer;

pub struct Contract {
    paths: Map<String, Value>,
    /// By the schema's own text.
    validators: HashMap<String, Validator>,
}

impl Contract {
    pub fn of(document: &Value) -> Self {
        let paths = document["paths"].as_object().expect("paths").clone();
        let mut validators = HashMap::new();
        for item in paths.values() {
            for operation in item.as_object().expect("an item").values() {
                for response in operation["responses"].as_object().expect("responses").values() {
                    for content in response["content"].as_object().into_iter().flat_map(Map::values) {
                        let schema = &content["schema"];
                        let mut whole = schema.clone();
                        whole["components"] = document["components"].clone();
                        let validator = jsonschema::options().should_validate_formats(true).build(&whole);
                        validators.entry(schema.to_string()).or_insert(validator.expect("a valid schema"));
                    }
                }
            }
        }
        Self { paths, validators }
    }

    /// Fails unless the answer is one that the description foresees.
    #[track_caller]
    pub fn check(&self, method: &Method, path: &str, answer: &Answer) {
        let shown = format!("{method} {path}: {} {}", answer.status, answer.text());
        assert_eq!(answer.header("x-api-version"), "1.0", "{shown}");
        let operation = self.operation(method, path).unwrap_or_else(|| panic!("not described: {shown}"));
        let response = &operation["responses"][answer.status.as_str()];
        assert!(response.is_object(), "status not described: {shown}");
        let media = answer.header("content-type").split(';').next().unwrap_or_default();
        let content = &response["content"][media];
        assert!(content.is_object(), "media type {media} not described: {shown}");
        if media.ends_with("json") {
            let validator = &self.validators[&content["schema"].to_string()];
            let errors: Vec<String> =
                validator.iter_errors(&answer.json()).map(|e| format!("{e} at {}", e.instance_path())).collect();
            assert!(errors.is_empty(), "{shown}\n{}", errors.join("\n"));
        }
        if answer.status.as_u16() >= 400 {
            let problem = answer.json();
            assert_eq!(problem["status"], answer.status.as_u16(), "{shown}");
            assert!(problem["type"].as_str().unwrap().starts_with("urn:progress:problem:"), "{shown}");
        }
    }

    /// The operation whose path fits; one without a parameter goes first.
    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let path = path.split('?').next()?;
        let fits = |template: &str| {
            let (wanted, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            wanted.len() == given.len()
                && wanted.iter().zip(&given).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
        };
        let mut fitting: Vec<&String> = self.paths.keys().filter(|template| fits(template)).collect();
        fitting.sort_by_key(|template| template.matches('{').count());
        let method = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
        self.paths[*fitting.first()?].get(&method)
    }
}

/// Planted answers that break the description are found.
#[test]
fn a_broken_answer_is_found() {
    let document = serde_json::to_value(progress_service::http::api::openapi::document()).unwrap();
    let contract = Contract::of(&document);
    let answer = |status: u16, body: Value| {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("x-api-version", "1.0".parse().unwrap());
        headers.insert("content-type", "application/json".parse().unwrap());
        Answer { status: status.try_into().unwrap(), headers, body: body.to_string().into_bytes() }
    };
    let good = json!({"data": [], "links": {"next": null}});
    contract.check(&Method::GET, "/api/v1/attempts", &answer(200, good.clone()));
    for (path, broken) in [
        ("/api/v1/attempts", answer(200, json!({"data": [{}], "links": {"next": null}}))),
        ("/api/v1/attempts", answer(200, json!({"data": []}))),
        ("/api/v1/attempts", answer(201, good.clone())),
        ("/api/v1/attempts", answer(404, json!({"status": 404}))),
        ("/api/v1/unheard-of", answer(200, good)),
    ] {
        let check = std::panic::AssertUnwindSafe(|| contract.check(&Method::GET, path, &broken));
        assert!(std::panic::catch_unwind(check).is_err(), "{path} {broken:?}");
    }
}
