//! A small OpenID issuer on this machine: discovery, a key set the test may change, and a count of fetches.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
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

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }

    /// The value of an `Authorization` header with these claims.
    pub fn bearer(&self, claims: &Value) -> String {
        format!("Bearer {}", self.sign(claims))
    }
}

#[derive(Default)]
struct State {
    keys: Mutex<Vec<Value>>,
    /// Instead of the key set, when it is there.
    instead: Mutex<Option<Vec<u8>>>,
    fetches: AtomicUsize,
    /// What a code is redeemed for, a whole HTTP answer; none means that nothing comes.
    redeemed: Mutex<Option<Vec<u8>>>,
    /// The requests that redeemed a code.
    redemptions: Mutex<Vec<String>>,
    /// Who waits for nothing.
    waiting: Mutex<Vec<TcpStream>>,
    is_away: AtomicBool,
    /// It lets people sign out from elsewhere.
    lets_leave: AtomicBool,
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

    /// From now on a code is redeemed for this whole HTTP answer.
    pub fn redeem_for(&self, answer: Option<Vec<u8>>) {
        *self.state.redeemed.lock().unwrap() = answer;
    }

    /// The requests that redeemed a code, with their heads.
    pub fn redemptions(&self) -> Vec<String> {
        self.state.redemptions.lock().unwrap().clone()
    }

    /// From now on it does not say where things are, or does so again.
    pub fn is_away(&self, is_away: bool) {
        self.state.is_away.store(is_away, Ordering::SeqCst);
    }

    /// From now on it says where people sign out.
    pub fn lets_leave(&self) {
        self.state.lets_leave.store(true, Ordering::SeqCst);
    }

    /// How often the keys were asked for.
    pub fn fetches(&self) -> usize {
        self.state.fetches.load(Ordering::SeqCst)
    }
}

async fn answer(mut stream: TcpStream, url: &str, state: &State) {
    let Some(request) = request(&mut stream).await else { return };
    let answer = if request.starts_with("GET /.well-known/openid-configuration ") {
        match state.is_away.load(Ordering::SeqCst) {
            true => with_status("503 Later", &json!({})),
            false => {
                let mut found = json!({ "issuer": url, "jwks_uri": format!("{url}/keys"), "token_endpoint": format!("{url}/token"),
                                        "authorization_endpoint": format!("{url}/enter?realm=staff") });
                if state.lets_leave.load(Ordering::SeqCst) {
                    found["end_session_endpoint"] = json!(format!("{url}/leave?realm=staff"));
                }
                http(&found)
            }
        }
    } else if request.starts_with("POST /token ") {
        state.redemptions.lock().unwrap().push(request);
        let Some(answer) = state.redeemed.lock().unwrap().clone() else {
            state.waiting.lock().unwrap().push(stream);
            return;
        };
        answer
    } else {
        state.fetches.fetch_add(1, Ordering::SeqCst);
        let instead = state.instead.lock().unwrap().clone();
        instead.unwrap_or_else(|| http(&json!({ "keys": *state.keys.lock().unwrap() })))
    };
    // Who asked may have hung up: a test of limits expects just that.
    let _ = stream.write_all(&answer).await;
}

/// A request with its body; `None` if whoever asks hangs up.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut request, mut rest) = (Vec::new(), 0);
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    if let Some((_, length)) = head.split_once("content-length: ") {
        rest = length.lines().next()?.parse().ok()?;
    }
    let begun = request.len();
    request.resize(begun + rest, 0);
    stream.read_exact(&mut request[begun..]).await.ok()?;
    String::from_utf8(request).ok()
}

/// A whole HTTP answer.
pub fn http(body: &Value) -> Vec<u8> {
    with_status("200 OK", body)
}

pub fn with_status(status: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes()
}
