//! When requests are due: an even pace that waits for nobody.
//!
//! A generator that sends the next request when the last was answered sends fewer of them while the
//! server is slow, and so measures least where it is worst (coordinated omission). Here each
//! request has its time beforehand, and its latency counts from then on.

/// An even pace, in nanoseconds since the beginning.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    interval: f64,
    /// Requests given out so far.
    count: u64,
    offset: f64,
    end: u64,
}

impl Schedule {
    /// `rate` a second until `end`, as the `index`th of `of` that share the pace evenly: together
    /// they are as even as each.
    #[must_use]
    pub(super) fn new(rate: f64, (index, of): (usize, usize), end: u64) -> Schedule {
        let interval = 1e9 / rate;
        Schedule {
            interval,
            count: 0,
            offset: interval * index as f64 / of.max(1) as f64,
            end,
        }
    }

    /// When the next one is due; `None` after the end.
    #[must_use]
    pub(super) fn next(&self) -> Option<u64> {
        // Multiplied and not added up, so that no error does.
        let at = (self.offset + self.interval * self.count as f64) as u64;
        (at < self.end).then_some(at)
    }

    /// Takes the next one if it is due by `now`; tells when that was.
    pub(super) fn take(&mut self, now: u64) -> Option<u64> {
        let at = self.next().filter(|at| *at <= now)?;
        self.count += 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn all(rate: f64, place: (usize, usize)) -> Vec<u64> {
        let mut schedule = Schedule::new(rate, place, SECOND);
        std::iter::from_fn(|| schedule.take(u64::MAX)).collect()
    }

    #[test]
    fn a_rate_is_met_exactly_and_evenly() {
        for rate in [1.0, 3.0, 1000.0, 333_333.0] {
            let times = all(rate, (0, 1));
            assert_eq!(times.len(), rate as usize);
            let even = SECOND as f64 / rate;
            for pair in times.windows(2) {
                let apart = (pair[1] - pair[0]) as f64;
                assert!((apart - even).abs() <= 1.0, "{apart}");
            }
        }
    }

    #[test]
    fn several_share_a_rate_without_meeting() {
        let mut times: Vec<u64> = (0..4).flat_map(|index| all(250.0, (index, 4))).collect();
        times.sort_unstable();
        assert_eq!(times.len(), 1000);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] > 900_000));
    }

    #[test]
    fn nothing_is_due_early_and_what_is_late_keeps_its_time() {
        let mut schedule = Schedule::new(1000.0, (0, 1), SECOND);
        assert_eq!(schedule.take(0), Some(0));
        assert_eq!(schedule.take(999_999), None);
        assert_eq!(schedule.next(), Some(1_000_000));
        assert_eq!(schedule.take(5_000_000), Some(1_000_000));
        assert_eq!(schedule.take(5_000_000), Some(2_000_000));
        let mut over = Schedule::new(1.0, (0, 1), SECOND);
        assert_eq!((over.take(SECOND), over.take(9 * SECOND)), (Some(0), None));
    }
}
