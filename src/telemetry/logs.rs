//! Log lines to standard error, as JSON or for people. Standard output stays free for what commands print.

use tracing_subscriber::{EnvFilter, filter::ParseError, fmt, layer::SubscriberExt, util::SubscriberInitExt};

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
    let registry = tracing_subscriber::registry().with(filter);
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
