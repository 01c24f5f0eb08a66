//! Two versions of a JSON Schema: does the newer only add?

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value};

use super::{Breach, Rule, below, bounds, resolved, role::Role};

/// Says nothing about what is valid.
const ANNOTATIONS: [&str; 12] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "examples",
    "example",
    "default",
    "deprecated",
    "readOnly",
];
/// Judged by [`Walk`] itself.
const JUDGED: [&str; 10] =
    ["$ref", "type", "enum", "const", "required", "properties", "items", "additionalProperties", "anyOf", "oneOf"];

/// What of `new` breaks with `old`; both are whole documents.
pub fn schema(role: Role, old: &Value, new: &Value) -> Vec<Breach> {
    between(role, (old, old), (new, new), "")
}

/// The same for schemas inside of documents, `(document, schema)` each; pointers begin with `pointer`.
pub(super) fn between(role: Role, old: (&Value, &Value), new: (&Value, &Value), pointer: &str) -> Vec<Breach> {
    let nothing = Map::new();
    let mut walk = Walk { role, old: old.0, new: new.0, nothing: &nothing, seen: HashSet::new(), found: Vec::new() };
    walk.compare(old.1, new.1, pointer);
    walk.found
}

struct Walk<'a> {
    role: Role,
    old: &'a Value,
    new: &'a Value,
    /// The schema that allows everything.
    nothing: &'a Map<String, Value>,
    /// Pairs that were compared, by address: schemas may refer to themselves.
    seen: HashSet<(usize, usize)>,
    found: Vec<Breach>,
}

impl<'a> Walk<'a> {
    fn breach(&mut self, pointer: String, rule: Rule, detail: impl Into<String>) {
        self.found.push(Breach { pointer, rule, detail: detail.into() });
    }

    fn compare(&mut self, old: &'a Value, new: &'a Value, pointer: &str) {
        let (Some((old, _)), Some((new, pointer))) = (resolved(self.old, old, ""), resolved(self.new, new, pointer))
        else {
            self.breach(
                pointer.to_owned(),
                Rule::ReferenceBroken,
                "a reference leads nowhere, or out of this document",
            );
            return;
        };
        if !self.seen.insert((std::ptr::from_ref(old).addr(), std::ptr::from_ref(new).addr())) {
            return;
        }
        let (Some(old), Some(new)) = (self.keywords(old), self.keywords(new)) else {
            if old != new {
                self.breach(pointer, Rule::Unjudged, format!("{old} became {new}"));
            }
            return;
        };
        self.types(old, new, &pointer);
        self.values(old, new, &pointer);
        self.model(old, new, &pointer);
        self.properties(old, new, &pointer);
        self.items(old, new, &pointer);
        for keyword in ["anyOf", "oneOf"] {
            self.alternatives(keyword, old, new, &pointer);
        }
        for (keyword, detail) in bounds::moved(self.role, old, new) {
            self.breach(below(&pointer, keyword), Rule::ConstraintChanged, detail);
        }
        self.the_rest(old, new, &pointer);
    }

    /// `true` is the schema without keywords; `false` is none that can be compared.
    fn keywords(&self, schema: &'a Value) -> Option<&'a Map<String, Value>> {
        if *schema == Value::Bool(true) { Some(self.nothing) } else { schema.as_object() }
    }

    fn types(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, pointer: &str) {
        let (before, after) = (types(old), types(new));
        let fine = match (self.role, &before, &after) {
            (_, None, None) => true,
            // No type means every type.
            (Role::Consumed, _, None) | (Role::Produced, None, _) => true,
            (_, None, Some(_)) | (_, Some(_), None) => false,
            (Role::Consumed, Some(before), Some(after)) => covers(after, before),
            (Role::Produced, Some(before), Some(after)) => before == after,
        };
        if !fine {
            let shown = |types: &Option<BTreeSet<&str>>| types.as_ref().map_or("any".to_owned(), |t| format!("{t:?}"));
            let detail = format!("the type was {} and is {}", shown(&before), shown(&after));
            self.breach(below(pointer, "type"), Rule::TypeChanged, detail);
        }
    }

    /// Lists of allowed values; a constant is a list of one.
    fn values(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, pointer: &str) {
        let (before, after) = (values(old), values(new));
        let pointer = below(pointer, if new.contains_key("const") { "const" } else { "enum" });
        match (self.role, before, after) {
            (Role::Consumed, None, Some(_)) => {
                self.breach(pointer, Rule::ConstraintChanged, "only a list of values is taken now");
            }
            (Role::Produced, Some(_), None) => {
                self.breach(pointer, Rule::EnumValueAdded, "any value may come now where there was a list");
            }
            (role, Some(before), Some(after)) => {
                for gone in before.iter().filter(|value| !after.contains(value)) {
                    self.breach(pointer.clone(), Rule::EnumValueRemoved, format!("{gone} is gone"));
                }
                for new in after.iter().filter(|value| role == Role::Produced && !before.contains(value)) {
                    self.breach(pointer.clone(), Rule::EnumValueAdded, format!("{new} is new in a closed list"));
                }
            }
            _ => {}
        }
    }

    /// Whether properties that nobody named may stand in it.
    fn model(&mut self, old: &'a Map<String, Value>, new: &'a Map<String, Value>, pointer: &str) {
        let pointer = below(pointer, "additionalProperties");
        match (old.get("additionalProperties"), new.get("additionalProperties")) {
            (before, after) if before == after => {}
            (None | Some(Value::Bool(true)), None | Some(Value::Bool(true))) => {}
            (None | Some(Value::Bool(true)), Some(_)) => {
                self.breach(pointer, Rule::ModelClosed, "unknown properties were let pass and are not any more");
            }
            (Some(_), Some(Value::Bool(false))) => {
                self.breach(pointer, Rule::ModelClosed, "unknown properties were let pass and are not any more");
            }
            (Some(Value::Object(_)), Some(Value::Object(_))) => {
                let (old, new) = (&old["additionalProperties"], &new["additionalProperties"]);
                self.compare(old, new, &pointer);
            }
            // It was closed, or bounded, and opens: whoever reads it was promised otherwise.
            _ if self.role == Role::Produced => {
                self.breach(pointer, Rule::ConstraintChanged, "properties that nobody was told of may come now");
            }
            _ => {}
        }
    }

    fn properties(&mut self, old: &'a Map<String, Value>, new: &'a Map<String, Value>, pointer: &str) {
        let of = |map: &'a Map<String, Value>| map.get("properties").and_then(Value::as_object);
        let (before, after) = (of(old), of(new));
        for (name, old) in before.into_iter().flatten() {
            let pointer = below(&below(pointer, "properties"), name);
            match after.and_then(|after| after.get(name)) {
                Some(new) => self.compare(old, new, &pointer),
                None => self.breach(pointer, Rule::PropertyRemoved, format!("{name} is gone")),
            }
        }
        let closed = old.get("additionalProperties") == Some(&Value::Bool(false));
        if closed && self.role == Role::Produced {
            let known = before.unwrap_or(self.nothing);
            for name in after.into_iter().flatten().map(|(name, _)| name).filter(|name| !known.contains_key(*name)) {
                let detail = format!("{name} is new where readers were promised that nothing else comes");
                self.breach(below(&below(pointer, "properties"), name), Rule::ConstraintChanged, detail);
            }
        }
        let (before, after) = (required(old), required(new));
        let pointer = below(pointer, "required");
        match self.role {
            Role::Produced => {
                for name in before.difference(&after) {
                    self.breach(pointer.clone(), Rule::RequiredRemoved, format!("{name} is no longer promised"));
                }
            }
            Role::Consumed => {
                for name in after.difference(&before) {
                    self.breach(pointer.clone(), Rule::RequiredAdded, format!("{name} has to be sent now"));
                }
            }
        }
    }

    fn items(&mut self, old: &'a Map<String, Value>, new: &'a Map<String, Value>, pointer: &str) {
        let pointer = below(pointer, "items");
        match (self.role, old.get("items"), new.get("items")) {
            (_, Some(old), Some(new)) => self.compare(old, new, &pointer),
            (Role::Produced, Some(_), None) => {
                self.breach(pointer, Rule::ConstraintChanged, "nothing is said of the items any more");
            }
            (Role::Consumed, None, Some(_)) => {
                self.breach(pointer, Rule::ConstraintChanged, "items are bounded that were not");
            }
            _ => {}
        }
    }

    /// What is consumed: every old alternative is still taken. What is produced: every new one was known before.
    fn alternatives(&mut self, keyword: &str, old: &'a Map<String, Value>, new: &'a Map<String, Value>, pointer: &str) {
        let of = |map: &'a Map<String, Value>| map.get(keyword).and_then(Value::as_array);
        let pointer = below(pointer, keyword);
        match (self.role, of(old), of(new)) {
            (_, None, None) | (Role::Consumed, Some(_), None) | (Role::Produced, None, Some(_)) => {}
            (_, Some(old), Some(new)) => {
                let fits = |old: &'a Value, new: &'a Value| {
                    between(self.role, (self.old, old), (self.new, new), &pointer).is_empty()
                };
                let missing = match self.role {
                    Role::Consumed => old.iter().position(|one| !new.iter().any(|other| fits(one, other))),
                    Role::Produced => new.iter().position(|one| !old.iter().any(|other| fits(other, one))),
                };
                if let Some(at) = missing {
                    let side = if self.role == Role::Consumed { "old" } else { "new" };
                    let detail = format!("the {side} alternative {at} has none on the other side that it fits");
                    self.breach(pointer, Rule::AlternativeChanged, detail);
                }
            }
            _ => self.breach(pointer, Rule::AlternativeChanged, "alternatives came or went"),
        }
    }

    /// Keywords nobody here understands must stay as they are.
    fn the_rest(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, pointer: &str) {
        let skipped = |keyword: &str| {
            ANNOTATIONS.contains(&keyword)
                || JUDGED.contains(&keyword)
                || bounds::knows(keyword)
                || keyword.starts_with("x-")
        };
        let keywords: BTreeSet<&String> = old.keys().chain(new.keys()).filter(|keyword| !skipped(keyword)).collect();
        for keyword in keywords.into_iter().filter(|keyword| old.get(*keyword) != new.get(*keyword)) {
            let detail = format!("{keyword} changed, which this check cannot judge");
            self.breach(below(pointer, keyword), Rule::Unjudged, detail);
        }
    }
}

fn types(schema: &Map<String, Value>) -> Option<BTreeSet<&str>> {
    match schema.get("type")? {
        Value::Array(types) => Some(types.iter().filter_map(Value::as_str).collect()),
        one => one.as_str().map(|one| BTreeSet::from([one])),
    }
}

/// Whether everything of `few` is among `many`; an integer is a number.
fn covers(many: &BTreeSet<&str>, few: &BTreeSet<&str>) -> bool {
    few.iter().all(|one| many.contains(one) || (*one == "integer" && many.contains("number")))
}

fn values(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    let constant = schema.get("const").map(|one| vec![one]);
    constant.or_else(|| schema.get("enum").and_then(Value::as_array).map(|all| all.iter().collect()))
}

fn required(schema: &Map<String, Value>) -> BTreeSet<&str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests;
