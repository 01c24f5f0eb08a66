//! The image's own idea of health, taken from the Dockerfile and run against the real binary: with TLS and without.

use std::process::Command;

use crate::support::{authority::Authority, process::Service};

/// The shell command of HEALTHCHECK.
fn health_check() -> String {
    let file = include_str!("../../Dockerfile");
    let (_, rest) = file.split_once("\nHEALTHCHECK ").expect("a health check");
    let (_, command) = rest.split_once("CMD ").expect("its command");
    command.lines().next().unwrap().to_owned()
}

/// Whether the container would count as healthy while the service listens on `port`.
fn is_healthy(port: &str) -> bool {
    let listen = format!("0.0.0.0:{port}");
    let output = Command::new("sh").args(["-c", &health_check()]).env("PROGRESS_LISTEN", listen).output().unwrap();
    output.status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_of_the_image_knows_tls_and_the_port() {
    let db = crate::support::pg::TestDatabase::new(crate::support::pg::Server::newest().await).await;
    let (service_url, owner_url) = (db.service_url(), db.owner_url());
    let database =
        [("PROGRESS_DATABASE_URL", service_url.as_str()), ("PROGRESS_DATABASE_MIGRATION_URL", owner_url.as_str())];
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key, _] = authority.sign().write(folder.path()).map(|path| path.to_string_lossy().into_owned());
    let tls = [("PROGRESS_TLS_CERT_FILE", certificate.as_str()), ("PROGRESS_TLS_KEY_FILE", key.as_str())];
    for more in [&[][..], &tls[..]] {
        let service = Service::start(&[&database[..], more].concat()).await;
        let port = service.url.rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
        assert!(is_healthy(&port), "{}", service.url);
        drop(service);
        assert!(!is_healthy(&port), "nobody listens any more");
    }
}
