//! State, activity profile and agent profile: which document, or which of them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Given, params::Params, resource::Resource};
use crate::{
    Limits, Violations,
    keys::{self, Ifi},
    rules::table as rule,
};

/// What is done to a document; HEAD is a `Get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DocumentMethod {
    Get,
    Put,
    Post,
    Delete,
}

/// What a document belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentScope {
    State {
        activity: String,
        agent: Ifi,
        /// For one document: none means the document without registration. For many: none means of any registration.
        registration: Option<Uuid>,
    },
    ActivityProfile {
        activity: String,
    },
    AgentProfile {
        agent: Ifi,
    },
}

/// The document or documents a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentQuery {
    One {
        scope: DocumentScope,
        id: String,
    },
    /// All of a scope: their ids (GET; `since` is exclusive), or to delete them (state only).
    Many {
        scope: DocumentScope,
        since: Option<DateTime<Utc>>,
    },
}

impl DocumentScope {
    pub fn resource(&self) -> Resource {
        match self {
            Self::State { .. } => Resource::State,
            Self::ActivityProfile { .. } => Resource::ActivityProfile,
            Self::AgentProfile { .. } => Resource::AgentProfile,
        }
    }

    /// The key of the document `id` within this scope.
    pub fn key(&self, tenant: Uuid, id: &str) -> Uuid {
        match self {
            Self::State { activity, agent, registration } => keys::state(tenant, activity, agent, *registration, id),
            Self::ActivityProfile { activity } => keys::activity_profile(tenant, activity, id),
            Self::AgentProfile { agent } => keys::agent_profile(tenant, agent, id),
        }
    }

    /// The key of the scope itself, whatever the registration: what a listing asks for.
    pub fn scope_key(&self, tenant: Uuid) -> Uuid {
        keys::document_scope(tenant, self.resource(), self.activity_key(tenant), self.agent_key(tenant))
    }

    pub fn activity_key(&self, tenant: Uuid) -> Option<Uuid> {
        match self {
            Self::State { activity, .. } | Self::ActivityProfile { activity } => Some(keys::activity(tenant, activity)),
            Self::AgentProfile { .. } => None,
        }
    }

    pub fn agent_key(&self, tenant: Uuid) -> Option<Uuid> {
        match self {
            Self::State { agent, .. } | Self::AgentProfile { agent } => Some(keys::agent(tenant, agent)),
            Self::ActivityProfile { .. } => None,
        }
    }
}

/// Reads the parameters of a document resource.
pub fn documents(
    resource: Resource,
    method: DocumentMethod,
    given: &Given,
    limits: &Limits,
) -> Result<DocumentQuery, Violations> {
    let (id_name, known) = match resource {
        Resource::State => ("stateId", &["activityId", "agent", "stateId", "registration", "since"][..]),
        Resource::ActivityProfile => ("profileId", &["activityId", "profileId", "since"][..]),
        Resource::AgentProfile => ("profileId", &["agent", "profileId", "since"][..]),
    };
    // Only a GET of many takes `since`; it is the last of the known.
    let known = if method == DocumentMethod::Get { known } else { &known[..known.len() - 1] };
    let mut params = Params::new(given, known, limits);
    let scope = scope(resource, &mut params);
    let many = params.text(id_name).is_none()
        && (method == DocumentMethod::Get || (method == DocumentMethod::Delete && resource == Resource::State));
    let query = if many {
        let since = params.instant("since");
        scope.map(|scope| DocumentQuery::Many { scope, since })
    } else {
        if params.text("since").is_some() {
            params.refuse(rule::QUERY_EXCLUSIVE, format!("since goes only without {id_name}"));
        }
        let id = params.required(id_name, Params::name);
        scope.zip(id).map(|(scope, id)| DocumentQuery::One { scope, id })
    };
    params.finish(query)
}

fn scope(resource: Resource, params: &mut Params<'_>) -> Option<DocumentScope> {
    match resource {
        Resource::State => {
            let activity = params.required("activityId", Params::iri);
            let agent = params.required("agent", Params::agent);
            let registration = params.uuid("registration");
            Some(DocumentScope::State { activity: activity?, agent: agent?, registration })
        }
        Resource::ActivityProfile => {
            params.required("activityId", Params::iri).map(|activity| DocumentScope::ActivityProfile { activity })
        }
        Resource::AgentProfile => {
            params.required("agent", Params::agent).map(|agent| DocumentScope::AgentProfile { agent })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{given, rules},
        DocumentMethod::*,
        *,
    };

    const ACTIVITY: (&str, &str) = ("activityId", "http://a.example/1");
    const AGENT: (&str, &str) = ("agent", r#"{"mbox":"mailto:a@b.c"}"#);
    const ID: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";

    fn read(resource: Resource, method: DocumentMethod, pairs: &[(&str, &str)]) -> Result<DocumentQuery, Violations> {
        documents(resource, method, &given(pairs), &Limits::default())
    }

    #[test]
    fn without_an_id_only_get_and_delete_of_state_have_a_meaning() {
        let state = |method| rules(read(Resource::State, method, &[ACTIVITY, AGENT]));
        assert_eq!(state(Get), [""; 0]);
        assert_eq!(state(Delete), [""; 0]);
        assert_eq!(state(Put), ["query.missing"]);
        assert_eq!(state(Post), ["query.missing"]);
        for (resource, pair) in [(Resource::ActivityProfile, ACTIVITY), (Resource::AgentProfile, AGENT)] {
            assert_eq!(rules(read(resource, Get, &[pair])), [""; 0]);
            for method in [Put, Post, Delete] {
                assert_eq!(rules(read(resource, method, &[pair])), ["query.missing"]);
                assert_eq!(rules(read(resource, method, &[pair, ("profileId", "p")])), [""; 0]);
            }
        }
    }

    #[test]
    fn what_a_document_belongs_to_is_required() {
        for method in [Get, Put, Post, Delete] {
            assert_eq!(rules(read(Resource::State, method, &[("stateId", "s")])), ["query.missing", "query.missing"]);
            assert_eq!(rules(read(Resource::ActivityProfile, method, &[("profileId", "p")])), ["query.missing"]);
            assert_eq!(
                rules(read(Resource::AgentProfile, method, &[("profileId", "p"), ACTIVITY])),
                ["query.unknown", "query.missing"]
            );
        }
    }

    #[test]
    fn values_are_checked() {
        let with = |extra: (&str, &str)| rules(read(Resource::State, Get, &[ACTIVITY, AGENT, extra]));
        assert_eq!(with(("since", "2020-01-01T00:00:00Z")), [""; 0]);
        assert_eq!(with(("since", "soon")), ["query.timestamp"]);
        assert_eq!(with(("registration", "x")), ["query.uuid"]);
        assert_eq!(with(("stateId", "")), ["query.name"]);
        assert_eq!(with(("stateId", "a\0b")), ["query.name"]);
        let both = [ACTIVITY, AGENT, ("stateId", "s"), ("since", "2020-01-01T00:00:00Z")];
        assert_eq!(rules(read(Resource::State, Get, &both)), ["query.exclusive"]);
        assert_eq!(rules(read(Resource::State, Delete, &both[1..])), ["query.unknown", "query.missing"]);
    }

    #[test]
    fn a_document_with_and_without_registration_are_two() {
        let key = |pairs: &[(&str, &str)]| match read(Resource::State, Get, pairs) {
            Ok(DocumentQuery::One { scope, id }) => scope.key(Uuid::nil(), &id),
            other => panic!("{other:?}"),
        };
        let without = key(&[ACTIVITY, AGENT, ("stateId", "s")]);
        let with = key(&[ACTIVITY, AGENT, ("stateId", "s"), ("registration", ID)]);
        assert_ne!(without, with);
        assert_eq!(with, key(&[ACTIVITY, AGENT, ("stateId", "s"), ("registration", &ID.to_uppercase())]));
    }
}
