//! Whether two statements are the same, and where they first differ: for a 409 that names the property, and for signatures.

use serde_json::{Map, Value};

use super::{
    logical::{Role, Writer},
    syntax::timestamp,
};

/// Compares two statements under one id, or says at which JSON pointer they first differ. What counts is told in
/// `logical.rs`; beyond it, two explicit timestamps must name one instant. (A store gives a statement without timestamp its
/// own, so one that is absent agrees with any.)
pub fn same(a: &Map<String, Value>, b: &Map<String, Value>) -> Result<(), String> {
    let instant = |doc: &Map<String, Value>| doc.get("timestamp").and_then(Value::as_str).and_then(timestamp::parse);
    objects(Role::Statement, a, b, "")?;
    match (instant(a), instant(b)) {
        (Some(a), Some(b)) if a != b => Err("/timestamp".to_owned()),
        _ => Ok(()),
    }
}

/// Compares a statement with what its signature says was signed: as [`same`], without attachments and timestamp.
pub(super) fn signed(statement: &Map<String, Value>, payload: &Map<String, Value>) -> Result<(), String> {
    objects(Role::Signed, statement, payload, "")
}

fn objects(role: Role, a: &Map<String, Value>, b: &Map<String, Value>, pointer: &str) -> Result<(), String> {
    for (name, value) in a {
        let Some(property) = role.property(name, value) else { continue };
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        match b.get(name) {
            Some(other) if role.property(name, other) == Some(property) => values(property, value, other, &pointer)?,
            _ => return Err(pointer),
        }
    }
    let counted =
        |doc: &Map<String, Value>, name: &str| doc.get(name).is_some_and(|v| role.property(name, v).is_some());
    match b.keys().find(|name| counted(b, name) && !counted(a, name)) {
        Some(name) => Err(format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))),
        None => Ok(()),
    }
}

fn values(role: Role, a: &Value, b: &Value, pointer: &str) -> Result<(), String> {
    if Writer::form(role, a) == Writer::form(role, b) {
        return Ok(());
    }
    match (a, b) {
        (Value::Object(a), Value::Object(b)) if role != Role::ActivityList => objects(role, a, b, pointer)?,
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() && !role.is_unordered() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                values(role.item(), a, b, &format!("{pointer}/{i}"))?;
            }
        }
        _ => {}
    }
    Err(pointer.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compared(a: &Value, b: &Value) -> Result<(), String> {
        same(a.as_object().unwrap(), b.as_object().unwrap())
    }

    #[test]
    fn the_first_difference_is_named() {
        let base = || {
            json!({"actor": {"mbox": "mailto:a@b.c"}, "verb": {"id": "v:v", "display": {"en": "v"}},
            "object": {"id": "o:o"}, "context": {"extensions": {"http://e/x": [1, {"k": 2}]}}})
        };
        assert_eq!(compared(&base(), &base()), Ok(()));
        let changed = |pointer: &str, new: Value| {
            let mut b = base();
            *b.pointer_mut(pointer).unwrap() = new;
            compared(&base(), &b)
        };
        assert_eq!(changed("/verb/display", json!({"en": "w"})), Ok(()));
        assert_eq!(changed("/verb/id", json!("v:w")), Err("/verb/id".into()));
        assert_eq!(
            changed("/context/extensions/http:~1~1e~1x/1/k", json!(3)),
            Err("/context/extensions/http:~1~1e~1x/1/k".into())
        );
        assert_eq!(changed("/context", json!({})), Err("/context/extensions".into()));
        assert_eq!(changed("/object", json!({"objectType": "StatementRef", "id": "o:o"})), Err("/object".into()));
        let mut more = base();
        more["result"] = json!({"success": true});
        assert_eq!(compared(&base(), &more), Err("/result".into()));
        assert_eq!(compared(&more, &base()), Err("/result".into()));
    }

    #[test]
    fn timestamps_are_compared_when_both_are_there() {
        let at = |t: &str| json!({"timestamp": t, "verb": {"id": "v:v"}});
        assert_eq!(compared(&at("2020-01-01T00:00:00Z"), &at("2020-01-01T01:00:00+01:00")), Ok(()));
        assert_eq!(compared(&at("2020-01-01T00:00:00Z"), &at("2020-01-01T00:00:01Z")), Err("/timestamp".into()));
        assert_eq!(compared(&at("2020-01-01T00:00:00Z"), &json!({"verb": {"id": "v:v"}})), Ok(()));
    }
}
