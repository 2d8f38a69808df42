//! What others have under way at a backend: other nodes, or whoever else sends to it.
//!
//! A node sees its own requests exactly and those of others not at all. Two sources tell of them:
//! what other nodes say of themselves by gossip, and probes, to which a backend answers how much
//! it has under way in all. Either way it is one number for each backend, written by the control
//! thread and read by every pick, relaxed, with the moment it is of: what is older than
//! [`BELIEVED_FOR`] counts as unknown, so nothing has to take back what nobody renews, and a
//! source that is gone leaves a policy with what its node sees itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::load::{STAMP_MICROS, stamp};

/// How long a number is believed, in microseconds.
pub const BELIEVED_FOR: u64 = 1_000_000;

const BELIEVED_STAMPS: i32 = (BELIEVED_FOR / STAMP_MICROS) as i32;

/// Slots of one chunk: 2 KiB.
const SLOTS: usize = 256;

/// What is known was told: a word of zeros never was.
const TOLD: u64 = 1;

/// Numbers have 31 bits.
const COUNT_MAX: u32 = u32::MAX >> 1;

type Chunk = Arc<[AtomicU64]>;

/// The numbers of all backend slots. A clone shares them.
#[derive(Clone, Default)]
pub struct Elsewhere(Arc<[Chunk]>);

impl Elsewhere {
    /// The handle of `slot`; there is room for it afterwards, and what was told of it is
    /// forgotten.
    pub fn claim(&mut self, slot: u32) -> Others {
        let (chunk, at) = (slot as usize / SLOTS, slot as usize % SLOTS);
        if chunk >= self.0.len() {
            let fresh = || (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
            let more = (self.0.len()..=chunk).map(|_| fresh());
            self.0 = self.0.iter().cloned().chain(more).collect();
        }
        let others = Others {
            chunk: Arc::clone(&self.0[chunk]),
            at,
        };
        others.forget();
        others
    }

    /// What others have under way at `slot`, as far as that is known at the moment with this
    /// stamp.
    #[inline]
    #[must_use]
    pub(super) fn in_flight(&self, slot: u32, now: u32) -> Option<u32> {
        let slot = slot as usize;
        let chunk = self.0.get(slot / SLOTS)?;
        read(&chunk[slot % SLOTS], now)
    }

    /// Bytes of all of them.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let words: usize = self.0.iter().map(|chunk| size_of_val(&**chunk)).sum();
        words + self.0.len() * size_of::<Chunk>()
    }
}

/// The number of one slot. A clone is the same one.
#[derive(Clone)]
pub struct Others {
    chunk: Chunk,
    at: usize,
}

impl Others {
    /// Others have so much under way now.
    pub fn tell(&self, in_flight: u32, now_micros: u64) {
        let count = u64::from(in_flight.min(COUNT_MAX)) << 1 | TOLD;
        let word = u64::from(stamp(now_micros)) << 32 | count;
        self.chunk[self.at].store(word, Relaxed);
    }

    /// What others have under way, as far as that is known.
    #[must_use]
    pub fn in_flight(&self, now_micros: u64) -> Option<u32> {
        read(&self.chunk[self.at], stamp(now_micros))
    }

    /// Nothing is known.
    pub fn forget(&self) {
        self.chunk[self.at].store(0, Relaxed);
    }
}

#[inline]
fn read(word: &AtomicU64, now: u32) -> Option<u32> {
    let word = word.load(Relaxed);
    // The clocks of two cores may differ a little: what seems to lie ahead is now.
    let age = now.wrapping_sub((word >> 32) as u32).cast_signed();
    let known = word & TOLD != 0 && age <= BELIEVED_STAMPS;
    known.then_some((word as u32) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_number_is_believed_for_a_second_and_no_longer() {
        let mut elsewhere = Elsewhere::default();
        let others = elsewhere.claim(300);
        assert_eq!(others.in_flight(5 * SECOND), None, "nothing was told");
        others.tell(7, 5 * SECOND);
        for (at, known) in [
            (5 * SECOND, Some(7)),
            (5 * SECOND - 3000, Some(7)),
            (5 * SECOND + 900_000, Some(7)),
            (5 * SECOND + 1_100_000, None),
        ] {
            assert_eq!(others.in_flight(at), known, "{at}");
            assert_eq!(elsewhere.in_flight(300, stamp(at)), known, "{at}");
        }
        others.tell(0, 9 * SECOND);
        assert_eq!(
            others.in_flight(9 * SECOND),
            Some(0),
            "none is a number too"
        );
        assert_eq!(elsewhere.in_flight(299, stamp(9 * SECOND)), None);
        assert_eq!(elsewhere.in_flight(1_000_000, stamp(9 * SECOND)), None);
    }

    #[test]
    fn a_slot_that_changes_hands_is_known_nothing_of() {
        let mut elsewhere = Elsewhere::default();
        elsewhere.claim(3).tell(u32::MAX, SECOND);
        assert_eq!(elsewhere.in_flight(3, stamp(SECOND)), Some(u32::MAX >> 1));
        assert_eq!(elsewhere.claim(3).in_flight(SECOND), None);
    }
}
