//! Which programs call, by the name and version that they give themselves, so that one knows who still uses what.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{IntCounterVec, Opts};

use super::{register, registry::Registry};

/// Names and versions that are told apart; all that come later count as one.
const MOST: usize = 100;
const LONGEST: usize = 40;
const OTHERS: (&str, &str) = ("other", "");

/// The count of each client's requests; clones share it.
#[derive(Clone, Debug)]
pub struct Clients {
    requests: IntCounterVec,
    seen: Arc<Mutex<HashSet<(String, String)>>>,
}

impl Clients {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = Opts::new(
            "progress_http_clients_total",
            "requests with valid credentials by program, as it calls itself in `User-Agent`: its name and the first \
            two numbers of its version; the first 100 that a node sees are told apart, the others are `other`",
        );
        let requests = register(registry, IntCounterVec::new(requests, &["client", "version"]))?;
        Ok(Self { requests, seen: Arc::default() })
    }

    /// Counts a request of whoever calls themselves so in `User-Agent`.
    pub fn called(&self, agent: &str) {
        let (name, version) = product(agent);
        let (name, version) = if self.is_told_apart(name, version) { (name, version) } else { OTHERS };
        self.requests.with_label_values(&[name, version]).inc();
    }

    fn is_told_apart(&self, name: &str, version: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = (name.to_owned(), version.to_owned());
        seen.contains(&pair) || (seen.len() < MOST && seen.insert(pair))
    }
}

/// The first product of a `User-Agent`, such as `curl/8.5`: its name, and the first two numbers of its version.
fn product(agent: &str) -> (&str, &str) {
    let first = agent.split_whitespace().next().unwrap_or_default();
    let (name, version) = first.split_once('/').unwrap_or((first, ""));
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || name.len() > LONGEST || !name.bytes().all(is_name) {
        return OTHERS;
    }
    (name, two_numbers(version))
}

fn two_numbers(version: &str) -> &str {
    let mut dots = 0;
    let end = version.find(|c: char| {
        dots += usize::from(c == '.');
        !(c.is_ascii_digit() || c == '.' && dots < 2)
    });
    let numbers = version[..end.unwrap_or(version.len())].trim_end_matches('.');
    if numbers.len() > LONGEST { "" } else { numbers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_its_first_product() {
        for (agent, name, version) in [
            ("curl/8.5.0", "curl", "8.5"),
            ("python-requests/2.31.0 extra/1", "python-requests", "2.31"),
            ("Mozilla/5.0 (X11; Linux) Chrome/120", "Mozilla", "5.0"),
            ("lms", "lms", ""),
            ("lms/v2", "lms", ""),
            ("lms/12.", "lms", "12"),
            ("ann@example.com/1", "other", ""),
            ("(nobody)", "other", ""),
            ("", "other", ""),
        ] {
            assert_eq!(product(agent), (name, version), "{agent}");
        }
        assert_eq!(product(&format!("{}/1", "x".repeat(41))), OTHERS);
        assert_eq!(product(&format!("x/{}", "1".repeat(41))), ("x", ""));
    }

    #[test]
    fn there_are_never_more_than_a_hundred_and_who_was_there_stays() {
        let registry = Registry::default();
        let clients = Clients::register(&registry).unwrap();
        (0..500).for_each(|n| clients.called(&format!("c{n}/1.0")));
        clients.called("c7/1.0.9");
        let series = registry.gather()[0].get_metric().len();
        assert_eq!(series, MOST + 1);
        assert_eq!(clients.requests.with_label_values(&["c7", "1.0"]).get(), 2);
        assert_eq!(clients.requests.with_label_values(&["other", ""]).get(), 400);
    }
}
