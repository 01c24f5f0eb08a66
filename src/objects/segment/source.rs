//! The bytes of one part. Whatever is read of it is read in whole blocks and checked against its manifest, from the storage
//! and from the cache alike: bytes that are not those that were written never reach a decoder.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Cache, Part, SegmentError,
    digest::{self, BLOCK, CHECK},
};
use crate::objects::{Objects, ObjectsError};

/// So many neighbouring blocks are fetched by one request, and so many requests run at a time.
const RUN: u32 = 32;
const AT_ONCE: usize = 4;
/// So many blocks of a part stay in memory: one block often holds what several questions in a row are about.
const RECENT: usize = 16;
/// Of longer runs nothing does: who reads so much reads on.
const SHORT: usize = 4;

/// How many bytes a reader took, and from where.
#[derive(Debug, Default)]
pub struct Reads {
    pub(super) fetched: AtomicU64,
    pub(super) cached: AtomicU64,
}

impl Reads {
    /// From the storage.
    pub fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// From the cache on disk.
    pub fn cached(&self) -> u64 {
        self.cached.load(Ordering::Relaxed)
    }

    /// Both since they were last taken, for who adds them up elsewhere.
    pub fn take(&self) -> (u64, u64) {
        (self.fetched.swap(0, Ordering::Relaxed), self.cached.swap(0, Ordering::Relaxed))
    }
}

#[derive(Clone)]
pub(super) struct Source {
    objects: Objects,
    key: Arc<str>,
    bytes: u64,
    /// By which the cache knows it: equal content is the same object.
    identity: Arc<str>,
    checks: Arc<[u8]>,
    /// The blocks that were fetched and found right.
    seen: Arc<[AtomicBool]>,
    recent: Arc<Mutex<VecDeque<(u32, Bytes)>>>,
    cache: Option<Cache>,
    reads: Arc<Reads>,
}

impl Source {
    /// The part as it lies under `key`, which is not its own while it is staged.
    pub fn new(
        objects: &Objects,
        key: &str,
        part: &Part,
        cache: Option<Cache>,
        reads: Arc<Reads>,
    ) -> Result<Self, SegmentError> {
        let checks = part.checks()?;
        let seen = (0..checks.len() / CHECK).map(|_| AtomicBool::new(false)).collect();
        Ok(Self {
            objects: objects.clone(),
            key: key.into(),
            bytes: part.bytes,
            identity: part.sha256.as_str().into(),
            checks: checks.into(),
            seen,
            recent: Arc::default(),
            cache,
            reads,
        })
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// The bytes of each range.
    pub async fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, SegmentError> {
        if let Some(range) = ranges.iter().find(|range| range.start > range.end || range.end > self.bytes) {
            let rule = format!("its footer points to bytes {range:?}, and it has {}", self.bytes);
            return Err(SegmentError::damaged(&self.key, rule));
        }
        let wanted = ranges.iter().filter(|range| !range.is_empty()).flat_map(|range| {
            let last = (range.end - 1) / BLOCK;
            (range.start / BLOCK) as u32..=last as u32
        });
        let blocks = self.blocks(wanted.collect()).await?;
        Ok(ranges.iter().map(|range| cut(&blocks, range)).collect())
    }

    /// Reads what was not read so far. Together with everything that was, it is the object that its manifest names.
    pub async fn check_rest(&self) -> Result<(), SegmentError> {
        let unseen = self.seen.iter().enumerate().filter(|(_, seen)| !seen.load(Ordering::Relaxed));
        let unseen: Vec<u32> = unseen.map(|(block, _)| block as u32).collect();
        // A few at a time: they are looked at and dropped.
        for some in unseen.chunks(RUN as usize * AT_ONCE) {
            self.blocks(some.iter().copied().collect()).await?;
        }
        self.must_end_there().await
    }

    async fn blocks(&self, mut wanted: BTreeSet<u32>) -> Result<BTreeMap<u32, Bytes>, SegmentError> {
        let mut found = self.recent(&mut wanted);
        if let Some(cache) = &self.cache {
            for (block, bytes) in cache.get(&self.identity, &wanted).await {
                if self.fits(block, &bytes) {
                    self.reads.cached.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    wanted.remove(&block);
                    self.remember(block, &bytes);
                    found.insert(block, bytes);
                }
            }
        }
        let fetches: Vec<_> = runs(&wanted).into_iter().map(|run| self.fetch(run)).collect();
        let fetched: Vec<Vec<(u32, Bytes)>> = stream::iter(fetches).buffer_unordered(AT_ONCE).try_collect().await?;
        for (block, bytes) in fetched.into_iter().flatten() {
            found.insert(block, bytes);
        }
        Ok(found)
    }

    async fn fetch(&self, run: Range<u32>) -> Result<Vec<(u32, Bytes)>, SegmentError> {
        let range = u64::from(run.start) * BLOCK..(u64::from(run.end) * BLOCK).min(self.bytes);
        let length = range.end - range.start;
        let bytes = match self.objects.get_range(&self.key, range).await {
            Ok(bytes) if bytes.len() as u64 == length => bytes,
            Ok(_) => return Err(self.wrong_length().await),
            Err(error @ ObjectsError::NotFound(_)) => return Err(SegmentError::reading(&self.key, error)),
            // A range behind the end is refused in as many ways as there are stores.
            Err(error) => {
                return Err(self
                    .must_end_there()
                    .await
                    .err()
                    .unwrap_or_else(|| SegmentError::reading(&self.key, error)));
            }
        };
        self.reads.fetched.fetch_add(length, Ordering::Relaxed);
        let mut blocks = Vec::new();
        for block in run.clone() {
            let start = u64::from(block - run.start) * BLOCK;
            let bytes = bytes.slice(start as usize..(start + BLOCK).min(length) as usize);
            if !self.fits(block, &bytes) {
                return Err(self.misfit(block).await);
            }
            self.seen[block as usize].store(true, Ordering::Relaxed);
            blocks.push((block, bytes));
        }
        if blocks.len() <= SHORT {
            for (block, bytes) in &blocks {
                self.remember(*block, bytes);
            }
        }
        if let Some(cache) = &self.cache {
            cache.put(&self.identity, blocks.clone()).await;
        }
        Ok(blocks)
    }

    /// Those of the blocks that are still in memory; they are wanted no more.
    fn recent(&self, wanted: &mut BTreeSet<u32>) -> BTreeMap<u32, Bytes> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().filter(|(block, _)| wanted.remove(block)).cloned().collect()
    }

    fn remember(&self, block: u32, bytes: &Bytes) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(RECENT - 1);
        // A copy: the piece would hold all that was fetched with it.
        recent.push_front((block, Bytes::copy_from_slice(bytes)));
    }

    fn fits(&self, block: u32, bytes: &[u8]) -> bool {
        let at = block as usize * CHECK;
        self.checks.get(at..at + CHECK).is_some_and(|wanted| digest::check(bytes) == wanted)
    }

    async fn misfit(&self, block: u32) -> SegmentError {
        let begins = self.objects.get_range(&self.key, 0..4).await;
        let also = match begins {
            Ok(first) if first != "PAR1" => "; it does not begin as a Parquet file does",
            _ => "",
        };
        let rule = format!("block {block} of it (128 KiB each) is not what its manifest says{also}");
        SegmentError::damaged(&self.key, rule)
    }

    async fn must_end_there(&self) -> Result<(), SegmentError> {
        match self.objects.size(&self.key).await {
            Ok(size) if size == self.bytes => Ok(()),
            Ok(size) => {
                let rule = format!("it has {size} bytes, and its manifest says {}", self.bytes);
                Err(SegmentError::damaged(&self.key, rule))
            }
            Err(error) => Err(SegmentError::reading(&self.key, error)),
        }
    }

    async fn wrong_length(&self) -> SegmentError {
        let ended = self.must_end_there().await.err();
        ended.unwrap_or_else(|| SegmentError::damaged(&self.key, "the storage gave fewer bytes than were asked for"))
    }
}

/// Neighbours together.
fn runs(blocks: &BTreeSet<u32>) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for &block in blocks {
        match runs.last_mut() {
            Some(run) if run.end == block && run.end - run.start < RUN => run.end += 1,
            _ => runs.push(block..block + 1),
        }
    }
    runs
}

/// A range out of the blocks that hold it; without a copy where one does.
fn cut(blocks: &BTreeMap<u32, Bytes>, range: &Range<u64>) -> Bytes {
    let mut pieces = (range.start / BLOCK..=range.end.saturating_sub(1) / BLOCK).filter_map(|block| {
        let bytes = blocks.get(&(block as u32))?;
        let start = range.start.saturating_sub(block * BLOCK) as usize;
        let end = (range.end - block * BLOCK).min(bytes.len() as u64) as usize;
        (start < end).then(|| bytes.slice(start..end))
    });
    let first = pieces.next().unwrap_or_default();
    if first.len() as u64 == range.end - range.start {
        return first;
    }
    let mut all = BytesMut::with_capacity((range.end - range.start) as usize);
    all.extend_from_slice(&first);
    pieces.for_each(|piece| all.extend_from_slice(&piece));
    all.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_fetched_together_up_to_a_size() {
        let blocks: BTreeSet<u32> = (0..RUN + 2).chain([50, 52]).collect();
        assert_eq!(runs(&blocks), [0..RUN, RUN..RUN + 2, 50..51, 52..53]);
    }

    #[test]
    fn a_range_is_cut_out_of_one_block_or_several() {
        let whole: Vec<u8> = (0..BLOCK * 2 + 10).map(|n| (n % 253) as u8).collect();
        let blocks: BTreeMap<u32, Bytes> = whole
            .chunks(BLOCK as usize)
            .enumerate()
            .map(|(at, block)| (at as u32, Bytes::copy_from_slice(block)))
            .collect();
        for range in [0..4, BLOCK - 2..BLOCK, BLOCK - 2..BLOCK + 2, 5..BLOCK * 2 + 10, BLOCK..BLOCK, 0..0] {
            assert_eq!(cut(&blocks, &range), whole[range.start as usize..range.end as usize], "{range:?}");
        }
    }
}
