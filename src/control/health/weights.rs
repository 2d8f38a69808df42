//! Weights that move with what backends do, once in an interval of their group.
//!
//! They are shares of the configured weights, told to the cores as those of a slow start are: no
//! table is made. They are not handed on to a process that takes over; it finds them again.

use crate::base::id::GroupSlot;
use crate::control::health::keeper::Keeper;
use crate::control::health::member::{Member, Scene};
use crate::engine::judging::Totals;
use crate::health::Moment;
use crate::health::portion::{self, Portion};
use crate::routing::table::Group;

impl Member {
    /// Looks at what its backend did since weights last moved.
    fn weigh(&mut self) -> Portion {
        let totals = Totals::of(&self.stats);
        let before = std::mem::replace(&mut self.weighed, totals);
        let sample = totals.since(before);
        let under_way = self.load.in_flight();
        self.portion.see(sample.latency_micros, under_way);
        self.portion
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
                member.portion = portion;
                member.tell(rules, scene);
            }
        }
    }
}
