//! Spans of what a step has read: one for each request that is traced, in that request's trace.

use std::collections::HashMap;

use crate::{
    store::{Store, ledger::statements::Id},
    telemetry::{
        TraceContext, Traces,
        spans::{Kind, Moment},
    },
};

/// Tells of statements that are projected. Nothing depends on it, so what stands in its way is only told to whoever looks.
pub(super) async fn tell(store: &Store, traces: &Traces, began: Option<Moment>, statements: &[Id]) {
    let known = match store.traces_of(statements).await {
        Ok(known) => known,
        Err(error) => return tracing::debug!(%error, "the traces of what was projected cannot be read"),
    };
    let mut counts: HashMap<TraceContext, usize> = HashMap::new();
    known.into_values().for_each(|trace| *counts.entry(trace).or_default() += 1);
    for (trace, count) in counts {
        let mut span = traces.below_since(trace, Kind::Consumer, "project", began);
        span.set("progress.statements", count);
        span.finish(false);
    }
}
