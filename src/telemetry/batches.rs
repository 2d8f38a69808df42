//! How many completions the turns of a loop had: many small turns are wake-ups, few large ones are
//! load that came together.

use crate::telemetry::counter::Counter;

/// Turns that had at most so many completions; the last place is for more.
pub const BATCH_BOUNDS: [u64; 9] = [0, 1, 2, 4, 8, 16, 32, 64, 128];

/// Turns by the number of their completions.
#[derive(Debug, Default)]
pub struct BatchCounts([Counter; BATCH_BOUNDS.len() + 1]);

impl BatchCounts {
    /// Counts one turn. Only the owning core may call it.
    #[inline]
    pub fn record(&self, completions: u64) {
        let place = match completions {
            0 => 0,
            _ => 1 + completions.next_power_of_two().trailing_zeros() as usize,
        };
        self.0[place.min(BATCH_BOUNDS.len())].inc();
    }

    /// Turns by bound, not cumulative; the last are those above every bound.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(Counter::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_counts_under_the_first_bound_it_keeps() {
        for completions in (0..300).chain([u64::MAX >> 1]) {
            let counts = BatchCounts::default();
            counts.record(completions);
            let place = counts.iter().position(|count| count == 1);
            let wanted = BATCH_BOUNDS.partition_point(|bound| *bound < completions);
            assert_eq!(place, Some(wanted), "{completions}");
        }
    }
}
