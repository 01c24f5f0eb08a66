//! Names of earlier configurations. They still work, with a warning, until `config migrate` rewrites them.
//!
//! Version 0 of the file had flat keys and no `version`; version 1 has sections. To rename a key: add a row here.

/// The version of the configuration file that this binary writes.
pub const FILE_VERSION: i64 = 1;

/// One old name and where its value belongs today.
#[derive(Clone, Copy, Debug)]
pub struct Renamed {
    pub old: &'static str,
    /// The key of the table.
    pub key: &'static str,
    /// How the old value becomes the new one.
    pub convert: fn(&str) -> String,
}

const fn same(old: &'static str, key: &'static str) -> Renamed {
    Renamed { old, key, convert: unchanged }
}

fn unchanged(value: &str) -> String {
    value.to_owned()
}

fn port_to_listen(port: &str) -> String {
    format!("127.0.0.1:{port}")
}

fn seconds(value: &str) -> String {
    format!("{value}s")
}

fn json_flag(value: &str) -> String {
    if value == "true" || value == "1" { "json".to_owned() } else { "pretty".to_owned() }
}

fn issuer_of_realm(value: &str) -> String {
    value.trim_end_matches('/').to_owned()
}

/// Environment variables that had another name.
pub const VARIABLES: &[Renamed] = &[
    Renamed { old: "PROGRESS_PORT", key: "listen", convert: port_to_listen },
    same("PROGRESS_DB_URL", "database.url"),
    same("DATABASE_URL", "database.url"),
    same("KAFKA_BROKERS", "kafka.brokers"),
    same("PROGRESS_LOG_LEVEL", "log"),
    Renamed { old: "PROGRESS_LOG_JSON", key: "log_format", convert: json_flag },
    same("PROGRESS_S3_ENDPOINT", "archive.s3_endpoint"),
    Renamed { old: "PROGRESS_JWT_ISSUER", key: "auth.issuer", convert: issuer_of_realm },
    same("PROGRESS_JWT_AUDIENCE", "auth.audience"),
    Renamed { old: "PROGRESS_SHUTDOWN_SECONDS", key: "shutdown.soft", convert: seconds },
];

/// Keys of the file, version 0.
pub const FILE_KEYS: &[Renamed] = &[
    Renamed { old: "port", key: "listen", convert: port_to_listen },
    same("database_url", "database.url"),
    same("db_pool_size", "database.pool_size"),
    same("kafka_brokers", "kafka.brokers"),
    same("log_level", "log"),
    Renamed { old: "log_json", key: "log_format", convert: json_flag },
    same("s3_endpoint", "archive.s3_endpoint"),
    Renamed { old: "jwt_issuer", key: "auth.issuer", convert: issuer_of_realm },
    same("jwt_audience", "auth.audience"),
    same("jwks_url", "auth.jwks_url"),
    same("cors_origins", "limits.cors_origins"),
    Renamed { old: "shutdown_seconds", key: "shutdown.soft", convert: seconds },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    #[test]
    fn every_old_name_leads_to_a_key_and_is_not_one() {
        for renamed in VARIABLES.iter().chain(FILE_KEYS) {
            assert!(KEYS.iter().any(|key| key.name == renamed.key), "{} leads nowhere", renamed.old);
            assert!(!KEYS.iter().any(|key| key.name == renamed.old || key.env() == renamed.old), "{}", renamed.old);
        }
    }
}
