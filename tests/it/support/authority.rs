//! A certificate authority of a test's own, and what it signs for the servers on this machine.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// A server's certificate and its key, both PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

pub struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // OpenSSL takes a certificate whose issuer has its own name for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let authority = Self { folder: tempfile::tempdir().expect("a folder"), issuer };
        std::fs::write(authority.file(), authority.issuer.pem()).expect("a file");
        authority
    }

    /// What a client that trusts this authority is given.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// A pair for a server on 127.0.0.1.
    pub fn sign(&self) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a valid name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Pair {
    /// Writes the pair as two files, and as the one file that some servers want.
    pub fn write(&self, folder: &Path) -> [PathBuf; 3] {
        let files = ["server.crt", "server.key", "server.pem"].map(|name| folder.join(name));
        let both = format!("{}{}", self.key, self.certificate);
        for (file, content) in files.iter().zip([&self.certificate, &self.key, &both]) {
            std::fs::write(file, content).expect("a file");
        }
        files
    }
}
