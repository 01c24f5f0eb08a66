//! The one table of keys. A line here is a field, a line of the documentation, and a name in file and environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub use super::key::Key;
use super::{
    ConfigError, Problem,
    setting::{ByteSize, LogFormat, PathList, Ratio, Sasl, Setting},
    source::Values,
    table::keys,
};
use crate::model::{Secret, scheme::Scheme};

keys! {
    /// The service as a whole.
    "" service: Service {
        /// Address and port to serve on; port 0 takes a free one and prints it.
        listen: SocketAddr = "127.0.0.1:8080",
        /// Folder of everything the service keeps on this machine.
        data_dir: PathBuf = "./data",
        /// Folder with the programs of an installed PostgreSQL, used for the embedded database instead of fetching one.
        pg_bin: Option<PathBuf> = "",
        /// `key:secret` of a credential with all scopes, made for the default tenant if it is not there.
        bootstrap_credential: Option<Secret> = "",
        /// URL under which assignable units and browsers reach this service, for the fetch URLs of launches and for the pages; absent
        /// means the one under which whoever asks has reached it.
        public_url: Option<String> = "",
        /// Which log lines are written: a level (`info`) or a filter (`info,progress_service::store=debug`).
        log: String = "info",
        /// How log lines look: `json` for machines, `pretty` for people.
        log_format: LogFormat = "pretty",
        /// Whether `/metrics` is answered on the listener.
        metrics: bool = "true",
    }
    /// TLS on the listener: both files or neither.
    "tls." tls: Tls {
        /// PEM file with the server's certificate chain; replaced files are picked up without a restart.
        cert_file: Option<PathBuf> = "",
        /// PEM file with the private key of the certificate.
        key_file: Option<PathBuf> = "",
        /// How often the two files are looked at for a change.
        reload: Duration = "10s",
    }
    /// What one client may take of the listener.
    "http." http: Http {
        /// How many threads answer requests; 0 means one for each processor.
        workers: usize = "0",
        /// Open connections per worker thread; more wait in the kernel's queue.
        max_connections: usize = "10000",
        /// How long an idle connection is kept for its next request.
        keep_alive: Duration = "15s",
        /// How long a client may take to send the head of a request.
        head_timeout: Duration = "10s",
        /// How long a client may take to send a body, before the time its size allows at `body_rate`.
        body_timeout: Duration = "20s",
        /// Bytes a second a large body must keep up; a slower sender is answered 408.
        body_rate: ByteSize = "16KiB",
        /// Bytes of all header names and values of one request; more is answered 431.
        header_bytes: ByteSize = "32KiB",
        /// How long a client may read nothing of an answer, and take for all of it before the time its size allows at `body_rate`.
        answer_timeout: Duration = "30s",
        /// Bytes that all requests together may hold, answers included: a tenant half of it, a credential a quarter; beyond it 503.
        memory: ByteSize = "256MiB",
    }
    /// Work that takes a processor a while: large bodies, merges of documents, PDFs.
    "work." work: Work {
        /// How much of it is done at the same time, of which a tenant has all but one; 0 means one more than processors.
        slots: usize = "0",
        /// How long it may wait for its turn before it is answered 503.
        longest_wait: Duration = "10s",
    }
    /// The database; without a URL the service starts its own PostgreSQL in `data_dir`.
    "database." database: Database {
        /// URL the service works with: a role that does not own the tables.
        url: Option<Secret> = "",
        /// URL of the owning role, for migrations; absent means the same as `database.url`.
        migration_url: Option<Secret> = "",
        /// PEM file of the authority that signed the server's certificate; absent means the system's authorities.
        ca_file: Option<PathBuf> = "",
        /// Connections for requests.
        pool_size: usize = "16",
        /// Connections for background loops and administration, beside those for requests.
        worker_pool_size: usize = "4",
        /// How long to wait for a new connection.
        connect_timeout: Duration = "10s",
        /// How long a request waits for a free connection before it is answered 503.
        acquire_timeout: Duration = "5s",
        /// How long one SQL statement of the data plane may run.
        statement_timeout: Duration = "30s",
        /// How long a statement may wait for a lock.
        lock_timeout: Duration = "5s",
        /// File that the backup touches when it is done: how the checks before a migration know its age.
        backup_marker: Option<PathBuf> = "",
    }
    /// How patient the migration runner is, and where it finds more modules.
    "migrations." migrations: Migrations {
        /// Folders with more modules: `<module>/NNN_description.sql`, each module with a schema of its own.
        plugin_dir: PathList = "",
        /// How long a file waits for a table lock before it steps back; everybody else queues behind a waiter.
        lock_timeout: Duration = "50ms",
        /// How often a file is tried when others hold its locks; the pauses between grow to 6.4 s.
        lock_tries: u32 = "20",
        /// How long a file may make anybody else wait before that is told as a warning; the time that it may itself wait for a
        /// lock comes on top.
        wait_limit: Duration = "50ms",
        /// How long one statement of a transactional file may run.
        statement_timeout: Duration = "15m",
        /// How long a statement outside a transaction may run.
        autocommit_timeout: Duration = "6h",
        /// How long to wait for another node's run.
        wait: Duration = "15m",
    }
    /// Event delivery; without brokers events wait in the ledger.
    "kafka." kafka: Kafka {
        /// `host:port` of one or more brokers.
        brokers: Vec<String> = "",
        /// Whether the connection is encrypted.
        tls: bool = "false",
        /// PEM file of the authority that signed the brokers' certificates; absent means the system's authorities.
        ca_file: Option<PathBuf> = "",
        /// How the service proves itself; absent means it does not.
        sasl_mechanism: Option<Sasl> = "",
        /// User name for `kafka.sasl_mechanism`.
        sasl_user: Option<String> = "",
        /// Password for `kafka.sasl_mechanism`.
        sasl_password: Option<Secret> = "",
        /// What stands before every topic's name: one for each installation that shares the brokers.
        topic_prefix: String = "",
        /// Whether missing topics are made, with a retention of 180 days.
        create_topics: bool = "true",
        /// Partitions of a topic that is made here.
        topic_partitions: usize = "6",
    }
    /// Where archived months lie.
    "archive." archive: Archive {
        /// `file:///absolute/folder` or `s3://bucket/prefix`; absent means the folder `archive` under `data_dir`.
        url: Option<String> = "",
        /// URL of an S3-compatible server; absent means that of the region.
        s3_endpoint: Option<String> = "",
        /// Region of the bucket.
        s3_region: String = "us-east-1",
        /// Access key of the bucket.
        s3_access_key: Option<String> = "",
        /// Secret of `archive.s3_access_key`.
        s3_secret_key: Option<Secret> = "",
        /// PEM file of the authority that signed the server's certificate; absent means the system's authorities.
        s3_ca_file: Option<PathBuf> = "",
        /// Whether an `http://` endpoint is accepted.
        s3_allow_http: bool = "false",
        /// How the bucket is told to encrypt: `AES256`, or the id of a KMS key; absent means the bucket's own rule.
        s3_encryption: Option<String> = "",
        /// How many whole months before the current one stay among those that every query reads; older ones are archived by the
        /// service itself. Absent means that nothing is archived, nor sealed, but by hand.
        hot_months: Option<u32> = "",
        /// How long after its end a month is sealed, once `archive.hot_months` is given.
        seal_after: Duration = "2d",
        /// How long the table of an archived month is kept; absent means until somebody drops it by hand.
        drop_after: Option<Duration> = "",
        /// Bytes of archived months that are kept on this machine's disk, under `data_dir`; `0B`: none.
        cache: ByteSize = "1GiB",
        /// Reads of archived months that may be under way at once.
        reads: usize = "8",
        /// How long a read of archived months waits for its turn; then it is answered 503 with `Retry-After`.
        read_wait: Duration = "2s",
        /// How long a read of an archived month may take in the object storage; then it is answered 503 with `Retry-After`.
        read_timeout: Duration = "20s",
    }
    /// Backups of the whole database ([backups.md](backups.md)).
    "backup." backup: Backup {
        /// Where backups lie: `file:///absolute/folder`, or `s3://bucket/prefix` at the server and with the keys of `archive.s3_…`; absent
        /// means the folder `backups` under `data_dir`, which a lost disk takes along.
        url: Option<String> = "",
        /// File with the key that backups are encrypted with: 64 hexadecimal digits, as `openssl rand -hex 32` prints them. Absent
        /// means that they are not encrypted.
        key_file: Option<PathBuf> = "",
        /// Folder with `pg_basebackup`, `pg_dump` and `pg_restore`; absent means those that are found by their name.
        programs: Option<PathBuf> = "",
        /// As whom a configured database is backed up: a login with `REPLICATION`, `BYPASSRLS` and `pg_read_all_data`. The embedded
        /// server needs none.
        database_url: Option<Secret> = "",
        /// How often the service makes a backup and verifies it. Absent means that neither is done but by hand.
        every: Option<Duration> = "",
        /// How many of the newest backups `backup prune` always leaves.
        keep: usize = "7",
        /// How long `backup prune` leaves any.
        keep_for: Duration = "30d",
        /// Whether the embedded server's log is kept beside the backups, so that any moment after the oldest of them can be
        /// restored.
        log: bool = "false",
    }
    /// What is kept, and for how long; the rules themselves stand in the database.
    "retention." retention: Retention {
        /// How often what the rules delete is marked, and what was marked long enough ago removed. Absent means that neither is
        /// done but by hand.
        every: Option<Duration> = "",
        /// How long what is marked waits before it may be removed.
        grace: Duration = "7d",
    }
    /// Erasing people.
    "erasure." erasure: Erasure {
        /// Counts of the attempts of erased people stay for courses that at least so many people took, living and erased.
        least_people: u32 = "10",
    }
    /// The gateway, which shows archived months to a PostgreSQL server as tables; a program of its own, `progress-gateway`.
    "gateway." gateway: Gateway {
        /// Where the gateway listens.
        listen: SocketAddr = "127.0.0.1:5434",
        /// TOML file with its logins, as `progress-gateway login` prints them.
        logins_file: Option<PathBuf> = "",
        /// PEM file with the certificate chain; without one only this machine may be listened on.
        tls_cert_file: Option<PathBuf> = "",
        /// PEM file with the private key of `gateway.tls_cert_file`.
        tls_key_file: Option<PathBuf> = "",
        /// How many clients may be connected.
        max_connections: usize = "64",
        /// How many queries may be open at a time, over all clients.
        max_queries: usize = "8",
        /// What all open queries together may hold in memory; what sorts and aggregates need beyond goes to disk.
        memory: ByteSize = "128MiB",
        /// How much they may put on disk, in the folder `gateway/spill` under `data_dir`.
        spill: ByteSize = "4GiB",
        /// How much of the segments is kept on disk, in the folder `gateway/cache` under `data_dir`.
        cache: ByteSize = "1GiB",
        /// `host:port` under which the PostgreSQL server finds the gateway, for `archive attach`.
        address: Option<String> = "",
        /// Login of the installation, for `archive attach`.
        user: String = "archive",
        /// Password of `gateway.user`.
        password: Option<Secret> = "",
        /// How the PostgreSQL server connects: `require`, `verify-ca`, `verify-full`, or `disable` on one machine.
        sslmode: String = "require",
    }
    /// The months of the ledger.
    "partitions." partitions: Partitions {
        /// How months are divided that are made ahead from now on: `monthly` (not at all), `weekly`, `daily`, or `tenants-N` for N parts
        /// by tenant ([schemes.md](schemes.md)).
        scheme: Scheme = "monthly",
    }
    /// Bearer tokens of an OpenID issuer; without an issuer only keys and secrets are accepted.
    "auth." auth: Auth {
        /// The `iss` a token must carry.
        issuer: Option<String> = "",
        /// The `aud` a token must carry.
        audience: Option<String> = "",
        /// Where the issuer publishes its keys; absent means it is discovered from the issuer.
        jwks_url: Option<String> = "",
        /// How long the issuer's keys are trusted before they are fetched again.
        jwks_cache: Duration = "10m",
        /// The least time between two fetches of the issuer's keys, whatever tokens come in.
        jwks_pause: Duration = "10s",
        /// PEM file of the authority that signed the issuer's certificate; absent means the system's authorities.
        ca_file: Option<PathBuf> = "",
        /// Whether the issuer's keys may come over plain `http://` from another machine.
        allow_http: bool = "false",
        /// `account.homePage` of the Agent that a credential without one of its own speaks for.
        account_home_page: String = "http://progress.invalid/credentials",
        /// How long a checked key and secret is remembered, and so how long a revoked one may still work.
        credential_cache: Duration = "30s",
    }
    /// Signing in to the pages through `auth.issuer` ([admin.md](admin.md#through-an-openid-provider)); without a client only keys do.
    "pages." pages: PagesSignIn {
        /// The client that the issuer knows these pages as. It also takes `auth.issuer` and `public_url`: the issuer sends browsers back to
        /// `/admin/sign-in/oidc/callback` below that.
        oidc_client_id: Option<String> = "",
        /// Secret of that client; absent means a public client, which PKCE protects alone.
        oidc_client_secret: Option<Secret> = "",
        /// What is asked for: `openid`, and whatever brings the claims `tid` and `scope` or `scp` into ID tokens, with spaces between.
        oidc_scopes: String = "openid",
    }
    /// Transcripts that are printed.
    "transcript." transcript: Transcript {
        /// A folder with fonts for names in scripts that neither the built-in fonts nor the system's cover.
        fonts: Option<PathBuf> = "",
        /// How long setting one PDF may take before it is answered 503.
        deadline: Duration = "10s",
    }
    /// The xAPI surface and its limits; every refusal answers with its number.
    "xapi." xapi: Xapi {
        /// Paths the xAPI resources are served under; `/v2` below each speaks 2.0 only.
        paths: Vec<String> = "/xapi,/xAPI,/data/xAPI",
        /// Statements on a page when the client names no limit.
        page_default: usize = "100",
        /// Statements on a page at most; `limit=0` asks for exactly this.
        page: usize = "500",
        /// Bytes of statements on a page at most: it ends before them, but for a statement that is larger by itself.
        page_bytes: ByteSize = "8MiB",
        /// Bytes of a request body that is not multipart.
        body_bytes: ByteSize = "16MiB",
        /// Bytes of a whole `multipart/mixed` request.
        multipart_bytes: ByteSize = "128MiB",
        /// Parts of a `multipart/mixed` request.
        multipart_parts: usize = "1000",
        /// Statements in one POST.
        statements: usize = "5000",
        /// Bytes of one statement as JSON.
        statement_bytes: ByteSize = "1MiB",
        /// Levels of nested JSON.
        depth: usize = "64",
        /// JSON values in one body.
        values: usize = "400000",
        /// Bytes of one IRI.
        iri_bytes: ByteSize = "16KiB",
        /// Violations listed in one answer.
        violations: usize = "100",
        /// Bytes of one state or profile document.
        document_bytes: ByteSize = "16MiB",
    }
    /// Group commit: how statements of many callers share one transaction.
    "ingest." ingest: Ingest {
        /// Statements that may wait or be under way, by size; when it is full, or has no room for more of one tenant, the answer is 503
        /// with `Retry-After`. A tenant gets eight ninths of it at most, so that others find room.
        queue: ByteSize = "64MiB",
        /// Statements in one transaction, unless one caller brings more.
        group_size: usize = "1000",
        /// How long a group waits for company while another is under way; an idle service never waits.
        group_delay: Duration = "0ms",
        /// Transactions that write at the same time; while they wait for something for half a second, up to three times as many more.
        writers: usize = "2",
    }
    /// The audit trail as a log that others can check.
    "audit." audit: Audit {
        /// Public keys of witnesses whose signatures under a checkpoint are kept, each as `name+id+key` (C2SP signed-note, kind 1 or 4).
        witnesses: Vec<String> = "",
    }
    /// This cell and the others that tenants move to and from ([moving.md](moving.md)).
    "residency." residency: Residency {
        /// The name of this cell, of a-z, 0-9 and `-`.
        cell: String = "here",
        /// Where this cell answers its clients, such as `https://eu.lrs.example`; another cell sends a tenant's clients there.
        endpoint: Option<String> = "",
        /// The other cells, each as `NAME ENDPOINT DATABASE-URL`, with semicolons between them; the login is one that serves there.
        cells: Option<Secret> = "",
    }
    /// Statements that are sent on to other LRSs ([data.md](data.md)).
    "forward." forward: Forward {
        /// The other LRSs, each as `NAME ENDPOINT KEY:SECRET`, with semicolons between them; the endpoint is what stands before
        /// `/statements`. A login with white space or a semicolon cannot be named.
        targets: Option<Secret> = "",
        /// Authorities to trust for them, PEM; the system's if empty.
        ca_file: Option<PathBuf> = "",
        /// Statements in one request to them.
        batch_size: usize = "200",
        /// Bytes in one request to them, attachments included; a statement that has more goes alone.
        batch_bytes: ByteSize = "4MiB",
    }
    /// Who is told what rollouts do ([rollouts.md](rollouts.md)).
    "rollout." rollout: Rollout {
        /// Who may be told over HTTP, each as `NAME URL` or `NAME URL SECRET`, with semicolons between them; a plan names the name. The secret
        /// signs what is sent: 24 to 64 bytes in base64 (`openssl rand -base64 32`). `http://` reaches only hosts of a private network.
        receivers: Option<Secret> = "",
        /// Authorities to trust for them, PEM; the system's if empty.
        ca_file: Option<PathBuf> = "",
    }
    /// Traces and metrics, told to an OpenTelemetry collector ([operations.md](operations.md#traces)).
    "telemetry." telemetry: Telemetry {
        /// Where a collector takes OTLP over HTTP, such as `http://localhost:4318`; traces go to `v1/traces` below it, metrics to
        /// `v1/metrics`. Absent means that nothing is traced. Give all nodes the same.
        otlp_endpoint: Option<String> = "",
        /// Headers of each request to it, as `NAME=VALUE`, with semicolons between them; then `http://` reaches only hosts of a private
        /// network.
        otlp_headers: Option<Secret> = "",
        /// Authorities to trust for it, PEM; the system's if empty.
        otlp_ca_file: Option<PathBuf> = "",
        /// How often all metrics go there; `0s`: never, where the collector takes traces alone, or `/metrics` is scraped.
        otlp_metrics_every: Duration = "1m",
        /// The part of the requests that is traced, of those whose caller does not decide it by a `traceparent`.
        sample_ratio: Ratio = "1",
    }
    /// When a cmi5 registration counts as left, because nobody speaks of it any more.
    "cmi5." cmi5: Cmi5 {
        /// Silence after which a registration closes as passed whose only unit met its `moveOn`, for an LMS that never says
        /// `satisfied`. `0s`: never.
        met_after: Duration = "1d",
        /// Silence after which any other registration closes as incomplete or abandoned. `0s`: never.
        silent_after: Duration = "0s",
    }
    /// What browsers and single credentials may do.
    "limits." limits: RateLimits {
        /// Origins whose pages may call the service; `*` means any that hold a key of their own ([security.md](security.md)).
        cors_origins: Vec<String> = "*",
        /// Requests a second that one credential may make; 0 means no limit.
        rate_per_second: u32 = "0",
        /// Requests one credential may make at once before the rate counts.
        rate_burst: u32 = "200",
    }
    /// How the service stops.
    "shutdown." shutdown: Shutdown {
        /// How long `/readyz` answers 503 before the listener closes, for load balancers that have to notice.
        announce: Duration = "0ms",
        /// How long accepted requests may take to finish after the first signal.
        soft: Duration = "30s",
        /// How long background loops may take to stop after that.
        hard: Duration = "10s",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_build_and_agree_with_the_rooms_that_have_their_own() {
        let config = Config::build(&Values::default()).unwrap();
        config.check_together().unwrap();
        assert_eq!(config.xapi.limits(), crate::xapi::Limits::default());
        assert!(config.database.url.is_none() && config.kafka.brokers.is_empty());
    }

    #[test]
    fn names_are_unique_in_file_and_environment() {
        let mut names: Vec<String> = KEYS.iter().map(Key::env).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), KEYS.len());
        assert!(names.contains(&"PROGRESS_DATABASE_URL".to_owned()));
    }

    #[test]
    fn every_key_has_a_sentence() {
        for key in KEYS {
            assert!(key.doc.trim().ends_with('.'), "{} has no sentence", key.name);
        }
    }

    /// The text of every source file outside of this room.
    fn sources(folder: &std::path::Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("src/config") {
                sources(&path, text);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_key_is_read_by_somebody() {
        let mut text = String::new();
        // The gateway reads the same table of keys.
        for package in ["src", "gateway/src"] {
            sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(package), &mut text);
        }
        let words: std::collections::HashSet<&str> = text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.')
            .flat_map(|w| w.split('.'))
            .collect();
        let limits = crate::xapi::Limits::default();
        let of_limits = format!("{limits:?}");
        for key in KEYS {
            let field = key.name.rsplit('.').next().unwrap();
            assert!(words.contains(field) || of_limits.contains(field), "nobody reads {}", key.name);
        }
    }
}
