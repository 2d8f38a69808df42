//! The load board: what each core has under way at each backend, and how long the backend took.
//!
//! A policy reads the load of a backend over all cores of the node, for every request, so the
//! figures lie dense and apart from the rest of the counters: one array per core, indexed by the
//! backend's stable slot. Each core writes its own array only, relaxed, without a locked
//! instruction; whoever reads adds the cores up and may miss a request or two that start just
//! now. The arrays come in chunks that never move, so a table can hold handles into them and new
//! backends only add chunks.
//!
//! Beside the number under way stands the peak EWMA of the response time: a rise counts at once,
//! a fall with a mean life of [`DECAY_MILLIS`], also while nothing is observed. Each core keeps
//! its own, and the highest counts: a core that has just seen a slow answer is right for all.
//!
//! What is known of its times by what it has to do lies beside it, see [`super::latency`], and what
//! others than this node have under way there, see [`super::elsewhere`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::elsewhere::{Elsewhere, Others};
use super::latency::{Latencies, Latency};
use crate::base::id::CoreId;
use crate::telemetry::counter::Gauge;

/// Slots of one chunk: 3 KiB for each core.
const CHUNK_SLOTS: usize = 256;

/// Mean life of an observed response time (Finagle's and Linkerd's default).
pub const DECAY_MILLIS: u64 = 10_000;

/// Stamps count in units of 1024 us, so that 32 bits last seven weeks; they may wrap.
const STAMP_SHIFT: u32 = 10;
pub(super) const STAMP_MICROS: u64 = 1 << STAMP_SHIFT;
const DECAY_STAMPS: f64 = (DECAY_MILLIS * 1000 / STAMP_MICROS) as f64;

/// How often an observation halves for each stamp of its age, in units of 2^-32.
const HALVINGS_PER_STAMP: u64 =
    (std::f64::consts::LOG2_E / DECAY_STAMPS * (1_u64 << 32) as f64) as u64;

/// 2^-x from 0 to 1 as a polynomial in x, but for its leading 1; off by less than 5 in a million.
const HALF_TO_THE: [f32; 4] = [-0.693_069_6, 0.239_482_5, -0.053_251_63, 0.006_838_764];

/// The figures of one core for one chunk of slots. The alignment keeps two cores off one line.
#[repr(align(128))]
struct CoreCells {
    in_flight: [Gauge; CHUNK_SLOTS],
    /// Peak EWMA in microseconds as the bits of an f32, and above it the stamp of the
    /// observation; 0 before the first one.
    cost: [AtomicU64; CHUNK_SLOTS],
}

impl Default for CoreCells {
    fn default() -> Self {
        CoreCells {
            in_flight: std::array::from_fn(|_| Gauge::default()),
            cost: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

/// One `CoreCells` for each core.
type Chunk = Arc<[CoreCells]>;

/// The figures of all slots. A clone shares them.
#[derive(Clone)]
pub struct Board {
    cores: usize,
    chunks: Arc<[Chunk]>,
    latencies: Latencies,
    elsewhere: Elsewhere,
}

impl Board {
    /// A board without a slot, for `cores` cores.
    #[must_use]
    pub fn new(cores: usize) -> Board {
        Board {
            cores,
            chunks: Arc::default(),
            latencies: Latencies::default(),
            elsewhere: Elsewhere::default(),
        }
    }

    /// The handle of `slot`; the board grows to hold it. What was observed there is forgotten.
    pub fn claim(&mut self, slot: u32) -> Load {
        let (chunk, at) = place(slot);
        if chunk >= self.chunks.len() {
            let fresh = || (0..self.cores).map(|_| CoreCells::default()).collect();
            let more = (self.chunks.len()..=chunk).map(|_| fresh());
            self.chunks = self.chunks.iter().cloned().chain(more).collect();
        }
        let chunk = Arc::clone(&self.chunks[chunk]);
        for core in chunk.iter() {
            core.cost[at].store(0, Relaxed);
        }
        Load {
            chunk,
            at,
            latency: self.latencies.claim(slot),
            others: self.elsewhere.claim(slot),
        }
    }

    /// What is known of the times of all slots.
    #[inline]
    #[must_use]
    pub fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// What others have under way at all slots.
    #[inline]
    #[must_use]
    pub fn elsewhere(&self) -> &Elsewhere {
        &self.elsewhere
    }

    /// What is under way at `slot`, all cores together; 0 for a slot that was never claimed.
    #[inline]
    #[must_use]
    pub fn in_flight(&self, slot: u32) -> u32 {
        let (chunk, at) = place(slot);
        self.chunks.get(chunk).map_or(0, |chunk| sum(chunk, at))
    }

    /// The response time to expect at `slot`, in microseconds; `None` when nothing is known.
    #[inline]
    #[must_use]
    pub fn cost(&self, slot: u32, now_micros: u64) -> Option<f32> {
        let (chunk, at) = place(slot);
        cost(self.chunks.get(chunk)?, at, now_micros)
    }

    /// Bytes of the figures of all cores, times that they share not included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let cells: usize = self.chunks.iter().map(|chunk| size_of_val(&**chunk)).sum();
        cells + self.chunks.len() * size_of::<Chunk>()
    }
}

/// The figures of one slot.
#[derive(Clone)]
pub struct Load {
    chunk: Chunk,
    at: usize,
    latency: Latency,
    others: Others,
}

impl Load {
    /// One more under way. Only `core` itself may call it.
    #[inline]
    pub fn up(&self, core: CoreId) {
        self.chunk[core.index()].in_flight[self.at].up();
    }

    /// One less under way. Only `core` itself may call it.
    #[inline]
    pub fn down(&self, core: CoreId) {
        self.chunk[core.index()].in_flight[self.at].down();
    }

    /// Sets what `core` has under way. Only `core` itself may call it.
    pub fn set(&self, core: CoreId, in_flight: u32) {
        self.chunk[core.index()].in_flight[self.at].set(in_flight);
    }

    /// What is under way, all cores together.
    #[inline]
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        sum(&self.chunk, self.at)
    }

    /// What others have under way there.
    #[inline]
    #[must_use]
    pub fn others(&self) -> &Others {
        &self.others
    }

    /// What is known of its times.
    #[inline]
    #[must_use]
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// Notes that an answer took `micros`. Only `core` itself may call it. The clock must be the
    /// same for all cores.
    pub fn observe(&self, core: CoreId, micros: u64, now_micros: u64) {
        let cell = &self.chunk[core.index()].cost[self.at];
        let now = stamp(now_micros);
        let took = (micros as f32).max(1.0);
        let smoothed = match unpack(cell.load(Relaxed)) {
            Some((cost, at)) if took < cost => {
                let kept = decay(at, now);
                cost * kept + took * (1.0 - kept)
            }
            _ => took,
        };
        let packed = u64::from(now) << 32 | u64::from(smoothed.to_bits());
        cell.store(packed, Relaxed);
    }

    /// The response time to expect, in microseconds; `None` when nothing is known.
    #[must_use]
    pub fn cost(&self, now_micros: u64) -> Option<f32> {
        cost(&self.chunk, self.at, now_micros)
    }
}

fn place(slot: u32) -> (usize, usize) {
    let slot = slot as usize;
    (slot / CHUNK_SLOTS, slot % CHUNK_SLOTS)
}

#[inline]
fn sum(chunk: &[CoreCells], at: usize) -> u32 {
    let cores = chunk.iter().map(|core| core.in_flight[at].read());
    cores.fold(0, u32::wrapping_add)
}

fn cost(chunk: &[CoreCells], at: usize, now_micros: u64) -> Option<f32> {
    let now = stamp(now_micros);
    let cores = chunk.iter();
    let known = cores.filter_map(|core| unpack(core.cost[at].load(Relaxed)));
    known
        .map(|(cost, at)| cost * decay(at, now))
        .reduce(f32::max)
}

pub(in crate::routing) fn stamp(micros: u64) -> u32 {
    (micros >> STAMP_SHIFT) as u32
}

/// What is left of an observation of `then`. The clocks of two cores may differ a little, so the
/// past may seem to lie ahead; that is now.
fn decay(then: u32, now: u32) -> f32 {
    let age = now.wrapping_sub(then).cast_signed().max(0);
    // 2^-x with x in 32.32 bits: the whole part is an exponent, the rest a polynomial. A pick by
    // time needs it for two backends and every core, and `exp` would be half of what it costs.
    let halvings = u64::from(age.cast_unsigned()) * HALVINGS_PER_STAMP;
    let whole = ((halvings >> 32) as u32).min(126);
    let rest = (halvings as u32 >> 8) as f32 * (1.0 / (1 << 24) as f32);
    let scale = f32::from_bits((127 - whole) << 23);
    let [linear, square, cube, fourth] = HALF_TO_THE;
    scale * (1.0 + rest * (linear + rest * (square + rest * (cube + rest * fourth))))
}

pub(super) fn unpack(packed: u64) -> Option<(f32, u32)> {
    let cost = f32::from_bits(packed as u32);
    (packed != 0).then_some((cost, (packed >> 32) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn cores_add_up_and_slots_do_not_mix() {
        let mut board = Board::new(3);
        let loads: Vec<Load> = (0..600).map(|slot| board.claim(slot)).collect();
        for (slot, load) in loads.iter().enumerate() {
            for core in 0..3 {
                load.set(CoreId(core), slot as u32);
            }
            load.up(CoreId(1));
            load.up(CoreId(1));
            load.down(CoreId(1));
        }
        for (slot, load) in (0..).zip(&loads) {
            assert_eq!(load.in_flight(), 3 * slot + 1);
            assert_eq!(board.in_flight(slot), 3 * slot + 1);
        }
        assert_eq!(board.in_flight(1_000_000), 0);
    }

    #[test]
    fn a_board_that_grows_keeps_what_its_clones_see() {
        let mut board = Board::new(1);
        let first = board.claim(7);
        let before = board.clone();
        let _ = board.claim(5000);
        first.up(CoreId(0));
        assert_eq!((before.in_flight(7), board.in_flight(7)), (1, 1));
    }

    #[test]
    fn a_rise_counts_at_once_and_a_fall_slowly() {
        let load = Board::new(2).claim(0);
        assert_eq!(load.cost(SECOND), None);
        load.observe(CoreId(0), 1000, SECOND);
        assert_eq!(load.cost(SECOND), Some(1000.0));
        load.observe(CoreId(0), 50_000, SECOND);
        assert_eq!(load.cost(SECOND), Some(50_000.0));
        load.observe(CoreId(0), 1000, 11 * SECOND);
        let after = load.cost(11 * SECOND).unwrap();
        let expected = 50_000.0 * (-1.0_f32).exp() + 1000.0 * (1.0 - (-1.0_f32).exp());
        assert!((after / expected - 1.0).abs() < 0.01, "{after} {expected}");
        let idle = load.cost(31 * SECOND).unwrap();
        assert!(idle < after * 0.15, "{idle}: silence decays too");
    }

    #[test]
    fn the_highest_core_counts_and_a_clock_that_lags_does_no_harm() {
        let load = Board::new(2).claim(0);
        load.observe(CoreId(0), 1000, 5 * SECOND);
        load.observe(CoreId(1), 9000, 5 * SECOND + 3000);
        assert_eq!(load.cost(5 * SECOND), Some(9000.0));
    }

    #[test]
    fn a_slot_that_changes_hands_forgets_its_times() {
        let mut board = Board::new(1);
        board.claim(3).observe(CoreId(0), 1000, SECOND);
        let next = board.claim(3);
        assert_eq!(next.cost(SECOND), None);
    }

    #[test]
    fn a_thousand_backends_take_less_than_sixteen_kilobytes_per_core() {
        let mut board = Board::new(1);
        let _ = board.claim(999);
        assert!(
            board.memory_bytes() <= 16 * 1024,
            "{}",
            board.memory_bytes()
        );
    }
}
