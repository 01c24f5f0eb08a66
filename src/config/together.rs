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
        let broken = rules.into_iter().chain(self.of_the_pages()).filter(|(holds, _, _)| !holds);
        let mut problems: Vec<Problem> = broken.map(|(_, key, why)| Problem::value(key, why)).collect();
        problems.extend(super::addresses::problems(self));
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::Problems(problems)) }
    }

    /// What signing in through the issuer takes.
    fn of_the_pages(&self) -> [(bool, &'static str, &'static str); 4] {
        [
            (
                self.pages.oidc_client_id.is_none() || self.auth.issuer.is_some(),
                "auth.issuer",
                "is missing beside pages.oidc_client_id: set it, and auth.audience, to the issuer that people sign in with",
            ),
            (
                self.pages.oidc_client_id.is_none() || self.service.public_url.is_some(),
                "public_url",
                "is missing beside pages.oidc_client_id: set it to where browsers find this service, such as https://lrs.example",
            ),
            (
                self.pages.oidc_client_id.is_some() || self.pages.oidc_client_secret.is_none(),
                "pages.oidc_client_id",
                "is missing beside pages.oidc_client_secret",
            ),
            (
                self.pages.oidc_scopes.split_whitespace().any(|scope| scope == "openid"),
                "pages.oidc_scopes",
                "must have openid among its names",
            ),
        ]
    }
}

fn is_key_and_secret(text: &str) -> bool {
    text.split_once(':').is_some_and(|(key, secret)| !key.is_empty() && !secret.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Environment, read};

    #[test]
    fn a_second_way_in_to_the_pages_says_what_it_lacks() {
        let whole = [
            ("PROGRESS_AUTH_ISSUER", "https://id.example"),
            ("PROGRESS_AUTH_AUDIENCE", "progress"),
            ("PROGRESS_PUBLIC_URL", "https://lrs.example"),
            ("PROGRESS_PAGES_OIDC_CLIENT_ID", "pages"),
            ("PROGRESS_PAGES_OIDC_CLIENT_SECRET", "hunter2"),
        ];
        let said = |variables: &[(&'static str, &'static str)]| {
            let read = read(&Environment::of(variables.to_vec()), Path::new("/nowhere"));
            read.map(|loaded| format!("{:?}", loaded.config.pages)).map_err(|error| error.to_string())
        };
        let shown = said(&whole).unwrap();
        assert!(shown.contains("[redacted]") && !shown.contains("hunter2"), "{shown}");
        for (name, value, why) in [
            ("PROGRESS_AUTH_ISSUER", None, "auth.issuer: is missing beside pages.oidc_client_id: set it"),
            ("PROGRESS_PUBLIC_URL", None, "public_url: is missing beside pages.oidc_client_id: set it"),
            (
                "PROGRESS_PUBLIC_URL",
                Some("http://lrs.example"),
                "public_url: http:// reaches only hosts of a private network",
            ),
            ("PROGRESS_PUBLIC_URL", Some("lrs.example"), "public_url: expected a URL"),
            ("PROGRESS_PAGES_OIDC_CLIENT_ID", None, "pages.oidc_client_id: is missing beside pages.oidc_client_secret"),
            ("PROGRESS_PAGES_OIDC_SCOPES", Some("profile"), "pages.oidc_scopes: must have openid among its names"),
        ] {
            let others = whole.into_iter().filter(|(other, _)| *other != name);
            let variables: Vec<_> = others.chain(value.map(|value| (name, value))).collect();
            let refusal = said(&variables).unwrap_err();
            assert!(refusal.contains(why), "{name}: {refusal}");
        }
    }
}
