//! A statement in cmi5's words.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{CATEGORY, Launch, MOVE_ON_CATEGORY, SESSION, keys::Keys, verb::Verb};
use crate::{
    model::{TenantId, names::given},
    xapi::{Violation, keys::Ifi},
};

/// What a statement of cmi5 says: one with the category ("defined"), one that names a session ("allowed"), or whatever a
/// launch sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Its place in the request.
    pub statement: usize,
    pub verb: Verb,
    pub is_defined: bool,
    pub actor: Option<Ifi>,
    /// Whether the actor is an Agent and no Group.
    pub is_agent: bool,
    pub registration: Option<Uuid>,
    /// As attempts know it: UUIDs in their usual form.
    pub session: Option<String>,
    /// The object, if it is an activity.
    pub object: Option<String>,
    /// The rules that it breaks by itself, whatever was said before: filled in by [`super::read`].
    pub broken: Vec<Violation>,
    /// Of what was said before that matters to it.
    pub(super) keys: Keys,
}

impl Said {
    /// `None`: the statement is not one of cmi5's. `doc` is a valid statement.
    pub(super) fn of(
        tenant: TenantId,
        launch: Option<&Launch>,
        statement: usize,
        doc: &Map<String, Value>,
    ) -> Option<Self> {
        let context = object(doc, "context");
        let is_defined = has_category(context, CATEGORY);
        let extensions = context.and_then(|context| object(context, "extensions"));
        let session = extensions.and_then(|all| all.get(SESSION)).and_then(Value::as_str);
        let session = session.and_then(|session| normal_session(tenant, session));
        if launch.is_none() && !is_defined && session.is_none() {
            return None;
        }
        let verb = object(doc, "verb").and_then(|verb| text(verb, "id")).map_or(Verb::Other, Verb::of);
        let actor = object(doc, "actor");
        let target = object(doc, "object");
        let is_activity =
            |target: &&Map<String, Value>| text(target, "objectType").is_none_or(|kind| kind == "Activity");
        let registration = context.and_then(|context| text(context, "registration"));
        let mut said = Self {
            statement,
            verb,
            is_defined,
            actor: actor.and_then(Ifi::of),
            is_agent: actor.and_then(|actor| text(actor, "objectType")).is_none_or(|kind| kind == "Agent"),
            registration: registration.and_then(|text| text.parse().ok()),
            session,
            object: target.filter(is_activity).and_then(|target| text(target, "id")).map(str::to_owned),
            broken: Vec::new(),
            keys: Keys::default(),
        };
        let (session, object) = (said.session.as_deref(), said.object.as_deref());
        said.keys = Keys::of(tenant, said.judged(), (session, object), (said.registration, said.actor.as_ref()));
        Some(said)
    }
}

impl Said {
    /// The verb by which it is judged: what is only allowed has none of cmi5's.
    pub(super) fn judged(&self) -> Verb {
        if self.is_defined { self.verb } else { Verb::Other }
    }

    /// The keys of all that decides about it.
    pub fn marks(&self) -> impl Iterator<Item = Uuid> {
        self.keys.all()
    }
}

/// A session id as it is compared.
pub(super) fn normal_session(tenant: TenantId, session: &str) -> Option<String> {
    given(tenant, "cmi5 session", session)
}

impl Launch {
    /// Whether a session id is this launch's, if it is bound to one.
    pub fn is_session(&self, tenant: TenantId, session: &str) -> bool {
        let own = self.session.as_deref().and_then(|own| normal_session(tenant, own));
        own.is_none_or(|own| own == session)
    }
}

pub(super) fn object<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    map.get(name).and_then(Value::as_object)
}

pub(super) fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    map.get(name).and_then(Value::as_str)
}

/// Whether the context names this category, alone or in a list.
fn has_category(context: Option<&Map<String, Value>>, category: &str) -> bool {
    let related = context.and_then(|context| object(context, "contextActivities"));
    let is_it = |activity: &Value| activity.get("id").and_then(Value::as_str) == Some(category);
    match related.and_then(|related| related.get("category")) {
        Some(Value::Array(all)) => all.iter().any(is_it),
        Some(one) => is_it(one),
        None => false,
    }
}

pub(super) fn has_move_on_category(doc: &Map<String, Value>) -> bool {
    has_category(object(doc, "context"), MOVE_ON_CATEGORY)
}
