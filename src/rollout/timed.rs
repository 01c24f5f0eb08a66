//! How long each step takes at least, as its plan says it, and how long it took. Pure.

use chrono::{DateTime, Utc};

use super::plan::{Plan, Step, span};
use crate::store::platform::rollouts::Event;

/// A step of a rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    pub step: String,
    /// Seconds for which it is baked.
    pub at_least: Option<f64>,
    /// Seconds from the end of the one before it to its own; `None`: it is not over.
    pub took: Option<f64>,
}

/// Seconds that a step takes at least; `None`: as long as others need for it.
pub fn at_least(step: &Step) -> Option<f64> {
    step.what.sets().and_then(|sets| sets.bake).and_then(span).map(|bake| bake.as_secs_f64())
}

/// Every step of a plan in its order, by what its rollout did, the oldest first.
pub fn timed(plan: &Plan, events: &[Event]) -> Vec<Timed> {
    let at = |step: &str, what: &str| -> Option<DateTime<Utc>> {
        events.iter().rfind(|event| event.step == step && event.what == what).map(|event| event.at)
    };
    let mut since = at("", "started");
    let timed = |step: &Step| {
        let done = at(&step.name, "done");
        let took = since.zip(done).map(|(since, done)| (done - since).as_seconds_f64());
        since = done;
        Timed { step: step.name.clone(), at_least: at_least(step), took }
    };
    plan.order().unwrap_or_default().into_iter().map(timed).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{super::plan::read, *};

    #[test]
    fn a_step_takes_from_the_end_of_the_one_before_to_its_own() {
        let plan = "format = 1\nname = \"a\"\nabout = \"\"\n[[steps]]\nname = \"one\"\nkind = \"expand\"\nfiles = []\n\
            [[steps]]\nname = \"two\"\nkind = \"switch\"\nflag = \"f\"\nvalue = \"1\"\nbake = \"2m\"\n\
            [[steps]]\nname = \"three\"\nkind = \"contract\"\nfiles = []\n";
        let event = |seconds: i64, step: &str, what: &str| Event {
            at: DateTime::from_timestamp(seconds, 0).unwrap(),
            step: step.to_owned(),
            what: what.to_owned(),
            detail: Value::Null,
            by: String::new(),
        };
        let events =
            [event(100, "", "started"), event(130, "one", "done"), event(131, "two", "set"), event(280, "two", "done")];
        let timed = timed(&read(plan).unwrap(), &events);
        let shown: Vec<_> = timed.iter().map(|one| (one.step.as_str(), one.at_least, one.took)).collect();
        assert_eq!(shown, [("one", None, Some(30.0)), ("two", Some(120.0), Some(150.0)), ("three", None, None)]);
    }
}
