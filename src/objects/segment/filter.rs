//! Which statements are asked for. Pure.

use std::collections::{BTreeSet, HashSet};

use arrow_array::{Array, RecordBatch, StringArray};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Row,
    batch::{lists, text_of, texts, times},
    schema::RELATIONS,
};

/// A column that holds a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Id,
    Verb,
    Agent,
    Activity,
    Registration,
    RefersTo,
}

impl Key {
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Verb => "verb_key",
            Self::Agent => "agent_key",
            Self::Activity => "activity_key",
            Self::Registration => "registration_key",
            Self::RefersTo => "refers_to",
        }
    }

    fn of(self, row: &Row) -> Option<Uuid> {
        match self {
            Self::Id => Some(row.id),
            Self::Verb => Some(row.verb_key),
            Self::Agent => row.agent_key,
            Self::Activity => row.activity_key,
            Self::Registration => row.registration_key,
            Self::RefersTo => row.refers_to,
        }
    }
}

/// Holds for a statement whose column is one of `keys`, or which has one of `relations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub column: Key,
    pub keys: Vec<Uuid>,
    /// In the forms that `ledger.relations` has.
    pub relations: Vec<Uuid>,
}

/// Every condition has to hold. Who is voided is not asked here: that is known only where later statements are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub conditions: Vec<Condition>,
    /// Where given, only statements stored at one of these moments: there is at most one at each.
    pub moments: Option<BTreeSet<DateTime<Utc>>>,
}

impl Filter {
    /// And the column is this key, or the statement has one of these relations.
    #[must_use]
    pub fn and(mut self, column: Key, key: Uuid, relations: &[Uuid]) -> Self {
        self.conditions.push(Condition { column, keys: vec![key], relations: relations.to_vec() });
        self
    }

    /// And the column is one of these keys.
    #[must_use]
    pub fn and_one_of(mut self, column: Key, keys: &[Uuid]) -> Self {
        self.conditions.push(Condition { column, keys: keys.to_vec(), relations: Vec::new() });
        self
    }

    /// And it has this relation.
    #[must_use]
    pub fn and_related(mut self, key: Uuid) -> Self {
        self.conditions.push(Condition { column: Key::Id, keys: Vec::new(), relations: vec![key] });
        self
    }

    #[must_use]
    pub fn at(mut self, moments: impl IntoIterator<Item = DateTime<Utc>>) -> Self {
        self.moments = Some(moments.into_iter().collect());
        self
    }

    /// Whether a row answers it: what reading selectively comes to.
    pub fn matches(&self, row: &Row) -> bool {
        let holds = |condition: &Condition| {
            condition.column.of(row).is_some_and(|key| condition.keys.contains(&key))
                || condition.relations.iter().any(|key| row.relations.contains(key))
        };
        self.conditions.iter().all(holds) && self.moments.as_ref().is_none_or(|moments| moments.contains(&row.stored))
    }
}

/// Which part of the answer is wanted, and in which order: as a page of the ledger is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub ascending: bool,
    /// Exclusive: the cursor of a page that ascends.
    pub since: Option<DateTime<Utc>>,
    /// Inclusive.
    pub until: Option<DateTime<Utc>>,
    pub limit: usize,
    /// The page ends with the statement that reaches so many bytes of payload.
    pub bytes: usize,
}

impl Span {
    pub(super) fn holds(&self, stored: DateTime<Utc>) -> bool {
        self.since.is_none_or(|since| stored > since) && self.until.is_none_or(|until| stored <= until)
    }

    /// Whether anything between these two moments, themselves included, can be in it.
    pub(super) fn touches(&self, first: DateTime<Utc>, last: DateTime<Utc>) -> bool {
        self.since.is_none_or(|since| last > since) && self.until.is_none_or(|until| first <= until)
    }
}

/// A filter and a span as the columns are compared with them.
pub(super) struct Plan {
    pub conditions: Vec<Test>,
    pub span: Span,
    pub moments: Option<BTreeSet<DateTime<Utc>>>,
}

pub(super) struct Test {
    pub column: &'static str,
    pub keys: HashSet<String>,
    pub relations: HashSet<String>,
}

impl Plan {
    pub fn new(filter: &Filter, span: &Span) -> Self {
        let test = |condition: &Condition| Test {
            column: condition.column.column(),
            keys: condition.keys.iter().copied().map(text_of).collect(),
            relations: condition.relations.iter().copied().map(text_of).collect(),
        };
        let conditions = filter.conditions.iter().map(test).collect();
        Self { conditions, span: *span, moments: filter.moments.clone() }
    }

    /// The columns that decide.
    pub fn columns(&self) -> Vec<&'static str> {
        let keys = self.conditions.iter().filter(|test| !test.keys.is_empty()).map(|test| test.column);
        let relations = self.conditions.iter().any(|test| !test.relations.is_empty()).then_some(RELATIONS);
        let columns: BTreeSet<&str> = ["stored"].into_iter().chain(keys).chain(relations).collect();
        columns.into_iter().collect()
    }

    /// Whether a statement stored between these moments can answer.
    pub fn touches(&self, first: DateTime<Utc>, last: DateTime<Utc>) -> bool {
        let holds_one = |moments: &BTreeSet<DateTime<Utc>>| moments.range(first..=last).next().is_some();
        first <= last && self.span.touches(first, last) && self.moments.as_ref().is_none_or(holds_one)
    }

    /// Which rows of a batch answer.
    pub fn keeps(&self, batch: &RecordBatch) -> Result<Vec<bool>, String> {
        let stored = times(batch, "stored")?;
        let in_time = |at| {
            DateTime::from_timestamp_micros(stored.value(at)).is_some_and(|stored| {
                self.span.holds(stored) && self.moments.as_ref().is_none_or(|moments| moments.contains(&stored))
            })
        };
        let mut kept: Vec<bool> = (0..batch.num_rows()).map(in_time).collect();
        for test in &self.conditions {
            test.narrow(batch, &mut kept)?;
        }
        Ok(kept)
    }
}

impl Test {
    fn narrow(&self, batch: &RecordBatch, kept: &mut [bool]) -> Result<(), String> {
        let own = if self.keys.is_empty() { None } else { Some(texts(batch, self.column)?) };
        let related = if self.relations.is_empty() { None } else { Some(lists(batch)?) };
        let elements: Option<&StringArray> = match related {
            Some(lists) => {
                Some(lists.values().as_any().downcast_ref().ok_or("the elements of relations are no texts")?)
            }
            None => None,
        };
        for (at, kept) in kept.iter_mut().enumerate().filter(|(_, kept)| **kept) {
            let is_own = own.is_some_and(|column| !column.is_null(at) && self.keys.contains(column.value(at)));
            *kept = is_own
                || related.zip(elements).is_some_and(|(lists, elements)| {
                    let offsets = lists.value_offsets();
                    let mut within = offsets[at] as usize..offsets[at + 1] as usize;
                    within.any(|element| self.relations.contains(elements.value(element)))
                });
        }
        Ok(())
    }
}
