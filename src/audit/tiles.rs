//! The log as C2SP tlog-tiles has it: hashes by the 256, and the leaves themselves. Read off the rows; nothing is kept twice.

use super::{Audit, AuditError, merkle};
use crate::store::platform::audit_log::{self as log, Span};

/// Hashes of a whole tile.
const WHOLE: i64 = 256;
/// Levels that a log can have: 256 to the power of the next one is more than there are numbers.
const LEVELS: i16 = 7;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Absent for the leaves themselves.
    level: Option<i16>,
    number: i64,
    width: i64,
}

impl Tile {
    /// From `tile/L/N[.p/W]`, where N is written by the thousand (`x001/234`).
    pub fn read(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let level = match level {
            "entries" => None,
            number => Some(number.parse().ok().filter(|found: &i16| *found <= LEVELS && found.to_string() == number)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            None => (rest, WHOLE),
            Some((number, width)) => {
                let read: i64 = width.parse().ok()?;
                (number, Some(read).filter(|read| (1..WHOLE).contains(read) && read.to_string() == width)?)
            }
        };
        Some(Self { level, number: thousands(number)?, width })
    }
}

/// Three digits a segment, an `x` before all but the last.
fn thousands(text: &str) -> Option<i64> {
    let segments: Vec<&str> = text.split('/').collect();
    let last = segments.len().checked_sub(1)?;
    let mut number: i64 = 0;
    for (at, segment) in segments.iter().enumerate() {
        let digits = if at < last { segment.strip_prefix('x')? } else { segment };
        let is_three = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        number = number.checked_mul(1000)?.checked_add(digits.parse().ok().filter(|_| is_three)?)?;
    }
    // Zeros in front make no other number.
    let is_canonical = last == 0 || segments.first() != Some(&"x000");
    Some(number).filter(|number| is_canonical && *number < i64::MAX / WHOLE)
}

impl Audit {
    /// What a tile holds; `None` where the log has not so much.
    pub async fn tile(&self, tile: &Tile) -> Result<Option<Vec<u8>>, AuditError> {
        let (height, first, count) = (tile.level.unwrap_or(0), tile.number * WHOLE, tile.width);
        let span = [Span { height, first, count }];
        let found = self.read("audit_tile", |tx| Box::pin(async move { log::hashes(tx, &span).await })).await?;
        let found = found.into_iter().next().unwrap_or_default();
        if found.len() as i64 != count {
            return Ok(None);
        }
        Ok(Some(match tile.level {
            // Each leaf with its length before it.
            None => found.iter().flat_map(|leaf| [&[0, 32], leaf.as_slice()].concat()).collect(),
            Some(0) => found.iter().flat_map(|leaf| merkle::leaf(leaf)).collect(),
            Some(_) => found.concat(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_tiles_in_one_way() {
        let tile = |level, number, width| Some(Tile { level, number, width });
        assert_eq!(Tile::read("tile/0/x001/x234/067"), tile(Some(0), 1_234_067, 256));
        assert_eq!(Tile::read("tile/1/000.p/5"), tile(Some(1), 0, 5));
        assert_eq!(Tile::read("tile/entries/012.p/255"), tile(None, 12, 255));
        for wrong in [
            "",
            "tile/0",
            "tile/0/1",
            "tile/0/x001",
            "tile/0/000/001",
            "tile/0/x000/001",
            "tile/01/000",
            "tile/8/000",
            "tile/0/000.p/256",
            "tile/0/000.p/0",
            "tile/0/000.p/05",
            "tile/0/-01",
            "tile/x/000",
            "tile/0/+12",
        ] {
            assert_eq!(Tile::read(wrong), None, "{wrong}");
        }
    }
}
