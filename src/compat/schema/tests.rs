//! A planted change for each rule, and changes that only add.

use serde_json::{Value, json};

use super::*;

fn base() -> Value {
    json!({"type": "object", "required": ["id", "data"], "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 10, "pattern": "^a", "title": "x"},
        "kind": {"enum": ["a", "b"]},
        "data": {"$ref": "#/$defs/data"},
        "list": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "either": {"anyOf": [{"required": ["x"]}, {"required": ["y"]}]},
        "odd": {"not": {"const": 1}}},
        "$defs": {"data": {"type": "object", "required": ["n"], "properties": {
            "n": {"type": "number"}, "again": {"$ref": "#/$defs/data"}}}}})
}

/// The rules that a change breaks, with their pointers, for both roles: produced, then consumed.
fn broken(change: impl Fn(&mut Value)) -> [Vec<(String, Rule)>; 2] {
    let mut new = base();
    change(&mut new);
    [Role::Produced, Role::Consumed]
        .map(|role| schema(role, &base(), &new).into_iter().map(|breach| (breach.pointer, breach.rule)).collect())
}

fn at(pointer: &str, rule: Rule) -> Vec<(String, Rule)> {
    vec![(pointer.to_owned(), rule)]
}

fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[name] = value;
}

fn remove(document: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
}

#[test]
fn what_only_adds_breaks_nothing() {
    let nothing = [vec![], vec![]];
    assert_eq!(broken(|_| {}), nothing);
    assert_eq!(broken(|s| set(s, "/properties/new", json!({"type": "string"}))), nothing);
    assert_eq!(broken(|s| set(s, "/$defs/data/properties/new", json!({"enum": [1]}))), nothing);
    assert_eq!(broken(|s| set(s, "/properties/id/title", json!("other words"))), nothing);
    assert_eq!(broken(|s| set(s, "/additionalProperties", json!(true))), nothing);
    assert_eq!(broken(|s| set(s, "/x-note", json!(1))), nothing);
    // The same schema by another way of writing it.
    assert_eq!(broken(|s| set(s, "/properties/data", base()["$defs"]["data"].clone())), nothing);
}

#[test]
fn removed_properties_are_found_behind_references_too() {
    let pointer = "/properties/kind";
    assert_eq!(
        broken(|s| remove(s, pointer)),
        [at(pointer, Rule::PropertyRemoved), at(pointer, Rule::PropertyRemoved)]
    );
    let pointer = "/$defs/data/properties/n";
    assert_eq!(
        broken(|s| remove(s, pointer)),
        [at(pointer, Rule::PropertyRemoved), at(pointer, Rule::PropertyRemoved)]
    );
}

#[test]
fn a_promise_is_kept_and_no_demand_is_added() {
    assert_eq!(broken(|s| set(s, "/required", json!(["id"]))), [at("/required", Rule::RequiredRemoved), vec![]]);
    let more = json!(["id", "data", "kind"]);
    assert_eq!(broken(|s| set(s, "/required", more.clone())), [vec![], at("/required", Rule::RequiredAdded)]);
}

#[test]
fn types_stay_but_for_what_is_taken_beside_them() {
    let pointer = "/$defs/data/properties/n/type";
    let both = [at(pointer, Rule::TypeChanged), at(pointer, Rule::TypeChanged)];
    assert_eq!(broken(|s| set(s, pointer, json!("string"))), both);
    assert_eq!(broken(|s| set(s, pointer, json!("integer"))), both, "narrowed");
    let wider = [at(pointer, Rule::TypeChanged), vec![]];
    assert_eq!(broken(|s| set(s, pointer, json!(["number", "null"]))), wider);
    assert_eq!(broken(|s| remove(s, pointer)), wider);
    let item = "/properties/list/items/type";
    assert_eq!(broken(|s| set(s, item, json!("number"))), [at(item, Rule::TypeChanged), vec![]]);
    let kind = "/properties/kind/type";
    assert_eq!(broken(|s| set(s, kind, json!("string"))), [vec![], at(kind, Rule::TypeChanged)], "none before");
}

#[test]
fn lists_of_values_lose_nothing() {
    let pointer = "/properties/kind/enum";
    let gone = at(pointer, Rule::EnumValueRemoved);
    assert_eq!(broken(|s| set(s, pointer, json!(["a"]))), [gone.clone(), gone]);
    assert_eq!(broken(|s| set(s, pointer, json!(["a", "b", "c"]))), [at(pointer, Rule::EnumValueAdded), vec![]]);
    assert_eq!(broken(|s| remove(s, pointer)), [at(pointer, Rule::EnumValueAdded), vec![]]);
    let constant = "/properties/id/const";
    assert_eq!(broken(|s| set(s, constant, json!("a"))), [vec![], at(constant, Rule::ConstraintChanged)]);
}

#[test]
fn an_open_model_stays_open() {
    let pointer = "/$defs/data/additionalProperties";
    for closed in [json!(false), json!({"type": "string"})] {
        let both = [at(pointer, Rule::ModelClosed), at(pointer, Rule::ModelClosed)];
        assert_eq!(broken(|s| set(s, pointer, closed.clone())), both);
    }
    let (mut old, mut new) = (base(), base());
    set(&mut old, "/additionalProperties", json!(false));
    new["properties"]["more"] = json!({});
    let rules = |role| schema(role, &old, &new).into_iter().map(|breach| breach.rule).collect::<Vec<_>>();
    assert_eq!(rules(Role::Produced), [Rule::ConstraintChanged, Rule::ConstraintChanged], "opened, and added to");
    assert_eq!(rules(Role::Consumed), []);
}

#[test]
fn bounds_move_only_one_way() {
    let pointers = ["/properties/id/minLength", "/properties/list/items/minimum"];
    for pointer in pointers {
        let constraint = || at(pointer, Rule::ConstraintChanged);
        assert_eq!(broken(|s| set(s, pointer, json!(5))), [vec![], constraint()]);
        assert_eq!(broken(|s| set(s, pointer, json!(-1))), [constraint(), vec![]]);
        assert_eq!(broken(|s| remove(s, pointer)), [constraint(), vec![]]);
    }
    let pointer = "/properties/id/maxLength";
    assert_eq!(broken(|s| set(s, pointer, json!(5))), [vec![], at(pointer, Rule::ConstraintChanged)]);
    let pointer = "/properties/id/pattern";
    let both = [at(pointer, Rule::ConstraintChanged), at(pointer, Rule::ConstraintChanged)];
    assert_eq!(broken(|s| set(s, pointer, json!("^b"))), both);
    let pointer = "/properties/list/items";
    assert_eq!(broken(|s| remove(s, pointer)), [at(pointer, Rule::ConstraintChanged), vec![]]);
}

#[test]
fn alternatives_are_matched_whatever_their_order() {
    let pointer = "/properties/either/anyOf";
    let swapped = json!([{"required": ["y"]}, {"required": ["x"]}]);
    assert_eq!(broken(|s| set(s, pointer, swapped.clone())), [vec![], vec![]]);
    let fewer = json!([{"required": ["x"]}]);
    assert_eq!(broken(|s| set(s, pointer, fewer.clone())), [vec![], at(pointer, Rule::AlternativeChanged)]);
    let more = json!([{"required": ["x"]}, {"required": ["y"]}, {"type": "string"}]);
    assert_eq!(broken(|s| set(s, pointer, more.clone())), [at(pointer, Rule::AlternativeChanged), vec![]]);
    assert_eq!(broken(|s| remove(s, pointer)), [at(pointer, Rule::AlternativeChanged), vec![]]);
}

#[test]
fn what_cannot_be_judged_must_not_change() {
    let pointer = "/properties/odd/not";
    let both = [at(pointer, Rule::Unjudged), at(pointer, Rule::Unjudged)];
    assert_eq!(broken(|s| set(s, pointer, json!({"const": 2}))), both);
    let whole = "/properties/odd";
    assert_eq!(broken(|s| set(s, whole, json!(false))), [at(whole, Rule::Unjudged), at(whole, Rule::Unjudged)]);
    let lost = broken(|s| set(s, "/properties/data/$ref", json!("#/$defs/nowhere")));
    assert_eq!(lost[0], at("/properties/data", Rule::ReferenceBroken));
    let circle = broken(|s| set(s, "/$defs/data", json!({"$ref": "#/$defs/data"})));
    assert_eq!(circle[0], at("/properties/data", Rule::ReferenceBroken));
}
