//! What the members of one group are judged by: the words of the file, made ready once a table.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::id::{BackendIndex, GroupSlot};
use crate::config::checked::{Agent, Check, CheckKind, Group as Meant};
use crate::control::health::breakers::Watch;
use crate::control::health::checks::Ask;
use crate::health::Moment;
use crate::health::ejection::{EjectionTimes, Growth};
use crate::health::outlier::{self, Deviation, Enough, Sample};
use crate::health::panic::panics;
use crate::health::probe::Pace;
use crate::routing::outlier::{Outlier, Suspension};
use crate::routing::policy::Adaptive;
use crate::routing::table::Group;

/// What has taken a backend out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Opened {
    /// Failed connects.
    Connects,
    /// A share of failures: its breaker is open.
    Errors,
    /// Failures in a row, or a comparison with the others.
    Traffic,
}

/// The rules of one group, and where it stands.
pub(super) struct Rules {
    pub(super) slot: GroupSlot,
    pub(super) name: Arc<str>,
    /// Its position in the present table.
    pub(super) index: usize,
    pub(super) check: Check,
    pub(super) agent: Agent,
    pub(super) ask: Option<Arc<Ask>>,
    pub(super) pace: Pace,
    pub(super) outlier: Outlier,
    /// How its times are judged, if by the adaptive policy.
    pub(super) adaptive: Option<Adaptive>,
    pub(super) times: EjectionTimes,
    /// Whether the counts of its members are compared: a rule asks for it, and there are enough.
    pub(super) compares: bool,
    /// The breaker of the group, if failures open breakers.
    pub(super) watch: Option<Watch>,
    /// How often weights move, and when next.
    pub(super) weights: Option<Duration>,
    pub(super) weighed: Moment,
    /// How long those who stick to one that drains stay; `None` for as long as it does.
    pub(super) drain_timeout: Option<Duration>,
    /// When the counts of the interval are compared next.
    pub(super) judged: Moment,
    pub(super) panicking: bool,
}

impl Rules {
    pub(super) fn new(group: &Group, index: usize, meant: &Meant, now: Moment) -> Rules {
        let check = &meant.check;
        let outlier = group.outlier.clone();
        Rules {
            slot: group.slot,
            name: Arc::clone(&group.name),
            index,
            ask: check.kind.as_ref().map(|kind| Arc::new(Ask::new(kind))),
            pace: Pace {
                interval: check.interval,
                fast: check.interval_fast,
                stable: check.interval_stable,
                down_max: check.interval_down_max,
                rise: check.rise,
                fall: check.fall,
            },
            times: EjectionTimes {
                base: outlier.base_ejection,
                max: outlier.ejection_max,
                interval: outlier.interval,
                growth: Growth::Linear,
            },
            compares: outlier::may_find(&rules_of(&outlier), group.backends.len()),
            watch: Watch::of(group),
            weights: meant.dynamic_weights,
            weighed: now + meant.dynamic_weights.unwrap_or_default(),
            drain_timeout: meant.sticky.as_ref().and_then(|by| by.drain_timeout),
            judged: now + outlier.interval,
            check: check.clone(),
            agent: meant.agent.clone(),
            adaptive: group.adaptive(),
            outlier,
            panicking: group.standing.is_panicking(),
        }
    }

    /// Whether a check shows no more than traffic does: a connection to the same port.
    pub(super) fn traffic_is_a_check(&self) -> bool {
        self.check.kind == Some(CheckKind::Tcp) && self.check.port.is_none()
    }

    /// Whether a passing check speaks against an ejection: a request against one that a row of
    /// failures brought, a connection only against failed connects; neither against a share of
    /// failures, which only traffic can show to be over.
    pub(super) fn check_lifts(&self, opened: Opened) -> bool {
        match self.check.kind {
            Some(CheckKind::Http(_)) => opened != Opened::Errors,
            Some(CheckKind::Tcp) => opened == Opened::Connects,
            None => false,
        }
    }

    /// For how long a backend is out, and how many trials it must pass.
    pub(super) fn terms(&self, opened: Opened) -> (&EjectionTimes, u32) {
        match (&self.watch, opened) {
            (Some(watch), Opened::Errors) => (&watch.times, watch.errors.trials),
            _ => (&self.times, self.outlier.trials),
        }
    }

    /// The members that differ from the rest and are suspended now for it.
    pub(super) fn suspend_outliers(
        &self,
        group: &Group,
        samples: &[Sample],
    ) -> Vec<(usize, Deviation)> {
        let found = outlier::outliers(samples, &rules_of(&self.outlier));
        let suspended = found.into_iter().filter(|(at, _)| {
            let index = u32::try_from(*at).map(BackendIndex);
            index.is_ok_and(|index| group.suspend(index) == Suspension::Done)
        });
        suspended.collect()
    }

    /// Judges whether the group panics; answers the new judgement if it is another.
    pub(super) fn panic(&mut self, available: usize, total: usize) -> Option<bool> {
        let panicking = panics(available, total, self.outlier.panic_threshold);
        let before = std::mem::replace(&mut self.panicking, panicking);
        (before != panicking).then_some(panicking)
    }
}

fn rules_of(outlier: &Outlier) -> outlier::Rules {
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
    outlier::Rules {
        success_rate: factor(outlier.success_rate_stdev_factor).map(|factor| (factor, by_rate)),
        failure_percentage: (percentage > 0).then_some((percentage, by_failures)),
        latency: factor(outlier.latency_stdev_factor).map(|factor| (factor, by_rate)),
    }
}
