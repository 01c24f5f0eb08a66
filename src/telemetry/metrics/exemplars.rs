//! For each time that requests take one that took it, by its trace: what leads from a chart to what happened.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};

use super::SECONDS;
use crate::telemetry::TraceContext;

/// A request that is told to a collector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    pub context: TraceContext,
    pub began: DateTime<Utc>,
    pub seconds: f64,
}

/// The last one of each method, route and bucket of the histogram; there are as many as that has.
#[derive(Debug, Default)]
pub struct Exemplars(Mutex<HashMap<(String, String), Buckets>>);

type Buckets = [Option<Exemplar>; SECONDS.len() + 1];

impl Exemplars {
    pub(super) fn remember(&self, method: &str, route: &str, exemplar: Exemplar) {
        let place = SECONDS.partition_point(|bound| *bound < exemplar.seconds);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets = all.entry((method.to_owned(), route.to_owned())).or_default();
        buckets[place] = Some(exemplar);
    }

    /// Those of a method and route, the shortest first.
    pub fn of(&self, method: &str, route: &str) -> Vec<Exemplar> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets = all.get(&(method.to_owned(), route.to_owned()));
        buckets.map(|buckets| buckets.iter().flatten().copied().collect()).unwrap_or_default()
    }
}
