//! A timing wheel: deadlines of many keys, set and fired in constant time.
//!
//! Time is counted in ticks. A key may be in the wheel more than once; whoever owns the key
//! remembers for which tick it counts and ignores the other firings. That makes moving a
//! deadline *later* free (nothing is done until the old entry fires), which is what happens on
//! every request, and moving it *earlier* one push. Deadlines beyond the horizon fire at the
//! horizon and are set again by their owner. Seen: Varghese and Lauck 1987, scheme 4.

use crate::base::slab::Key;

const SLOTS: usize = 8192;

/// Keys by the tick at which they fire.
pub struct Wheel {
    slots: Vec<Vec<Key>>,
    /// The last tick that was fired.
    now: u64,
    len: usize,
}

impl Wheel {
    /// An empty wheel at tick `now`.
    #[must_use]
    pub fn new(now: u64) -> Wheel {
        Wheel {
            slots: vec![Vec::new(); SLOTS],
            now,
            len: 0,
        }
    }

    /// Sets `key` to fire at `tick`, at the next tick if that is past, at the horizon if it is
    /// beyond it. Returns the tick it will fire at.
    pub fn insert(&mut self, tick: u64, key: Key) -> u64 {
        let tick = tick.clamp(self.now + 1, self.now + SLOTS as u64 - 1);
        self.slots[tick as usize % SLOTS].push(key);
        self.len += 1;
        tick
    }

    /// Moves to tick `now` and appends `(tick, key)` of everything due to `due`.
    pub fn advance(&mut self, now: u64, due: &mut Vec<(u64, Key)>) {
        if self.len == 0 {
            self.now = self.now.max(now);
            return;
        }
        while self.now < now {
            self.now += 1;
            let tick = self.now;
            let slot = &mut self.slots[tick as usize % SLOTS];
            self.len -= slot.len();
            due.extend(slot.drain(..).map(|key| (tick, key)));
            if slot.capacity() > 64 {
                *slot = Vec::new();
            }
        }
    }

    /// The tick of the first entry among the next `within` ticks.
    #[must_use]
    pub fn next_within(&self, within: u64) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let ahead = self.now + 1..=self.now + within.min(SLOTS as u64 - 1);
        ahead
            .into_iter()
            .find(|tick| !self.slots[*tick as usize % SLOTS].is_empty())
    }

    /// Entries set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> Key {
        Key {
            index,
            generation: 0,
        }
    }

    #[test]
    fn fires_in_order_at_the_tick_asked_for() {
        let mut wheel = Wheel::new(100);
        assert_eq!(wheel.insert(103, key(3)), 103);
        assert_eq!(wheel.insert(101, key(1)), 101);
        assert_eq!(wheel.insert(50, key(0)), 101, "the past fires next");
        let mut due = Vec::new();
        wheel.advance(102, &mut due);
        assert_eq!(due, vec![(101, key(1)), (101, key(0))]);
        due.clear();
        wheel.advance(103, &mut due);
        assert_eq!(due, vec![(103, key(3))]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn beyond_the_horizon_fires_at_the_horizon() {
        let mut wheel = Wheel::new(0);
        let at = wheel.insert(1_000_000, key(1));
        assert_eq!(at, SLOTS as u64 - 1);
        let mut due = Vec::new();
        wheel.advance(at - 1, &mut due);
        assert!(due.is_empty());
        wheel.advance(at, &mut due);
        assert_eq!(due.len(), 1);
    }

    #[test]
    fn tells_what_fires_next() {
        let mut wheel = Wheel::new(7);
        assert_eq!(wheel.next_within(10), None);
        wheel.insert(20, key(0));
        wheel.insert(15, key(1));
        assert_eq!(wheel.next_within(7), None);
        assert_eq!(wheel.next_within(8), Some(15));
        wheel.advance(15, &mut Vec::new());
        assert_eq!(wheel.next_within(u64::MAX), Some(20));
    }

    #[test]
    fn a_long_sleep_fires_everything_once() {
        let mut wheel = Wheel::new(0);
        for index in 0..500 {
            wheel.insert(u64::from(index) + 1, key(index));
        }
        let mut due = Vec::new();
        wheel.advance(100_000, &mut due);
        assert_eq!(due.len(), 500);
        assert!(due.is_sorted_by_key(|(tick, _)| *tick));
    }
}
