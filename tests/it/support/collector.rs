//! An OpenTelemetry Collector for tests: the real one, which says what it was told.

use std::{collections::BTreeMap, process::Command};

use super::{patience, pgproc::free_port, process::Process, settings};

/// A collector of a test's own. Stopped when it is dropped.
pub struct Collector {
    process: Process,
    pub endpoint: String,
}

/// A span as the collector has understood it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub trace: String,
    pub parent: String,
    pub id: String,
    pub name: String,
    pub kind: String,
    pub status: String,
    pub attributes: BTreeMap<String, String>,
}

impl Collector {
    pub async fn start() -> Self {
        Self::start_at(free_port()).await
    }

    pub async fn start_at(port: u16) -> Self {
        let mut command = Command::new(settings::required("TEST_COLLECTOR_PROGRAM"));
        for part in [
            format!("receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}}"),
            "exporters: {debug: {verbosity: detailed}}".to_owned(),
            "service: {telemetry: {metrics: {level: none}}, pipelines: {traces: {receivers: [otlp], exporters: [debug]}, \
             metrics: {receivers: [otlp], exporters: [debug]}}}"
                .to_owned(),
        ] {
            command.args(["--config", &format!("yaml:{part}")]);
        }
        let mut process = Process::start(command);
        process.says("Everything is ready").await;
        Self { process, endpoint: format!("http://127.0.0.1:{port}") }
    }

    /// All that it was told, as it says it.
    pub fn text(&self) -> String {
        self.process.log.lines().join("\n")
    }

    pub fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for line in self.process.log.lines() {
            if line.starts_with("Span #") {
                spans.push(Span::default());
            }
            // What the resource has stands before the first span of a batch.
            let Some(span) = spans.last_mut().filter(|_| line.starts_with("    ") || line.starts_with("     -> "))
            else {
                continue;
            };
            if let Some((name, value)) = line.strip_prefix("     -> ").and_then(|rest| rest.split_once(": ")) {
                span.attributes.insert(name.to_owned(), value.to_owned());
            } else if let Some((name, value)) = line.split_once(':') {
                let value = value.trim().to_owned();
                match name.trim() {
                    "Trace ID" => span.trace = value,
                    "Parent ID" => span.parent = value,
                    "ID" => span.id = value,
                    "Name" => span.name = value,
                    "Kind" => span.kind = value,
                    "Status code" => span.status = value,
                    _ => {}
                }
            }
        }
        spans
    }

    /// The spans of a trace, as soon as there are so many.
    pub async fn spans_of(&self, trace: &str, count: usize) -> Vec<Span> {
        patience::until("the spans of the trace", async || {
            let spans: Vec<Span> = self.spans().into_iter().filter(|span| span.trace == trace).collect();
            if spans.len() >= count { Ok(spans) } else { Err(format!("{} of {count}: {}", spans.len(), self.text())) }
        })
        .await
    }
}
