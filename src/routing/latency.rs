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
//! the same moment lose one of two observations.

mod norm;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use norm::{GroupNorm, Norms, Traffic};

use super::load::{stamp, unpack};

/// Crowds told apart: 1, 2 to 3, 4 to 7 and so on, and 64 and more requests under way.
pub const CROWDS: usize = 7;

/// Slots of one chunk of lines: 16 KiB.
const LINES: usize = 256;

/// Observations a time that was just seen is worth: each further one moves it by a tenth.
const TRUST_SEEN: f32 = 9.0;

/// Observations a time that was derived is worth: one answer must not make a reputation.
const TRUST_DERIVED: f32 = 3.0;

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
    pub fn new(now_micros: u64, life_micros: f32) -> Fading {
        let life = (life_micros / stamp_micros()).max(1.0);
        Fading {
            now: stamp(now_micros),
            rate: 1.0 / (16.0 * life),
        }
    }

    /// The stamp of the moment.
    #[inline]
    pub(super) fn now(self) -> u32 {
        self.now
    }

    /// What is left of what was seen `then`: the exponential as the limit it is of (1 - t/16)^16,
    /// which is as good here and takes four multiplications and no division.
    #[inline]
    fn kept(self, then: u32) -> f32 {
        // The clocks of two cores may differ a little: what seems to lie ahead is now.
        let age = self.now.wrapping_sub(then).cast_signed().max(0) as f32;
        let left = (1.0 - age * self.rate).max(0.0);
        let two = left * left;
        let four = two * two;
        let eight = four * four;
        eight * eight
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

#[cfg(test)]
mod tests;
