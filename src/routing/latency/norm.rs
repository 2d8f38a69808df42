//! What is usual in a group: the times to expect where nothing else is known.
//!
//! They would be one line for everybody, so each core keeps its own of what it saw itself;
//! failures are left out of them.
//!
//! Beside them stands how much a time tells here ([`Traffic`]): how often a backend answers, all
//! cores together, and what it has under way. Each core looks at that once in [`LOOK_EVERY`] of
//! its answers, so a pick adds up nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::{CROWDS, Usual};
use crate::base::id::CoreId;
use crate::routing::load::{STAMP_MICROS, stamp};

/// Slots of one chunk of usual times: 4 KiB for each core.
const NORMS: usize = 64;

/// Observations the usual time of a group is the mean of.
const NORM_COUNT_MAX: u64 = 255;

/// Observations the usual time of the nearest crowd is worth for one nobody has seen.
const NORM_DERIVED: u64 = 16;

/// Answers of a core between two looks at the traffic of a group.
const LOOK_EVERY: u32 = 16;

/// What one look weighs beside those before it.
const LOOK_SHARE: f32 = 0.125;

/// The longest mean time between two answers of a backend that matters, in microseconds.
const INTERVAL_MAX: f32 = 1e6;

/// What there is to do in a group, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Mean time between two answers of one backend, in microseconds, at most a second.
    pub interval_micros: f32,
    /// What one backend has under way, in the mean.
    pub under_way: f32,
}

/// The usual times of one group as one core sees them.
struct Norm {
    means: [AtomicU32; CROWDS],
    /// Answers of this core, from 0 again and again.
    answers: AtomicU32,
    /// Observations of each crowd, a byte each.
    counts: AtomicU64,
    /// The stamp of the last look, and what all cores had answered then.
    looked: AtomicU64,
    /// What the looks have shown, two f32; 0 before the second one.
    traffic: AtomicU64,
}

impl Default for Norm {
    fn default() -> Self {
        Norm {
            means: std::array::from_fn(|_| AtomicU32::new(0)),
            answers: AtomicU32::new(0),
            counts: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            traffic: AtomicU64::new(0),
        }
    }
}

impl Norm {
    #[inline]
    fn usual(&self) -> Option<Usual> {
        let seen = self.counts.load(Relaxed) != 0;
        seen.then(|| std::array::from_fn(|crowd| f32::from_bits(self.means[crowd].load(Relaxed))))
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
        self.derive();
    }

    /// Crowds nobody has seen are like the nearest below, or else above, that was.
    fn derive(&self) {
        let counts = self.counts.load(Relaxed);
        let lowest = (counts.trailing_zeros() / 8) as usize;
        let mut last = self.means[lowest.min(CROWDS - 1)].load(Relaxed);
        for (crowd, mean) in self.means.iter().enumerate() {
            match count_of(counts, crowd) {
                0 => mean.store(last, Relaxed),
                _ => last = mean.load(Relaxed),
            }
        }
    }
}

impl Norm {
    /// One more answer; true when a look is due.
    fn answered(&self) -> bool {
        let answers = self.answers.load(Relaxed).wrapping_add(1);
        self.answers.store(answers, Relaxed);
        answers.is_multiple_of(LOOK_EVERY)
    }

    fn traffic(&self) -> Option<Traffic> {
        let packed = self.traffic.load(Relaxed);
        (packed != 0).then(|| Traffic {
            interval_micros: f32::from_bits((packed >> 32) as u32),
            under_way: f32::from_bits(packed as u32),
        })
    }

    /// So many answers there were of all cores until now.
    fn look(&self, answers: u32, backends: f32, under_way: f32, now_micros: u64) {
        let looked = self.looked.load(Relaxed);
        let (then, before) = ((looked >> 32) as u32, looked as u32);
        let now = stamp(now_micros);
        let passed = now.wrapping_sub(then).cast_signed();
        let more = answers.wrapping_sub(before);
        if looked != 0 && (passed <= 0 || more == 0) {
            return;
        }
        self.looked
            .store(u64::from(now) << 32 | u64::from(answers), Relaxed);
        if looked == 0 {
            return;
        }
        let passed = passed as f32 * STAMP_MICROS as f32;
        let interval = (passed * backends / more as f32).min(INTERVAL_MAX);
        let seen = Traffic {
            interval_micros: interval,
            under_way: under_way / backends,
        };
        let held = self.traffic().unwrap_or(seen);
        let moved = |held: f32, seen: f32| held + (seen - held) * LOOK_SHARE;
        let interval = moved(held.interval_micros, seen.interval_micros);
        let under_way = moved(held.under_way, seen.under_way);
        let packed = u64::from(interval.to_bits()) << 32 | u64::from(under_way.to_bits());
        self.traffic.store(packed, Relaxed);
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
            let norm = &core.0[at];
            for word in [&norm.counts, &norm.looked, &norm.traffic] {
                word.store(0, Relaxed);
            }
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

    /// Answers that were observed so far, all cores together.
    #[must_use]
    pub fn answers(&self) -> u64 {
        let cores = self.chunk.iter();
        let answers = cores.map(|core| core.0[self.at].answers.load(Relaxed));
        answers.map(u64::from).sum()
    }

    /// What there is to do, as `core` found it; `None` before it has looked twice.
    #[inline]
    #[must_use]
    pub fn traffic(&self, core: CoreId) -> Option<Traffic> {
        self.chunk.get(core.index())?.0[self.at].traffic()
    }

    /// Notes that an answer took so long in this crowd; true when the core is to look at the
    /// traffic. Only `core` itself may call it.
    pub fn observe(&self, core: CoreId, crowd: usize, took_micros: f32) -> bool {
        let norm = &self.chunk[core.index()].0[self.at];
        norm.observe(crowd, took_micros);
        norm.answered()
    }

    /// Looks at the traffic: `backends` have so much under way. Only `core` itself may call it.
    pub fn look(&self, core: CoreId, backends: usize, under_way: u32, now_micros: u64) {
        let cores = self.chunk.iter();
        let answers = cores.map(|core| core.0[self.at].answers.load(Relaxed));
        let answers = answers.fold(0, u32::wrapping_add);
        let norm = &self.chunk[core.index()].0[self.at];
        norm.look(
            answers,
            backends.max(1) as f32,
            under_way as f32,
            now_micros,
        );
    }
}
