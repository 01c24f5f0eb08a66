//! The keys by which a statement of the ledger is found, read back from its payload. Pure.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    Version,
    prepare::{Author, related},
};

/// As in [`super::Prepared`], but for what stands in the ledger's own columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    pub other_agents: Vec<Uuid>,
    pub related: Vec<Uuid>,
    pub authority: Uuid,
}

/// Reads the keys of a statement that was stored for `tenant`.
pub fn keys(tenant: Uuid, payload: &str) -> Result<Keys, serde_json::Error> {
    let mut doc: Map<String, Value> = serde_json::from_str(payload)?;
    let authority = match doc.remove("authority") {
        Some(Value::Object(authority)) => authority,
        _ => Map::new(),
    };
    // Which version it is written in means nothing for its keys.
    let author = Author::new(tenant, &authority, Version::V1_0_3);
    let (_, direct, related) = related(&mut doc, &author);
    Ok(Keys { other_agents: direct.other_agents, related, authority: author.key() })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::{Limits, prepare::prepare, read};

    #[test]
    fn what_is_read_back_is_what_was_prepared() {
        let agent = |name: &str| json!({"mbox": format!("mailto:{name}@x.example"), "name": name});
        let activity =
            |name: &str| json!({"id": format!("http://x.example/{name}"), "definition": {"name": {"en": name}}});
        let group = |names: &[&str]| json!({"objectType": "Group", "member": names.iter().map(|n| agent(n)).collect::<Vec<_>>()});
        let body = json!([
            {"actor": agent("a"), "verb": {"id": "v:v"}, "object": activity("o")},
            {"actor": group(&["m", "n"]), "verb": {"id": "v:v"}, "object": {"objectType": "Agent", "mbox": "mailto:o@x.example"},
             "context": {"instructor": agent("i"), "team": group(&["m", "t"]),
                         "contextActivities": {"parent": [activity("p"), activity("q")], "other": activity("o")}}},
            {"actor": agent("a"), "verb": {"id": "v:v"}, "object": {"objectType": "SubStatement", "actor": agent("s"),
             "verb": {"id": "v:w"}, "object": activity("u")}},
        ]);
        let tenant = Uuid::from_u128(7);
        let authorities = [agent("lrs"), json!({"objectType": "Group", "member": [agent("app"), agent("user")]})];
        for authority in authorities {
            let author = Author::new(tenant, authority.as_object().unwrap(), Version::V1_0_3);
            let batch = read::statements(body.to_string().as_bytes(), Version::V1_0_3, &Limits::default()).unwrap();
            for statement in batch.statements {
                let p = prepare(statement, &author, || Uuid::from_u128(9), DateTime::UNIX_EPOCH);
                let found = keys(tenant, &p.payload).unwrap();
                assert_eq!((found.other_agents, found.related), (p.other_agent_keys, p.related));
                assert_eq!(found.authority, p.authority_key);
            }
        }
        assert!(keys(tenant, "{").is_err());
    }
}
