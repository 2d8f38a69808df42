//! Backends that differ from the rest of their group, over one interval of exact counts.
//!
//! Success rate as Envoy judges it: among backends with enough requests, if there are enough of
//! those, one is out when its rate is below the mean less some standard deviations. Failure
//! percentage and latency beside it, both off unless wanted. Counts are those of one interval and
//! no more: a mean that decays would hide a tight burst.

/// What one backend did in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Requests that ended.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Mean time to an answer in microseconds, if one was measured.
    pub latency_micros: Option<f64>,
}

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enough {
    /// Backends that must have enough requests, else nobody is judged.
    pub hosts: u32,
    /// Requests of one of them.
    pub requests: u32,
}

/// The rules of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rules {
    /// Standard deviations below the mean success rate.
    pub success_rate: Option<(f64, Enough)>,
    /// Percent of requests that failed.
    pub failure_percentage: Option<(u32, Enough)>,
    /// Standard deviations above the mean latency.
    pub latency: Option<(f64, Enough)>,
}

/// By which rule one is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deviation {
    /// Too many of its requests failed.
    FailurePercentage,
    /// It takes much longer than the others.
    Latency,
    /// It fails more often than the others.
    SuccessRate,
}

impl Deviation {
    /// Its word in reasons and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Deviation::FailurePercentage => "failure_percentage",
            Deviation::Latency => "latency",
            Deviation::SuccessRate => "success_rate",
        }
    }
}

/// A latency is an outlier only when it is also so many times the mean: among backends that all
/// answer in 1.0 ms one of 1.1 ms is many deviations off and does no harm.
const LATENCY_TIMES_MIN: f64 = 2.0;

/// Those of a group that differ, the worst of each rule first, each once.
#[must_use]
pub fn outliers(samples: &[Sample], rules: &Rules) -> Vec<(usize, Deviation)> {
    let mut found = Vec::new();
    if let Some((factor, enough)) = rules.success_rate {
        let rates = known(samples, enough, |sample| Some(rate(sample)));
        let (mean, deviation) = spread(&rates);
        let floor = mean - factor * deviation;
        add(&mut found, &rates, Deviation::SuccessRate, |rate| {
            floor - rate
        });
    }
    if let Some((percent, enough)) = rules.failure_percentage {
        let rates = known(samples, enough, |sample| Some(rate(sample)));
        let floor = 1.0 - f64::from(percent) / 100.0;
        // At the threshold is over it; the smallest step above 0 makes it so.
        let over = |rate| floor - rate + f64::EPSILON;
        add(&mut found, &rates, Deviation::FailurePercentage, over);
    }
    if let Some((factor, enough)) = rules.latency {
        let times = known(samples, enough, |sample| sample.latency_micros);
        let (mean, deviation) = spread(&times);
        // Compared with the others, not with a mean that it has raised itself.
        let count = times.len() as f64;
        let others = |time: f64| (mean * count - time) / (count - 1.0).max(1.0);
        let over = |time: f64| {
            let much = time - LATENCY_TIMES_MIN * others(time);
            (time - mean - factor * deviation).min(much)
        };
        add(&mut found, &times, Deviation::Latency, over);
    }
    found
}

/// Whether a group of so many can have any: a rule is on, and there are enough to compare.
#[must_use]
pub fn may_find(rules: &Rules, members: usize) -> bool {
    let enough = [
        rules.success_rate.map(|(_, enough)| enough),
        rules.failure_percentage.map(|(_, enough)| enough),
        rules.latency.map(|(_, enough)| enough),
    ];
    let mut hosts = enough.into_iter().flatten().map(|enough| enough.hosts);
    hosts.any(|hosts| members >= hosts.max(1) as usize)
}

fn rate(sample: &Sample) -> f64 {
    let failed = sample.failures.min(sample.requests) as f64;
    1.0 - failed / sample.requests.max(1) as f64
}

/// The figures of those with enough requests; none when they are too few.
fn known(
    samples: &[Sample],
    enough: Enough,
    figure: impl Fn(&Sample) -> Option<f64>,
) -> Vec<(usize, f64)> {
    let busy = samples
        .iter()
        .enumerate()
        .filter(|(_, sample)| sample.requests > 0 && sample.requests >= u64::from(enough.requests));
    let known: Vec<_> = busy
        .filter_map(|(at, sample)| Some((at, figure(sample)?)))
        .collect();
    match known.len() >= enough.hosts as usize {
        true => known,
        false => Vec::new(),
    }
}

/// Mean and standard deviation of the whole.
fn spread(figures: &[(usize, f64)]) -> (f64, f64) {
    let count = figures.len().max(1) as f64;
    let mean = figures.iter().map(|(_, figure)| figure).sum::<f64>() / count;
    let squares = figures.iter().map(|(_, figure)| (figure - mean).powi(2));
    (mean, (squares.sum::<f64>() / count).sqrt())
}

fn add(
    found: &mut Vec<(usize, Deviation)>,
    figures: &[(usize, f64)],
    deviation: Deviation,
    over: impl Fn(f64) -> f64,
) {
    let mut worst: Vec<(usize, f64)> = figures
        .iter()
        .map(|(at, figure)| (*at, over(*figure)))
        .filter(|(_, over)| *over > 0.0)
        .collect();
    worst.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (at, _) in worst {
        if found.iter().all(|(known, _)| *known != at) {
            found.push((at, deviation));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENOUGH: Enough = Enough {
        hosts: 5,
        requests: 100,
    };

    const SUCCESS_RATE: Rules = Rules {
        success_rate: Some((1.9, ENOUGH)),
        failure_percentage: None,
        latency: None,
    };

    fn samples(failures: &[u64]) -> Vec<Sample> {
        let sample = |failures: &u64| Sample {
            requests: 100,
            failures: *failures,
            latency_micros: None,
        };
        failures.iter().map(sample).collect()
    }

    #[test]
    fn one_of_five_that_fails_is_out_and_one_of_four_is_not_judged() {
        let found = outliers(&samples(&[1, 0, 50, 1, 0]), &SUCCESS_RATE);
        assert_eq!(found, [(2, Deviation::SuccessRate)]);
        assert_eq!(outliers(&samples(&[0, 50, 0, 0]), &SUCCESS_RATE), []);
        let mut few = samples(&[1, 0, 50, 1, 0]);
        few[4].requests = 99;
        assert_eq!(outliers(&few, &SUCCESS_RATE), [], "of too few requests");
    }

    #[test]
    fn nobody_is_found_where_nobody_may_be() {
        let found = |members: usize| {
            let mut failures = vec![0; members];
            failures.iter_mut().take(1).for_each(|first| *first = 90);
            outliers(&samples(&failures), &SUCCESS_RATE)
        };
        for members in 0..10 {
            let may = may_find(&SUCCESS_RATE, members);
            assert_eq!(may, members >= 5);
            assert!(may || found(members).is_empty());
        }
        assert!(!may_find(&Rules::default(), 1000));
    }

    #[test]
    fn when_all_fail_alike_nobody_differs() {
        assert_eq!(outliers(&samples(&[60; 10]), &SUCCESS_RATE), []);
        assert_eq!(outliers(&samples(&[0; 10]), &SUCCESS_RATE), []);
    }

    #[test]
    fn a_percentage_of_failures_needs_no_comparison() {
        let rules = Rules {
            failure_percentage: Some((85, ENOUGH)),
            ..Rules::default()
        };
        let found = outliers(&samples(&[85, 90, 84, 0, 100]), &rules);
        let places: Vec<usize> = found.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, [4, 1, 0], "the worst first");
    }

    #[test]
    fn a_latency_is_out_when_it_is_far_off_and_much_longer() {
        let rules = Rules {
            latency: Some((1.9, ENOUGH)),
            ..Rules::default()
        };
        let times = |times: [f64; 6]| {
            let sample = |time| Sample {
                requests: 100,
                failures: 0,
                latency_micros: Some(time),
            };
            outliers(&times.map(sample), &rules)
        };
        let slow = times([1000.0, 900.0, 1100.0, 9000.0, 1000.0, 950.0]);
        assert_eq!(slow, [(3, Deviation::Latency)]);
        assert_eq!(times([1000.0, 1000.0, 1000.0, 1100.0, 1000.0, 1000.0]), []);
    }

    proptest! {
        #[test]
        fn one_that_is_out_did_worse_than_every_one_that_is_not(
            failures in prop::collection::vec(0_u64..=100, 0..40),
        ) {
            let found = outliers(&samples(&failures), &SUCCESS_RATE);
            let out: Vec<usize> = found.iter().map(|(at, _)| *at).collect();
            let best_out = out.iter().map(|at| failures[*at]).min();
            let kept = (0..failures.len()).filter(|at| !out.contains(at));
            let worst_in = kept.map(|at| failures[at]).max();
            if let (Some(out), Some(kept)) = (best_out, worst_in) {
                prop_assert!(out > kept);
            }
            prop_assert!(out.len() * 2 <= failures.len(), "never the most of them");
        }
    }
}
