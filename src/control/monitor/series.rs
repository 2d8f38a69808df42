//! What was measured over time: samples at equal distances, the newest so many.
//!
//! All series together hold at most [`SAMPLES_MAX`] samples, so the memory of a node does not
//! depend on how many backends it has; many backends only have a shorter past each.

use std::collections::VecDeque;

/// Samples of one series: an hour, five seconds apart.
pub(super) const SERIES_MAX: usize = 720;

/// Samples of all backends together: 24 bytes each, some 9 MiB.
pub(super) const SAMPLES_MAX: usize = 400_000;

/// The least one has, however many there are.
const SERIES_LEAST: usize = 12;

/// How many samples each of so many series may have.
pub(super) fn room_for(series: usize) -> usize {
    (SAMPLES_MAX / series.max(1)).clamp(SERIES_LEAST, SERIES_MAX)
}

/// A series.
#[derive(Clone, Debug)]
pub(super) struct Series<T> {
    /// Each with its second since 1970, the oldest first.
    samples: VecDeque<(u32, T)>,
}

impl<T> Default for Series<T> {
    fn default() -> Self {
        Series {
            samples: VecDeque::new(),
        }
    }
}

impl<T: Copy> Series<T> {
    /// Adds one of this second; beyond `room` the oldest go.
    pub(super) fn add(&mut self, second: u64, sample: T, room: usize) {
        while self.samples.len() >= room.max(1) {
            self.samples.pop_front();
        }
        let second = u32::try_from(second).unwrap_or(u32::MAX);
        self.samples.push_back((second, sample));
    }

    /// Those after this second, the oldest first.
    pub(super) fn after(&self, second: u64) -> impl Iterator<Item = (u32, T)> + '_ {
        let samples = self.samples.iter().copied();
        samples.filter(move |(at, _)| u64::from(*at) > second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_the_newest_and_its_room_shrinks_with_their_number() {
        let mut series = Series::default();
        for second in 0..1000 {
            series.add(second, second as u32, room_for(1));
        }
        assert_eq!(series.after(0).count(), SERIES_MAX);
        assert_eq!(
            series.after(997).collect::<Vec<_>>(),
            [(998, 998), (999, 999)]
        );
        series.add(1000, 1000, 10);
        assert_eq!(series.after(0).count(), 10, "others have come");
        for count in [1, 100, 1000, 10_000, 33_333] {
            assert!(room_for(count) * count <= SAMPLES_MAX.max(count * SERIES_LEAST));
        }
        assert_eq!(room_for(1_000_000), SERIES_LEAST);
    }
}
