//! What the backends of a group are judged by, and what they did: the words of the configuration
//! and the counters of the cores, as the machines of `health` take them.
//!
//! Two join these machines, the control plane with its sockets and pages and the simulator without.
//! What both must do alike is here, once.

use serde::{Deserialize, Serialize};

use crate::base::fault::Fault;
use crate::base::id::BackendIndex;
use crate::config::checked::{Check, CheckKind};
use crate::health::ejection::{EjectionTimes, Growth};
use crate::health::outlier::{self, Deviation, Enough, Rules, Sample};
use crate::health::probe::Pace;
use crate::routing::outlier::{Outlier, Suspension};
use crate::routing::standing::Cause;
use crate::routing::table::Group;
use crate::telemetry::stats::{BackendStats, PerCore};

/// What has taken a backend out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opened {
    /// Failed connects.
    Connects,
    /// A share of failures: its breaker is open.
    Errors,
    /// Failures in a row, or a comparison with the others.
    Traffic,
}

impl Opened {
    /// What a core that suspended a backend has seen.
    #[must_use]
    pub fn by(cause: Cause) -> Opened {
        match cause {
            Cause::ConnectFailures => Opened::Connects,
            Cause::BrokenAnswers | Cause::GatewayFailures | Cause::ServerFailures => {
                Opened::Traffic
            }
        }
    }

    /// Whether a passing check speaks against it: a request against what a row of failures
    /// brought, a connection only against failed connects; neither against a share of failures,
    /// which only traffic can show to be over.
    #[must_use]
    pub fn is_lifted_by(self, check: &Check) -> bool {
        match check.kind {
            Some(CheckKind::Http(_)) => self != Opened::Errors,
            Some(CheckKind::Tcp) => self == Opened::Connects,
            None => false,
        }
    }
}

/// How often backends are asked.
#[must_use]
pub fn pace_of(check: &Check) -> Pace {
    Pace {
        interval: check.interval,
        fast: check.interval_fast,
        stable: check.interval_stable,
        down_max: check.interval_down_max,
        jitter_percent: check.jitter_percent,
        rise: check.rise,
        fall: check.fall,
    }
}

/// How long those are out who failed in a row or differ from the rest.
#[must_use]
pub fn times_of(outlier: &Outlier) -> EjectionTimes {
    EjectionTimes {
        base: outlier.base_ejection,
        max: outlier.ejection_max,
        interval: outlier.interval,
        growth: Growth::Linear,
    }
}

/// By what the backends of a group are compared.
#[must_use]
pub fn rules_of(outlier: &Outlier) -> Rules {
    let factor = |thousandths: u32| (thousandths > 0).then(|| f64::from(thousandths) / 1000.0);
    let by_rate = Enough {
        hosts: outlier.success_rate_minimum_hosts,
        requests: outlier.success_rate_request_volume,
    };
    let by_failures = Enough {
        hosts: outlier.failure_percentage_minimum_hosts,
        requests: outlier.failure_percentage_request_volume,
    };
    let percentage = outlier.failure_percentage;
    Rules {
        success_rate: factor(outlier.success_rate_stdev_factor).map(|factor| (factor, by_rate)),
        failure_percentage: (percentage > 0).then_some((percentage, by_failures)),
        latency: factor(outlier.latency_stdev_factor).map(|factor| (factor, by_rate)),
    }
}

/// The backends that differ from the rest, by what each did, and are suspended now for it.
#[must_use]
pub fn suspend_outliers(group: &Group, samples: &[Sample]) -> Vec<(BackendIndex, Deviation)> {
    let found = outlier::outliers(samples, &rules_of(&group.outlier));
    let indexed = found.into_iter().filter_map(|(at, deviation)| {
        let index = u32::try_from(at).map(BackendIndex).ok()?;
        Some((index, deviation))
    });
    indexed
        .filter(|(index, _)| group.suspend(*index) == Suspension::Done)
        .collect()
}

/// What a backend did so far.
#[derive(Clone, Copy, Default)]
pub struct Totals {
    requests: u64,
    failures: u64,
    answers: u64,
    micros: u64,
}

impl Totals {
    /// Of all cores.
    #[must_use]
    pub fn of(stats: &PerCore<BackendStats>) -> Totals {
        let mut totals = Totals::default();
        let faults = [
            Fault::UpstreamAborted,
            Fault::UpstreamBadResponse,
            Fault::UpstreamTimeout,
        ];
        for core in stats.iter() {
            totals.answers += core.requests.total();
            totals.failures += core.requests.failed();
            let broken = faults.map(|fault| core.faults[fault as usize].read());
            let broken = broken.iter().sum::<u64>() + core.connect_failures.read();
            totals.failures += broken;
            totals.requests += broken;
            totals.micros += core.latency.sum_micros();
        }
        totals.requests += totals.answers;
        totals
    }

    /// Answers since `before`, and the microseconds they took together.
    #[must_use]
    pub fn answered_since(self, before: Totals) -> (u64, f64) {
        let micros = self.micros.saturating_sub(before.micros);
        (self.answers.saturating_sub(before.answers), micros as f64)
    }

    /// What it did since `before`.
    #[must_use]
    pub fn since(self, before: Totals) -> Sample {
        let answers = self.answers.saturating_sub(before.answers);
        let micros = self.micros.saturating_sub(before.micros);
        Sample {
            requests: self.requests.saturating_sub(before.requests),
            failures: self.failures.saturating_sub(before.failures),
            latency_micros: (answers > 0).then(|| micros as f64 / answers as f64),
        }
    }
}
