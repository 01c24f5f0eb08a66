//! How long things are kept: rules and their history, the plan they come to, and what is marked, spared and removed by it.
//!
//! Marking removes nothing. What is marked waits for its grace to be over, is looked at once more, and only then goes, piece by
//! piece, each piece in a transaction that asks for holds. The objects of an archived month are the archive's to remove: here its
//! segment gives way, and `archive gc` does the rest.

mod error;
mod look;
mod marks;
mod measure;
pub mod plan;
mod policy;
mod remove;
mod units;
pub mod who;
mod wish;

use chrono::TimeDelta;

pub use self::{
    error::RetentionError,
    look::Trial,
    marks::Done,
    policy::{Change, Effect, NewHold, Preview},
    units::{Plan, Unit, What, digest},
    wish::{Named, Written},
};
use crate::{
    model::{Clock, Ids},
    objects::shelf::Shelf,
    store::Store,
};

/// What retention works with; cheap to clone.
#[derive(Clone)]
pub struct Retention {
    pub store: Store,
    shelf: Shelf,
    clock: Clock,
    ids: Ids,
    /// How long what is marked waits.
    grace: TimeDelta,
}

impl Retention {
    pub fn new(store: &Store, shelf: Shelf, clock: &Clock, ids: &Ids, grace: std::time::Duration) -> Self {
        let grace = TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX);
        Self { store: store.clone(), shelf, clock: clock.clone(), ids: ids.clone(), grace }
    }

    /// The same through another store, for instance one under a lease.
    #[must_use]
    pub fn through(&self, store: &Store) -> Self {
        Self { store: store.clone(), ..self.clone() }
    }
}
