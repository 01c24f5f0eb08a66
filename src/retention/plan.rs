//! What goes and what stays, by four principles. Pure.
//!
//! Keeping and deleting are worked out apart. Then: **keep beats delete** · **the longest keeping wins** · **an explicit rule of
//! deleting beats a general one** (of a course before of a tenant before of everybody) · **the shortest deleting wins** at last.
//! A hold beats them all.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::model::{
    TenantId,
    retention::{Place, Rule, Starts},
};

/// Which principle decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Principle {
    /// It stands under a hold.
    Hold,
    /// A rule would delete it, and another keeps it.
    KeepBeatsDelete,
    /// Several keep it; the longest is not over.
    LongestKeep,
    /// The only rule that keeps it is not over.
    Kept,
    /// A rule that names its course or its tenant deletes it, before a more general one.
    Explicit,
    /// Several of one rank delete it; the shortest has come.
    ShortestDelete,
    /// The only rule that deletes it has come.
    Deleted,
    /// A rule will delete it later.
    NotYet,
    /// No rule deletes it, or its beginning has not come.
    NoRule,
    /// A statement in it is kept for another reason: it goes whole or not at all.
    Whole,
}

impl Principle {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::KeepBeatsDelete => "keep-beats-delete",
            Self::LongestKeep => "longest-keep",
            Self::Kept => "kept",
            Self::Explicit => "explicit",
            Self::ShortestDelete => "shortest-delete",
            Self::Deleted => "deleted",
            Self::NotYet => "not-yet",
            Self::NoRule => "no-rule",
            Self::Whole => "whole",
        }
    }
}

/// A reason: the principle, and the rule it took, where there is one.
pub type Reason = (Principle, Option<i64>);

/// Where the line runs: what was stored up to `until` goes, and everything later stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub until: Option<DateTime<Utc>>,
    /// Why what is up to there goes; of no meaning where nothing does.
    pub goes: Reason,
    /// Why what comes next stays.
    pub stays: Reason,
}

impl Cut {
    pub fn removes(&self, stored: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| stored <= until)
    }
}

/// What is in force for a tenant.
#[derive(Clone, Copy)]
pub struct Law<'l> {
    pub rules: &'l [Rule],
    pub tenant: TenantId,
    pub class: &'l str,
    /// When courses were withdrawn, by their keys.
    pub ends: &'l HashMap<Uuid, DateTime<Utc>>,
    pub now: DateTime<Utc>,
}

/// Up to when a rule of so many days lets things go; `None`: nothing.
type Horizon = Option<DateTime<Utc>>;

impl Law<'_> {
    fn applies(&self, rule: &Rule, place: Place, course: Option<Uuid>) -> bool {
        rule.covers == place
            && rule.class == self.class
            && rule.tenant.is_none_or(|tenant| tenant == self.tenant)
            && rule.course.as_ref().is_none_or(|of| Some(of.key) == course)
    }

    /// The courses that have rules of their own here.
    pub fn courses(&self, place: Place) -> Vec<Uuid> {
        let named = self.rules.iter().filter_map(|rule| Some((rule, rule.course.as_ref()?.key)));
        let mut keys: Vec<Uuid> =
            named.filter(|(rule, key)| self.applies(rule, place, Some(*key))).map(|(_, key)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Up to when something has been there for so many days.
    fn horizon(&self, rule: &Rule, days: u32) -> Horizon {
        let length = TimeDelta::days(i64::from(days));
        match rule.starts {
            Starts::Stored => Some(self.now - length),
            Starts::Withdrawn => {
                let end = self.ends.get(&rule.course.as_ref()?.key)?;
                (*end + length <= self.now).then_some(self.now)
            }
        }
    }

    /// The line for what is of this course, or of none that has rules.
    pub fn cut(&self, place: Place, course: Option<Uuid>) -> Cut {
        let rules: Vec<&Rule> = self.rules.iter().filter(|rule| self.applies(rule, place, course)).collect();
        let keeps: Vec<(&Rule, Horizon)> =
            rules.iter().filter_map(|rule| Some((*rule, self.horizon(rule, rule.keep?)))).collect();
        let longest = keeps.iter().min_by_key(|(_, horizon)| *horizon);
        let (due, goes) = self.due(&rules);
        // `None` comes before every moment: who keeps for ever, or deletes never, decides.
        let until = longest.map_or(due, |(_, kept)| due.min(*kept));
        let stays = match longest {
            Some((rule, kept)) if *kept < due => (Principle::KeepBeatsDelete, Some(rule.number)),
            Some((rule, _)) if due.is_none() && keeps.len() > 1 => (Principle::LongestKeep, Some(rule.number)),
            Some((rule, _)) if due.is_none() => (Principle::Kept, Some(rule.number)),
            _ if due.is_none() => (Principle::NoRule, None),
            _ => (Principle::NotYet, goes.1),
        };
        Cut { until, goes, stays }
    }

    /// Up to when something is due, by the most explicit of the rules that delete, and there by the shortest.
    fn due(&self, rules: &[&Rule]) -> (Horizon, Reason) {
        let deletes: Vec<&Rule> = rules.iter().copied().filter(|rule| rule.delete.is_some()).collect();
        let Some(highest) = deletes.iter().map(|rule| rank(rule)).max() else {
            return (None, (Principle::NoRule, None));
        };
        let of_rank: Vec<&Rule> = deletes.iter().copied().filter(|rule| rank(rule) == highest).collect();
        let horizons = of_rank.iter().filter_map(|rule| Some((self.horizon(rule, rule.delete?), rule.number)));
        let (due, number) = horizons.max_by_key(|(horizon, _)| *horizon).unwrap_or((None, 0));
        let principle = match (of_rank.len() < deletes.len(), of_rank.len() > 1) {
            (true, _) => Principle::Explicit,
            (false, true) => Principle::ShortestDelete,
            (false, false) => Principle::Deleted,
        };
        (due, (principle, Some(number)))
    }
}

/// How explicit a rule is.
fn rank(rule: &Rule) -> u8 {
    match (&rule.course, rule.tenant) {
        (Some(_), _) => 2,
        (None, Some(_)) => 1,
        (None, None) => 0,
    }
}

#[cfg(test)]
#[path = "oracle.rs"]
mod oracle;
