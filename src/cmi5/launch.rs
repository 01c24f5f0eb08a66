//! What the LMS decides when it launches a unit, and what the launch's credential is bound to.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::model::{attempt::MoveOn, score::Score};

/// One launch: a learner in a registration, and as far as the LMS says so, the session and the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    pub registration: Uuid,
    pub actor: Map<String, Value>,
    pub session: Option<String>,
    /// The unit, by the activity id that the LMS has made for it.
    pub activity: Option<String>,
    pub move_on: Option<MoveOn>,
    pub mastery_score: Option<Score>,
    pub mode: Option<LaunchMode>,
}

impl Launch {
    /// A launch of which nothing else is known.
    pub fn of(registration: Uuid, actor: Map<String, Value>) -> Self {
        let (session, activity, move_on, mastery_score, mode) = (None, None, None, None, None);
        Self { registration, actor, session, activity, move_on, mastery_score, mode }
    }
}

/// Whether what is done counts (cmi5 10.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaunchMode {
    Normal,
    Browse,
    Review,
}

impl LaunchMode {
    pub const ALL: [Self; 3] = [Self::Normal, Self::Browse, Self::Review];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Browse => "Browse",
            Self::Review => "Review",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}
