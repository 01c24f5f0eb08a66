//! A set of public keys (RFC 7517), reduced to those that may sign a token for us.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// Whether tokens may be signed so. Only with a key pair: what verifies must not be able to sign.
pub fn is_accepted(algorithm: Algorithm) -> bool {
    RSA.contains(&algorithm) || matches!(algorithm, Algorithm::ES256 | Algorithm::ES384)
}

/// A key set as the issuer sends it; each key is looked at by itself.
#[derive(Deserialize)]
pub struct Document {
    keys: Vec<Value>,
}

struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// The keys of one fetch.
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// Takes what can be used; keys of other kinds and purposes are passed over.
    pub fn read(document: &Document) -> Self {
        Self(document.keys.iter().filter_map(key).collect())
    }

    /// The key of this id for this algorithm. A token without an id is fine where only one key fits.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let mut fitting = self
            .0
            .iter()
            .filter(|key| key.algorithms.contains(&algorithm) && (kid.is_none() || key.kid.as_deref() == kid));
        let first = fitting.next()?;
        let is_clear = kid.is_some() || fitting.next().is_none();
        is_clear.then(|| first.key.clone())
    }
}

fn key(value: &Value) -> Option<Key> {
    let jwk = Jwk::deserialize(value).ok()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let possible: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &RSA,
        AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => &[],
        },
        _ => &[],
    };
    let named = value.get("alg").and_then(Value::as_str);
    let fits = |algorithm: &&Algorithm| named.is_none_or(|name| name.parse() == Ok(**algorithm));
    let algorithms: Vec<Algorithm> = possible.iter().filter(fits).copied().collect();
    if algorithms.is_empty() {
        return None;
    }
    Some(Key { kid: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(&jwk).ok()? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ec(kid: &str) -> Value {
        // The example of RFC 7517, appendix A.1.
        json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" })
    }

    fn set(keys: Vec<Value>) -> KeySet {
        KeySet::read(&Document { keys })
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    #[test]
    fn a_key_is_found_by_its_id_and_algorithm() {
        let keys = set(vec![ec("a"), ec("b")]);
        assert!(keys.find(Some("a"), Algorithm::ES256).is_some());
        assert!(keys.find(Some("c"), Algorithm::ES256).is_none());
        assert!(keys.find(Some("a"), Algorithm::RS256).is_none());
        assert!(keys.find(Some("a"), Algorithm::ES384).is_none());
    }

    #[test]
    fn a_token_without_an_id_needs_a_single_fitting_key() {
        assert!(set(vec![ec("a")]).find(None, Algorithm::ES256).is_some());
        assert!(set(vec![ec("a"), ec("b")]).find(None, Algorithm::ES256).is_none());
    }

    #[test]
    fn keys_for_other_purposes_are_passed_over() {
        let secret = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256" });
        let strange = json!({ "kty": "XX", "kid": "a" });
        let keys = set(vec![
            secret,
            strange,
            json!(7),
            with(ec("a"), "use", json!("enc")),
            with(ec("a"), "alg", json!("ECDH-ES")),
            with(ec("a"), "alg", json!("ES384")),
            ec("b"),
        ]);
        for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::HS256, Algorithm::RS256] {
            assert!(keys.find(Some("a"), algorithm).is_none(), "{algorithm:?}");
        }
        assert!(keys.find(Some("b"), Algorithm::ES256).is_some(), "one odd key does not spoil the set");
    }

    #[test]
    fn shared_secrets_are_never_accepted() {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            assert!(!is_accepted(algorithm));
        }
        assert!(is_accepted(Algorithm::RS256) && is_accepted(Algorithm::ES384) && is_accepted(Algorithm::PS512));
    }
}
