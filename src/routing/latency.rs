//! How long a backend takes, told apart by how much it has to do.
//!
//! The time to an answer says little by itself: a fast backend that is busy looks like a slow one
//! that is idle. So each answer counts for the crowd it came into, the requests under way by
//! powers of two, and each backend has one cache line of such times. What was not seen lately is
//! derived from what was: the line ends with the *pace*, how the backend compares with its group
//! whatever the crowd. A time that was seen fades into the usual time of the group at this pace,
//! and the pace fades into that of the group, both with one mean life. So a newcomer begins as the
//! group is, never at nothing and never at infinity; a backend that looked slow once is tried
//! again; and one look at a busy crowd tells what to expect of an idle one.
//!
//! Any core writes a line, relaxed and without a locked instruction: two that write one place at
//! the same moment lose one of two observations. The usual times of a group would be one line for
//! everybody, so each core keeps its own of what it saw itself; failures are left out of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::load::{stamp, unpack};
use crate::base::id::CoreId;

/// Crowds told apart: 1, 2 to 3, 4 to 7 and so on, and 64 and more requests under way.
pub const CROWDS: usize = 7;

/// Slots of one chunk of lines: 16 KiB.
const LINES: usize = 256;

/// Slots of one chunk of usual times: 3 KiB for each core.
const NORMS: usize = 64;

/// Observations a time that was just seen is worth: each further one moves it by a tenth.
const TRUST_SEEN: f32 = 9.0;

/// Observations a time that was derived is worth: one answer must not make a reputation.
const TRUST_DERIVED: f32 = 3.0;

/// Observations the usual time of a group is the mean of.
const NORM_COUNT_MAX: u64 = 255;

/// Observations the usual time of the nearest crowd is worth for one nobody has seen.
const NORM_DERIVED: u64 = 16;

/// What an answer of a group usually takes, by crowd, in microseconds.
pub type Usual = [f32; CROWDS];

/// The crowd that so many requests make, the one that comes among them.
#[inline]
#[must_use]
pub fn crowd(requests: u32) -> usize {
    (requests.max(1).ilog2() as usize).min(CROWDS - 1)
}

/// A moment, and how fast what was seen fades.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fading {
    now: u32,
    /// Mean lives in one stamp, divided by the power [`Fading::kept`] takes.
    rate: f32,
}

impl Fading {
    /// What was seen so long ago counts for 1/e.
    #[must_use]
    pub fn new(now_micros: u64, life_micros: u64) -> Fading {
        let life = (life_micros as f32 / stamp_micros()).max(1.0);
        Fading {
            now: stamp(now_micros),
            rate: 1.0 / (16.0 * life),
        }
    }

    /// What is left of what was seen `then`: the exponential by its compound interest, which is
    /// as good here and takes four multiplications.
    #[inline]
    fn kept(self, then: u32) -> f32 {
        // The clocks of two cores may differ a little: what seems to lie ahead is now.
        let age = self.now.wrapping_sub(then).cast_signed().max(0) as f32;
        let two = (1.0 + age * self.rate) * (1.0 + age * self.rate);
        let four = two * two;
        let eight = four * four;
        1.0 / (eight * eight)
    }
}

fn stamp_micros() -> f32 {
    super::load::STAMP_MICROS as f32
}

/// The times of one backend by crowd, and its pace. Each is an f32 with the stamp of its last
/// observation above it; 0 before the first.
#[repr(align(64))]
struct Line {
    times: [AtomicU64; CROWDS],
    pace: AtomicU64,
}

impl Default for Line {
    fn default() -> Self {
        Line {
            times: std::array::from_fn(|_| AtomicU64::new(0)),
            pace: AtomicU64::new(0),
        }
    }
}

impl Line {
    #[inline]
    fn pace(&self, fading: Fading) -> (f32, f32) {
        faded(&self.pace, 1.0, fading)
    }

    #[inline]
    fn expect(&self, crowd: usize, usual: f32, fading: Fading) -> f32 {
        let (pace, _) = self.pace(fading);
        faded(&self.times[crowd], usual * pace, fading).0
    }

    fn observe(&self, crowd: usize, took: f32, usual: f32, fading: Fading) {
        let (pace, pace_kept) = self.pace(fading);
        let (time, kept) = faded(&self.times[crowd], usual * pace, fading);
        store(&self.times[crowd], moved(time, took, kept), fading);
        store(&self.pace, moved(pace, took / usual, pace_kept), fading);
    }

    fn forget(&self) {
        for place in self.times.iter().chain([&self.pace]) {
            place.store(0, Relaxed);
        }
    }
}

/// What is held, faded into what is derived, and how much of it is left.
#[inline]
fn faded(place: &AtomicU64, derived: f32, fading: Fading) -> (f32, f32) {
    let Some((value, then)) = unpack(place.load(Relaxed)) else {
        return (derived, 0.0);
    };
    let kept = fading.kept(then);
    (derived + (value - derived) * kept, kept)
}

/// An expectation after one more observation.
fn moved(expected: f32, seen: f32, kept: f32) -> f32 {
    let trust = TRUST_DERIVED + (TRUST_SEEN - TRUST_DERIVED) * kept;
    expected + (seen - expected) / (1.0 + trust)
}

fn store(place: &AtomicU64, value: f32, fading: Fading) {
    place.store(
        u64::from(fading.now) << 32 | u64::from(value.to_bits()),
        Relaxed,
    );
}

type Chunk = Arc<[Line]>;

/// The lines of all backend slots. A clone shares them.
#[derive(Clone, Default)]
pub struct Latencies(Arc<[Chunk]>);

impl Latencies {
    /// The handle of `slot`; there is room for it afterwards, and what was seen there is
    /// forgotten.
    pub fn claim(&mut self, slot: u32) -> Latency {
        let (chunk, at) = (slot as usize / LINES, slot as usize % LINES);
        if chunk >= self.0.len() {
            let fresh = || (0..LINES).map(|_| Line::default()).collect();
            let more = (self.0.len()..=chunk).map(|_| fresh());
            self.0 = self.0.iter().cloned().chain(more).collect();
        }
        let latency = Latency {
            chunk: Arc::clone(&self.0[chunk]),
            at,
        };
        latency.forget();
        latency
    }

    /// What an answer of `slot` will take in this crowd, in microseconds.
    #[inline]
    #[must_use]
    pub fn expect(&self, slot: u32, crowd: usize, usual: &Usual, fading: Fading) -> f32 {
        let slot = slot as usize;
        match self.0.get(slot / LINES) {
            Some(chunk) => chunk[slot % LINES].expect(crowd, usual[crowd], fading),
            None => usual[crowd],
        }
    }

    /// Bytes of all lines.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let lines: usize = self.0.iter().map(|chunk| size_of_val(&**chunk)).sum();
        lines + self.0.len() * size_of::<Chunk>()
    }
}

/// The line of one slot. A clone is the same one.
#[derive(Clone)]
pub struct Latency {
    chunk: Chunk,
    at: usize,
}

impl Latency {
    /// Notes that an answer took so long in this crowd.
    pub fn observe(&self, crowd: usize, took_micros: f32, usual: &Usual, fading: Fading) {
        self.line()
            .observe(crowd, took_micros, usual[crowd], fading);
    }

    /// Notes a failure, which counts as an answer that took so many times what is usual, in any
    /// crowd: who fails fast has little to do, and must not be taken for somebody else by that.
    /// While nothing is usual yet it counts for the pace.
    pub fn observe_failure(&self, penalty: f32, usual: Option<&Usual>, fading: Fading) {
        let line = self.line();
        let (pace, pace_kept) = line.pace(fading);
        for (place, usual) in line.times.iter().zip(usual.into_iter().flatten()) {
            let (time, kept) = faded(place, usual * pace, fading);
            let seen = (usual * penalty).max(time);
            store(place, moved(time, seen, kept), fading);
        }
        let seen = penalty.max(pace);
        store(&line.pace, moved(pace, seen, pace_kept), fading);
    }

    /// Notes how it compares with its group by what it says itself.
    pub fn observe_pace(&self, seen: f32, fading: Fading) {
        let line = self.line();
        let (pace, kept) = line.pace(fading);
        store(&line.pace, moved(pace, seen, kept), fading);
    }

    /// What an answer will take in this crowd, in microseconds.
    #[must_use]
    pub fn expect(&self, crowd: usize, usual: &Usual, fading: Fading) -> f32 {
        self.line().expect(crowd, usual[crowd], fading)
    }

    /// How it compares with its group: 1 like the others, 2 twice as slow.
    #[must_use]
    pub fn pace(&self, fading: Fading) -> f32 {
        self.line().pace(fading).0
    }

    /// Forgets what was seen: it is as its group is.
    pub fn forget(&self) {
        self.line().forget();
    }

    fn line(&self) -> &Line {
        &self.chunk[self.at]
    }
}

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

#[cfg(test)]
mod tests;
