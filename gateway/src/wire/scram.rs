//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side, against a verifier as PostgreSQL keeps it: whoever reads it cannot
//! log in with it. Without channel binding. Pure.

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub const MECHANISM: &str = "SCRAM-SHA-256";
/// As PostgreSQL has it.
const ROUNDS: u32 = 4_096;
/// Nobody needs more, and everybody's login would wait for it.
const MOST_ROUNDS: u32 = 1_000_000;

type Key = [u8; 32];

/// `SCRAM-SHA-256$4096:<salt>$<stored key>:<server key>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    rounds: u32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|part| BASE64_STANDARD.encode(part));
        write!(f, "{MECHANISM}${}:{salt}${stored}:{server}", self.rounds)
    }
}

impl FromStr for Verifier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("a verifier looks like {MECHANISM}$4096:salt$key:key");
        let rest = text.strip_prefix(MECHANISM).and_then(|rest| rest.strip_prefix('$')).ok_or_else(wrong)?;
        let (salted, keys) = rest.split_once('$').ok_or_else(wrong)?;
        let ((rounds, salt), (stored, server)) = salted.split_once(':').zip(keys.split_once(':')).ok_or_else(wrong)?;
        let key = |text| BASE64_STANDARD.decode(text).ok().and_then(|key| Key::try_from(key).ok()).ok_or_else(wrong);
        let rounds = rounds.parse().ok().filter(|rounds| (1..=MOST_ROUNDS).contains(rounds)).ok_or_else(wrong)?;
        let salt = BASE64_STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty()).ok_or_else(wrong)?;
        Ok(Self { rounds, salt, stored_key: key(stored)?, server_key: key(server)? })
    }
}

impl Verifier {
    /// Of a password of printable ASCII, which is its own normal form.
    pub fn of(password: &str, salt: [u8; 16]) -> Self {
        let salted = salted(password, &salt, ROUNDS);
        let stored_key = Sha256::digest(keyed(&salted, b"Client Key")).into();
        Self { rounds: ROUNDS, salt: salt.to_vec(), stored_key, server_key: keyed(&salted, b"Server Key") }
    }

    /// One that nobody knows the password of, the same each time a name is tried: so a client cannot tell which names there are.
    pub fn of_nobody(name: &str, secret: &Key) -> Self {
        let seed = keyed(secret, name.as_bytes());
        let salt = seed[..16].to_vec();
        Self { rounds: ROUNDS, salt, stored_key: keyed(&seed, b"stored"), server_key: keyed(&seed, b"server") }
    }
}

/// What was said so far.
#[derive(Debug)]
pub struct Exchange {
    verifier: Verifier,
    bind: String,
    nonce: String,
    client_first: String,
    server_first: String,
}

/// The client's first message, answered.
pub fn begin(verifier: Verifier, message: &[u8], server_nonce: &str) -> Result<(Exchange, String), &'static str> {
    let text = std::str::from_utf8(message).map_err(|_| "the first message is no text")?;
    // n: no binding; y: the client could, and believes that we cannot.
    let (flag, rest) = text.split_once(',').ok_or("the first message has no header")?;
    if !matches!(flag, "n" | "y") {
        return Err("channel binding is not offered");
    }
    let (identity, bare) = rest.split_once(',').ok_or("the first message has no header")?;
    let nonce = bare.split(',').find_map(|part| part.strip_prefix("r=")).filter(|nonce| !nonce.is_empty());
    let nonce = format!("{}{server_nonce}", nonce.ok_or("the first message has no nonce")?);
    let salt = BASE64_STANDARD.encode(&verifier.salt);
    let server_first = format!("r={nonce},s={salt},i={}", verifier.rounds);
    let bind = BASE64_STANDARD.encode(format!("{flag},{identity},"));
    let exchange =
        Exchange { verifier, bind, nonce, client_first: bare.to_owned(), server_first: server_first.clone() };
    Ok((exchange, server_first))
}

impl Exchange {
    /// The client's last message: the server's own proof, or `None` for a wrong password.
    pub fn finish(&self, message: &[u8]) -> Result<Option<String>, &'static str> {
        let text = std::str::from_utf8(message).map_err(|_| "the last message is no text")?;
        let (bare, proof) = text.rsplit_once(",p=").ok_or("the last message has no proof")?;
        let part = |name: &str| bare.split(',').find_map(|part| part.strip_prefix(name));
        if part("c=") != Some(&self.bind) || part("r=") != Some(&self.nonce) {
            return Err("the last message does not belong to the first");
        }
        let proof = BASE64_STANDARD.decode(proof).ok().and_then(|proof| Key::try_from(proof).ok());
        let proof = proof.ok_or("the proof is not of its length")?;
        let said = format!("{},{},{bare}", self.client_first, self.server_first);
        let signature = keyed(&self.verifier.stored_key, said.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        let fits: bool = Sha256::digest(client_key).as_slice().ct_eq(&self.verifier.stored_key[..]).into();
        let answer = keyed(&self.verifier.server_key, said.as_bytes());
        Ok(fits.then(|| format!("v={}", BASE64_STANDARD.encode(answer))))
    }
}

fn keyed(key: &[u8], text: &[u8]) -> Key {
    // A key of any length will do, so there is always one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Key::default() };
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// PBKDF2 of one block.
fn salted(password: &str, salt: &[u8], rounds: u32) -> Key {
    let mut last = keyed(password.as_bytes(), &[salt, &1u32.to_be_bytes()].concat());
    let mut all = last;
    for _ in 1..rounds {
        last = keyed(password.as_bytes(), &last);
        all.iter_mut().zip(last).for_each(|(all, one)| *all ^= one);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn the_example_of_the_standard_comes_out() {
        let salt: [u8; 16] = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap().try_into().unwrap();
        let verifier = Verifier::of("pencil", salt);
        let first = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
        let (exchange, answer) = begin(verifier, first, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0").unwrap();
        assert_eq!(answer, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let proof = exchange.finish(last.as_bytes()).unwrap();
        assert_eq!(proof.as_deref(), Some("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        let wrong = last.replace("p=d", "p=e");
        assert_eq!(exchange.finish(wrong.as_bytes()), Ok(None));
        for broken in
            ["", "c=biws,r=other,p=AA==", &last.replace("c=biws", "c=eSws"), "c=biws", &last.replace("VQ=", "")]
        {
            assert!(exchange.finish(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_verifier_reads_as_it_is_written_and_never_shows_itself() {
        let verifier = Verifier::of("secret", [7; 16]);
        let text = verifier.to_string();
        assert!(text.starts_with("SCRAM-SHA-256$4096:BwcHBwcHBwcHBwcHBwcHBw==$"));
        assert_eq!(text.parse::<Verifier>(), Ok(verifier.clone()));
        assert_eq!(format!("{verifier:?}"), "[redacted]");
        for wrong in
            ["", "md5abc", "SCRAM-SHA-256$0:AA==$a:b", &text.replace("4096", "9999999"), &text[..text.len() - 8]]
        {
            assert!(wrong.parse::<Verifier>().is_err(), "{wrong}");
        }
        assert_ne!(Verifier::of_nobody("a", &[1; 32]), Verifier::of_nobody("b", &[1; 32]));
        assert_eq!(Verifier::of_nobody("a", &[1; 32]), Verifier::of_nobody("a", &[1; 32]));
    }

    #[test]
    fn a_first_message_that_is_none_is_refused() {
        let begin = |text: &[u8]| begin(Verifier::of("x", [0; 16]), text, "nonce").map(|(_, answer)| answer);
        assert!(begin(b"y,,n=,r=abc").is_ok());
        for wrong in [&b"p=tls-server-end-point,,n=,r=abc"[..], b"n,,n=", b"n,,n=,r=", b"", b"\xff"] {
            assert!(begin(wrong).is_err());
        }
    }
}
