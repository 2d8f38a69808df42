//! Dynamic weights: shares of the configured weights that follow what backends do.
//!
//! A policy that goes by weights alone gives a slow backend as much as a quick one, until it is
//! full. So once in an interval the cost of each, the time an answer takes times what is under way
//! there and one more, is compared with the mean of its group, and its share moves towards where
//! costs are equal. What a step does shows only when the requests of before are over, so a step
//! is small: larger ones swing (p99 of 860 ms instead of 505 in config/sim/weights.toml with steps
//! of a tenth that go half of the way). Differences that are noise move nothing,
//! and the largest share is always the whole weight. One that shows nothing gets more, or it could
//! never show that it is well again. Rejected: throughput divided by utilisation (gRPC), which
//! needs backends that tell theirs.

/// The least share, in percent: so much is enough to find out.
const LEAST: f64 = 5.0;

/// The largest step, as a part of the share.
const STEP_MAX: f64 = 0.05;

/// How far a step goes of the way to where costs would be equal, if it may.
const PULL: f64 = 0.25;

/// Costs that differ so little from the mean are like it.
const NOISE: f64 = 0.15;

/// What one interval weighs beside those before it.
const SEEN_SHARE: f64 = 0.2;

/// The share of one backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Portion {
    percent: f64,
    /// What it costs to send one more there; `None` while nothing was seen.
    cost: Option<f64>,
}

impl Default for Portion {
    fn default() -> Self {
        Portion {
            percent: 100.0,
            cost: None,
        }
    }
}

impl Portion {
    /// What it gets of its weight, in percent from 5 to 100.
    #[must_use]
    pub fn percent(self) -> u8 {
        self.percent.round() as u8
    }

    /// What an interval showed: how long answers took, if there were any, and what is under way.
    pub fn see(&mut self, took_micros: Option<f64>, under_way: u32) {
        self.cost = took_micros.map(|took| {
            let cost = took * (f64::from(under_way) + 1.0);
            let held = self.cost.unwrap_or(cost);
            held + (cost - held) * SEEN_SHARE
        });
    }

    fn moved(self, mean: f64) -> f64 {
        let factor = match self.cost {
            None => 1.0 + STEP_MAX,
            Some(cost) if (cost / mean - 1.0).abs() < NOISE => 1.0,
            Some(cost) => (mean / cost)
                .powf(PULL)
                .clamp(1.0 - STEP_MAX, 1.0 + STEP_MAX),
        };
        self.percent * factor
    }
}

/// Moves the shares of a group one step.
pub fn balance(portions: &mut [Portion]) {
    let known = portions.iter();
    let known = known.filter_map(|one| Some((one.percent, one.cost?)));
    let (sum, all) = known.fold((0.0, 0.0), |(sum, all), (percent, cost)| {
        (sum + percent * cost, all + percent)
    });
    // Where nobody has shown anything there is nothing to compare with.
    let mean = sum / all;
    if !mean.is_normal() {
        return;
    }
    let moved: Vec<f64> = portions.iter().map(|one| one.moved(mean)).collect();
    let largest = moved.iter().copied().fold(LEAST, f64::max);
    for (portion, moved) in portions.iter_mut().zip(moved) {
        portion.percent = (moved / largest * 100.0).clamp(LEAST, 100.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Answers take longer the more a backend gets of what it can serve.
    fn run(speeds: &[f64], steps: usize) -> Vec<Portion> {
        let mut portions = vec![Portion::default(); speeds.len()];
        for _ in 0..steps {
            let all: f64 = portions.iter().map(|one| one.percent).sum();
            for (portion, speed) in portions.iter_mut().zip(speeds) {
                let load = portion.percent / all * speeds.len() as f64;
                portion.see(Some(1000.0 * load / speed), 0);
            }
            balance(&mut portions);
        }
        portions
    }

    #[test]
    fn shares_come_to_what_backends_can_do() {
        let portions = run(&[1.0, 0.5, 0.25], 300);
        let percents: Vec<u8> = portions.iter().map(|one| one.percent()).collect();
        assert_eq!(percents[0], 100);
        assert!((40..=60).contains(&percents[1]), "{percents:?}");
        assert!((20..=32).contains(&percents[2]), "{percents:?}");
    }

    #[test]
    fn noise_moves_nothing_and_equals_keep_all() {
        let portions = run(&[1.0, 0.95, 1.05], 50);
        assert!(
            portions.iter().all(|one| one.percent() == 100),
            "{portions:?}"
        );
    }

    #[test]
    fn one_that_shows_nothing_comes_back_and_a_silent_group_stays() {
        let mut portions = run(&[1.0, 0.05], 200);
        assert!(portions[1].percent() <= 10, "{portions:?}");
        for _ in 0..80 {
            portions[0].see(Some(1000.0), 0);
            portions[1].see(None, 0);
            balance(&mut portions);
        }
        assert_eq!(portions[1].percent(), 100);
        let before = portions.clone();
        portions.iter_mut().for_each(|one| one.see(None, 3));
        balance(&mut portions);
        let percents = |all: &[Portion]| all.iter().map(|one| one.percent()).collect::<Vec<_>>();
        assert_eq!(percents(&portions), percents(&before));
    }

    proptest! {
        #[test]
        fn steps_are_bounded_and_somebody_has_the_whole(
            seen in proptest::collection::vec(
                (any::<Option<u32>>(), any::<u32>(), 5_u8..=100),
                1..20,
            ),
        ) {
            let portion = |(took, under_way, percent): (Option<u32>, u32, u8)| {
                let mut portion = Portion { percent: f64::from(percent), cost: None };
                portion.see(took.map(f64::from), under_way);
                portion
            };
            let mut portions: Vec<Portion> = seen.into_iter().map(portion).collect();
            portions[0].percent = 100.0;
            let before = portions.clone();
            balance(&mut portions);
            prop_assert!(portions.iter().any(|one| one.percent() == 100));
            for (one, before) in portions.iter().zip(before) {
                let ratio = one.percent / before.percent;
                prop_assert!(one.percent >= LEAST && one.percent <= 100.0);
                prop_assert!((0.9..=1.11).contains(&ratio), "{ratio}");
            }
        }
    }
}
