//! From a valid statement to what the ledger stores: its text, its digest and every key it can be found by. Pure: time, ids
//! and the author come in as values.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    Statement, Version, digest, keys, payload,
    relations::{AttachmentRef, Direct, Relations, SeenActivity, SeenAgent, uuid},
    syntax::timestamp,
    write,
};

/// The verb that voids the statement it refers to.
pub const VOIDED: &str = "http://adlnet.gov/expapi/verbs/voided";

/// Who sends statements: one per request, shared by its statements.
pub struct Author {
    tenant: Uuid,
    version: Version,
    /// The authority as JSON text. It is always the credential's own: one a client may choose proves nothing.
    authority: String,
    agents: Vec<SeenAgent>,
}

impl Author {
    /// `authority` is the agent (or the OAuth group of two) that the credential stands for.
    pub fn new(tenant: Uuid, authority: &Map<String, Value>, version: Version) -> Self {
        let mut text = String::new();
        write::object(&mut text, authority);
        let mut relations = Relations::new(tenant);
        relations.actor(&mut authority.clone());
        Self { tenant, version, authority: text, agents: relations.agents }
    }

    /// The key of the authority as a whole: the agent's own, or one for the group's members together.
    pub fn key(&self) -> Uuid {
        let together = |key: u128, agent: &SeenAgent| key.rotate_left(1) ^ agent.key.as_u128();
        Uuid::from_u128(self.agents.iter().fold(0, together))
    }
}

/// A statement ready for the ledger. Only [`prepare`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    pub id: Uuid,
    tenant: Uuid,
    /// The client's timestamp, or the time of preparing where it gave none.
    pub timestamp: DateTime<Utc>,
    /// Whether the payload holds a timestamp; if not, a reader sees `stored` in its place.
    pub has_timestamp: bool,
    /// The statement as JSON, without `stored`.
    pub payload: String,
    pub digest: [u8; 32],
    pub verb_key: Uuid,
    pub verb: SeenVerb,
    /// The object, if it is an activity.
    pub activity_key: Option<Uuid>,
    /// The actor, unless it is an anonymous group.
    pub agent_key: Option<Uuid>,
    /// The authority under which it is stored.
    pub authority_key: Uuid,
    /// The object, if it is an agent or identified group, and the members of actor and object, if those are groups: sorted,
    /// each once, without the actor. An `agent` filter finds them as it finds the actor.
    pub other_agent_keys: Vec<Uuid>,
    pub registration_key: Option<Uuid>,
    /// All other agents and activities anywhere in the statement: sorted, each once, none of the direct ones above and not
    /// the authority (but the members of an OAuth group).
    pub related: Vec<Uuid>,
    pub is_voiding: bool,
    /// Where its sender may not void everything: the authority of what it may void.
    pub voids_only_of: Option<Uuid>,
    /// The statement that the object refers to.
    pub refers_to: Option<Uuid>,
    /// Every agent and identified group, the authority included: by key, each once.
    pub agents: Vec<SeenAgent>,
    /// Every activity: by key, each once.
    pub activities: Vec<SeenActivity>,
    pub attachments: Vec<AttachmentRef>,
    _proof: Proof,
}

impl Prepared {
    /// Whose it is: the tenant of its author, in which all its keys mean something. It cannot become another.
    pub fn tenant(&self) -> Uuid {
        self.tenant
    }
}

/// Nobody else can make one, so nobody else can make a [`Prepared`].
#[derive(Clone, Debug, PartialEq)]
struct Proof;

/// A verb as a statement names it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenVerb {
    pub iri: String,
    pub display: Option<Map<String, Value>>,
}

/// Prepares a statement. `fresh_id` is called only when the client gave no id.
pub fn prepare(statement: Statement, author: &Author, fresh_id: impl FnOnce() -> Uuid, now: DateTime<Utc>) -> Prepared {
    let mut doc = statement.into_doc();
    let digest = digest::digest(&doc);
    let id = uuid(&doc, "id").unwrap_or_else(fresh_id);
    let given_timestamp = doc.get("timestamp").and_then(Value::as_str).and_then(timestamp::parse);
    let has_timestamp = doc.contains_key("timestamp");
    let payload = payload::payload(&doc, id, default_version(author.version), &author.authority);
    let context = doc.get("context").and_then(Value::as_object);
    let registration_key =
        context.and_then(|context| uuid(context, "registration")).map(|r| keys::registration(author.tenant, r));

    // From here on the document is taken apart.
    let verb = seen_verb(doc.get_mut("verb"));
    let (mut relations, direct, related) = related(&mut doc, author);
    relations.settle();

    Prepared {
        id,
        tenant: author.tenant,
        timestamp: given_timestamp.unwrap_or(now),
        has_timestamp,
        payload,
        digest,
        verb_key: keys::verb(author.tenant, &verb.iri),
        is_voiding: verb.iri == VOIDED && direct.refers_to.is_some(),
        voids_only_of: None,
        verb,
        activity_key: direct.activity,
        agent_key: direct.agent,
        authority_key: author.key(),
        other_agent_keys: direct.other_agents,
        registration_key,
        related,
        refers_to: direct.refers_to,
        agents: relations.agents,
        activities: relations.activities,
        attachments: relations.attachments,
        _proof: Proof,
    }
}

/// Everybody and everything in a statement, what it is directly about, and the keys of the rest.
pub(super) fn related(doc: &mut Map<String, Value>, author: &Author) -> (Relations, Direct, Vec<Uuid>) {
    let mut relations = Relations::new(author.tenant);
    let direct = relations.statement(doc);
    // A single agent is found by the authority's key; the members of an OAuth group are related like any other.
    let related_alone = (author.agents.len() == 1).then(|| relations.related(&direct));
    relations.agents.extend_from_slice(&author.agents);
    let related = related_alone.unwrap_or_else(|| relations.related(&direct));
    (relations, direct, related)
}

/// What a statement without a version gets: 1.0.3 wants exactly `1.0.0` (part two, 2.4.10).
fn default_version(version: Version) -> &'static str {
    match version {
        Version::V1_0_3 => "1.0.0",
        Version::V2_0_0 => "2.0.0",
    }
}

fn seen_verb(mut verb: Option<&mut Value>) -> SeenVerb {
    let mut take = |name: &str| verb.as_deref_mut().and_then(|verb| verb.get_mut(name)).map(Value::take);
    let iri = match take("id") {
        Some(Value::String(iri)) => iri,
        _ => String::new(),
    };
    let display = match take("display") {
        Some(Value::Object(display)) => Some(display),
        _ => None,
    };
    SeenVerb { iri, display }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{keys::Ifi, relations::ActorType};

    const T: Uuid = Uuid::from_u128(1);
    const FRESH: Uuid = Uuid::from_u128(0xf);
    const REFERRED: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";

    fn prepared_as(value: &Value, version: Version) -> Prepared {
        let author = Author::new(T, json!({"mbox": "mailto:lrs@x.example"}).as_object().unwrap(), version);
        let statement = Statement::trusted(value.as_object().cloned().unwrap());
        prepare(statement, &author, || FRESH, DateTime::from_timestamp(1_700_000_000, 0).unwrap())
    }

    fn prepared(value: &Value) -> Prepared {
        prepared_as(value, Version::V1_0_3)
    }

    fn mbox(name: &str) -> Value {
        json!({"mbox": format!("mailto:{name}@x.example")})
    }

    fn agent_key(name: &str) -> Uuid {
        keys::agent(T, &Ifi::of(mbox(name).as_object().unwrap()).unwrap())
    }

    fn activity_key(iri: &str) -> Uuid {
        keys::activity(T, iri)
    }

    fn sorted(mut keys: Vec<Uuid>) -> Vec<Uuid> {
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_server_assigns_what_the_client_left_out() {
        let p = prepared(&json!({"actor": mbox("a"), "verb": {"id": "v:v"}, "object": {"id": "a:1"}}));
        assert_eq!(
            serde_json::from_str::<Value>(&p.payload).unwrap(),
            json!({"id": FRESH, "actor": mbox("a"), "verb": {"id": "v:v"}, "object": {"id": "a:1"},
                "authority": mbox("lrs"), "version": "1.0.0"})
        );
        assert_eq!((p.id, p.has_timestamp, p.timestamp.timestamp()), (FRESH, false, 1_700_000_000));
        assert_eq!((p.agent_key, p.activity_key), (Some(agent_key("a")), Some(activity_key("a:1"))));
        assert_eq!((p.related.len(), p.authority_key), (0, agent_key("lrs")), "the authority has a key of its own");
        let two =
            prepared_as(&json!({"actor": mbox("a"), "verb": {"id": "v:v"}, "object": {"id": "a:1"}}), Version::V2_0_0);
        assert!(two.payload.ends_with("\"version\":\"2.0.0\"}"));
    }

    #[test]
    fn the_client_keeps_what_it_may_choose_and_nothing_else() {
        let p = prepared(
            &json!({"id": REFERRED.to_uppercase(), "timestamp": "2020-01-01T01:00:00+01:00", "version": "1.0.3",
            "stored": "1999-01-01T00:00:00Z", "authority": mbox("mallory"),
            "actor": mbox("a"), "verb": {"id": "v:v"}, "object": {"id": "a:1"}, "result": {"score": {"raw": 1.50}}}),
        );
        let doc: Value = serde_json::from_str(&p.payload).unwrap();
        assert_eq!((doc["id"].as_str(), doc["version"].as_str()), (Some(REFERRED), Some("1.0.3")));
        assert_eq!(doc["timestamp"], "2020-01-01T01:00:00+01:00");
        assert_eq!(doc["authority"], mbox("lrs"));
        assert!(doc.get("stored").is_none() && !p.payload.contains("mallory"));
        assert!(p.has_timestamp && !p.related.contains(&agent_key("mallory")));
        assert_eq!(p.timestamp.timestamp(), 1_577_836_800);
    }

    #[test]
    fn context_activities_become_lists_here_and_in_sub_statements() {
        let context =
            json!({"contextActivities": {"parent": {"id": "a:p"}, "other": [{"id": "a:o"}]}, "language": "en"});
        let p = prepared(&json!({"actor": mbox("a"), "verb": {"id": "v:v"}, "context": context,
            "object": {"objectType": "SubStatement", "actor": mbox("b"), "verb": {"id": "v:w"}, "object": {"id": "a:1"},
                "context": context}}));
        let doc: Value = serde_json::from_str(&p.payload).unwrap();
        for context in [&doc["context"], &doc["object"]["context"]] {
            let wanted = json!({"parent": [{"id": "a:p"}], "other": [{"id": "a:o"}]});
            assert_eq!((&context["contextActivities"], &context["language"]), (&wanted, &json!("en")));
        }
        assert_eq!(p.activity_key, None, "the SubStatement's object is only related");
        assert_eq!(
            p.related,
            sorted(vec![agent_key("b"), activity_key("a:1"), activity_key("a:p"), activity_key("a:o")])
        );
    }

    #[test]
    fn members_instructor_team_and_context_actors_are_related() {
        let p = prepared(&json!({
            "actor": {"objectType": "Group", "member": [mbox("m1"), mbox("m2")]},
            "verb": {"id": "v:v"},
            "object": {"objectType": "Agent", "mbox": "mailto:o@x.example", "name": "O"},
            "context": {"registration": REFERRED, "instructor": mbox("i"),
                "team": {"objectType": "Group", "mbox": "mailto:t@x.example", "member": [mbox("m3"), mbox("m1")]},
                "contextAgents": [{"objectType": "contextAgent", "agent": mbox("ca")}],
                "contextGroups": [{"objectType": "contextGroup", "group": {"objectType": "Group", "member": [mbox("cg")]}}]}
        }));
        assert_eq!(p.agent_key, None, "an anonymous group has no key");
        assert_eq!(p.other_agent_keys, sorted(["m1", "m2", "o"].map(agent_key).to_vec()), "its members stand for it");
        let names = ["i", "t", "m3", "ca", "cg"];
        assert_eq!(p.related, sorted(names.map(agent_key).to_vec()));
        assert_eq!(p.agents.len(), names.len() + 4, "with the group's members, the object and the authority");
        assert!(p.agents.is_sorted_by_key(|a| a.key));
        let seen = |name: &str| p.agents.iter().find(|a| a.key == agent_key(name)).unwrap();
        assert_eq!((seen("o").name.as_deref(), seen("o").object_type), (Some("O"), ActorType::Agent));
        assert_eq!(seen("t").object_type, ActorType::Group);
        assert_eq!(p.registration_key, Some(keys::registration(T, REFERRED.parse().unwrap())));
    }

    #[test]
    fn an_actor_who_is_also_the_object_counts_once() {
        let object = json!({"objectType": "Agent", "mbox": "mailto:a@x.example", "name": "A"});
        let p = prepared(&json!({"actor": mbox("a"), "verb": {"id": "v:v"}, "object": object}));
        assert_eq!((p.agent_key, p.other_agent_keys), (Some(agent_key("a")), Vec::new()));
        let named: Vec<_> = p.agents.iter().filter(|a| a.key == agent_key("a")).map(|a| a.name.as_deref()).collect();
        assert_eq!(named, [Some("A")]);
    }

    #[test]
    fn an_activity_named_twice_has_both_definitions() {
        let one = json!({"id": "a:1", "definition": {"name": {"en": "One"}}});
        let p = prepared(&json!({"actor": mbox("a"), "verb": {"id": "v:v", "display": {"en": "v"}}, "object": one,
            "context": {"contextActivities": {"other": [{"id": "a:1", "definition": {"name": {"fr": "Un"}}}, {"id": "a:2"}]}}}));
        assert_eq!(p.activities.len(), 2);
        let seen = p.activities.iter().find(|a| a.iri == "a:1").unwrap();
        assert_eq!(seen.definition.as_ref().unwrap()["name"], json!({"en": "One", "fr": "Un"}));
        assert!(!p.related.contains(&activity_key("a:1")));
        assert_eq!(p.verb.display.unwrap()["en"], "v");
        assert!(
            p.payload.contains("\"Un\"") && p.payload.contains("\"One\""),
            "the payload is written before it is taken apart"
        );
    }

    #[test]
    fn a_reference_and_a_voiding() {
        let refers = |verb: &str| {
            prepared(
                &json!({"actor": mbox("a"), "verb": {"id": verb}, "object": {"objectType": "StatementRef", "id": REFERRED}}),
            )
        };
        assert_eq!((refers("v:v").is_voiding, refers("v:v").refers_to), (false, Some(REFERRED.parse().unwrap())));
        assert!(refers(VOIDED).is_voiding);
        let planned =
            prepared(&json!({"actor": mbox("a"), "verb": {"id": "v:planned"}, "object": {"objectType": "SubStatement",
            "actor": mbox("a"), "verb": {"id": VOIDED}, "object": {"objectType": "StatementRef", "id": REFERRED}}}));
        assert_eq!((planned.is_voiding, planned.refers_to), (false, None), "to plan a voiding voids nothing");
    }

    #[test]
    fn attachments_are_listed_with_those_of_a_sub_statement() {
        let attachment = |sha2: &str| {
            json!({"usageType": "u:u", "display": {"en": "d"}, "contentType": "text/plain",
            "length": 3, "sha2": sha2, "fileUrl": "http://f.example"})
        };
        let p = prepared(&json!({"actor": mbox("a"), "verb": {"id": "v:v"}, "attachments": [attachment("AB")],
            "object": {"objectType": "SubStatement", "actor": mbox("a"), "verb": {"id": "v:v"}, "object": {"id": "a:1"},
                "attachments": [attachment("cd")]}}));
        let hashes: Vec<_> = p.attachments.iter().map(|a| (a.sha2.as_str(), a.length, a.has_file_url)).collect();
        assert_eq!(hashes, [("cd", 3, true), ("ab", 3, true)]);
    }

    #[test]
    fn a_timestamp_that_few_can_read_is_kept_in_the_form_of_most() {
        let inner = json!({"objectType": "SubStatement", "actor": mbox("a"), "verb": {"id": "v:v"}, "object": {"id": "a:1"},
            "timestamp": "2015-11-18T24:00:00Z"});
        let p = prepared(&json!({"actor": mbox("a"), "verb": {"id": "v:v"}, "timestamp": "2015-W47-3t12:17:00.5z",
            "object": inner, "context": {"extensions": {"e:e": {"timestamp": "2015-W47-3t12:17:00z"}}}}));
        let doc: Value = serde_json::from_str(&p.payload).unwrap();
        assert_eq!(doc["timestamp"], "2015-11-18T12:17:00.500000Z");
        assert_eq!(doc["object"]["timestamp"], "2015-11-19T00:00:00.000000Z");
        assert_eq!(
            doc["context"]["extensions"]["e:e"]["timestamp"], "2015-W47-3t12:17:00z",
            "nobody knows what this is"
        );
        assert_eq!(p.timestamp.timestamp(), 1_447_849_020);
    }

    fn about(id: &str, target: &str, registration: &str, name: &str) -> Prepared {
        prepared(&json!({"id": id, "actor": {"account": {"homePage": "h:h", "name": name}}, "verb": {"id": VOIDED},
            "object": {"objectType": "StatementRef", "id": target}, "context": {"registration": registration}}))
    }

    /// The text with some of its letters in capitals.
    fn spelt(text: &str, capitals: u64) -> String {
        let letter = |(n, c): (usize, char)| if capitals >> (n % 64) & 1 == 1 { c.to_ascii_uppercase() } else { c };
        text.chars().enumerate().map(letter).collect()
    }

    proptest! {
        #[test]
        fn letter_case_means_nothing_in_an_id_and_everything_in_a_name(
            ids in any::<[u128; 3]>(), name in "[a-z]{1,12}|[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
            capitals in any::<[u64; 4]>(),
        ) {
            let ids = ids.map(|id| uuid::Builder::from_random_bytes(id.to_be_bytes()).into_uuid().to_string());
            let [id, target, registration] = [0, 1, 2].map(|n| spelt(&ids[n], capitals[n]));
            let (lower, mixed) = (about(&ids[0], &ids[1], &ids[2], &name), about(&id, &target, &registration, &name));
            prop_assert_eq!((lower.id, lower.refers_to), (mixed.id, mixed.refers_to));
            prop_assert_eq!(lower.registration_key, mixed.registration_key);
            prop_assert_eq!(lower.digest, mixed.digest, "sent again in other letters it is the same statement");
            prop_assert!(mixed.payload.starts_with(&format!("{{\"id\":\"{}\"", ids[0])), "its own id is shown in one form");
            let other = spelt(&name, capitals[3]);
            let renamed = about(&ids[0], &ids[1], &ids[2], &other);
            prop_assert_eq!(name == other, lower.agent_key == renamed.agent_key);
            prop_assert_eq!(name == other, lower.digest == renamed.digest);
        }
    }
}
