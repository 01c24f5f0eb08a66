//! Sealing a stream: AES-256-GCM by `ring`, in pieces of 64 KiB that carry their number and whether they are the last (the STREAM
//! construction), so that a stream cannot be cut, reordered or spliced. Each stream has a key of its own, drawn from the operator's by
//! HKDF with a random salt.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
    hmac,
};

use super::BackupError;

const MAGIC: &[u8; 16] = b"progress backup\x01";
const SALT: usize = 32;
const PIECE: usize = 64 << 10;
const TAG: usize = 16;

/// The operator's key.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl Key {
    /// Reads 64 hexadecimal digits.
    pub fn of_file(path: &Path) -> Result<Self, BackupError> {
        let refuse = |why: String| BackupError::KeyFile { path: path.to_owned(), why };
        let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key)
            .map_err(|_| refuse("expected 64 hexadecimal digits, as `openssl rand -hex 32` prints them".to_owned()))?;
        Ok(Self(key))
    }

    /// By what it is recognised, and nothing more.
    pub fn name(&self) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), b"progress-service backup key");
        hex::encode(&tag.as_ref()[..8])
    }

    fn of_stream(&self, salt: &[u8]) -> io::Result<LessSafeKey> {
        let pseudo_random = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        let material = pseudo_random.expand(&[b"progress-service backup stream"], &AES_256_GCM);
        let material = material.map_err(|_| io::Error::other("no key can be drawn"))?;
        Ok(LessSafeKey::new(UnboundKey::from(material)))
    }
}

fn nonce(number: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(is_last);
    Nonce::assume_unique_for_key(nonce)
}

/// Seals what is written to it. Only [`Sealing::finish`] makes a whole stream.
pub struct Sealing<W> {
    into: W,
    key: LessSafeKey,
    number: u64,
    gathered: Vec<u8>,
}

impl<W: Write> Sealing<W> {
    pub fn new(mut into: W, key: &Key, salt: &[u8; SALT]) -> io::Result<Self> {
        into.write_all(MAGIC)?;
        into.write_all(salt)?;
        Ok(Self { into, key: key.of_stream(salt)?, number: 0, gathered: Vec::with_capacity(PIECE + TAG) })
    }

    fn send(&mut self, is_last: bool) -> io::Result<()> {
        let sealed = self.key.seal_in_place_append_tag(nonce(self.number, is_last), Aad::empty(), &mut self.gathered);
        sealed.map_err(|_| io::Error::other("a piece cannot be sealed"))?;
        self.into.write_all(&self.gathered)?;
        self.gathered.clear();
        self.number += 1;
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<W> {
        self.send(true)?;
        Ok(self.into)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full piece waits until more comes: it may be the last.
        if self.gathered.len() == PIECE {
            self.send(false)?;
        }
        let fits = bytes.len().min(PIECE - self.gathered.len());
        self.gathered.extend_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// Opens what [`Sealing`] sealed; a piece is given out only once it was found untouched.
pub struct Opening<R> {
    from: R,
    key: LessSafeKey,
    number: u64,
    /// The sealed piece that comes next, and one byte of the one after it, by which the last is told.
    ahead: Vec<u8>,
    opened: Vec<u8>,
    at: usize,
    is_over: bool,
}

impl<R: Read> Opening<R> {
    pub fn new(mut from: R, key: &Key) -> io::Result<Self> {
        let mut head = [0; MAGIC.len() + SALT];
        from.read_exact(&mut head)?;
        if &head[..MAGIC.len()] != MAGIC {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no sealed backup"));
        }
        let key = key.of_stream(&head[MAGIC.len()..])?;
        Ok(Self { from, key, number: 0, ahead: Vec::new(), opened: Vec::new(), at: 0, is_over: false })
    }

    fn next(&mut self) -> io::Result<()> {
        let wanted = (PIECE + TAG + 1).saturating_sub(self.ahead.len());
        (&mut self.from).take(wanted as u64).read_to_end(&mut self.ahead)?;
        let is_last = self.ahead.len() <= PIECE + TAG;
        let rest = if is_last { Vec::new() } else { self.ahead.split_off(PIECE + TAG) };
        let mut piece = std::mem::replace(&mut self.ahead, rest);
        let opened = self.key.open_in_place(nonce(self.number, is_last), Aad::empty(), &mut piece);
        let length = opened
            .map_err(|_| {
                let why = "a piece of it cannot be opened: it was cut or changed, or the key is another";
                io::Error::new(io::ErrorKind::InvalidData, why)
            })?
            .len();
        piece.truncate(length);
        (self.opened, self.at, self.is_over) = (piece, 0, is_last);
        self.number += 1;
        Ok(())
    }
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.opened.len() {
            if self.is_over {
                return Ok(0);
            }
            self.next()?;
        }
        let fits = into.len().min(self.opened.len() - self.at);
        into[..fits].copy_from_slice(&self.opened[self.at..self.at + fits]);
        self.at += fits;
        Ok(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key([byte; 32])
    }

    fn seal(content: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::new(Vec::new(), &key(1), &[7; SALT]).unwrap();
        sealing.write_all(content).unwrap();
        sealing.finish().unwrap()
    }

    fn open(sealed: &[u8], key: &Key) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        Opening::new(sealed, key)?.read_to_end(&mut content).map(|_| content)
    }

    #[test]
    fn streams_of_every_length_come_back() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let sealed = seal(&content);
            assert!(!sealed.windows(32).any(|window| length > 64 && window == &content[..32]), "it can be read");
            assert_eq!(open(&sealed, &key(1)).unwrap(), content, "{length}");
        }
    }

    #[test]
    fn what_was_cut_changed_or_put_elsewhere_is_refused() {
        let sealed = seal(&vec![5; 3 * PIECE]);
        let head = MAGIC.len() + SALT;
        for end in [head, head + 10, head + PIECE + TAG, sealed.len() - 1] {
            assert!(open(&sealed[..end], &key(1)).is_err(), "cut at {end}");
        }
        for at in [head, head + PIECE, sealed.len() - 1, 20] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&changed, &key(1)).is_err(), "changed at {at}");
        }
        let mut swapped = sealed.clone();
        swapped[head..head + 2 * (PIECE + TAG)].rotate_left(PIECE + TAG);
        assert!(open(&swapped, &key(1)).is_err(), "pieces in another order");
        assert!(open(&[sealed.clone(), vec![0]].concat(), &key(1)).is_err(), "something behind its end");
        assert!(open(&sealed, &key(2)).is_err(), "another key");
    }

    #[test]
    fn a_key_is_read_from_its_file_and_known_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, format!("{}\n", "0a".repeat(32))).unwrap();
        assert_eq!(Key::of_file(&path).unwrap().name(), key(10).name());
        assert_ne!(key(1).name(), key(2).name());
        std::fs::write(&path, "short").unwrap();
        let refused = Key::of_file(&path).err().unwrap().to_string();
        assert!(refused.contains("64 hexadecimal digits"), "{refused}");
    }
}
