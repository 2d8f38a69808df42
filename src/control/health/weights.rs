//! Weights that move with what backends do, once in an interval of their group.
//!
//! They are shares of the configured weights, told to the cores as those of a slow start are: no
//! table is made. They are not handed on to a process that takes over; it finds them again.

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
    fn weigh(&mut self) -> Portion {
        let totals = Totals::of(&self.stats);
        let before = std::mem::replace(&mut self.weighing.counted, totals);
        let sample = totals.since(before);
        let under_way = self.load.in_flight();
        let portion = &mut self.weighing.portion;
        portion.see(sample.latency_micros, under_way);
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
                due.push((rules.slot, rules.index));
            }
        }
        for (slot, index) in due {
            self.move_weights_of(slot, &table.groups[index], now);
        }
    }

    fn move_weights_of(&mut self, slot: GroupSlot, group: &Group, now: Moment) {
        let slots = || group.backends.iter().map(|backend| backend.slot);
        let weighed = slots().filter_map(|slot| self.members.get_mut(&slot).map(Member::weigh));
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
