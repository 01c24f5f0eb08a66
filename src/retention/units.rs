//! A plan as lines: what goes and what stays, where, and the principle that decided. Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::plan::Principle;
use crate::model::{TenantId, partition::Month, plan, retention::Place};

/// What a line of the plan is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Rows of tables.
    Rows,
    /// A month in the archive, whole.
    Segment,
}

/// A line of the plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    pub tenant: TenantId,
    pub place: Place,
    pub what: What,
    pub month: Option<Month>,
    pub revision: Option<u32>,
    /// Only what is of this course, by its key.
    pub course: Option<Uuid>,
    /// What was stored up to here goes; absent: nothing does.
    pub until: Option<DateTime<Utc>>,
    /// How many rows go, or stay because of the principle.
    pub rows: i64,
    pub bytes: i64,
    pub principle: Principle,
    pub rule: Option<i64>,
    /// The hold, where one decided.
    pub hold: Option<Uuid>,
}

impl Unit {
    pub fn goes(&self) -> bool {
        self.until.is_some()
    }
}

/// What retention comes to now.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    pub units: Vec<Unit>,
}

/// The digest of what goes: who confirms it says what was seen. The moments of lines are cut to the day, as they move with the clock.
pub fn digest(plan: &Plan) -> String {
    let goes = plan.units.iter().filter(|unit| unit.goes());
    let lines: Vec<_> = goes
        .map(|unit| (unit.tenant, unit.place, unit.what, unit.month, unit.revision, unit.course, unit.rule, unit.rows))
        .collect();
    plan::digest(&lines)
}

/// A line of which nothing is known yet.
pub(super) fn blank(tenant: TenantId, place: Place, what: What, month: Option<Month>) -> Unit {
    let (principle, rule) = (Principle::NoRule, None);
    Unit {
        tenant,
        place,
        what,
        month,
        revision: None,
        course: None,
        until: None,
        rows: 0,
        bytes: 0,
        principle,
        rule,
        hold: None,
    }
}
