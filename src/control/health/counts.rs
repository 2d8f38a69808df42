//! What the cores have counted of one backend, read for its health.

use crate::base::fault::Fault;
use crate::health::outlier::Sample;
use crate::telemetry::stats::{BackendStats, PerCore};

/// What decides whether a check can wait: cheap to read every tick for ten thousand.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Traffic {
    pub(super) received: u64,
    pub(super) connect_failures: u64,
}

impl Traffic {
    pub(super) fn of(stats: &PerCore<BackendStats>) -> Traffic {
        Traffic {
            received: stats.iter().map(|core| core.bytes_received.read()).sum(),
            connect_failures: stats.iter().map(|core| core.connect_failures.read()).sum(),
        }
    }
}

/// What a backend did so far.
#[derive(Clone, Copy)]
pub(super) struct Totals {
    requests: u64,
    failures: u64,
    answers: u64,
    micros: u64,
}

impl Totals {
    pub(super) fn of(stats: &PerCore<BackendStats>) -> Totals {
        let mut totals = Totals {
            requests: 0,
            failures: 0,
            answers: 0,
            micros: 0,
        };
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

    pub(super) fn since(self, before: Totals) -> Sample {
        let answers = self.answers.saturating_sub(before.answers);
        let micros = self.micros.saturating_sub(before.micros);
        Sample {
            requests: self.requests.saturating_sub(before.requests),
            failures: self.failures.saturating_sub(before.failures),
            latency_micros: (answers > 0).then(|| micros as f64 / answers as f64),
        }
    }
}
