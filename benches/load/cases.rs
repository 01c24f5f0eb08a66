//! What is asked of the ledger: each filter as the path of a request and as the query the service makes of it.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use progress_service::{
    model::TenantId,
    store::ledger::pages::{Filter, Query, Span},
    xapi::keys::{self, Ifi},
};
use rand::{Rng, rngs::SmallRng};
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use super::{
    fill::Filled,
    statements::{self, ACTIVITIES, COURSES, LEARNERS, VERBS},
};

/// Statements on a page.
const LIMIT: u32 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    None,
    Agent,
    Verb,
    Activity,
    Registration,
    RelatedAgent,
    RelatedActivity,
    Since,
    Id,
    Deep,
}

pub const CASES: [Case; 10] = [
    Case::None,
    Case::Agent,
    Case::Verb,
    Case::Activity,
    Case::Registration,
    Case::RelatedAgent,
    Case::RelatedActivity,
    Case::Since,
    Case::Id,
    Case::Deep,
];

/// What a case needs to know of the ledger.
pub struct Scene {
    pub filled: Filled,
    pub ids: Vec<Uuid>,
    /// A `more` link far behind the first page, and the time where its page begins.
    pub deep: String,
    pub deep_until: DateTime<Utc>,
}

impl Case {
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Agent => "agent",
            Self::Verb => "verb",
            Self::Activity => "activity",
            Self::Registration => "registration",
            Self::RelatedAgent => "related agent",
            Self::RelatedActivity => "related activity",
            Self::Since => "since, ascending",
            Self::Id => "id",
            Self::Deep => "deep page",
        }
    }

    pub fn path(self, scene: &Scene, rng: &mut SmallRng) -> String {
        if self == Self::Deep {
            return scene.deep.clone();
        }
        let mut query = Serializer::new("/xapi/statements?".to_owned());
        if self == Self::Id {
            return query
                .append_pair("statementId", &scene.ids[rng.random_range(0..scene.ids.len())].to_string())
                .finish();
        }
        let draw = Draw::of(scene, rng);
        query.append_pair("limit", &LIMIT.to_string());
        match self {
            Self::Agent => query.append_pair("agent", &statements::agent_json(draw.learner)),
            Self::Verb => query.append_pair("verb", &statements::verb_iri(draw.verb)),
            Self::Activity => query.append_pair("activity", &statements::activity_iri(draw.activity)),
            Self::Registration => query.append_pair("registration", &draw.registration().to_string()),
            Self::RelatedAgent => {
                query.append_pair("agent", &statements::agent_json(draw.learner)).append_pair("related_agents", "true")
            }
            Self::RelatedActivity => query
                .append_pair("activity", &statements::course_iri(draw.course))
                .append_pair("related_activities", "true"),
            Self::Since => query
                .append_pair("since", &draw.since.to_rfc3339_opts(SecondsFormat::Micros, true))
                .append_pair("ascending", "true"),
            Self::None | Self::Id | Self::Deep => &mut query,
        };
        query.finish()
    }

    /// What the service asks the database for such a request; `Id` has a query of its own.
    pub fn query(self, scene: &Scene, rng: &mut SmallRng) -> Query {
        let draw = Draw::of(scene, rng);
        let tenant = TenantId::DEFAULT;
        let agent = || {
            let home_page = "https://idp.example.com/realms/learning".to_owned();
            Some(keys::agent(tenant.0, &Ifi::Account { home_page, name: statements::learner_name(draw.learner) }))
        };
        let activity = |iri: String| Some(keys::activity(tenant.0, &iri));
        let mut filter = Filter::default();
        // One more than the page holds, to see whether it is cut.
        let mut span = Span { ascending: false, since: None, until: None, limit: i64::from(LIMIT) + 1, bytes: 8 << 20 };
        match self {
            Self::Agent => filter.agent = agent(),
            Self::Verb => filter.verb = Some(keys::verb(tenant.0, &statements::verb_iri(draw.verb))),
            Self::Activity => filter.activity = activity(statements::activity_iri(draw.activity)),
            Self::Registration => filter.registration = Some(keys::registration(tenant.0, draw.registration())),
            Self::RelatedAgent => (filter.agent, filter.related_agents) = (agent(), true),
            Self::RelatedActivity => {
                (filter.activity, filter.related_activities) = (activity(statements::course_iri(draw.course)), true);
            }
            Self::Since => {
                span = Span { ascending: true, since: Some(draw.since), until: Some(scene.filled.last), ..span };
            }
            Self::Deep => span.until = Some(scene.deep_until - TimeDelta::microseconds(1)),
            Self::None | Self::Id => {}
        }
        Query::new(tenant, &filter, &span)
    }
}

/// One choice of everything that can be asked for.
struct Draw {
    learner: u32,
    verb: &'static str,
    activity: u32,
    course: u32,
    since: DateTime<Utc>,
}

impl Draw {
    fn of(scene: &Scene, rng: &mut SmallRng) -> Self {
        let Filled { first, last } = scene.filled;
        let part =
            TimeDelta::microseconds(rng.random_range(0..(last - first).num_microseconds().unwrap_or(1).max(1) / 2));
        Self {
            learner: rng.random_range(0..LEARNERS),
            verb: VERBS[rng.random_range(0..VERBS.len())],
            activity: rng.random_range(0..ACTIVITIES),
            course: rng.random_range(0..COURSES),
            since: first + part,
        }
    }

    fn registration(&self) -> Uuid {
        statements::registration(self.learner, self.course)
    }
}
