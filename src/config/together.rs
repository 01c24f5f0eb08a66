//! Settings that only make sense together: what no single key can tell.

use super::{Config, ConfigError, Problem};

impl Config {
    /// What no single key can tell: settings that only make sense together.
    pub(super) fn check_together(&self) -> Result<(), ConfigError> {
        let rules = [
            (self.tls.cert_file.is_some() == self.tls.key_file.is_some(), "tls.cert_file", "set both files or neither"),
            (
                self.gateway.tls_cert_file.is_some() == self.gateway.tls_key_file.is_some(),
                "gateway.tls_cert_file",
                "set both files or neither",
            ),
            (
                self.gateway.tls_cert_file.is_some() || self.gateway.listen.ip().is_loopback(),
                "gateway.listen",
                "set gateway.tls_cert_file and gateway.tls_key_file, or listen on this machine alone",
            ),
            (
                self.auth.issuer.is_some() == self.auth.audience.is_some(),
                "auth.issuer",
                "set it and auth.audience or neither",
            ),
            (self.kafka.sasl_mechanism.is_none() || self.kafka.sasl_user.is_some(), "kafka.sasl_user", "is missing"),
            (
                self.kafka.sasl_mechanism.is_none() || self.kafka.sasl_password.is_some(),
                "kafka.sasl_password",
                "is missing",
            ),
            (
                self.database.migration_url.is_none() || self.database.url.is_some(),
                "database.url",
                "is missing beside database.migration_url",
            ),
            (self.xapi.page_default <= self.xapi.page, "xapi.page_default", "is larger than xapi.page"),
            (self.xapi.page_default > 0, "xapi.page_default", "must be at least 1"),
            (self.database.pool_size > 0, "database.pool_size", "must be at least 1"),
            (self.database.worker_pool_size > 1, "database.worker_pool_size", "must be at least 2"),
            (self.ingest.queue.0 >= 1024, "ingest.queue", "must be at least 1KiB"),
            (self.ingest.group_size > 0, "ingest.group_size", "must be at least 1"),
            (self.ingest.writers > 0, "ingest.writers", "must be at least 1"),
            (self.archive.reads > 0, "archive.reads", "must be at least 1"),
            (
                self.backup.every.is_none_or(|every| every >= std::time::Duration::from_secs(60)),
                "backup.every",
                "must be at least 1m",
            ),
            (self.http.body_rate.0 > 0, "http.body_rate", "must be at least 1"),
            (
                self.http.memory.0 / 4 >= self.xapi.body_bytes.0.max(self.xapi.document_bytes.0),
                "http.memory",
                "must be at least four times xapi.body_bytes and xapi.document_bytes",
            ),
            (
                self.service.bootstrap_credential.as_ref().is_none_or(|c| is_key_and_secret(c.expose())),
                "bootstrap_credential",
                "expected key:secret, both non-empty",
            ),
        ];
        let broken = rules.into_iter().filter(|(holds, _, _)| !holds);
        let mut problems: Vec<Problem> = broken.map(|(_, key, why)| Problem::value(key, why)).collect();
        problems.extend(super::addresses::problems(self));
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::Problems(problems)) }
    }
}

fn is_key_and_secret(text: &str) -> bool {
    text.split_once(':').is_some_and(|(key, secret)| !key.is_empty() && !secret.is_empty())
}
