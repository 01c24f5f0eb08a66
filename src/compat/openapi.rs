//! Two versions of an OpenAPI document: whoever calls by the older must get along with the newer.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Breach, Rule, below, resolved, role::Role, schema::between};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// What of `new` breaks with `old`.
pub fn openapi(old: &Value, new: &Value) -> Vec<Breach> {
    let mut found = Vec::new();
    let paths = |document| children(document, "paths");
    for (path, old_item) in paths(old) {
        let pointer = below("/paths", path);
        let Some(new_item) = new.get("paths").and_then(|paths| paths.get(path)) else {
            found.push(breach(&pointer, Rule::EndpointRemoved, format!("{path} is gone")));
            continue;
        };
        for method in METHODS {
            let Some(old_operation) = old_item.get(method) else { continue };
            let pointer = below(&pointer, method);
            match new_item.get(method) {
                Some(operation) => {
                    let before = Side { root: old, item: old_item, operation: old_operation };
                    let after = Side { root: new, item: new_item, operation };
                    compare(&before, &after, &pointer, &mut found);
                }
                None => found.push(breach(&pointer, Rule::EndpointRemoved, format!("{method} {path} is gone"))),
            }
        }
    }
    found
}

/// An operation with what it stands in.
struct Side<'a> {
    root: &'a Value,
    item: &'a Value,
    operation: &'a Value,
}

fn breach(pointer: &str, rule: Rule, detail: impl Into<String>) -> Breach {
    Breach { pointer: pointer.to_owned(), rule, detail: detail.into() }
}

fn children<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(name).and_then(Value::as_object).into_iter().flatten()
}

fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn compare(old: &Side<'_>, new: &Side<'_>, pointer: &str, found: &mut Vec<Breach>) {
    parameters(old, new, pointer, found);
    body(old, new, &below(pointer, "requestBody"), found);
    responses(old, new, &below(pointer, "responses"), found);
    security(old, new, &below(pointer, "security"), found);
}

/// The parameters of an operation by place and name, each with its pointer; those of the path stand for all.
fn parameters_of<'a>(side: &Side<'a>) -> BTreeMap<(String, String), &'a Value> {
    let lists = [side.item, side.operation].map(|holder| holder.get("parameters").and_then(Value::as_array));
    let text =
        |parameter: &Value, name: &str| parameter.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let all = lists.into_iter().flatten().flatten().filter_map(|one| Some(resolved(side.root, one, "")?.0));
    all.map(|parameter| ((text(parameter, "in"), text(parameter, "name")), parameter)).collect()
}

fn parameters(old: &Side<'_>, new: &Side<'_>, pointer: &str, found: &mut Vec<Breach>) {
    let pointer = below(pointer, "parameters");
    let (before, after) = (parameters_of(old), parameters_of(new));
    for ((place, name), parameter) in &before {
        let pointer = below(&pointer, &format!("{place}:{name}"));
        match after.get(&(place.clone(), name.clone())) {
            None => found.push(breach(&pointer, Rule::ParameterRemoved, format!("{name} in {place} is gone"))),
            Some(now) => {
                if flag(now, "required") && !flag(parameter, "required") {
                    found.push(breach(&pointer, Rule::ParameterRequired, format!("{name} has to be sent now")));
                }
                if let (Some(a), Some(b)) = (parameter.get("schema"), now.get("schema")) {
                    found.extend(between(Role::Consumed, (old.root, a), (new.root, b), &below(&pointer, "schema")));
                }
            }
        }
    }
    for ((place, name), parameter) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
        if flag(parameter, "required") {
            let pointer = below(&pointer, &format!("{place}:{name}"));
            found.push(breach(&pointer, Rule::ParameterRequired, format!("{name} is new and has to be sent")));
        }
    }
}

fn body(old: &Side<'_>, new: &Side<'_>, pointer: &str, found: &mut Vec<Breach>) {
    let of = |side: &Side<'_>| {
        side.operation.get("requestBody").and_then(|body| Some(resolved(side.root, body, "")?.0.clone()))
    };
    match (of(old), of(new)) {
        (None, None) => {}
        (None, Some(now)) => {
            if flag(&now, "required") {
                found.push(breach(pointer, Rule::BodyRequired, "a body is new and has to be sent"));
            }
        }
        (Some(_), None) => found.push(breach(pointer, Rule::BodyRemoved, "the body is gone")),
        (Some(before), Some(now)) => {
            if flag(&now, "required") && !flag(&before, "required") {
                found.push(breach(pointer, Rule::BodyRequired, "a body has to be sent now"));
            }
            content(Role::Consumed, (old.root, &before), (new.root, &now), pointer, found);
        }
    }
}

fn responses(old: &Side<'_>, new: &Side<'_>, pointer: &str, found: &mut Vec<Breach>) {
    for (status, before) in children(old.operation, "responses") {
        let pointer = below(pointer, status);
        let now = new.operation.get("responses").and_then(|responses| responses.get(status));
        let Some(now) = now else {
            found.push(breach(&pointer, Rule::ResponseRemoved, format!("the answer {status} is gone")));
            continue;
        };
        let (Some((before, _)), Some((now, pointer))) =
            (resolved(old.root, before, ""), resolved(new.root, now, &pointer))
        else {
            found.push(breach(&pointer, Rule::ReferenceBroken, "a reference leads nowhere"));
            continue;
        };
        for (name, _) in children(before, "headers") {
            if now.get("headers").and_then(|headers| headers.get(name)).is_none() {
                let pointer = below(&below(&pointer, "headers"), name);
                found.push(breach(&pointer, Rule::HeaderRemoved, format!("the header {name} is gone")));
            }
        }
        content(Role::Produced, (old.root, before), (new.root, now), &pointer, found);
    }
}

/// The bodies by media type.
fn content(role: Role, old: (&Value, &Value), new: (&Value, &Value), pointer: &str, found: &mut Vec<Breach>) {
    let pointer = below(pointer, "content");
    for (media_type, before) in children(old.1, "content") {
        let pointer = below(&pointer, media_type);
        let Some(now) = new.1.get("content").and_then(|content| content.get(media_type)) else {
            found.push(breach(&pointer, Rule::MediaTypeRemoved, format!("{media_type} is gone")));
            continue;
        };
        let pointer = below(&pointer, "schema");
        match (role, before.get("schema"), now.get("schema")) {
            (_, Some(a), Some(b)) => found.extend(between(role, (old.0, a), (new.0, b), &pointer)),
            (Role::Produced, Some(_), None) | (Role::Consumed, None, Some(_)) => {
                found.push(breach(&pointer, Rule::ConstraintChanged, "a schema came or went"));
            }
            _ => {}
        }
    }
}

/// Every way in that was enough must still be enough.
fn security(old: &Side<'_>, new: &Side<'_>, pointer: &str, found: &mut Vec<Breach>) {
    let of = |side: &Side<'_>| -> Vec<Map<String, Value>> {
        let stated = side.operation.get("security").or_else(|| side.root.get("security"));
        let list: Vec<_> =
            stated.and_then(Value::as_array).into_iter().flatten().filter_map(|way| way.as_object().cloned()).collect();
        // Nothing stated means that nobody has to prove anything.
        if list.is_empty() { vec![Map::new()] } else { list }
    };
    let (before, after) = (of(old), of(new));
    let scopes = |scopes: &Value| -> Vec<String> {
        scopes.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let suffices = |held: &Map<String, Value>, asked: &Map<String, Value>| {
        asked.iter().all(|(scheme, wanted)| {
            held.get(scheme).is_some_and(|granted| {
                let granted = scopes(granted);
                scopes(wanted).iter().all(|scope| granted.contains(scope))
            })
        })
    };
    for way in before.iter().filter(|way| !after.iter().any(|asked| suffices(way, asked))) {
        let detail = format!("{} was enough and is not any more", Value::Object((*way).clone()));
        found.push(breach(pointer, Rule::SecurityTightened, detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn base() -> Value {
        json!({"openapi": "3.1.0", "security": [{"key": []}, {"oauth": ["read"]}],
            "paths": {"/a/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "get": {
                    "parameters": [{"$ref": "#/components/parameters/size"}],
                    "responses": {"200": {"headers": {"ETag": {}}, "content": {"application/json": {
                        "schema": {"$ref": "#/components/schemas/A"}}}}, "404": {"$ref": "#/components/responses/gone"}}},
                "post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}}},
                    "responses": {"201": {}}}}},
            "components": {"schemas": {
                    "A": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}},
                    "New": {"type": "object", "properties": {"name": {"type": "string"}}}},
                "parameters": {"size": {"name": "size", "in": "query", "schema": {"type": "integer", "maximum": 100}}},
                "responses": {"gone": {"description": "gone"}}}})
    }

    fn broken(change: impl Fn(&mut Value)) -> Vec<(String, Rule)> {
        let mut new = base();
        change(&mut new);
        openapi(&base(), &new).into_iter().map(|breach| (breach.pointer, breach.rule)).collect()
    }

    fn without(pointer: &str) -> Vec<(String, Rule)> {
        broken(|document| {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let name = name.replace("~1", "/");
            document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(&name).unwrap();
        })
    }

    fn with(pointer: &str, value: &Value) -> Vec<(String, Rule)> {
        broken(|document| {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[name] = value.clone();
        })
    }

    fn one(pointer: &str, rule: Rule) -> Vec<(String, Rule)> {
        vec![(pointer.to_owned(), rule)]
    }

    const GET: &str = "/paths/~1a~1{id}/get";
    const POST: &str = "/paths/~1a~1{id}/post";

    #[test]
    fn what_only_adds_breaks_nothing() {
        assert_eq!(broken(|_| {}), []);
        assert_eq!(with("/paths/new", &json!({"get": {}})), []);
        assert_eq!(with(&format!("{GET}/responses/206"), &json!({})), []);
        assert_eq!(with("/components/schemas/A/properties/more", &json!({})), []);
        let optional = json!([{"$ref": "#/components/parameters/size"}, {"name": "x", "in": "query", "schema": {}}]);
        assert_eq!(with(&format!("{GET}/parameters"), &optional), []);
        assert_eq!(with("/components/parameters/size/schema/maximum", &json!(500)), []);
        let ways = json!([{"key": []}, {"oauth": ["read"]}, {"oauth": ["other"]}]);
        assert_eq!(with(&format!("{GET}/security"), &ways), []);
    }

    #[test]
    fn endpoints_answers_and_their_parts_stay() {
        assert_eq!(without("/paths/~1a~1{id}"), one("/paths/~1a~1{id}", Rule::EndpointRemoved));
        assert_eq!(without(GET), one(GET, Rule::EndpointRemoved));
        let answer = format!("{GET}/responses/200");
        assert_eq!(without(&answer), one(&answer, Rule::ResponseRemoved));
        let header = format!("{answer}/headers/ETag");
        assert_eq!(without(&header), one(&header, Rule::HeaderRemoved));
        let media = format!("{answer}/content/application~1json");
        assert_eq!(without(&media), one(&media, Rule::MediaTypeRemoved));
        let field = "/components/schemas/A/properties/n";
        assert_eq!(without(field), one(field, Rule::PropertyRemoved));
        assert_eq!(
            without("/components/schemas/A/required"),
            one("/components/schemas/A/required", Rule::RequiredRemoved)
        );
        let shown = |rule| one(&format!("{GET}/responses/404"), rule);
        assert_eq!(without("/components/responses/gone"), shown(Rule::ReferenceBroken));
    }

    #[test]
    fn no_call_needs_more_than_before() {
        let size = format!("{GET}/parameters/query:size");
        assert_eq!(without(&format!("{GET}/parameters")), one(&size, Rule::ParameterRemoved));
        assert_eq!(with("/components/parameters/size/required", &json!(true)), one(&size, Rule::ParameterRequired));
        let new = json!([{"$ref": "#/components/parameters/size"}, {"name": "x", "in": "query", "required": true}]);
        let missing = one(&format!("{GET}/parameters/query:x"), Rule::ParameterRequired);
        assert_eq!(with(&format!("{GET}/parameters"), &new), missing);
        let least = one(&format!("{size}/schema/maximum"), Rule::ConstraintChanged);
        assert_eq!(with("/components/parameters/size/schema/maximum", &json!(10)), least);
        let body = format!("{POST}/requestBody");
        assert_eq!(without(&body), one(&body, Rule::BodyRemoved));
        assert_eq!(with(&format!("{body}/required"), &json!(true)), one(&body, Rule::BodyRequired));
        assert_eq!(with(&format!("{GET}/requestBody"), &json!({"required": true}))[0].1, Rule::BodyRequired);
        let required = one("/components/schemas/New/required", Rule::RequiredAdded);
        assert_eq!(with("/components/schemas/New/required", &json!(["name"])), required);
    }

    #[test]
    fn every_way_in_stays_open() {
        let security = format!("{GET}/security");
        let tightened = |ways: Value| with(&security, &ways).into_iter().map(|(_, rule)| rule).collect::<Vec<_>>();
        assert_eq!(tightened(json!([{"key": []}])), [Rule::SecurityTightened]);
        assert_eq!(tightened(json!([{"key": []}, {"oauth": ["read", "write"]}])), [Rule::SecurityTightened]);
        assert_eq!(tightened(json!([{"key": [], "oauth": ["read"]}])), [Rule::SecurityTightened; 2]);
        assert_eq!(tightened(json!([{}])), []);
        let mut open = base();
        open["security"] = json!([]);
        assert_eq!(openapi(&open, &base()).len(), 2, "both operations were open to everybody");
    }
}
