//! Agents and groups, and the one identifier (IFI) that makes them somebody.

use serde_json::{Map, Value};

use crate::syntax::{hash, mbox};

use super::report::{Path, Report, excerpt};
use super::table as rule;
use super::value;

const AGENT: &str = "`objectType`, `name`, `mbox`, `mbox_sha1sum`, `openid`, `account`";
const GROUP: &str = "`objectType`, `name`, `member`, `mbox`, `mbox_sha1sum`, `openid`, `account`";

/// An agent or a group.
pub(super) fn check(actor: &Value, at: &Path, report: &mut Report) {
    let Some(map) = value::object(actor, at, report) else { return };
    match map.get("objectType").map(Value::as_str) {
        None | Some(Some("Agent")) => agent_of(map, at, report),
        Some(Some("Group")) => group_of(map, at, report),
        Some(_) => {
            value::one_of(
                &map["objectType"],
                &at.key("objectType"),
                report,
                &["Agent", "Group"],
                rule::ACTOR_OBJECT_TYPE,
            );
        }
    }
}

/// Where only an agent may stand.
pub(super) fn agent(actor: &Value, at: &Path, report: &mut Report) {
    only_agent(actor, at, report, rule::AGENT_OBJECT_TYPE);
}

/// Where only a group may stand.
pub(super) fn group(actor: &Value, at: &Path, report: &mut Report) {
    let Some(map) = value::object(actor, at, report) else { return };
    match map.get("objectType") {
        Some(Value::String(kind)) if kind == "Group" => group_of(map, at, report),
        Some(kind) => value::one_of(kind, &at.key("objectType"), report, &["Group"], rule::GROUP_OBJECT_TYPE),
        None => report.required(false, at, "a group", "objectType"),
    }
}

/// Whether the actor carries an identifier.
pub(super) fn is_identified(map: &Map<String, Value>) -> bool {
    map.keys().any(|key| matches!(key.as_str(), "mbox" | "mbox_sha1sum" | "openid" | "account"))
}

fn member(actor: &Value, at: &Path, report: &mut Report) {
    only_agent(actor, at, report, rule::GROUP_NESTED);
}

fn only_agent(actor: &Value, at: &Path, report: &mut Report, rule: &'static str) {
    let Some(map) = value::object(actor, at, report) else { return };
    match map.get("objectType") {
        Some(kind) if kind != "Agent" => value::one_of(kind, &at.key("objectType"), report, &["Agent"], rule),
        _ => agent_of(map, at, report),
    }
}

fn agent_of(map: &Map<String, Value>, at: &Path, report: &mut Report) {
    let mut identifiers = 0;
    for (key, value) in map {
        let at = at.key(key);
        if identifier(key, value, &at, report) {
            identifiers += 1;
        } else if !common(key, value, &at, report) {
            report.unknown(&at, "an agent", AGENT);
        }
    }
    if identifiers != 1 {
        report.add(at, rule::AGENT_IFI, || {
            format!(
                "the agent has {identifiers} of `mbox`, `mbox_sha1sum`, `openid` and `account`; expected exactly one"
            )
        });
    }
}

fn group_of(map: &Map<String, Value>, at: &Path, report: &mut Report) {
    let mut identifiers = 0;
    let mut members = false;
    for (key, value) in map {
        let at = at.key(key);
        if key == "member" {
            members = true;
            value::each(value, &at, report, member);
        } else if identifier(key, value, &at, report) {
            identifiers += 1;
        } else if !common(key, value, &at, report) {
            report.unknown(&at, "a group", GROUP);
        }
    }
    if identifiers > 1 {
        report.add(at, rule::GROUP_IFI, || {
            format!(
                "the group has {identifiers} of `mbox`, `mbox_sha1sum`, `openid` and `account`; expected at most one"
            )
        });
    }
    if identifiers == 0 && !members {
        report
            .add(at, rule::GROUP_MEMBER, || "a group without an identifier must have the property `member`".to_owned());
    }
}

/// Properties of agents and groups alike; their `objectType` has been looked at.
fn common(key: &str, value: &Value, at: &Path, report: &mut Report) -> bool {
    match key {
        "objectType" => {}
        "name" => value::name(value, at, report),
        _ => return false,
    }
    true
}

fn identifier(key: &str, value: &Value, at: &Path, report: &mut Report) -> bool {
    match key {
        "mbox" => {
            let expected = (rule::MBOX, "`mailto:` followed by an e-mail address");
            value::formatted(value, at, report, mbox::is_mbox, expected);
        }
        "mbox_sha1sum" => {
            value::formatted(value, at, report, hash::is_sha1, (rule::MBOX_SHA1SUM, "40 hexadecimal digits"));
        }
        "openid" => value::iri(value, at, report, rule::OPENID),
        "account" => account(value, at, report),
        _ => return false,
    }
    true
}

fn account(account: &Value, at: &Path, report: &mut Report) {
    let Some(map) = value::object(account, at, report) else { return };
    let (mut home_page, mut name) = (false, false);
    for (key, value) in map {
        let at = at.key(key);
        match key.as_str() {
            "homePage" => {
                home_page = true;
                value::iri(value, &at, report, rule::ACCOUNT_HOME_PAGE);
            }
            "name" => {
                name = true;
                value::name(value, &at, report);
            }
            _ => report.unknown(&at, "an account", "`homePage`, `name`"),
        }
    }
    report.required(home_page, at, "an account", "homePage");
    report.required(name, at, "an account", "name");
}

/// An actor that stands for itself in a query: an agent, or a group with an identifier.
pub(super) fn identified(actor: &Value, at: &Path, report: &mut Report) {
    check(actor, at, report);
    if let Value::Object(map) = actor
        && map.get("objectType").is_some_and(|kind| kind == "Group")
        && !is_identified(map)
    {
        let name = map.get("name").and_then(Value::as_str).map(excerpt).unwrap_or_default();
        report.add(at, rule::GROUP_IDENTIFIED, || {
            format!("the group {name} has no identifier, so nothing can be asked of it")
        });
    }
}
