//! Figures: percentiles, lines of a table as they are found, and all of it as JSON at the end.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::place::Cpu;

/// How long each request took.
#[derive(Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    pub fn add(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    pub fn merge(all: impl IntoIterator<Item = Self>) -> Self {
        let mut merged: Vec<u32> = all.into_iter().flat_map(|latencies| latencies.0).collect();
        merged.sort_unstable();
        Self(merged)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Milliseconds; only of what was merged.
    pub fn percentile(&self, percent: usize) -> f64 {
        let at = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        f64::from(self.0.get(at).copied().unwrap_or_default()) / 1_000.0
    }

    pub fn columns(&self) -> String {
        format!("{:>9.2} {:>9.2} {:>9.2}", self.percentile(50), self.percentile(95), self.percentile(99))
    }

    pub fn json(&self) -> Value {
        json!({"p50_ms": self.percentile(50), "p95_ms": self.percentile(95), "p99_ms": self.percentile(99)})
    }
}

/// Everything found so far, by section.
#[derive(Default)]
pub struct Report(Map<String, Value>);

impl Report {
    /// Keeps a figure; the caller prints its line.
    pub fn add(&mut self, section: &str, name: &str, value: Value) {
        let section = self.0.entry(section).or_insert_with(|| json!({}));
        section[name] = value;
    }

    /// A figure kept before.
    pub fn number(&self, section: &str, name: &str, key: &str) -> Option<f64> {
        self.0.get(section)?.get(name)?.get(key)?.as_f64()
    }

    pub fn print_json(self) {
        println!("\n{}", Value::Object(self.0));
    }
}

pub fn heading(title: &str, columns: &str) {
    println!("\n{title}\n{}\n{columns}", "-".repeat(title.len()));
}

/// Microseconds of CPU for each statement (or request), by who spent them.
pub fn cpu_each(cpu: Cpu, count: u64) -> (String, Value) {
    let each = |seconds: f64| seconds * 1e6 / count.max(1) as f64;
    let (service, database, client) = (each(cpu.service), each(cpu.database), each(cpu.client));
    let text = format!("{service:>8.1} {database:>8.1} {client:>8.1}");
    (text, json!({"service_us": service, "database_us": database, "client_us": client}))
}
