//! What came of the requests of one run.

use hdrhistogram::Histogram;

/// How a request ended that was not answered well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The breaker of its group was open, or its group had as much as it may.
    Closed,
    /// The answer was an error.
    Error,
    /// Nobody could be chosen.
    Nobody,
    /// Its node was lost.
    NodeLost,
    /// No connection came about.
    Refused,
    /// No answer came in time.
    TimedOut,
}

impl Failed {
    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Failed::Closed => "breaker",
            Failed::Error => "error",
            Failed::Nobody => "no_backend",
            Failed::NodeLost => "node_lost",
            Failed::Refused => "refused",
            Failed::TimedOut => "timeout",
        }
    }
}

/// One request, for whoever wants to see each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Its number, from 0, in the order of arrival.
    pub number: u64,
    /// When it came, in seconds.
    pub arrived: f64,
    /// Which view of the fleet it came to: the node, or what stands for one.
    pub view: u32,
    /// The backend it was sent to last.
    pub backend: Option<u32>,
    /// Retries.
    pub retries: u8,
    /// How long it took, in seconds.
    pub took: f64,
    /// How it failed, if it did.
    pub failed: Option<Failed>,
}

/// The result of one run.
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Requests that count.
    pub requests: u64,
    /// Those that were answered well.
    pub answered: u64,
    /// Those that were not, by [`Failed`].
    pub failed: [u64; 6],
    /// Tries beyond the first.
    pub retries: u64,
    /// Tries, the first included.
    pub attempts: u64,
    /// Times in microseconds, of requests that were answered well or timed out.
    pub times: Histogram<u64>,
    sum: f64,
    timed: u64,
    /// Seconds that count.
    pub seconds: f64,
    /// Tries each backend got.
    pub picks: Vec<u64>,
    /// Share of its own cores each backend used.
    pub utilisation: Vec<f64>,
    /// Weights.
    pub weights: Vec<u16>,
    /// All requests of the run, those before and behind what counts included.
    pub simulated: u64,
}

/// The longest time that is told from longer ones: an hour, in microseconds.
const LONGEST: u64 = 3_600_000_000;

impl Outcome {
    pub(super) fn new(seed: u64, seconds: f64, weights: Vec<u16>) -> Outcome {
        Outcome {
            seed,
            requests: 0,
            answered: 0,
            failed: [0; 6],
            retries: 0,
            attempts: 0,
            times: Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are sound"),
            sum: 0.0,
            timed: 0,
            seconds,
            picks: vec![0; weights.len()],
            utilisation: Vec::new(),
            weights,
            simulated: 0,
        }
    }

    pub(super) fn note(&mut self, took: f64, failed: Option<Failed>) {
        self.requests += 1;
        match failed {
            None => self.answered += 1,
            Some(failed) => self.failed[failed as usize] += 1,
        }
        if matches!(failed, None | Some(Failed::TimedOut)) {
            self.times
                .saturating_record((took * 1e6).round().max(1.0) as u64);
            self.sum += took;
            self.timed += 1;
        }
    }

    /// The time, in seconds, that this share of the requests did not exceed.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        self.times.value_at_quantile(share) as f64 / 1e6
    }

    /// The longest time, in seconds.
    #[must_use]
    pub fn longest(&self) -> f64 {
        self.times.max() as f64 / 1e6
    }

    /// The mean time, in seconds.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.timed.max(1) as f64
    }

    /// Requests answered well, as a share of all.
    #[must_use]
    pub fn availability(&self) -> f64 {
        self.answered as f64 / self.requests.max(1) as f64
    }

    /// Requests answered well in a second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.answered as f64 / self.seconds
    }

    /// What the busiest backend got, as a multiple of its fair share.
    #[must_use]
    pub fn imbalance(&self) -> f64 {
        self.shares().fold(0.0, f64::max)
    }

    /// What each backend got, as a multiple of its fair share.
    pub fn shares(&self) -> impl Iterator<Item = f64> {
        let picks: u64 = self.picks.iter().sum();
        let weights: u64 = self.weights.iter().map(|weight| u64::from(*weight)).sum();
        let fair = picks.max(1) as f64 / weights.max(1) as f64;
        let each = self.picks.iter().zip(&self.weights);
        each.map(move |(picks, weight)| *picks as f64 / (fair * f64::from(*weight).max(1.0)))
    }

    /// The highest utilisation of a backend.
    #[must_use]
    pub fn utilisation_max(&self) -> f64 {
        self.utilisation.iter().copied().fold(0.0, f64::max)
    }

    /// The mean utilisation of the backends.
    #[must_use]
    pub fn utilisation_mean(&self) -> f64 {
        let sum: f64 = self.utilisation.iter().sum();
        sum / self.utilisation.len().max(1) as f64
    }
}
