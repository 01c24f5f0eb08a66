//! Digests: of a row, of rows in their order, and of an object as a whole and block by block. Pure.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Row;
use crate::model::TenantId;

/// An object is read and checked in blocks of so many bytes; the last one is shorter.
pub(super) const BLOCK: u64 = 128 << 10;

/// The bytes of a block's check, the first of its SHA-256.
pub(super) const CHECK: usize = 16;

/// Stands before what is hashed: a later form can never be taken for this one.
const ROW_FORM: &[u8] = b"progress-service row 1\0";
const CONTENT_FORM: &[u8] = b"progress-service content 1\0";

/// The digest of everything that a row says.
pub fn row(row: &Row) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(ROW_FORM);
    hash.update(row.tenant.0.as_bytes());
    hash.update(row.id.as_bytes());
    hash.update(row.stored.timestamp_micros().to_be_bytes());
    optional(&mut hash, row.occurred.map(|moment: DateTime<Utc>| moment.timestamp_micros().to_be_bytes()));
    hash.update(row.verb_key.as_bytes());
    let keys = [row.agent_key, row.activity_key, row.registration_key, row.refers_to, row.voids_only_of, row.voided_by];
    for key in keys {
        optional(&mut hash, key.map(Uuid::into_bytes));
    }
    hash.update([u8::from(row.voiding), u8::from(row.converts)]);
    hash.update((row.relations.len() as u64).to_be_bytes());
    for key in &row.relations {
        hash.update(key.as_bytes());
    }
    hash.update((row.payload.len() as u64).to_be_bytes());
    hash.update(row.payload.as_bytes());
    hash.finalize().into()
}

fn optional<const N: usize>(hash: &mut Sha256, value: Option<[u8; N]>) {
    hash.update([u8::from(value.is_some())]);
    if let Some(bytes) = value {
        hash.update(bytes);
    }
}

/// The digest of rows in their order, however they are cut into parts.
#[derive(Clone, Debug)]
pub struct Content(Sha256);

impl Content {
    pub fn of(tenant: TenantId) -> Self {
        Self(Sha256::new().chain_update(CONTENT_FORM).chain_update(tenant.0.as_bytes()))
    }

    pub fn add(&mut self, row: &[u8; 32]) {
        self.0.update(row);
    }

    /// As lower-case hexadecimal digits.
    pub fn text(&self) -> String {
        hex::encode(self.0.clone().finalize())
    }
}

/// The check of one block.
pub(super) fn check(block: &[u8]) -> [u8; CHECK] {
    let digest: [u8; 32] = Sha256::digest(block).into();
    std::array::from_fn(|at| digest[at])
}

/// Takes an object's bytes as they go by.
#[derive(Clone, Debug, Default)]
pub(super) struct Sealer {
    whole: Sha256,
    block: Vec<u8>,
    checks: Vec<u8>,
    pub bytes: u64,
}

impl Sealer {
    pub fn add(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let (fits, rest) = bytes.split_at(bytes.len().min(BLOCK as usize - self.block.len()));
            self.block.extend_from_slice(fits);
            bytes = rest;
            if self.block.len() as u64 == BLOCK {
                self.checks.extend_from_slice(&check(&self.block));
                self.block.clear();
            }
        }
    }

    /// The SHA-256 of all, as hexadecimal digits, and the checks of all blocks.
    pub fn finish(mut self) -> (String, Vec<u8>) {
        if !self.block.is_empty() {
            self.checks.extend_from_slice(&check(&self.block));
        }
        (hex::encode(self.whole.finalize()), self.checks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_depend_on_how_the_bytes_came() {
        let bytes: Vec<u8> = (0..BLOCK * 2 + 5).map(|n| (n % 251) as u8).collect();
        let mut at_once = Sealer::default();
        at_once.add(&bytes);
        let mut in_pieces = Sealer::default();
        for piece in bytes.chunks(70_001) {
            in_pieces.add(piece);
        }
        let (whole, checks) = at_once.finish();
        assert_eq!((whole.clone(), checks.clone()), in_pieces.finish());
        assert_eq!(checks.len(), 3 * CHECK);
        assert_eq!(checks[2 * CHECK..], check(&bytes[2 * BLOCK as usize..]));
        assert_eq!(whole, hex::encode(Sha256::digest(&bytes)));
    }
}
