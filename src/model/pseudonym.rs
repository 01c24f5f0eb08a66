//! Pseudonyms: what stands for a person wherever something leaves the ledger. Pure; the key comes from the database.

use ring::hmac;
use uuid::Uuid;

/// Makes pseudonyms: the same actor has the same one, and who it is cannot be told or guessed without the key.
#[derive(Clone, Debug)]
pub struct Pseudonyms(hmac::Key);

impl Pseudonyms {
    /// The purpose under which the database keeps the key.
    pub const PURPOSE: &str = "actor";

    pub fn with_key(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The pseudonym of an actor by the ledger's lookup key of it.
    pub fn of(&self, actor: Uuid) -> String {
        hex::encode(&hmac::sign(&self.0, actor.as_bytes()).as_ref()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_known_by_key_and_nothing_else() {
        let of = |key: &[u8], actor| Pseudonyms::with_key(key).of(Uuid::from_u128(actor));
        assert_eq!(of(b"key", 1), of(b"key", 1));
        assert_ne!(of(b"key", 1), of(b"key", 2));
        assert_ne!(of(b"key", 1), of(b"another key", 1));
        assert_eq!(of(b"key", 1).len(), 32);
    }
}
