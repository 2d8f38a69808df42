//! What the members of one group are judged by: the words of the file, made ready once a table.

use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::base::id::GroupSlot;
use crate::config::checked::{Agent, Check, CheckKind, Group as Meant};
use crate::control::health::breakers::Watch;
use crate::control::health::checks::Ask;
use crate::engine::judging::{Opened, pace_of, rules_of, times_of};
use crate::health::Moment;
use crate::health::ejection::EjectionTimes;
use crate::health::outlier;
use crate::health::panic::panics;
use crate::health::probe::Pace;
use crate::routing::outlier::Outlier;
use crate::routing::policy::Adaptive;
use crate::routing::table::Group;

/// The rules of one group, and where it stands.
pub(super) struct Rules {
    pub(super) slot: GroupSlot,
    pub(super) name: Arc<str>,
    /// Its position in the present table.
    pub(super) index: usize,
    pub(super) check: Check,
    pub(super) agent: Agent,
    pub(super) ask: Option<Arc<Ask>>,
    /// A number of what is asked, if something is.
    pub(super) asked: Option<u64>,
    /// Spreads the checks of several nodes.
    pub(super) salt: u64,
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
            asked: check.kind.as_ref().map(|kind| number_of(kind, check.port)),
            salt: 0,
            pace: pace_of(check),
            times: times_of(&outlier),
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

    /// How long it takes at most to find something out, as long as it is looked for.
    pub(super) fn patience(&self) -> Duration {
        let results = self.pace.rise.max(self.pace.fall) + 1;
        self.pace.interval * results + self.check.timeout
    }

    /// A number of what is asked of the agent that listens at this port.
    pub(super) fn asked_of_agent(&self, port: u16) -> u64 {
        let sent = self.agent.send.as_deref().unwrap_or_default();
        xxh3_64_with_seed(sent.as_bytes(), 1 << 16 | u64::from(port))
    }

    /// For how long a backend is out, and how many trials it must pass.
    pub(super) fn terms(&self, opened: Opened) -> (&EjectionTimes, u32) {
        match (&self.watch, opened) {
            (Some(watch), Opened::Errors) => (&watch.breaker.times, watch.breaker.errors.trials),
            _ => (&self.times, self.outlier.trials),
        }
    }

    /// Whether they mean the same to members as those before, whatever is known of the group.
    pub(super) fn are_those_of(&self, before: &Rules) -> bool {
        let asked =
            (&self.check, &self.agent, self.salt) == (&before.check, &before.agent, before.salt);
        let judged = (&self.outlier, self.adaptive, self.compares)
            == (&before.outlier, before.adaptive, before.compares);
        let weighed = (self.weights, self.drain_timeout) == (before.weights, before.drain_timeout);
        asked && judged && weighed && self.watch.is_some() == before.watch.is_some()
    }

    /// Judges whether the group panics; answers the new judgement if it is another.
    pub(super) fn panic(&mut self, available: usize, total: usize) -> Option<bool> {
        let panicking = panics(available, total, self.outlier.panic_threshold);
        let before = std::mem::replace(&mut self.panicking, panicking);
        (before != panicking).then_some(panicking)
    }
}

/// A number of what is asked: findings of nodes are of one thing only if they have asked the same.
fn number_of(kind: &CheckKind, port: Option<u16>) -> u64 {
    xxh3_64(format!("{kind:?} {port:?}").as_bytes())
}
