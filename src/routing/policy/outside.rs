//! What a node is told of its group from outside, by probes or by other nodes: how little of the
//! load it sees itself, and which backends were probed last.
//!
//! A node that sees a fair part of what is under way goes by that alone: it is exact and of now,
//! and the others do alike. In the simulator that is as good as knowing everything, and better
//! than numbers that are a tenth of a second old. One of many nodes sees next to nothing, so there
//! what others have under way counts ([`Outside::crowded`]).
//!
//! Such a number is worth knowing for about as long as an answer takes; an older one sends
//! everybody to whoever was idle then. So where probes are made a pick draws among the last few
//! that were asked: whom they ask is chance already. It is Prequal's pool, but one for a node
//! instead of one for each core, each of which draws from it by itself; and nothing is taken out
//! when it is used, because what this node has handed over since is counted exactly.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::routing::elsewhere::BELIEVED_FOR;
use crate::routing::load::STAMP_MICROS;

/// Probes that are remembered.
const PROBED: usize = 16;

/// A probe is drawn from for so long, in stamps: a quarter of a second.
const FRESH: i32 = (250_000 / STAMP_MICROS) as i32;

const BELIEVED: i32 = (BELIEVED_FOR / STAMP_MICROS) as i32;

/// A node that has less than one of so many requests sees too little to go by it.
const OTHERS_FACTOR: f32 = 24.0;

/// What one number weighs beside those before it.
const TOLD_SHARE: f32 = 1.0 / 64.0;

/// What is told of one group. Only the control thread writes it.
#[derive(Default)]
pub(super) struct Outside {
    /// The index of a backend that answered a probe, and above it the stamp; 0 before the first.
    probed: [AtomicU64; PROBED],
    next: AtomicU32,
    /// What one backend has under way in the mean, from this node and from others, two f32.
    means: AtomicU64,
    /// When something was last told.
    told: AtomicU32,
}

impl Outside {
    /// This backend has answered a probe.
    pub(super) fn probed(&self, index: u32, now: u32) {
        let at = self.next.load(Relaxed);
        self.next.store(at.wrapping_add(1), Relaxed);
        let word = u64::from(now) << 32 | u64::from(index);
        self.probed[at as usize % PROBED].store(word, Relaxed);
    }

    /// A backend has so much under way, from this node and from others.
    pub(super) fn told(&self, own: u32, others: u32, now: u32) {
        let packed = self.means.load(Relaxed);
        let (own, others) = (own as f32, others as f32);
        let (own, others) = match packed {
            0 => (own, others),
            _ => {
                let (held_own, held_others) = unpack(packed);
                let moved = |held: f32, seen: f32| held + (seen - held) * TOLD_SHARE;
                (moved(held_own, own), moved(held_others, others))
            }
        };
        let packed = u64::from(own.to_bits()) << 32 | u64::from(others.to_bits());
        self.means.store(packed, Relaxed);
        self.told.store(now, Relaxed);
    }

    /// What one backend has under way in the mean, if this node sees too little of it and is told
    /// of the rest.
    #[inline]
    pub(super) fn crowded(&self, now: u32) -> Option<f32> {
        let packed = self.means.load(Relaxed);
        if packed == 0 || age(self.told.load(Relaxed), now) > BELIEVED {
            return None;
        }
        let (own, others) = unpack(packed);
        (others > own * OTHERS_FACTOR).then_some(own + others)
    }

    /// Those who answered a probe just now, from one by chance on.
    pub(super) fn fresh(&self, random: u64, now: u32) -> impl Iterator<Item = u32> {
        let start = random as usize % PROBED;
        let words = (0..PROBED).map(move |step| self.probed[(start + step) % PROBED].load(Relaxed));
        words.filter_map(move |word| {
            let fresh = word != 0 && age((word >> 32) as u32, now) <= FRESH;
            fresh.then_some(word as u32)
        })
    }
}

fn unpack(packed: u64) -> (f32, f32) {
    (
        f32::from_bits((packed >> 32) as u32),
        f32::from_bits(packed as u32),
    )
}

fn age(then: u32, now: u32) -> i32 {
    now.wrapping_sub(then).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sees_little_is_told_of_the_rest_as_long_as_it_is_told() {
        let outside = Outside::default();
        assert_eq!(outside.crowded(1000), None);
        outside.told(1, 5, 1000);
        assert_eq!(outside.crowded(1000), None, "a sixth is much");
        for _ in 0..500 {
            outside.told(0, 6, 1000);
        }
        let mean = outside.crowded(1000).unwrap();
        assert!((5.9..6.1).contains(&mean), "{mean}");
        assert!(outside.crowded(1000 + 900).is_some());
        assert_eq!(outside.crowded(1000 + 1100), None, "nobody tells any more");
    }

    #[test]
    fn the_last_that_were_probed_are_drawn_from_for_a_while() {
        let outside = Outside::default();
        assert_eq!(outside.fresh(5, 1000).count(), 0);
        for index in 0..20 {
            outside.probed(index, 1000 + index);
        }
        let mut fresh: Vec<u32> = outside.fresh(7, 1020).collect();
        fresh.sort_unstable();
        assert_eq!(fresh, (4..20).collect::<Vec<_>>());
        assert_ne!(outside.fresh(7, 1020).next(), outside.fresh(8, 1020).next());
        assert_eq!(outside.fresh(7, 1000 + 15 + 244).count(), 5);
        assert_eq!(outside.fresh(7, 2000).count(), 0);
    }
}
