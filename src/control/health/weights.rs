//! Weights that move with what backends do, once in an interval of their group.
//!
//! They are shares of the configured weights, told to the cores as those of a slow start are: no
//! table is made. What other nodes have under way and how long their answers take counts as what
//! this node sees, as far as the monitoring service knows it, so that all nodes come to the same.
//! They are not handed on to a process that takes over; it finds them again.

use std::time::Duration;

use crate::base::id::GroupSlot;
use crate::control::health::keeper::Keeper;
use crate::control::health::member::{Member, Scene};
use crate::control::health::rules::Rules;
use crate::engine::judging::Totals;
use crate::health::Moment;
use crate::health::portion::{self, Portion};
use crate::routing::table::Group;
use crate::telemetry::stats::{BackendStats, PerCore};

/// What a backend gets of its weight.
pub(super) struct Weighing {
    portion: Portion,
    /// What was counted of it when weights last moved.
    counted: Totals,
}

impl Weighing {
    pub(super) fn of(stats: &PerCore<BackendStats>) -> Weighing {
        Weighing {
            portion: Portion::default(),
            counted: Totals::of(stats),
        }
    }

    /// In percent.
    pub(super) fn percent(&self) -> u8 {
        self.portion.percent()
    }
}

impl Member {
    /// Another table has it: where weights do not move it has the whole of its own, and what it
    /// did before they began to move is not compared.
    pub(super) fn carry_weighing_over(&mut self, before: Option<&Rules>, rules: &Rules) {
        let moved = before.is_some_and(|before| before.weights.is_some());
        if !moved || rules.weights.is_none() {
            self.weighing = Weighing::of(&self.stats);
        }
    }

    /// Looks at what its backend did since weights last moved.
    fn weigh(&mut self, interval: Duration, unix_micros: u64) -> Portion {
        let totals = Totals::of(&self.stats);
        let before = std::mem::replace(&mut self.weighing.counted, totals);
        let sample = totals.since(before);
        let (answers, _) = totals.answered_since(before);
        let took = self
            .heard_elsewhere
            .joined(sample.latency_micros, answers, interval);
        let others = self.load.others().in_flight(unix_micros).unwrap_or(0);
        let under_way = self.load.in_flight().saturating_add(others);
        let portion = &mut self.weighing.portion;
        portion.see(took, under_way);
        *portion
    }
}

impl Rules {
    /// A table that asks for no other interval does not begin a new one.
    pub(super) fn carry_weights_over(&mut self, old: Option<&Rules>) {
        if let Some(old) = old.filter(|old| old.weights == self.weights) {
            self.weighed = old.weighed;
        }
    }
}

impl Keeper {
    /// Moves the weights of each group whose interval is over.
    pub(super) fn move_weights(&mut self, now: Moment) {
        let Some(table) = self.table.clone() else {
            return;
        };
        let mut due = Vec::new();
        for rules in self.groups.values_mut() {
            if let Some(interval) = rules.weights.filter(|_| rules.weighed <= now) {
                rules.weighed = now + interval;
                due.push((rules.slot, rules.index, interval));
            }
        }
        for (slot, index, interval) in due {
            self.move_weights_of(slot, &table.groups[index], interval, now);
        }
    }

    fn move_weights_of(&mut self, slot: GroupSlot, group: &Group, interval: Duration, now: Moment) {
        let slots = || group.backends.iter().map(|backend| backend.slot);
        let micros = u64::try_from((self.unix + now).as_micros()).unwrap_or(u64::MAX);
        let weighed = slots().filter_map(|slot| {
            let member = self.members.get_mut(&slot)?;
            Some(member.weigh(interval, micros))
        });
        let mut portions: Vec<Portion> = weighed.collect();
        portion::balance(&mut portions);
        let mut portions = portions.into_iter();
        let (unix, stats) = (self.unix, &self.stats.health);
        let scene = Scene { now, unix, stats };
        let Some(rules) = self.groups.get(&slot) else {
            return;
        };
        for slot in slots() {
            if let Some(member) = self.members.get_mut(&slot)
                && let Some(portion) = portions.next()
            {
                member.weighing.portion = portion;
                member.tell(rules, scene);
            }
        }
    }
}
