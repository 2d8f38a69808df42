//! Chance: numbers that look drawn and are the same for the same seed.
//!
//! Each purpose has a stream of its own. So two policies that are compared see the same requests
//! at the same moments, with the same work, on the same fleet, whatever each of them draws for
//! itself, and what is left between them is the policy.

use rand_distr::{Distribution, Exp1, LogNormal, Pareto, StandardNormal, StandardUniform, Zipf};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// What a stream is drawn for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Antagonists = 1,
    Arrivals,
    Failures,
    Keys,
    Places,
    Rivals,
    Work,
    Probes,
}

/// A stream of numbers by chance.
pub(super) struct Chance(Xoshiro256PlusPlus);

impl Chance {
    pub(super) fn new(seed: u64, purpose: Purpose) -> Chance {
        let apart = (purpose as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Chance(Xoshiro256PlusPlus::seed_from_u64(seed ^ apart))
    }

    /// At least 0, below 1.
    pub(super) fn share(&mut self) -> f64 {
        StandardUniform.sample(&mut self.0)
    }

    /// Any 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        StandardUniform.sample(&mut self.0)
    }

    /// A position among `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.bits()) * count as u128) >> 64) as usize
    }

    /// The time to the next event of a process without memory.
    pub(super) fn wait(&mut self, mean: f64) -> f64 {
        let one: f64 = Exp1.sample(&mut self.0);
        one * mean
    }

    /// A rank from 0, the lower the likelier.
    pub(super) fn zipf(&mut self, ranks: usize, exponent: f64) -> u64 {
        let drawn = Zipf::new(ranks as f64, exponent).map(|zipf| zipf.sample(&mut self.0));
        drawn.map_or(0, |rank| rank as u64 - 1)
    }

    /// Evenly between the two.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }
}

/// How much work a request is, in seconds of one core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// Always the same.
    Constant {
        /// Seconds.
        mean: f64,
    },
    /// Without memory.
    Exponential {
        /// Seconds.
        mean: f64,
    },
    /// The logarithm of it is normal.
    LogNormal {
        /// Seconds, of the work and not of its logarithm.
        mean: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Normal, but never less than `min`.
    Normal {
        /// Seconds, before what is too little is raised.
        mean: f64,
        /// Seconds.
        sd: f64,
        /// Seconds.
        min: f64,
    },
    /// A heavy tail.
    Pareto {
        /// Seconds.
        mean: f64,
        /// More than 1; below 2 the variance is infinite.
        shape: f64,
    },
}

impl Work {
    /// Its mean, in seconds.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match *self {
            Work::Constant { mean }
            | Work::Exponential { mean }
            | Work::LogNormal { mean, .. }
            | Work::Pareto { mean, .. } => mean,
            Work::Normal { mean, sd, min } => mean_of_raised(mean, sd, min),
        }
    }

    pub(super) fn draw(&self, chance: &mut Chance) -> f64 {
        let rng = &mut chance.0;
        match *self {
            Work::Constant { mean } => mean,
            Work::Exponential { mean } => {
                let one: f64 = Exp1.sample(rng);
                one * mean
            }
            Work::LogNormal { mean, sigma } => {
                let middle = mean.ln() - sigma * sigma / 2.0;
                LogNormal::new(middle, sigma).map_or(mean, |work| work.sample(rng))
            }
            Work::Normal { mean, sd, min } => {
                let standard: f64 = StandardNormal.sample(rng);
                (mean + sd * standard).max(min)
            }
            Work::Pareto { mean, shape } => {
                let scale = mean * (shape - 1.0) / shape;
                Pareto::new(scale, shape).map_or(mean, |work| work.sample(rng))
            }
        }
    }
}

/// The mean of a normal variable of which what is below `min` counts as `min`: the integral by
/// Simpson's rule, because the standard library has no error function.
fn mean_of_raised(mean: f64, sd: f64, min: f64) -> f64 {
    const STEPS: u32 = 4000;
    const FAR: f64 = 10.0;
    let step = 2.0 * FAR / f64::from(STEPS);
    let height = |at: u32| {
        let z = f64::from(at) * step - FAR;
        let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        (mean + sd * z).max(min) * density
    };
    let sum: f64 = (0..=STEPS)
        .map(|at| match at {
            0 | STEPS => height(at),
            _ if at % 2 == 1 => 4.0 * height(at),
            _ => 2.0 * height(at),
        })
        .sum();
    sum * step / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_has_the_mean_it_says() {
        let all = [
            Work::Constant { mean: 0.02 },
            Work::Exponential { mean: 0.02 },
            Work::LogNormal {
                mean: 0.02,
                sigma: 1.0,
            },
            Work::Normal {
                mean: 0.08,
                sd: 0.08,
                min: 0.0005,
            },
            Work::Pareto {
                mean: 0.02,
                shape: 3.0,
            },
        ];
        for work in all {
            let mut chance = Chance::new(7, Purpose::Work);
            let sum: f64 = (0..100_000).map(|_| work.draw(&mut chance)).sum();
            let mean = sum / 100_000.0;
            let off = (mean / work.mean() - 1.0).abs();
            assert!(off < 0.02, "{work:?}: {mean}");
        }
    }

    #[test]
    fn the_work_of_the_prequal_paper_is_87_milliseconds() {
        let work = Work::Normal {
            mean: 0.08,
            sd: 0.08,
            min: 0.0005,
        };
        assert!((work.mean() - 0.0867).abs() < 0.0001, "{}", work.mean());
    }

    #[test]
    fn streams_differ_and_repeat() {
        let bits = |seed, purpose| Chance::new(seed, purpose).bits();
        assert_eq!(bits(1, Purpose::Work), bits(1, Purpose::Work));
        assert_ne!(bits(1, Purpose::Work), bits(2, Purpose::Work));
        assert_ne!(bits(1, Purpose::Work), bits(1, Purpose::Keys));
    }
}
