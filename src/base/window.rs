//! Two counts over the last ten seconds, exact to the second.
//!
//! What is counted in one second is forgotten as a whole when that second leaves the window, so
//! the sums are those of ten seconds, the present one included, and never an estimate. Rejected:
//! decaying means, which remember a burst for too long or hide it.

/// Seconds a window looks back.
pub const WINDOW_SECONDS: usize = 10;

/// A window.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The second of the newest cell.
    second: u64,
    cells: [[u32; 2]; WINDOW_SECONDS],
    sums: [u64; 2],
}

impl Window {
    /// Counts `count` of the first or the second sort in this second. Time does not go back.
    #[inline]
    pub fn add(&mut self, second: u64, sort: usize, count: u32) {
        self.advance(second);
        let cell = &mut self.cells[place(self.second)][sort];
        *cell = cell.saturating_add(count);
        self.sums[sort] += u64::from(count);
    }

    /// Both sums of the window that ends with this second.
    #[inline]
    pub fn sums(&mut self, second: u64) -> [u64; 2] {
        self.advance(second);
        self.sums
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.cells = Default::default();
        self.sums = [0; 2];
    }

    /// Forgets what lies before the window.
    #[inline]
    fn advance(&mut self, second: u64) {
        if second <= self.second {
            return;
        }
        let passed = (second - self.second).min(WINDOW_SECONDS as u64);
        for step in 0..passed {
            let left = std::mem::take(&mut self.cells[place(second - step)]);
            for (sum, count) in self.sums.iter_mut().zip(left) {
                *sum = sum.saturating_sub(u64::from(count));
            }
        }
        self.second = second;
    }
}

fn place(second: u64) -> usize {
    (second % WINDOW_SECONDS as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_sum_of_ten_seconds(
            counts in proptest::collection::vec((0_u64..15, 0_usize..2, 0_u32..1000), 1..80),
        ) {
            let mut window = Window::default();
            let (mut now, mut seen) = (0, Vec::new());
            for (passed, sort, count) in counts {
                now += passed;
                window.add(now, sort, count);
                seen.push((now, sort, u64::from(count)));
                let sum = |sort| {
                    let inside = seen.iter().filter(|seen| seen.0 + 10 > now && seen.1 == sort);
                    inside.map(|seen| seen.2).sum::<u64>()
                };
                prop_assert_eq!(window.sums(now), [sum(0), sum(1)]);
            }
            window.clear();
            prop_assert_eq!(window.sums(now), [0, 0]);
        }
    }
}
