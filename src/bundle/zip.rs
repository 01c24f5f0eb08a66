//! A zip archive that is written as it goes: entries are stored as they are, their sizes and sums come after them, and nothing but
//! the list of entries is kept in memory. Large ones are written in the format's 64-bit form.

/// The bytes of an archive, piece by piece.
#[derive(Default)]
pub struct Zip {
    entries: Vec<Entry>,
    written: u64,
}

struct Entry {
    name: String,
    sum: u32,
    size: u64,
    offset: u64,
}

/// Sizes after the content, names in UTF-8.
const FLAGS: u16 = 0x0808;
/// The version that knows 64-bit sizes.
const VERSION: u16 = 45;
/// Midnight of the first day that the format knows.
const MOMENT: [u8; 4] = [0, 0, 0x21, 0];

impl Zip {
    /// The beginning of an entry, which ends the one before.
    pub fn begin(&mut self, name: &str) -> Vec<u8> {
        let mut out = self.end_entry();
        let offset = self.written + out.len() as u64;
        out.extend(0x0403_4b50_u32.to_le_bytes());
        out.extend(VERSION.to_le_bytes());
        out.extend(FLAGS.to_le_bytes());
        out.extend([0, 0]);
        out.extend(MOMENT);
        // The sum and both sizes come later; that they are 64-bit ones stands here.
        out.extend([0; 4]);
        out.extend([0xff; 8]);
        out.extend(length(name).to_le_bytes());
        out.extend(20_u16.to_le_bytes());
        out.extend(name.as_bytes());
        out.extend(1_u16.to_le_bytes());
        out.extend(16_u16.to_le_bytes());
        out.extend([0; 16]);
        self.written += out.len() as u64;
        self.entries.push(Entry { name: name.to_owned(), sum: !0, size: 0, offset });
        out
    }

    /// Notes what goes into the entry that is open.
    pub fn add(&mut self, content: &[u8]) {
        if let Some(entry) = self.entries.last_mut() {
            entry.sum = content.iter().fold(entry.sum, |sum, byte| step(sum, *byte));
            entry.size += content.len() as u64;
            self.written += content.len() as u64;
        }
    }

    fn end_entry(&self) -> Vec<u8> {
        let Some(entry) = self.entries.last() else { return Vec::new() };
        let mut out = 0x0807_4b50_u32.to_le_bytes().to_vec();
        out.extend((!entry.sum).to_le_bytes());
        out.extend(entry.size.to_le_bytes());
        out.extend(entry.size.to_le_bytes());
        out
    }

    /// The end of the archive.
    pub fn finish(self) -> Vec<u8> {
        let mut out = self.end_entry();
        let start = self.written + out.len() as u64;
        let before = out.len();
        for entry in &self.entries {
            out.extend(0x0201_4b50_u32.to_le_bytes());
            out.extend([VERSION.to_le_bytes(), VERSION.to_le_bytes(), FLAGS.to_le_bytes(), [0, 0]].concat());
            out.extend(MOMENT);
            out.extend((!entry.sum).to_le_bytes());
            out.extend([0xff; 8]);
            out.extend(length(&entry.name).to_le_bytes());
            out.extend(28_u16.to_le_bytes());
            // No comment, the first disk, no attributes; where it is stands in the 64-bit form.
            out.extend([0; 10]);
            out.extend([0xff; 4]);
            out.extend(entry.name.as_bytes());
            out.extend(1_u16.to_le_bytes());
            out.extend(24_u16.to_le_bytes());
            out.extend([entry.size, entry.size, entry.offset].map(u64::to_le_bytes).concat());
        }
        let (count, size) = (self.entries.len() as u64, (out.len() - before) as u64);
        let end = start + size;
        out.extend(0x0606_4b50_u32.to_le_bytes());
        out.extend(44_u64.to_le_bytes());
        out.extend([VERSION, VERSION].map(u16::to_le_bytes).concat());
        out.extend([0; 8]);
        out.extend([count, count, size, start].map(u64::to_le_bytes).concat());
        out.extend(0x0706_4b50_u32.to_le_bytes());
        out.extend([0; 4]);
        out.extend(end.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
        out.extend(0x0605_4b50_u32.to_le_bytes());
        out.extend([0; 4]);
        out.extend([0xff; 12]);
        out.extend([0; 2]);
        out
    }
}

fn length(name: &str) -> u16 {
    u16::try_from(name.len()).unwrap_or(u16::MAX)
}

/// CRC-32 as zip has it, by a byte.
fn step(sum: u32, byte: u8) -> u32 {
    TABLE[((sum ^ u32::from(byte)) & 0xff) as usize] ^ (sum >> 8)
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let (mut value, mut bit) = (n as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[n] = value;
        n += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_known_one() {
        let sum = b"123456789".iter().fold(!0, |sum, byte| step(sum, *byte));
        assert_eq!(!sum, 0xcbf4_3926);
    }

    #[test]
    fn entries_lie_where_the_directory_says() {
        let mut zip = Zip::default();
        let mut all = zip.begin("a.txt");
        zip.add(b"hello");
        all.extend(b"hello");
        let second = all.len() + 24;
        all.extend(zip.begin("b/c.txt"));
        zip.add(b"");
        all.extend(zip.finish());
        assert_eq!(all[second..second + 4], 0x0403_4b50_u32.to_le_bytes());
        let directory = all.windows(4).position(|four| four == 0x0201_4b50_u32.to_le_bytes()).unwrap();
        let end = all.len() - 22 - 20 - 56;
        assert_eq!(all[end..end + 4], 0x0606_4b50_u32.to_le_bytes());
        assert_eq!(all[end + 48..end + 56], (directory as u64).to_le_bytes());
    }
}
