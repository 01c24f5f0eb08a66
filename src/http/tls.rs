//! TLS on the listener: a certificate that is read again when its files change, without a restart.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::config;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {message}")]
    File { path: PathBuf, message: String },
    #[error("the certificate and the key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// The two files a certificate comes from.
#[derive(Clone, Debug)]
pub struct Files {
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    pub fn of(tls: &config::Tls) -> Option<Self> {
        Some(Self { cert: tls.cert_file.clone()?, key: tls.key_file.clone()? })
    }

    fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let broken = |path: &PathBuf, message: String| TlsError::File { path: path.clone(), message };
        let chain = CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| broken(&self.cert, e.to_string()))?;
        if chain.is_empty() {
            return Err(broken(&self.cert, "holds no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| broken(&self.key, e.to_string()))?;
        Ok(CertifiedKey::from_der(chain, key, provider)?)
    }

    /// When the two were last written; a file that is missing just now looks like a change later.
    fn stamp(&self) -> [Option<SystemTime>; 2] {
        [&self.cert, &self.key].map(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok())
    }
}

/// A server configuration that follows its files. A pair that cannot be read leaves the old one in use.
pub fn server_config(files: Files, every: Duration) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let stamp = files.stamp();
    let current =
        Arc::new(Current { pair: RwLock::new(Arc::new(files.load(&provider)?)), files, provider: provider.clone() });
    tokio::spawn(follow(Arc::downgrade(&current), stamp, every));
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(current))
}

#[derive(Debug)]
struct Current {
    pair: RwLock<Arc<CertifiedKey>>,
    files: Files,
    provider: Arc<CryptoProvider>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Looks at the files until nobody uses the certificate any more.
async fn follow(current: Weak<Current>, mut seen: [Option<SystemTime>; 2], every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(current) = current.upgrade() else { return };
        let stamp = current.files.stamp();
        if stamp == seen {
            continue;
        }
        match current.files.load(&current.provider) {
            Ok(pair) => {
                *current.pair.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                seen = stamp;
                tracing::info!("certificate reloaded");
            }
            // The stamp stays old: two files are rarely replaced at one instant, so look again next time.
            Err(error) => tracing::warn!(%error, "certificate not reloaded, the old one stays in use"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection, pki_types::ServerName};

    use super::*;

    /// Writes a fresh self-signed pair and returns its certificate.
    fn write_pair(files: &Files) -> CertificateDer<'static> {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
        std::fs::write(&files.cert, pair.cert.pem()).unwrap();
        pair.cert.der().clone()
    }

    fn files(dir: &tempfile::TempDir) -> Files {
        Files { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") }
    }

    /// Shakes hands in memory as a client that trusts only `trusted`.
    fn handshake(server: &Arc<ServerConfig>, trusted: &CertificateDer<'static>) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone())?;
        let client = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = ClientConnection::new(client.into(), ServerName::try_from("localhost").unwrap())?;
        let mut server = ServerConnection::new(server.clone())?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_replaced_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(&dir);
        let first = write_pair(&files);
        let server = Arc::new(server_config(files.clone(), Duration::from_millis(5)).unwrap());
        handshake(&server, &first).unwrap();

        std::fs::write(&files.cert, "not a certificate").unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        handshake(&server, &first).unwrap();

        let second = write_pair(&files);
        while handshake(&server, &second).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(handshake(&server, &first).is_err());
    }

    #[tokio::test]
    async fn a_pair_that_does_not_match_is_refused_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(&dir);
        write_pair(&files);
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&files.key, other.signing_key.serialize_pem()).unwrap();
        assert!(matches!(server_config(files.clone(), Duration::from_secs(1)), Err(TlsError::Pair(_))));
        std::fs::remove_file(&files.key).unwrap();
        assert!(matches!(server_config(files, Duration::from_secs(1)), Err(TlsError::File { .. })));
    }
}
