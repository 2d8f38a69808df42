//! Who asks, and when.

use super::values::{count, number, number_if, time};
use crate::config::problem::Problems;
use crate::config::reader::Section;

/// Arrivals are a Poisson process whose rate may change with time.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// One after the other; the last one goes on for ever.
    pub phases: Vec<Phase>,
    /// More of it, again and again.
    pub burst: Option<Burst>,
    /// Different keys, for policies that place by one.
    pub keys: usize,
    /// How uneven they are asked for; 0 is evenly.
    pub zipf: f64,
}

/// A rate, or a ramp between two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// How long, in seconds.
    pub lasts: f64,
    /// Requests a second when it begins.
    pub from: f64,
    /// Requests a second when it ends.
    pub to: f64,
}

/// Times of more traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// From the beginning of one to the beginning of the next, in seconds.
    pub every: f64,
    /// How long each is, in seconds.
    pub lasts: f64,
    /// How many times the traffic it is.
    pub factor: f64,
}

impl Traffic {
    /// Requests a second at a moment.
    #[must_use]
    pub fn rate(&self, at: f64) -> f64 {
        let burst = self.burst.filter(|burst| at % burst.every < burst.lasts);
        let factor = burst.map_or(1.0, |burst| burst.factor);
        let mut began = 0.0;
        for phase in &self.phases {
            if at < began + phase.lasts {
                let share = (at - began) / phase.lasts;
                return factor * (phase.from + (phase.to - phase.from) * share);
            }
            began += phase.lasts;
        }
        factor * self.phases.last().map_or(0.0, |phase| phase.to)
    }

    /// The highest rate there is.
    #[must_use]
    pub fn rate_max(&self) -> f64 {
        let phases = self.phases.iter().map(|phase| phase.from.max(phase.to));
        let factor = self.burst.map_or(1.0, |burst| burst.factor.max(1.0));
        factor * phases.fold(0.0, f64::max)
    }
}

/// `full` is the rate at which all backends are busy all the time.
pub(super) fn read(
    mut section: Section<'_, '_>,
    full: f64,
    problems: &mut Problems<'_>,
) -> Traffic {
    let steady = rate_of(&mut section, ["rate", "load"], full, problems);
    let at = section.at.clone();
    let phases: Vec<Phase> = section
        .sections("phase", problems)
        .into_iter()
        .map(|section| read_phase(section, full, problems))
        .collect();
    let phases = match (steady, phases.is_empty()) {
        (Some(rate), true) => vec![Phase {
            lasts: f64::INFINITY,
            from: rate,
            to: rate,
        }],
        (None, false) => phases,
        _ => {
            let fix = "write one of rate, load and [[traffic.phase]]";
            problems.error(&at, "how much there is must be said once", fix);
            Vec::new()
        }
    };
    let burst = section
        .section("burst", problems)
        .map(|section| read_burst(section, problems));
    let traffic = Traffic {
        phases,
        burst,
        keys: count(&mut section, "keys", 100_000, 1..=100_000_000, problems),
        zipf: number(&mut section, "zipf", 0.0, 0.0..=10.0, problems),
    };
    section.finish(problems);
    traffic
}

const RATES: std::ops::RangeInclusive<f64> = 0.001..=10_000_000.0;
const LOADS: std::ops::RangeInclusive<f64> = 0.001..=100.0;

/// A rate as such, or as a share of all there is.
fn rate_of(
    section: &mut Section<'_, '_>,
    [rate, load]: [&'static str; 2],
    full: f64,
    problems: &mut Problems<'_>,
) -> Option<f64> {
    let rate = number_if(section, rate, RATES, problems);
    let load = number_if(section, load, LOADS, problems);
    if rate.is_some() && load.is_some() {
        let fix = "keep one of rate and load";
        problems.error(&section.at, "the same is said twice", fix);
    }
    rate.or(load.map(|load| load * full))
}

fn read_phase(mut section: Section<'_, '_>, full: f64, problems: &mut Problems<'_>) -> Phase {
    let from = rate_of(&mut section, ["rate", "load"], full, problems);
    if from.is_none() {
        let fix = "write load = 0.8, or rate = 1000";
        problems.error(&section.at, "how much there is is not said", fix);
    }
    let from = from.unwrap_or(1.0);
    let to = rate_of(&mut section, ["rate_to", "load_to"], full, problems);
    let phase = Phase {
        lasts: time(&mut section, "lasts", 10.0, problems),
        from,
        to: to.unwrap_or(from),
    };
    section.finish(problems);
    phase
}

fn read_burst(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Burst {
    let burst = Burst {
        every: time(&mut section, "every", 10.0, problems).max(0.001),
        lasts: time(&mut section, "lasts", 1.0, problems),
        factor: number(&mut section, "factor", 2.0, 0.0..=1000.0, problems),
    };
    section.finish(problems);
    burst
}
