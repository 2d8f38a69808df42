//! What is usual in a group: the times to expect where nothing else is known.
//!
//! They would be one line for everybody, so each core keeps its own of what it saw itself;
//! failures are left out of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::{CROWDS, Usual};
use crate::base::id::CoreId;

/// Slots of one chunk of usual times: 3 KiB for each core.
const NORMS: usize = 64;

/// Observations the usual time of a group is the mean of.
const NORM_COUNT_MAX: u64 = 255;

/// Observations the usual time of the nearest crowd is worth for one nobody has seen.
const NORM_DERIVED: u64 = 16;

/// The usual times of one group as one core sees them.
struct Norm {
    means: [AtomicU32; CROWDS],
    /// Observations of each crowd, a byte each.
    counts: AtomicU64,
}

impl Default for Norm {
    fn default() -> Self {
        Norm {
            means: std::array::from_fn(|_| AtomicU32::new(0)),
            counts: AtomicU64::new(0),
        }
    }
}

impl Norm {
    /// Crowds nobody has seen are like the nearest below, or else above, that was.
    #[inline]
    fn usual(&self) -> Option<Usual> {
        let counts = self.counts.load(Relaxed);
        if counts == 0 {
            return None;
        }
        let lowest = (counts.trailing_zeros() / 8) as usize;
        let mut last = f32::from_bits(self.means[lowest].load(Relaxed));
        let mut usual = [last; CROWDS];
        for (crowd, usual) in usual.iter_mut().enumerate().skip(lowest) {
            if count_of(counts, crowd) > 0 {
                last = f32::from_bits(self.means[crowd].load(Relaxed));
            }
            *usual = last;
        }
        Some(usual)
    }

    fn observe(&self, crowd: usize, took: f32) {
        let counts = self.counts.load(Relaxed);
        let (mean, count) = match (self.usual(), count_of(counts, crowd)) {
            (None, _) => (took, 0),
            (Some(usual), 0) => (usual[crowd], NORM_DERIVED),
            (Some(usual), count) => (usual[crowd], count),
        };
        let mean = mean + (took - mean) / (count + 1) as f32;
        self.means[crowd].store(mean.to_bits(), Relaxed);
        let count = (count + 1).min(NORM_COUNT_MAX);
        let shift = 8 * crowd;
        self.counts
            .store(counts & !(0xff << shift) | count << shift, Relaxed);
    }
}

fn count_of(counts: u64, crowd: usize) -> u64 {
    counts >> (8 * crowd) & 0xff
}

/// The alignment keeps two cores off one line.
#[repr(align(128))]
struct CoreNorms([Norm; NORMS]);

impl Default for CoreNorms {
    fn default() -> Self {
        CoreNorms(std::array::from_fn(|_| Norm::default()))
    }
}

type NormChunk = Arc<[CoreNorms]>;

/// The usual times of all group slots. A clone shares them.
#[derive(Clone)]
pub struct Norms {
    cores: usize,
    chunks: Arc<[NormChunk]>,
}

impl Norms {
    /// Usual times of no group yet, for so many cores.
    #[must_use]
    pub fn new(cores: usize) -> Norms {
        Norms {
            cores,
            chunks: Arc::default(),
        }
    }

    /// The handle of a group slot; what was seen there is forgotten.
    pub fn claim(&mut self, slot: u32) -> GroupNorm {
        let (chunk, at) = (slot as usize / NORMS, slot as usize % NORMS);
        if chunk >= self.chunks.len() {
            let fresh = || (0..self.cores).map(|_| CoreNorms::default()).collect();
            let more = (self.chunks.len()..=chunk).map(|_| fresh());
            self.chunks = self.chunks.iter().cloned().chain(more).collect();
        }
        let chunk = Arc::clone(&self.chunks[chunk]);
        for core in chunk.iter() {
            core.0[at].counts.store(0, Relaxed);
        }
        GroupNorm { chunk, at }
    }

    /// Bytes of all groups.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let cells: usize = self.chunks.iter().map(|chunk| size_of_val(&**chunk)).sum();
        cells + self.chunks.len() * size_of::<NormChunk>()
    }
}

/// The usual times of one group. A clone is the same one.
#[derive(Clone)]
pub struct GroupNorm {
    chunk: NormChunk,
    at: usize,
}

impl GroupNorm {
    /// What an answer usually takes, as `core` sees it, or as another does while it has seen
    /// none itself; `None` while nobody has.
    #[inline]
    #[must_use]
    pub fn usual(&self, core: CoreId) -> Option<Usual> {
        let own = self.chunk.get(core.index());
        let own = own.and_then(|core| core.0[self.at].usual());
        own.or_else(|| self.chunk.iter().find_map(|core| core.0[self.at].usual()))
    }

    /// Notes that an answer took so long in this crowd. Only `core` itself may call it.
    pub fn observe(&self, core: CoreId, crowd: usize, took_micros: f32) {
        self.chunk[core.index()].0[self.at].observe(crowd, took_micros);
    }
}
