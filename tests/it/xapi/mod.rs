//! xAPI over HTTP against a real database: what the specification asks and what other stores get wrong.

pub mod attachments;
mod budget;
mod canonical;
mod capitals;
mod concurrency;
mod consistency;
mod crashes;
mod documents;
mod hostile;
mod ledger;
mod paging;
mod plans;
mod references;
mod registries;
mod rings;
mod texts;
mod versions;
mod writing;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// A small valid statement of `actor` about `activity`.
pub fn statement(actor: &str, activity: &str) -> Value {
    json!({
        "actor": {"objectType": "Agent", "mbox": format!("mailto:{actor}@example.com")},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced", "display": {"en-US": "experienced"}},
        "object": {"objectType": "Activity", "id": format!("http://example.com/activities/{activity}")},
    })
}

/// `statement` under an id.
pub fn identified(id: &str, actor: &str, activity: &str) -> Value {
    let mut statement = statement(actor, activity);
    statement["id"] = json!(id);
    statement
}

/// A statement whose object is another statement.
pub fn about(id: &str, verb: &str, target: &str) -> Value {
    let mut statement = identified(id, "referrer", "unused");
    statement["verb"] = json!({"id": verb});
    statement["object"] = json!({"objectType": "StatementRef", "id": target});
    statement
}

/// The statement that voids `target`.
pub fn voiding(id: &str, target: &str) -> Value {
    about(id, "http://adlnet.gov/expapi/verbs/voided", target)
}

/// A readable id: `id(7)`.
pub fn id(n: u128) -> String {
    uuid::Builder::from_random_bytes(n.to_be_bytes()).into_uuid().to_string()
}

/// The ids of a page, in its order.
pub fn ids(page: &Value) -> Vec<String> {
    let statements = page["statements"].as_array().expect("a page");
    statements.iter().map(|statement| statement["id"].as_str().expect("an id").to_owned()).collect()
}

/// The request with these fields as its form.
pub fn form(request: RequestBuilder, fields: &[(&str, impl AsRef<str>)]) -> RequestBuilder {
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        encoded.append_pair(name, value.as_ref());
    }
    request.header("Content-Type", "application/x-www-form-urlencoded").body(encoded.finish())
}
