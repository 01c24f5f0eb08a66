//! A small OpenID issuer on this machine: discovery, a key set the test may change, and a count of fetches.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use ring::{
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RsaKeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A key pair that signs tokens, and its public half as the issuer publishes it.
pub struct Signer {
    kid: String,
    algorithm: Algorithm,
    key: EncodingKey,
    pub jwk: Value,
}

impl Signer {
    pub fn elliptic(kid: &str, algorithm: Algorithm) -> Self {
        let (ring_algorithm, curve) = match algorithm {
            Algorithm::ES256 => (&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            _ => (&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
        };
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(ring_algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(ring_algorithm, der.as_ref(), &random).unwrap();
        // An uncompressed point: a marker, then both coordinates.
        let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
        let jwk = json!({ "kty": "EC", "crv": curve, "use": "sig", "kid": kid,
                          "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) });
        Self { kid: kid.to_owned(), algorithm, key: EncodingKey::from_ec_der(der.as_ref()), jwk }
    }

    /// Making such a key takes long, so this one is a file; it protects nothing.
    pub fn rsa(kid: &str, algorithm: Algorithm) -> Self {
        let pem = include_bytes!("rsa-for-tests.pem");
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap();
        let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let jwk = json!({ "kty": "RSA", "kid": kid,
                          "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e) });
        Self { kid: kid.to_owned(), algorithm, key: EncodingKey::from_rsa_pem(pem).unwrap(), jwk }
    }

    /// The value of an `Authorization` header with these claims.
    pub fn bearer(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) };
        format!("Bearer {}", encode(&header, claims, &self.key).unwrap())
    }
}

#[derive(Default)]
struct State {
    keys: Mutex<Vec<Value>>,
    /// Instead of the key set, when it is there.
    instead: Mutex<Option<Vec<u8>>>,
    fetches: AtomicUsize,
}

pub struct TestIssuer {
    pub url: String,
    state: Arc<State>,
}

impl TestIssuer {
    pub async fn start(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<State>::default();
        let issuer = Self { url: url.clone(), state: Arc::clone(&state) };
        issuer.publish(signers);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                answer(stream, &url, &state).await;
            }
        });
        issuer
    }

    /// From now on these are the keys.
    pub fn publish(&self, signers: &[&Signer]) {
        *self.state.keys.lock().unwrap() = signers.iter().map(|signer| signer.jwk.clone()).collect();
    }

    /// From now on this whole HTTP answer comes instead of the keys; `None` mends it.
    pub fn answer_with(&self, instead: Option<Vec<u8>>) {
        *self.state.instead.lock().unwrap() = instead;
    }

    /// How often the keys were asked for.
    pub fn fetches(&self) -> usize {
        self.state.fetches.load(Ordering::SeqCst)
    }
}

async fn answer(mut stream: TcpStream, url: &str, state: &State) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let answer = if request.starts_with(b"GET /.well-known/openid-configuration ") {
        http(&json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }))
    } else {
        state.fetches.fetch_add(1, Ordering::SeqCst);
        let instead = state.instead.lock().unwrap().clone();
        instead.unwrap_or_else(|| http(&json!({ "keys": *state.keys.lock().unwrap() })))
    };
    // Who asked may have hung up: a test of limits expects just that.
    let _ = stream.write_all(&answer).await;
}

fn http(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes()
}
