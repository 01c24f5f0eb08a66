//! Bytes on disks, decompressed: which files have a word in them.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use tokio_postgres::Client;

/// Where the server keeps the database's files.
pub async fn files_of(client: &Client) -> PathBuf {
    let place = "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()";
    client.query_one(place, &[]).await.unwrap().get::<_, String>(0).into()
}

/// The files of a folder that have the text in their bytes, or in what they decompress to.
pub fn objects_with(folder: &Path, needle: &str) -> Vec<String> {
    search(folder, &[needle.to_owned()], &|_| true).remove(0)
}

/// Those that have any of the texts.
pub fn objects_with_any(folder: &Path, needles: &[&str]) -> Vec<String> {
    search(folder, &needles.iter().map(|&needle| needle.to_owned()).collect::<Vec<_>>(), &|_| true).concat()
}

/// The same of many words at once, for each the files that have it; of the files that count.
pub fn search(folder: &Path, needles: &[String], counts: &dyn Fn(&Path) -> bool) -> Vec<Vec<String>> {
    let mut found = vec![Vec::new(); needles.len()];
    walk(folder, &mut |path, bytes| {
        if counts(path) {
            for (needle, there) in has(bytes, needles).into_iter().enumerate().filter(|(_, there)| *there) {
                found[needle].extend(there.then(|| path.display().to_string()));
            }
        }
    });
    found
}

fn walk(folder: &Path, each: &mut dyn FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, each);
        } else if let Ok(bytes) = fs::read(&path) {
            each(&path, &bytes);
        }
    }
}

/// Which of the words are there, whatever the case of letters: as they are and in hexadecimal digits, in the bytes, in what
/// their compressed pieces were, and in the rows of a Parquet file.
fn has(bytes: &[u8], needles: &[String]) -> Vec<bool> {
    let mut found = vec![false; needles.len()];
    let mut look = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        for (needle, found) in needles.iter().zip(&mut found) {
            let needle = needle.to_ascii_lowercase();
            *found |= text.contains(&needle) || text.contains(&hex::encode(&needle));
        }
    };
    look(bytes);
    frames(bytes, &mut look);
    if bytes.starts_with(b"PAR1") {
        let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).unwrap();
        reader.get_row_iter(None).unwrap().for_each(|row| look(row.unwrap().to_string().as_bytes()));
    }
    found
}

/// Whatever zstd makes of every place where a frame of it may begin; one that is cut off says what it can.
fn frames(bytes: &[u8], look: &mut dyn FnMut(&[u8])) {
    const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    /// So much of a frame is looked at together.
    const PIECE: u64 = 64 << 20;
    let mut at = 0;
    while let Some(next) = bytes.get(at..).and_then(|rest| rest.windows(4).position(|window| window == FRAME)) {
        at += next;
        if let Ok(decoder) = zstd::stream::read::Decoder::with_buffer(&bytes[at..]) {
            let mut piece = Vec::new();
            // An end that is missing is an error, and what came before it is there.
            let _ = decoder.single_frame().take(PIECE).read_to_end(&mut piece);
            look(&piece);
        }
        at += FRAME.len();
    }
}

/// The word, whatever the case of its letters.
pub fn holds(bytes: &[u8], needle: &str) -> bool {
    has(bytes, &[needle.to_owned()])[0]
}
