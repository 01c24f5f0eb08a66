//! Log lines to standard error, as JSON or for people. Standard output stays free for what commands print.

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, filter::ParseError, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::LogFormat;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the log filter is not understood: {0}")]
    Filter(#[from] ParseError),
    #[error("logs are already set up: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging for the whole process; a second call is an error.
pub fn init(filter: &str, format: LogFormat) -> Result<(), LogError> {
    let filter = self::filter(filter)?;
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_told));
    match format {
        LogFormat::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
            registry.with(layer.with_writer(std::io::stderr)).try_init()?;
        }
        LogFormat::Pretty => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).try_init()?;
        }
    }
    Ok(())
}

/// What the operator asks for. The migration library tells every file it looks at, and the runner tells what matters
/// of it: only its warnings pass, unless the operator names it.
fn filter(asked: &str) -> Result<EnvFilter, ParseError> {
    let filter = EnvFilter::try_new(asked)?;
    Ok(if asked.contains("refinery_core") { filter } else { filter.add_directive("refinery_core=warn".parse()?) })
}

/// How much a library may say, whatever the operator asks for: only so much as was read through, and found to hold no
/// statement, no name and no secret. The driver of the database tells all it is given to send, passwords as well; what sets
/// text tells the text. [`OTHERS`] is for all that stand here by no name.
const LIBRARIES: [(&str, Level); 6] = [
    ("progress_service", Level::TRACE),
    ("refinery_core", Level::TRACE),
    ("actix_server", Level::INFO),
    ("rdkafka", Level::INFO),
    ("librdkafka", Level::INFO),
    ("cosmic_text", Level::ERROR),
];
const OTHERS: Level = Level::WARN;

fn may_be_told(line: &Metadata<'_>) -> bool {
    let library = line.target().split("::").next().unwrap_or_default();
    let most = LIBRARIES.iter().find(|(name, _)| *name == library).map_or(OTHERS, |(_, most)| *most);
    *line.level() <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migration_library_is_quiet_unless_it_is_named() {
        assert!(filter("info").unwrap().to_string().contains("refinery_core=warn"));
        let named = filter("info,refinery_core=debug").unwrap().to_string();
        assert!(named.contains("refinery_core=debug") && !named.contains("refinery_core=warn"), "{named}");
        assert!(filter("a=b=c").is_err());
    }
}
