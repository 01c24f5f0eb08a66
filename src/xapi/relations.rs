//! Who and what a statement is about: every agent and activity in it, with their lookup keys.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    activity,
    format::objects_mut,
    keys::{self, Ifi},
};

/// An agent or identified group as a statement names it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenAgent {
    pub key: Uuid,
    pub ifi: Ifi,
    pub name: Option<String>,
    pub object_type: ActorType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ActorType {
    Agent,
    Group,
}

impl ActorType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "Agent",
            Self::Group => "Group",
        }
    }
}

/// An activity as a statement names it, with the definition it brings, if any.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenActivity {
    pub key: Uuid,
    pub iri: String,
    pub definition: Option<Map<String, Value>>,
}

/// An attachment's description; its bytes travel apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentRef {
    /// The hash of the bytes, hexadecimal in lower case.
    pub sha2: String,
    pub content_type: String,
    pub length: u64,
    pub has_file_url: bool,
    pub usage_type: String,
}

/// What a statement is directly about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Direct {
    pub agent: Option<Uuid>,
    /// Who else a filter by agent finds it by: the object, and the members of the groups that actor and object are.
    pub other_agents: Vec<Uuid>,
    pub activity: Option<Uuid>,
    pub refers_to: Option<Uuid>,
}

/// Collects while it walks; definitions and names are moved out of the statement, which has been written by then.
pub(super) struct Relations {
    tenant: Uuid,
    pub agents: Vec<SeenAgent>,
    pub activities: Vec<SeenActivity>,
    pub attachments: Vec<AttachmentRef>,
}

impl Relations {
    pub fn new(tenant: Uuid) -> Self {
        Self { tenant, agents: Vec::with_capacity(4), activities: Vec::with_capacity(4), attachments: Vec::new() }
    }

    /// Walks a statement or SubStatement.
    pub fn statement(&mut self, doc: &mut Map<String, Value>) -> Direct {
        let mut direct = Direct::default();
        if let Some(Value::Object(actor)) = doc.get_mut("actor") {
            direct.agent = self.with_members(actor, &mut direct.other_agents);
        }
        if let Some(Value::Object(object)) = doc.get_mut("object") {
            match object.get("objectType").and_then(Value::as_str) {
                Some("Agent" | "Group") => {
                    let key = self.with_members(object, &mut direct.other_agents);
                    direct.other_agents.extend(key);
                }
                Some("SubStatement") => drop(self.statement(object)),
                Some("StatementRef") => direct.refers_to = uuid(object, "id"),
                _ => direct.activity = self.activity(object),
            }
        }
        if let Some(Value::Object(context)) = doc.get_mut("context") {
            self.context(context);
        }
        direct.other_agents.retain(|key| Some(*key) != direct.agent);
        direct.other_agents.sort_unstable();
        direct.other_agents.dedup();
        for attachment in doc.get("attachments").and_then(Value::as_array).into_iter().flatten() {
            self.attachments.push(attachment_ref(attachment));
        }
        direct
    }

    fn context(&mut self, context: &mut Map<String, Value>) {
        for (name, value) in context.iter_mut() {
            match (name.as_str(), value) {
                ("instructor" | "team", Value::Object(actor)) => drop(self.actor(actor)),
                ("contextActivities", Value::Object(lists)) => {
                    for list in lists.values_mut() {
                        for activity in objects_mut(list) {
                            self.activity(activity);
                        }
                    }
                }
                ("contextAgents" | "contextGroups", list) => {
                    for item in objects_mut(list) {
                        for (name, actor) in item.iter_mut() {
                            if let ("agent" | "group", Value::Object(actor)) = (name.as_str(), actor) {
                                self.actor(actor);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Notes an agent or group; its members, who match a filter as well as the group does, go into `members`.
    fn with_members(&mut self, actor: &mut Map<String, Value>, members: &mut Vec<Uuid>) -> Option<Uuid> {
        let known = self.agents.len();
        let key = self.actor(actor);
        members.extend(self.agents[known..].iter().map(|agent| agent.key).filter(|member| Some(*member) != key));
        key
    }

    /// Notes an agent or group and its members; its key, unless the group is anonymous.
    pub fn actor(&mut self, actor: &mut Map<String, Value>) -> Option<Uuid> {
        for member in actor.get_mut("member").into_iter().flat_map(objects_mut) {
            self.actor(member);
        }
        let ifi = Ifi::of(actor)?;
        let key = keys::agent(self.tenant, &ifi);
        let object_type =
            if actor.get("objectType").is_some_and(|t| t == "Group") { ActorType::Group } else { ActorType::Agent };
        let name = actor.get_mut("name").and_then(|name| match name.take() {
            Value::String(name) => Some(name),
            _ => None,
        });
        self.agents.push(SeenAgent { key, ifi, name, object_type });
        Some(key)
    }

    fn activity(&mut self, activity: &mut Map<String, Value>) -> Option<Uuid> {
        let Some(Value::String(iri)) = activity.get_mut("id").map(Value::take) else { return None };
        let key = keys::activity(self.tenant, &iri);
        let definition = match activity.get_mut("definition").map(Value::take) {
            Some(Value::Object(definition)) => Some(definition),
            _ => None,
        };
        self.activities.push(SeenActivity { key, iri, definition });
        Some(key)
    }

    /// Sorted keys of all agents and activities but the ones the statement is directly about.
    pub fn related(&self, direct: &Direct) -> Vec<Uuid> {
        let is_direct =
            |key: &Uuid| [direct.agent, direct.activity].contains(&Some(*key)) || direct.other_agents.contains(key);
        let agents = self.agents.iter().map(|agent| agent.key);
        let activities = self.activities.iter().map(|activity| activity.key);
        let mut related: Vec<_> = agents.chain(activities).filter(|key| !is_direct(key)).collect();
        related.sort_unstable();
        related.dedup();
        related
    }

    /// One entry per key, in key order: writers that take locks in this order cannot deadlock.
    pub fn settle(&mut self) {
        // A named mention sorts before a nameless one and survives it.
        self.agents.sort_by(|a, b| a.key.cmp(&b.key).then(b.name.is_some().cmp(&a.name.is_some())));
        self.agents.dedup_by_key(|agent| agent.key);
        self.activities.sort_by_key(|activity| activity.key);
        self.activities.dedup_by(|later, first| {
            let same = later.key == first.key;
            if same && let Some(definition) = later.definition.take() {
                activity::merge(first.definition.get_or_insert_default(), definition);
            }
            same
        });
    }
}

/// One list out of many: the activities that several statements mention, merged, in key order.
pub fn merge_activities(seen: impl IntoIterator<Item = SeenActivity>) -> Vec<SeenActivity> {
    let mut by_key: HashMap<Uuid, SeenActivity> = HashMap::new();
    for activity in seen {
        match by_key.get_mut(&activity.key) {
            Some(known) => {
                if let Some(definition) = activity.definition {
                    activity::merge(known.definition.get_or_insert_default(), definition);
                }
            }
            None => drop(by_key.insert(activity.key, activity)),
        }
    }
    let mut all: Vec<_> = by_key.into_values().collect();
    all.sort_unstable_by_key(|activity| activity.key);
    all
}

pub(super) fn uuid(doc: &Map<String, Value>, name: &str) -> Option<Uuid> {
    doc.get(name).and_then(Value::as_str).and_then(|text| Uuid::try_parse(text).ok())
}

fn attachment_ref(attachment: &Value) -> AttachmentRef {
    let text = |name: &str| attachment.get(name).and_then(Value::as_str).unwrap_or_default();
    AttachmentRef {
        sha2: text("sha2").to_ascii_lowercase(),
        content_type: text("contentType").to_owned(),
        length: attachment.get("length").and_then(Value::as_u64).unwrap_or_default(),
        has_file_url: attachment.get("fileUrl").is_some(),
        usage_type: text("usageType").to_owned(),
    }
}
