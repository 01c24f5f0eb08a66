//! TLS to PostgreSQL: system roots, or the authority the configuration names.

use std::path::Path;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::StoreError;

/// A connector that trusts the system's authorities, or only those in `ca_file` when it is given.
/// Whether TLS is used at all is for `sslmode` in the database URL to say.
pub fn connector(ca_file: Option<&Path>) -> Result<MakeRustlsConnect, StoreError> {
    client_config(ca_file).map(MakeRustlsConnect::new)
}

/// The same trust for any other client of ours.
pub fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, StoreError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let certs = CertificateDer::pem_file_iter(path).map_err(|e| unreadable(path, &e))?;
            for cert in certs {
                roots.add(cert.map_err(|e| unreadable(path, &e))?).map_err(|e| unreadable(path, &e))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|e| StoreError::Config(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Config(format!("certificate authority {} cannot be used: {error}", path.display()))
}
