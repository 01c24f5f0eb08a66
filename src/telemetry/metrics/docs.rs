//! `docs/metrics.md`: every metric as the code registers it.

use std::fmt::Write as _;

use super::registry::Described;

const HEAD: &str = "# Metrics

See also: [operations.md](operations.md), [production.md](production.md).

What `/metrics` tells, in Prometheus' text format; `metrics = false` turns it off. Labels hold names from small fixed sets, never anything of a request, but for
the names of clients and of forwards, of which a hundred at most are told apart. A histogram `x` has `x_bucket`, `x_sum` and `x_count`; what begins with
`process_` is there on Linux alone. Alerts and a dashboard over them are in `scripts/dist`. This page is printed by `progress-service metrics docs`.

| metric | type | labels | what |
|---|---|---|---|
";

/// The page, whole.
pub fn markdown(metrics: &[Described]) -> String {
    let mut page = HEAD.to_owned();
    for Described { name, labels, kind, help } in metrics {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (labels, help) = (labels.join(", "), help.replace('|', "\\|"));
        // Writing into a string cannot fail.
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {help} |");
    }
    page
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs, path::Path};

    use crate::telemetry::Metrics;

    /// On Linux, where all of them are.
    #[test]
    fn the_page_in_docs_is_what_the_command_prints() {
        let metrics = Metrics::new().unwrap();
        let all = metrics.registry.described();
        assert!(all.len() > 80, "only {} metrics are described", all.len());
        for one in &all {
            assert!(!one.kind.is_empty() && one.help.len() > 5, "{} is not described", one.name);
        }
        let page =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap_or_default();
        assert!(page == metrics.markdown(), "run `progress-service metrics docs > docs/metrics.md`");
    }
}
