//! Requests held against the description: what it refuses the service refuses, for every member and parameter there is.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    Api, EVE,
    access::{basic, key},
    newest,
};
use crate::support::app::{Answer, send};

const NOBODY: &str = "00000000-0000-4000-8000-00000000dead";

/// A rollout that could be begun.
const PLAN: &str = "format = 1\nname = \"a\"\nabout = \"b\"\n[[steps]]\nname = \"c\"\nkind = \"switch\"\nflag = \"xapi.page_default\"\nvalue = \"50\"";

/// A body that fits, for every operation that takes one. What it names need not be there: that is not said with a 400.
fn fitting(operation: &str) -> Value {
    let agent = json!({"objectType": "Agent", "name": "Ada", "mbox": "mailto:ada@example.com"});
    match operation {
        "closeAttempt" => json!({"outcome": "failed", "reason": "the course was withdrawn"}),
        "addVerb" | "addExtension" => json!({"iri": "https://x.example/y", "name": "y", "vocabulary": "x"}),
        "createCredential" => json!({"scopes": ["state"], "label": "a label", "agent": agent,
            "expiresAt": "2999-01-01T00:00:00Z"}),
        "createLaunch" => json!({"registration": NOBODY, "actor": agent, "lifetimeSeconds": 60, "scopes": ["state"],
            "sessionId": "a session", "activityId": "https://lms.example/au", "moveOn": "Passed", "masteryScore": 0.8,
            "launchMode": "Normal", "fetch": true}),
        "rotateCredential" => json!({"overlapSeconds": 60}),
        "createTenant" => json!({"name": "a tenant"}),
        "setTenantSettings" => json!({"cmi5Strict": true, "cmi5Satisfied": true}),
        "runMigrations" | "runMigrationsByOldName" => {
            json!({"module": "nowhere", "category": "seed", "dry_run": true, "force": false,
            "approved_by": "ada", "steps": 1})
        }
        "requestErasure" => {
            json!({"subject": {"agents": [agent]}, "dryRun": true, "mentions": "redact", "arrivals": "erase",
            "onHold": "queue"})
        }
        "setRetentionPolicy" => json!({"class": "standard", "covers": "statements", "keep": "7y", "reason": "a law"}),
        "setRetentionClass" => json!({"class": "standard", "reason": "a law"}),
        "applyRetention" => json!({"plan": "0".repeat(64), "markOnly": true}),
        "addHold" => json!({"wholeTenant": true, "reason": "a case", "law": "a court"}),
        "releaseHold" | "signOffRetention" => json!({"reason": "it is over"}),
        "startBackfill" => json!({"name": "shop/DM001_nothing", "again": true}),
        "setBackfillSpeed" => json!({"name": "shop/DM001_nothing", "speed": 50}),
        "startRollout" => json!({"plan": PLAN, "digest": "0".repeat(64)}),
        "checkRolloutPlan" => json!({"plan": PLAN}),
        "abortRollout" => json!({"reason": "a test"}),
        "evaluateFlag" | "evaluateFlags" => json!({"context": {"targetingKey": NOBODY}}),
        "setFlag" => json!({"value": "on", "tenantId": NOBODY, "reason": "a test"}),
        "addAuditCosignature" => json!({"checkpoint": "a signed note"}),
        "runArchive" | "dropArchived" | "restoreArchived" | "verifyArchive" | "sealPartition" | "detachPartition"
        | "attachPartition" => json!({"month": "2026-03", "plan": "0".repeat(64)}),
        "collectArchive" | "adoptArchive" | "ensurePartitions" => json!({"plan": "0".repeat(64)}),
        "reschemePartitions" => json!({"to": "weekly", "months": ["2026-03"], "plan": "0".repeat(64)}),
        "planMove" => json!({"tenantId": NOBODY, "to": "eu", "plan": "0".repeat(64), "reason": "a test"}),
        "planExport" | "exportTenant" => json!({"tenantId": NOBODY, "kinds": ["statements"], "plan": "0".repeat(64),
            "since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}),
        "actOnMove" => json!({"apply": false}),
        other => panic!("{other} takes a body: put one that fits here"),
    }
}

/// The operations of the description, each with its path and method; in the path stands what nobody is called.
fn operations(document: &Value) -> Vec<(String, Method, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = path.split('/').map(|part| if part.starts_with('{') { NOBODY } else { part });
            let method = method.to_uppercase().parse().unwrap();
            found.push((place.collect::<Vec<_>>().join("/"), method, operation.clone()));
        }
    }
    found
}

/// Follows references, also to the one alternative that is not `null`.
fn resolved<'d>(document: &'d Value, mut schema: &'d Value) -> &'d Value {
    loop {
        if let Some(reference) = schema["$ref"].as_str() {
            schema = document.pointer(&reference[1..]).unwrap();
        } else if let [one] = alternatives(schema).as_slice() {
            schema = one;
        } else {
            return schema;
        }
    }
}

fn alternatives(schema: &Value) -> Vec<&Value> {
    schema["oneOf"].as_array().into_iter().flatten().filter(|one| one["type"] != "null").collect()
}

fn may_be_null(schema: &Value) -> bool {
    let is_null = |schema: &Value| schema["type"] == "null";
    schema["type"].as_array().is_some_and(|types| types.contains(&json!("null")))
        || schema["oneOf"].as_array().is_some_and(|all| all.iter().any(is_null))
}

/// Values that the schema of a member refuses, derived from each of its keywords.
fn misfits(document: &Value, schema: &Value) -> Vec<Value> {
    let mut found = vec![json!([[[]]])];
    if !may_be_null(schema) {
        found.push(Value::Null);
    }
    let schema = resolved(document, schema);
    let is = |name: &str| schema["type"] == name || schema["type"].as_array().is_some_and(|t| t.contains(&json!(name)));
    // An object of which nothing is described takes whatever a client has to say.
    if !is("object") || schema.get("properties").is_some() {
        found.push(json!({"colour": "red"}));
    }
    if is("string") {
        found.extend([json!(7), json!(true), json!("a\u{0}b")]);
        let long = |most: u64| json!("x".repeat(usize::try_from(most).unwrap() + 1));
        found.extend(schema["maxLength"].as_u64().map(long));
        if schema["minLength"].is_u64() {
            found.push(json!(""));
        }
        if schema.get("enum").is_some() || schema.get("format").is_some() {
            found.push(json!("neither of them"));
        }
    }
    if is("integer") {
        found.extend([json!("1"), json!(1.5), json!(-1), json!(true)]);
        let most = schema["maximum"].as_f64().expect("every number has its bounds");
        assert!(schema["minimum"].is_number(), "every number has its bounds: {schema}");
        found.push(json!(most as u64 + 1));
    }
    if is("boolean") {
        found.extend([json!("true"), json!(1)]);
    }
    if is("array") {
        found.extend([json!("x"), json!(7), json!({})]);
        if schema["minItems"].is_u64() {
            found.push(json!([]));
        }
        found.extend(misfits(document, &schema["items"]).into_iter().map(|item| json!([item])));
    }
    found
}

#[tokio::test]
async fn a_body_that_the_description_refuses_is_refused() {
    let api = Api::start(newest().await).await;
    let document = send(api.app.anonymous(Method::GET, "/api/v1/openapi.json")).await.expect(200).json();
    let mut tried = 0;
    for (path, method, operation) in operations(&document) {
        let body = &operation["requestBody"];
        // What is no JSON is held against its own rules elsewhere.
        if body["content"].get("application/json").is_none() {
            continue;
        }
        let name = operation["operationId"].as_str().unwrap();
        let schema = resolved(&document, &body["content"]["application/json"]["schema"]);
        assert!(!may_be_null(&body["content"]["application/json"]["schema"]), "{name}: null is no body");
        assert_eq!(schema["additionalProperties"], false, "{name}: unknown members are refused");
        let good = fitting(name);
        let ask = async |text: String| -> Answer {
            let request = api.app.request(method.clone(), &path).header("Content-Type", "application/json").body(text);
            api.checked(method.clone(), &path, request).await
        };
        let shown = |body: &str, answer: &Answer| format!("{name} {body}: {} {}", answer.status, answer.text());
        let answer = ask(good.to_string()).await;
        assert_ne!(answer.status, 400, "{}", shown("as it should be", &answer));

        let members: Map<String, Value> = good.as_object().unwrap().clone();
        let in_order: Vec<&Value> = members.values().collect();
        let mut bad = vec!["[]".into(), json!(in_order).to_string(), "null".into(), "7".into(), "{".into()];
        bad.push(json!({"colour": "red"}).to_string());
        for (member, property) in schema["properties"].as_object().unwrap() {
            let twice = format!("{{{:?}: null, {}", member, &good.to_string()[1..]);
            bad.extend(members.contains_key(member).then_some(twice));
            for misfit in misfits(&document, property) {
                let mut changed = good.clone();
                changed[member] = misfit;
                bad.push(changed.to_string());
            }
        }
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let mut changed = good.clone();
            changed.as_object_mut().unwrap().remove(required);
            bad.push(changed.to_string());
        }
        for body in bad {
            let answer = ask(body.clone()).await;
            assert_eq!(answer.status, 400, "{}", shown(&body, &answer));
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
}

#[tokio::test]
async fn a_member_that_may_be_null_is_taken_as_absent_and_whole_numbers_as_whole() {
    let mut db = newest().await;
    // An order without a module starts a rehearsal, which may go on when the test ends.
    db.leaves("platform.jobs");
    let api = Api::start(db).await;
    let document = send(api.app.anonymous(Method::GET, "/api/v1/openapi.json")).await.expect(200).json();
    let mut tried = 0;
    for (path, method, operation) in
        operations(&document).iter().filter(|(_, _, o)| o["requestBody"]["content"]["application/json"].is_object())
    {
        let schema = resolved(&document, &operation["requestBody"]["content"]["application/json"]["schema"]);
        let good = fitting(operation["operationId"].as_str().unwrap());
        for (member, property) in schema["properties"].as_object().unwrap() {
            // A hold says on what; without that member it says nothing.
            if member == "wholeTenant" {
                continue;
            }
            let mut values = Vec::new();
            values.extend(may_be_null(property).then_some(Value::Null));
            let is_integer = property.to_string().contains("\"integer\"");
            values.extend(is_integer.then(|| serde_json::from_str("60.0").unwrap()));
            for value in values {
                let mut changed = good.clone();
                changed[member] = value;
                let request = api.app.request(method.clone(), path).json(&changed);
                let answer = api.checked(method.clone(), path, request).await;
                assert_ne!(answer.status, 400, "{path} {changed}: {}", answer.text());
                tried += 1;
            }
        }
    }
    assert!(tried > 8, "{tried}");
}

#[tokio::test]
async fn every_parameter_has_its_bounds_and_no_other_is_taken() {
    let api = Api::start(newest().await).await;
    let document = send(api.app.anonymous(Method::GET, "/api/v1/openapi.json")).await.expect(200).json();
    for (path, method, operation) in operations(&document) {
        let ask = async |name: &str, value: &str| -> Answer {
            let body = operation["requestBody"]["content"]["application/json"]
                .is_object()
                .then(|| fitting(operation["operationId"].as_str().unwrap()));
            let request = api.app.request(method.clone(), &path).query(&[(name, value)]);
            let request = if let Some(body) = body { request.json(&body) } else { request };
            api.checked(method.clone(), &path, request).await
        };
        assert_eq!(ask("colour", "red").await.status, 400, "{method} {path}: an unknown parameter");
        for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query") {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            assert!(!may_be_null(schema), "{name}: a parameter is never null");
            let mut bad = vec!["a\u{0}b".to_owned()];
            if schema["type"] == "integer" {
                let (least, most) = (schema["minimum"].as_i64().unwrap(), schema["maximum"].as_i64().unwrap());
                bad.extend([(least - 1).to_string(), (most + 1).to_string(), "x".to_owned(), String::new()]);
                for fits in [least, most] {
                    assert_ne!(ask(name, &fits.to_string()).await.status, 400, "{path} {name}={fits}");
                }
            }
            if schema.get("format").is_some() || schema.get("enum").is_some() || name == "page[cursor]" {
                bad.push("neither of them".to_owned());
            }
            for value in bad {
                assert_eq!(ask(name, &value).await.status, 400, "{method} {path} {name}={value:?}");
            }
        }
    }
}

/// Whoever knows the way in, and none of the rights of this interface, gets nowhere; neither does a launch.
#[tokio::test]
async fn every_operation_asks_what_its_caller_may() {
    let api = Api::start(newest().await).await;
    let document = send(api.app.anonymous(Method::GET, "/api/v1/openapi.json")).await.expect(200).json();
    let xapi_only = key(&api, &["all", "statements/void"], "").await;
    let person = api.token(EVE, "all");
    let launch = json!({"registration": NOBODY, "actor": {"mbox": "mailto:eve@example.com"}});
    let launch = basic(&api.post("/api/v1/admin/credentials/launch", &launch).await.expect(201).json());
    let mut asked = 0;
    for (path, method, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        // The description itself is for everybody.
        if operation["security"].as_array().is_some_and(|security| security.iter().any(|one| *one == json!({}))) {
            continue;
        }
        let request = |authorization: Option<&str>| {
            let request = api.app.anonymous(method.clone(), &path);
            let request = match authorization {
                Some(authorization) => request.header("Authorization", authorization),
                None => request,
            };
            let content = &operation["requestBody"]["content"];
            if content["application/json"].is_object() {
                request.json(&fitting(name))
            } else if content["application/xml"].is_object() {
                request.header("Content-Type", "application/xml").body("<courseStructure/>")
            } else {
                request
            }
        };
        assert_eq!(send(request(None)).await.status, 401, "{name}: nobody");
        for (who, authorization) in [("a key", &xapi_only), ("a person", &person), ("a launch", &launch)] {
            let status = send(request(Some(authorization))).await.status;
            // The registries are read by whoever reads anything.
            let expected = if matches!(name, "listVerbs" | "listExtensions") { 200 } else { 403 };
            assert_eq!(status, expected, "{name}: {who} without its right");
        }
        asked += 1;
    }
    assert!(asked > 20, "{asked}");
}
