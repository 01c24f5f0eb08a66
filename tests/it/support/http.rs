//! The client tests speak HTTP with.

use std::sync::OnceLock;

use super::patience::PATIENCE;

/// Follows no redirect: a test wants to see it.
pub fn client() -> reqwest::Client {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        // Fails only when something in this process was quicker; then there is one all the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    // Not shared: a connection lives on the runtime of the test that made it, and ends with it.
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a client")
}
