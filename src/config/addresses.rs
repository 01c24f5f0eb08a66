//! What the configuration names elsewhere, looked at before anybody knocks there: a URL of the wrong kind is a mistake
//! of the hand, and is told with all others.

use url::Url;

use super::{Config, Problem, cells, collector, receivers, targets};
use crate::model::Secret;

const POSTGRES: &[&str] = &["postgres", "postgresql"];
const WEB: &[&str] = &["http", "https"];

/// Every address that is none. Values are not repeated: a URL may hold a password.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut ask = |key: &str, value: Option<&str>, check: fn(&str) -> Result<(), String>| {
        found.extend(value.and_then(|value| check(value).err()).map(|why| Problem::value(key, why)));
    };
    ask("database.url", config.database.url.as_ref().map(Secret::expose), database);
    ask("database.migration_url", config.database.migration_url.as_ref().map(Secret::expose), database);
    ask("archive.url", config.archive.url.as_deref(), archive);
    ask("backup.url", config.backup.url.as_deref(), archive);
    ask("backup.database_url", config.backup.database_url.as_ref().map(Secret::expose), database);
    ask("archive.s3_endpoint", config.archive.s3_endpoint.as_deref(), web);
    ask("auth.issuer", config.auth.issuer.as_deref(), web);
    ask("auth.jwks_url", config.auth.jwks_url.as_deref(), web);
    ask("auth.account_home_page", Some(&config.auth.account_home_page), absolute);
    if config.pages.oidc_client_id.is_some() {
        ask("public_url", config.service.public_url.as_deref(), reached_by_browsers);
    }
    ask("residency.cells", config.residency.cells.as_ref().map(Secret::expose), |text| cells::read(text).map(drop));
    ask("forward.targets", config.forward.targets.as_ref().map(Secret::expose), |text| targets::read(text).map(drop));
    ask("rollout.receivers", config.rollout.receivers.as_ref().map(Secret::expose), |text| {
        receivers::read(text).map(drop)
    });
    ask("telemetry.otlp_endpoint", config.telemetry.otlp_endpoint.as_deref(), web);
    if let Some(headers) = &config.telemetry.otlp_headers {
        ask("telemetry.otlp_headers", Some(headers.expose()), |text| collector::headers(text).map(drop));
        ask("telemetry.otlp_endpoint", config.telemetry.otlp_endpoint.as_deref(), |text| {
            receivers::is_fit(text).map_err(str::to_owned)
        });
    }
    ask("residency.endpoint", config.residency.endpoint.as_deref(), web);
    ask("residency.cell", Some(&config.residency.cell), cell);
    ask("gateway.address", config.gateway.address.as_deref(), host_and_port);
    ask("gateway.sslmode", Some(&config.gateway.sslmode), sslmode);
    for broker in &config.kafka.brokers {
        ask("kafka.brokers", Some(broker), host_and_port);
    }
    for origin in config.limits.cors_origins.iter().filter(|origin| *origin != "*") {
        ask("limits.cors_origins", Some(origin), cors_origin);
    }
    found
}

fn cell(name: &str) -> Result<(), String> {
    if cells::is_name(name) { Ok(()) } else { Err("a name of 1 to 63 of a-z, 0-9 and '-' was expected".to_owned()) }
}

/// Not parsed further here: PostgreSQL's URLs may name several hosts, or a folder, which no other URL can.
fn database(text: &str) -> Result<(), String> {
    match text.split_once("://") {
        Some((scheme, rest)) if POSTGRES.contains(&scheme) && !rest.is_empty() => Ok(()),
        _ => Err("expected postgres://user:password@host:port/database".to_owned()),
    }
}

fn archive(text: &str) -> Result<(), String> {
    let fits = text.starts_with("file:///") || text.strip_prefix("s3://").is_some_and(|rest| !rest.is_empty());
    if fits { Ok(()) } else { Err("expected file:///absolute/folder or s3://bucket/prefix".to_owned()) }
}

fn web(text: &str) -> Result<(), String> {
    match Url::parse(text) {
        Ok(url) if WEB.contains(&url.scheme()) && url.has_host() => Ok(()),
        _ => Err("expected a URL that begins with http:// or https:// and names a host".to_owned()),
    }
}

/// A code that people come back with is worth a session: it goes over TLS, or stays on this machine.
fn reached_by_browsers(text: &str) -> Result<(), String> {
    web(text)?;
    receivers::is_fit(text).map_err(str::to_owned)
}

fn absolute(text: &str) -> Result<(), String> {
    Url::parse(text).map(drop).map_err(|_| "expected an absolute URL".to_owned())
}

fn sslmode(text: &str) -> Result<(), String> {
    let fits = ["disable", "require", "verify-ca", "verify-full"].contains(&text);
    if fits { Ok(()) } else { Err("expected disable, require, verify-ca or verify-full".to_owned()) }
}

fn host_and_port(text: &str) -> Result<(), String> {
    let fits = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if fits && !text.contains("://") { Ok(()) } else { Err("expected host:port".to_owned()) }
}

fn cors_origin(text: &str) -> Result<(), String> {
    let is_bare = |url: &Url| url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    match Url::parse(text) {
        Ok(url) if url.has_host() && is_bare(&url) => Ok(()),
        _ => Err("expected * or an origin such as https://lms.example".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Environment, read};

    fn refusal(variable: &str, value: &str) -> Option<String> {
        let variables = [
            ("PROGRESS_DATABASE_URL", "postgres://a@b/c"),
            ("PROGRESS_AUTH_ISSUER", "https://issuer.example"),
            ("PROGRESS_AUTH_AUDIENCE", "progress"),
            (variable, value),
        ];
        read(&Environment::of(variables), Path::new("/nowhere")).err().map(|error| error.to_string())
    }

    #[test]
    fn an_address_of_another_kind_is_refused_by_its_key_and_not_repeated() {
        for (variable, key, value) in [
            ("PROGRESS_DATABASE_URL", "database.url", "mysql://hunter2@b/c"),
            ("PROGRESS_DATABASE_URL", "database.url", "hunter2"),
            ("PROGRESS_DATABASE_URL", "database.url", "postgres://"),
            ("PROGRESS_DATABASE_MIGRATION_URL", "database.migration_url", "mysql://hunter2@b/c"),
            ("PROGRESS_ARCHIVE_URL", "archive.url", "ftp://hunter2"),
            ("PROGRESS_ARCHIVE_URL", "archive.url", "file://relative"),
            ("PROGRESS_ARCHIVE_S3_ENDPOINT", "archive.s3_endpoint", "hunter2:9000"),
            ("PROGRESS_AUTH_ISSUER", "auth.issuer", "issuer.example"),
            ("PROGRESS_AUTH_JWKS_URL", "auth.jwks_url", "file:///hunter2"),
            ("PROGRESS_AUTH_ACCOUNT_HOME_PAGE", "auth.account_home_page", "home page"),
            ("PROGRESS_KAFKA_BROKERS", "kafka.brokers", "a:9092,hunter2"),
            ("PROGRESS_KAFKA_BROKERS", "kafka.brokers", "kafka://a:9092"),
            ("PROGRESS_LIMITS_CORS_ORIGINS", "limits.cors_origins", "https://a.example,https://b.example/path"),
        ] {
            let said = refusal(variable, value).unwrap_or_else(|| panic!("{value} is accepted as {key}"));
            assert!(said.starts_with(&format!("{key}: expected")) && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn every_usual_address_is_taken() {
        for (variable, value) in [
            ("PROGRESS_DATABASE_URL", "postgresql://u:p%40@h1:5432,h2:5433/d?sslmode=require"),
            ("PROGRESS_DATABASE_URL", "postgres://u@%2Fvar%2Frun%2Fpostgresql/d"),
            ("PROGRESS_ARCHIVE_URL", "s3://bucket/prefix"),
            ("PROGRESS_ARCHIVE_URL", "file:///srv/archive"),
            ("PROGRESS_ARCHIVE_S3_ENDPOINT", "http://store:7070"),
            ("PROGRESS_AUTH_JWKS_URL", "http://127.0.0.1:8080/keys"),
            ("PROGRESS_KAFKA_BROKERS", "kafka:9092,[::1]:9093"),
            ("PROGRESS_LIMITS_CORS_ORIGINS", "https://lms.example,http://localhost:3000"),
            ("PROGRESS_LIMITS_CORS_ORIGINS", "*"),
        ] {
            assert_eq!(refusal(variable, value), None, "{value}");
        }
    }
}
