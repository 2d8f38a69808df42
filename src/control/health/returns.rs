//! Backends that come back: when that may be, which clients are told, and what is forgotten then.

use crate::base::id::GroupSlot;
use crate::control::health::keeper::Keeper;
use crate::control::health::member::Member;
use crate::engine::judging::Totals;
use crate::health::Moment;
use crate::health::breaker::Breaker;
use crate::routing::standing::Return;
use crate::routing::table::Table;

impl Member {
    /// When it may be up again, if that is known: when its ejection is over, or its next check is
    /// due.
    pub(super) fn returns(&self) -> Option<Moment> {
        if self.is_up() || !self.counts() {
            return None;
        }
        match self.rotation.breaker() {
            Breaker::Open => self.rotation.ejection().until(),
            Breaker::Closed | Breaker::HalfOpen { .. } => {
                self.probe.as_ref().map(|probe| probe.due())
            }
        }
    }

    /// It is another than the one that failed or was worked on: nothing it did before counts.
    pub(super) fn begin_anew(&mut self, now: Moment) {
        self.load.latency().forget();
        self.standing.forget_rows();
        self.totals = Totals::of(&self.stats);
        self.counted = Totals::of(&self.stats);
        self.window.clear();
        self.tried_lately = self.window.sums(now.as_secs());
    }
}

impl Keeper {
    /// A moment as milliseconds since 1970.
    pub(super) fn unix_millis(&self, at: Moment) -> u64 {
        u64::try_from((self.unix + at).as_millis()).unwrap_or(u64::MAX)
    }

    /// Tells the cores when the first backend of a group that is out comes back.
    pub(super) fn tell_returns(&self, table: &Table, slot: GroupSlot) {
        let Some(rules) = self.groups.get(&slot) else {
            return;
        };
        let group = &table.groups[rules.index];
        let members = group.backends.iter();
        let members = members.filter_map(|backend| self.members.get(&backend.slot));
        let first = members.filter_map(Member::returns).min();
        let returns = first.map_or(0, |at| self.unix_millis(at));
        group.standing.set_returns(Return::Backend, returns);
    }
}
