//! Checkpoints as signed notes (C2SP signed-note, tlog-checkpoint, tlog-cosignature): made, read, and proven. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};
use ring::{
    digest::{SHA256, digest},
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use uuid::Uuid;

use super::{error::AuditError, merkle::Hash};

/// Kinds of signatures: Ed25519 over the text, and a witness's, over the text with the time at which it saw it.
const ED25519_NOTE: u8 = 1;
const COSIGNATURE: u8 = 4;

/// The name of the log of an installation: its first line in every checkpoint.
pub fn origin(installation: Uuid) -> String {
    format!("progress-service/{installation}")
}

/// What a checkpoint says of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    pub size: i64,
    pub root: Hash,
    /// In which epoch of the installation it was signed, and when.
    pub epoch: i64,
    pub at: DateTime<Utc>,
}

/// With what checkpoints are signed.
pub struct Signer {
    pair: Ed25519KeyPair,
}

impl Signer {
    pub fn new(seed: &[u8]) -> Result<Self, AuditError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|error| AuditError::Key(error.to_string()))?;
        Ok(Self { pair })
    }

    /// The key that proves what is signed here under this name.
    pub fn verifier(&self, name: &str) -> Verifier {
        let mut key = [0; 32];
        key.copy_from_slice(self.pair.public_key().as_ref());
        Verifier { name: name.to_owned(), kind: ED25519_NOTE, key }
    }

    /// The checkpoint of a tree, signed. What is particular to this log stands in a line behind the three that every log has.
    pub fn sign(&self, origin: &str, tree: &Tree) -> String {
        let (size, root, epoch) = (tree.size, STANDARD.encode(tree.root), tree.epoch);
        let at = tree.at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let body = format!("{origin}\n{size}\n{root}\nepoch {epoch} at {at}\n");
        let verifier = self.verifier(origin);
        let signature = [verifier.id().as_slice(), self.pair.sign(body.as_bytes()).as_ref()].concat();
        format!("{body}\n— {origin} {}\n", STANDARD.encode(signature))
    }
}

/// A key as it is handed out: `name+id+key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    pub name: String,
    kind: u8,
    key: [u8; 32],
}

impl Verifier {
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, STANDARD.decode(parts.next()?).ok()?);
        let (kind, key) = key.split_first()?;
        let key = key.try_into().ok().filter(|_| matches!(*kind, ED25519_NOTE | COSIGNATURE))?;
        let verifier = Self { name: name.to_owned(), kind: *kind, key };
        let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
        (is_name && hex::encode(verifier.id()) == id.to_ascii_lowercase()).then_some(verifier)
    }

    /// The line with this key's signature, as it stands under the note.
    pub fn line(&self, note: &Note<'_>) -> Option<String> {
        let is_own = |line: &&str| {
            Note { signatures: line, ..*note }.signatures().any(|(name, id, _)| name == self.name && id == self.id())
        };
        note.signatures.lines().find(is_own).map(str::to_owned)
    }

    pub fn is_witness(&self) -> bool {
        self.kind == COSIGNATURE
    }

    fn id(&self) -> [u8; 4] {
        let text = [self.name.as_bytes(), b"\n", &[self.kind], &self.key].concat();
        let mut id = [0; 4];
        id.copy_from_slice(&digest(&SHA256, &text).as_ref()[..4]);
        id
    }

    /// Whether one of the note's signatures is by this key and right.
    pub fn proves(&self, note: &Note<'_>) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.key);
        note.signatures().filter(|(name, id, _)| *name == self.name && *id == self.id()).any(|(_, _, signature)| {
            if !self.is_witness() {
                return key.verify(note.body.as_bytes(), &signature).is_ok();
            }
            let Some((time, signature)) = signature.split_first_chunk::<8>() else { return false };
            let said = format!("cosignature/v1\ntime {}\n{}", u64::from_be_bytes(*time), note.body);
            key.verify(said.as_bytes(), signature).is_ok()
        })
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = STANDARD.encode([&[self.kind], self.key.as_slice()].concat());
        write!(f, "{}+{}+{key}", self.name, hex::encode(self.id()))
    }
}

/// A signed note, taken apart. Nothing is proven yet.
#[derive(Clone, Copy, Debug)]
pub struct Note<'n> {
    body: &'n str,
    signatures: &'n str,
    pub origin: &'n str,
    pub tree: Tree,
}

impl<'n> Note<'n> {
    pub fn read(text: &'n str) -> Option<Self> {
        let end = text.rfind("\n\n")?;
        let (body, signatures) = (&text[..=end], &text[end + 2..]);
        let mut lines = body.lines();
        let (origin, size, root) = (lines.next()?, whole(lines.next()?)?, lines.next()?);
        let root = STANDARD.decode(root).ok()?.try_into().ok()?;
        let (epoch, at) = lines.next()?.strip_prefix("epoch ")?.split_once(" at ")?;
        let tree = Tree { size, root, epoch: whole(epoch)?, at: DateTime::parse_from_rfc3339(at).ok()?.to_utc() };
        Some(Self { body, signatures, origin, tree })
    }

    /// What is signed.
    pub fn body(&self) -> &'n str {
        self.body
    }

    fn signatures(&self) -> impl Iterator<Item = (&'n str, [u8; 4], Vec<u8>)> {
        self.signatures.lines().filter_map(|line| {
            let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
            let signature = STANDARD.decode(signature).ok()?;
            let (id, signature) = signature.split_first_chunk::<4>()?;
            Some((name, *id, signature.to_vec()))
        })
    }
}

/// A number in the one way in which it is written.
fn whole(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number: &i64| *number >= 0 && number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 32] = [7; 32];

    #[test]
    fn what_is_signed_is_proven_by_its_key_and_by_no_other() {
        let (signer, other) = (Signer::new(&SEED).unwrap(), Signer::new(&[8; 32]).unwrap());
        let tree = Tree {
            size: 5,
            root: [1; 32],
            epoch: 7,
            at: DateTime::from_timestamp_micros(1_795_249_444_225_209).unwrap(),
        };
        let text = signer.sign("progress-service/x", &tree);
        let note = Note::read(&text).unwrap();
        assert_eq!((note.origin, note.tree), ("progress-service/x", tree));
        let verifier = Verifier::read(&signer.verifier("progress-service/x").to_string()).unwrap();
        assert!(verifier.proves(&note));
        assert!(!other.verifier("progress-service/x").proves(&note));
        assert!(!signer.verifier("progress-service/y").proves(&note));
        let forged = text.replacen("\n5\n", "\n6\n", 1);
        assert!(!verifier.proves(&Note::read(&forged).unwrap()));
        for no_note in ["", "a\n5\n", &text.replacen("\n5\n", "\n05\n", 1), &text.replacen("\n5\n", "\n-5\n", 1)] {
            assert!(Note::read(no_note).is_none(), "{no_note:?}");
        }
    }

    #[test]
    fn the_key_of_the_public_example_is_read_and_written_alike() {
        // Of the documentation of the public package `note`.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let verifier = Verifier::read(text).unwrap();
        assert_eq!((verifier.to_string().as_str(), verifier.is_witness()), (text, false));
        let said = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
                    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let end = said.rfind("\n\n").unwrap();
        let tree = Tree { size: 0, root: [0; 32], epoch: 0, at: DateTime::UNIX_EPOCH };
        let whole_note = Note { body: "", signatures: "", origin: "", tree };
        let note = Note { body: &said[..=end], signatures: &said[end + 2..], ..whole_note };
        assert!(verifier.proves(&note));
        for wrong in ["a+b", "", &text.replace("c74f", "c74e"), &text.replace("Peter", "Pet er")] {
            assert!(Verifier::read(wrong).is_none(), "{wrong}");
        }
    }
}
