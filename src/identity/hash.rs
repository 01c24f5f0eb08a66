//! Secrets at rest: Argon2id with documented cost, and the short-lived fingerprint that caches may keep.
//!
//! Never holds a secret longer than one call.

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::{Salt, SaltString},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::IdentityError;
use crate::model::{Ids, Secret};

/// Memory of one hash in KiB, its passes and its lanes: OWASP's first recommendation for Argon2id.
/// A stored hash names its own cost, so these may grow without breaking what is stored.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

fn argon2() -> Result<Argon2<'static>, IdentityError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|e| IdentityError::Hash(e.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The salted hash to store. Takes tens of milliseconds of one core: never call it on an async thread.
pub fn hash(secret: &Secret, ids: &Ids) -> Result<String, IdentityError> {
    let broken = |e: argon2::password_hash::Error| IdentityError::Hash(e.to_string());
    let salt = SaltString::encode_b64(&ids.bytes::<{ Salt::RECOMMENDED_LENGTH }>()).map_err(broken)?;
    Ok(argon2()?.hash_password(secret.expose().as_bytes(), &salt).map_err(broken)?.to_string())
}

/// Whether `secret` is the one that was hashed; compared in constant time. As slow as [`hash`].
pub fn verify(secret: &Secret, stored: &str) -> Result<bool, IdentityError> {
    let parsed = PasswordHash::new(stored).map_err(|e| IdentityError::Hash(e.to_string()))?;
    match argon2()?.verify_password(secret.expose().as_bytes(), &parsed) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::Password) => Ok(false),
        Err(other) => Err(IdentityError::Hash(other.to_string())),
    }
}

/// What stands for a key and secret in memory: useless to anybody without this process's random key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Makes fingerprints under a key drawn once per process.
pub struct Fingerprinter(Hmac<Sha256>);

impl Fingerprinter {
    pub fn new(ids: &Ids) -> Result<Self, IdentityError> {
        let keyed = Hmac::new_from_slice(&ids.bytes::<32>()).map_err(|e| IdentityError::Hash(e.to_string()))?;
        Ok(Self(keyed))
    }

    pub fn of(&self, api_key: &str, secret: &Secret) -> Fingerprint {
        let mut mac = self.0.clone();
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        mac.update(&(api_key.len() as u64).to_be_bytes());
        mac.update(api_key.as_bytes());
        mac.update(secret.expose().as_bytes());
        Fingerprint(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_proves_its_secret_and_no_other() {
        let ids = Ids::random();
        let stored = hash(&Secret::new("s3cret"), &ids).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(!stored.contains("s3cret"));
        assert!(verify(&Secret::new("s3cret"), &stored).unwrap());
        assert!(!verify(&Secret::new("s3cret "), &stored).unwrap());
    }

    #[test]
    fn the_same_secret_never_hashes_alike() {
        let ids = Ids::random();
        let secret = Secret::new("same");
        assert_ne!(hash(&secret, &ids).unwrap(), hash(&secret, &ids).unwrap());
    }

    #[test]
    fn a_hash_of_another_cost_still_verifies() {
        let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
        let stored = cheap.hash_password(b"old", &salt).unwrap().to_string();
        assert!(verify(&Secret::new("old"), &stored).unwrap());
    }

    #[test]
    fn a_stored_text_that_is_no_hash_is_an_error_and_not_a_match() {
        assert!(verify(&Secret::new("x"), "plain").is_err());
    }

    #[test]
    fn fingerprints_depend_on_the_process_and_on_where_the_key_ends() {
        let (one, two) = (Fingerprinter::new(&Ids::random()).unwrap(), Fingerprinter::new(&Ids::random()).unwrap());
        let secret = Secret::new("c");
        assert!(one.of("ab", &secret) == one.of("ab", &secret));
        assert!(one.of("ab", &secret) != two.of("ab", &secret));
        assert!(one.of("ab", &secret) != one.of("a", &Secret::new("bc")));
    }
}
