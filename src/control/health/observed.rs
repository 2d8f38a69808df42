//! Checks that nodes share: which of them are made here, and what all of them come to.
//!
//! A backend of a group with checks has a seat here or not, and the verdict of its observers takes
//! the place of what this node's own checks alone say. Without other nodes both are the same.

use std::collections::BTreeMap;
use std::time::Duration;

use super::keeper::Keeper;
use super::member::{Member, Scene};
use super::rules::Rules;
use crate::base::id::BackendSlot;
use crate::control::gossip::key_of;
use crate::gossip::observers::{Case, Finding};
use crate::health::Moment;
use crate::health::probe::{Found, Probe};
use crate::health::verdict::{Opinion, Source};

/// A backend among those that nodes check together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    /// What it is known by.
    pub(super) key: u64,
    /// What is asked.
    asked: u64,
    /// It is checked here.
    pub(super) mine: bool,
}

impl Keeper {
    /// Another table is there: its backends are those that nodes check together.
    pub(super) fn share_checks(&mut self, now: Moment) {
        let Some(observing) = self.observing.clone() else {
            return;
        };
        let mut new: Vec<BackendSlot> = Vec::new();
        for (slot, member) in &mut self.members {
            let asked = self.groups.get(&member.group).and_then(|rules| rules.asked);
            let Some(asked) = asked else {
                member.seat = None;
                continue;
            };
            if member.seat.is_none_or(|seat| seat.asked != asked) {
                member.seat = Some(Seat {
                    key: member.key(asked),
                    asked,
                    mine: false,
                });
                new.push(*slot);
            }
        }
        let seats = self.members.values().filter_map(|member| {
            let rules = self.groups.get(&member.group)?;
            Some((member.seat?.key, (member.slot, rules.patience())))
        });
        let seats: BTreeMap<u64, (BackendSlot, Duration)> = seats.collect();
        if new.is_empty() && seats == self.seats {
            return;
        }
        let patience = seats.iter().map(|(key, (_, patience))| (*key, *patience));
        observing.adopt(&patience.collect());
        self.seats = seats;
        for slot in new {
            let seat = self.members.get(&slot).and_then(|member| member.seat);
            if let Some(case) = seat.and_then(|seat| observing.case(seat.key)) {
                self.observed(slot, &case, now);
            }
        }
    }

    /// Goes by what is new of the backends that nodes check together.
    pub(super) fn follow_observers(&mut self, now: Moment) {
        let Some(observing) = self.observing.clone() else {
            return;
        };
        let mut any = false;
        while let Some((key, case)) = observing.poll_change() {
            if let Some((slot, _)) = self.seats.get(&key).copied() {
                self.observed(slot, &case, now);
                any = true;
            }
        }
        if any {
            self.judge_panic();
        }
    }

    /// Tells the other nodes what a check made here has come to.
    pub(super) fn tell_observers(&mut self, slot: BackendSlot, now: Moment) {
        let Some(observing) = &self.observing else {
            return;
        };
        let Some(member) = self.members.get(&slot) else {
            return;
        };
        let Some(seat) = member.seat.filter(|seat| seat.mine) else {
            return;
        };
        let own = observing.own(seat.key);
        if let Some(finding) = member.finding(&own) {
            observing.found(seat.key, finding);
        }
        self.follow_observers(now);
    }

    fn observed(&mut self, slot: BackendSlot, case: &Case, now: Moment) {
        self.unqueue(slot);
        self.with(slot, now, |member, rules, scene| {
            member.observed(case, rules, scene);
        });
        self.queue_check(slot);
    }
}

impl Member {
    /// Whether it is checked here.
    pub(super) fn is_checked_here(&self) -> bool {
        self.probe.is_some() && self.seat.is_none_or(|seat| seat.mine)
    }

    fn key(&self, asked: u64) -> u64 {
        let address = self.address.to_string();
        let asked = format!("{asked:016x}");
        key_of(&[&self.group_name, &self.id, &address, &asked])
    }

    /// What this node's own checks come to; nothing where that is what they came to before.
    fn finding(&self, before: &Finding) -> Option<Finding> {
        let finding = match (self.probe.as_ref()?.opinion(), &self.failure) {
            (Found::Unknown, _) => return None,
            (Found::Up, _) => Finding::Up,
            (Found::Down, Some(reason)) => Finding::Down((&**reason).into()),
            (Found::Down, None) if before.is_down() => return None,
            (Found::Down, None) => Finding::Down("not enough checks passed".into()),
        };
        (finding != *before).then_some(finding)
    }

    /// What its observers have found, and whether this node is one of them.
    fn observed(&mut self, case: &Case, rules: &Rules, scene: Scene<'_>) {
        let Some(seat) = &mut self.seat else {
            return;
        };
        if std::mem::replace(&mut seat.mine, case.mine) != case.mine && case.mine {
            let known = match &case.verdict {
                Finding::Down(_) => Found::Down,
                Finding::Unknown => Found::Unknown,
                Finding::Up => Found::Up,
            };
            let seed = self.identity ^ rules.salt;
            self.probe = Some(Probe::taken_over(seed, known, &rules.pace, scene.now));
            self.failure = None;
        }
        if let Some(probe) = &mut self.probe
            && case.look
        {
            probe.suspect(&rules.pace, scene.now);
        }
        let opinion = match &case.verdict {
            Finding::Down(reason) => Opinion::Down(reason.to_string().into()),
            Finding::Unknown => Opinion::Unknown,
            Finding::Up => Opinion::Up,
        };
        if opinion != self.opinions.check {
            self.opinions.check = opinion;
            self.settle(Source::Check, "passed its checks".into(), rules, scene);
        }
    }
}
