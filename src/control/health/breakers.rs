//! Circuit breakers that failures open: of backends, and of groups as a whole.
//!
//! The cores count every try and every failure; here they are put into exact windows of ten
//! seconds, several times a second, and judged. A backend whose breaker opens is ejected like any
//! other, within the share that may be out, but for times that double, and comes back by trials
//! only. A group whose breaker opens gets nothing but trials: its clients are refused at once.

use std::sync::Arc;

use crate::base::id::{BackendIndex, GroupSlot};
use crate::control::health::keeper::Keeper;
use crate::control::health::member::Member;
use crate::control::health::returns::unix_millis;
use crate::control::health::rules::Rules;
use crate::engine::group_breaker::{GroupBreaker, state_after};
use crate::engine::judging::{Opened, Totals};
use crate::health::Moment;
use crate::health::breaker::Step;
use crate::routing::outlier::Suspension;
use crate::routing::standing::{BreakerState, Return};
use crate::routing::table::{Group, Table};

/// The breaker of one group, and what it was last judged by.
pub(super) struct Watch {
    pub(super) breaker: GroupBreaker,
    /// Tries and failures of the last ten seconds.
    pub(super) tried_lately: [u64; 2],
}

impl Watch {
    pub(super) fn of(group: &Group) -> Option<Watch> {
        Some(Watch {
            breaker: GroupBreaker::of(group)?,
            tried_lately: [0; 2],
        })
    }
}

impl Rules {
    /// What is known of the group's breaker stays; without one it is closed.
    pub(super) fn carry_watch_over(&mut self, old: Option<&Rules>, group: &Group) {
        match (&mut self.watch, old.and_then(|old| old.watch.as_ref())) {
            (Some(watch), Some(old)) => watch.breaker.rotation = old.breaker.rotation,
            _ => group.standing.set_breaker(BreakerState::Closed, 0),
        }
    }
}

impl Member {
    /// Counts what was tried since this was last asked; both sums of the last ten seconds.
    fn count_tries(&mut self, now: Moment) -> [u64; 2] {
        let totals = Totals::of(&self.stats);
        let before = std::mem::replace(&mut self.counted, totals);
        let sample = totals.since(before);
        for (sort, count) in [sample.requests, sample.failures].into_iter().enumerate() {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.window.add(now.as_secs(), sort, count);
        }
        self.tried_lately = self.window.sums(now.as_secs());
        self.tried_lately
    }
}

impl Keeper {
    /// Notes which group of the file each group of the table belongs to.
    pub(super) fn find_wholes(&mut self, table: &Arc<Table>) {
        let whole = |group: &Group| table.group_named(&group.name).map(|whole| whole.slot);
        let wholes = table
            .groups
            .iter()
            .filter_map(|group| Some((group.slot, whole(group)?)));
        self.wholes = wholes.collect();
    }

    /// Opens the breakers of those who failed too often of late.
    pub(super) fn judge_errors(&mut self, now: Moment) {
        let Some(table) = self.table.clone() else {
            return;
        };
        let watched = self.groups.values().filter(|rules| rules.watch.is_some());
        let watched: Vec<_> = watched.map(|rules| (rules.slot, rules.index)).collect();
        for (slot, index) in watched {
            let group = &table.groups[index];
            self.judge_backends(slot, group, now);
            self.judge_group(slot, group, now);
        }
    }

    fn judge_backends(&mut self, slot: GroupSlot, group: &Group, now: Moment) {
        let Some(watch) = self
            .groups
            .get(&slot)
            .and_then(|rules| rules.watch.as_ref())
        else {
            return;
        };
        let breaker = &watch.breaker;
        let rate = breaker.rate(breaker.errors.backend_percent);
        let mut tripped = Vec::new();
        for (at, backend) in (0..).zip(&group.backends) {
            let Some(member) = self.members.get_mut(&backend.slot) else {
                continue;
            };
            let [tries, failures] = member.count_tries(now);
            if !member.rotation.is_out() && rate.trips(tries, failures) {
                tripped.push((BackendIndex(at), backend.slot));
            }
        }
        for (at, backend) in tripped {
            if group.suspend(at) == Suspension::Done {
                self.eject(backend, "error_rate", Opened::Errors, now);
            }
        }
    }

    fn judge_group(&mut self, slot: GroupSlot, group: &Group, now: Moment) {
        let members = group.backends.iter();
        let members = members.filter_map(|backend| self.members.get(&backend.slot));
        let sums = members.fold([0, 0], |[tries, failures], member| {
            let [more, failed] = member.tried_lately;
            [tries + more, failures + failed]
        });
        let Some(watch) = self
            .groups
            .get_mut(&slot)
            .and_then(|rules| rules.watch.as_mut())
        else {
            return;
        };
        watch.tried_lately = sums;
        let step = watch.breaker.judge(group, sums, now);
        self.follow(group, step);
    }

    /// A trial of a group, or of a part of one, has ended.
    pub(super) fn group_tried(&mut self, group: GroupSlot, passed: bool, now: Moment) {
        let whole = self.wholes.get(&group).copied().unwrap_or(group);
        let Some(table) = self.table.clone() else {
            return;
        };
        let Some(rules) = self.groups.get_mut(&whole) else {
            return;
        };
        let group = &table.groups[rules.index];
        if let Some(watch) = &mut rules.watch {
            let step = watch.breaker.tried(passed, now);
            self.follow(group, step);
        }
    }

    /// Tells the cores where the breaker of a group stands now.
    fn follow(&mut self, group: &Group, step: Step) {
        let before = group.standing.breaker();
        let Some((state, trials)) = state_after(step) else {
            return;
        };
        let returns = match step {
            Step::Open(until) => unix_millis(self.unix + until),
            Step::Close | Step::Nothing | Step::Try(_) => 0,
        };
        group.standing.set_returns(Return::Breaker, returns);
        group.standing.set_breaker(state, trials);
        if before == state {
            return;
        }
        let name = &*group.name;
        self.stats.health.breakers.inc(state.name());
        match state {
            BreakerState::Closed => {
                // What made it open has been paid for.
                for backend in &group.backends {
                    if let Some(member) = self.members.get_mut(&backend.slot) {
                        member.window.clear();
                    }
                }
                tracing::info!(group = name, "the breaker of the group closes");
            }
            BreakerState::HalfOpen => {
                tracing::info!(group = name, trials, "the breaker of the group tries");
            }
            BreakerState::Open => tracing::warn!(group = name, "the breaker of the group opens"),
        }
    }
}
