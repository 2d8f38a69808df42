//! How many blocks to post to the kernel: as many as a turn may take, and not many more.
//!
//! The kernel fills posted blocks first in, first out, so every block posted beyond what a turn
//! takes makes each receive land in memory that left the cache longer ago. With 256 posted, a
//! receive of 1 KB wrote to the block used 256 receives before; the same load with 32 posted cost
//! 4 to 6 % less CPU per request. Too few cost a receive that ends for want of a block and must be
//! asked for again. So: a quarter more than a recent turn took at most, as a power of two; more at
//! once when it was too little, less only after a long while.

/// Fewest blocks that are posted: a small burst finds room without a warning.
const POSTED_MIN: u16 = 32;

/// Turns of which the busiest decides.
const WINDOW_TURNS: u32 = 4096;

/// Decides before each turn how many blocks the kernel should have.
#[derive(Debug)]
pub(super) struct Posting {
    most: u16,
    target: u16,
    /// The most taken in one turn of the present window.
    peak: u16,
    turns: u32,
}

impl Posting {
    /// Never more than `most`, a power of two.
    pub(super) fn new(most: u16) -> Posting {
        Posting {
            most,
            target: POSTED_MIN.min(most),
            peak: 0,
            turns: 0,
        }
    }

    /// A turn took `taken` blocks, or wanted more than there were: how many to have posted now.
    pub(super) fn after_turn(&mut self, taken: u16, starved: bool) -> u16 {
        self.peak = self.peak.max(taken);
        let wanted = self.room_for(self.peak);
        if starved {
            self.target = self.target.saturating_mul(2).min(self.most).max(wanted);
            self.begin_window();
        } else if wanted > self.target {
            self.target = wanted;
        }
        self.turns += 1;
        if self.turns == WINDOW_TURNS {
            self.target = wanted;
            self.begin_window();
        }
        self.target
    }

    fn begin_window(&mut self) {
        self.turns = 0;
        self.peak = 0;
    }

    fn room_for(&self, taken: u16) -> u16 {
        let ample = taken.saturating_add(taken / 4).checked_next_power_of_two();
        ample
            .unwrap_or(self.most)
            .clamp(POSTED_MIN.min(self.most), self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_worker_keeps_few_blocks_posted() {
        let mut posting = Posting::new(256);
        for _ in 0..3 * WINDOW_TURNS {
            assert_eq!(posting.after_turn(3, false), POSTED_MIN);
        }
    }

    #[test]
    fn a_burst_raises_it_at_once_and_a_long_quiet_lowers_it() {
        let mut posting = Posting::new(256);
        assert_eq!(posting.after_turn(60, false), 128);
        assert_eq!(posting.after_turn(1, false), 128);
        let lowered = (0..2 * WINDOW_TURNS).map(|_| posting.after_turn(1, false));
        assert_eq!(lowered.last(), Some(POSTED_MIN));
    }

    #[test]
    fn starving_doubles_it_until_all_are_posted() {
        let mut posting = Posting::new(256);
        let raised: Vec<u16> = (0..5).map(|_| posting.after_turn(0, true)).collect();
        assert_eq!(raised, [64, 128, 256, 256, 256]);
    }

    #[test]
    fn it_never_exceeds_what_the_ring_has_or_what_a_turn_can_take() {
        let mut posting = Posting::new(256);
        assert_eq!(posting.after_turn(u16::MAX, false), 256);
        assert_eq!(Posting::new(8).after_turn(0, false), 8);
    }
}
