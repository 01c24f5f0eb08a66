//! The registry of Prometheus, and beside it what each metric is: the library tells of those alone that have a value.

use std::sync::{Mutex, PoisonError};

use prometheus::{
    core::Collector,
    proto::{MetricFamily, MetricType},
};

/// A metric as its documentation names it.
#[derive(Clone, Debug)]
pub struct Described {
    pub name: String,
    pub labels: Vec<String>,
    pub kind: &'static str,
    pub help: String,
}

#[derive(Debug, Default)]
pub struct Registry {
    values: prometheus::Registry,
    described: Mutex<Vec<Described>>,
}

impl Registry {
    pub fn register(&self, collector: Box<dyn Collector>) -> Result<(), prometheus::Error> {
        let described = describe(collector.as_ref());
        self.values.register(collector)?;
        self.described.lock().unwrap_or_else(PoisonError::into_inner).extend(described);
        Ok(())
    }

    pub fn gather(&self) -> Vec<MetricFamily> {
        self.values.gather()
    }

    /// Every metric there is, by name; also those that have no value yet.
    pub fn described(&self) -> Vec<Described> {
        let mut all = self.described.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

fn describe(collector: &dyn Collector) -> Vec<Described> {
    let families = collector.collect();
    let kind = |name: &str| {
        let family = families.iter().find(|family| family.name() == name);
        family.map_or("", |family| kind_of(family.get_field_type()))
    };
    let described = collector.desc().into_iter().map(|one| Described {
        name: one.fq_name.clone(),
        labels: one.variable_labels.clone(),
        kind: kind(&one.fq_name),
        help: one.help.clone(),
    });
    described.collect()
}

fn kind_of(kind: MetricType) -> &'static str {
    match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped",
    }
}
