//! Checks and questions to agents that nodes share: which of them are made here, and what all of
//! them come to.
//!
//! A backend of a group with checks has a seat here or not, and so has its agent. The verdict of
//! its observers takes the place of what this node's own checks alone say, and the newest word of
//! its agent the place of what this node has heard. Without other nodes both are the same.

use std::collections::BTreeMap;

use super::due::Whom;
use super::keeper::Keeper;
use super::member::{Member, Scene};
use super::rules::Rules;
use crate::base::id::BackendSlot;
use crate::control::gossip::key_of;
use crate::gossip::observers::{Case, Finding, Subject};
use crate::health::Moment;
use crate::health::probe::{Found, Probe};
use crate::health::verdict::{Opinion, Source};

/// A backend, or its agent, among those that nodes look after together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    /// What it is known by.
    pub(super) key: u64,
    /// What is asked.
    asked: u64,
    /// It is asked here.
    pub(super) mine: bool,
}

impl Keeper {
    /// Another table is there: its backends are those that nodes check together.
    pub(super) fn share_checks(&mut self, now: Moment) {
        let Some(observing) = self.observing.clone() else {
            return;
        };
        let mut new: Vec<(Whom, Seat)> = Vec::new();
        let mut seats = BTreeMap::new();
        for (slot, member) in &mut self.members {
            let Some(rules) = self.groups.get(&member.group) else {
                continue;
            };
            member.seat = rules.asked.map(|asked| {
                let (seat, is_new) = member.seated(member.seat, asked);
                new.extend(is_new.then_some((Whom::Backend(*slot), seat)));
                let subject = Subject::Backend(rules.patience());
                seats.insert(seat.key, (Whom::Backend(*slot), subject));
                seat
            });
            let agent = member.agent.as_ref().map(|asked| {
                let (seat, is_new) = member.seated(asked.seat, rules.asked_of_agent(asked.port));
                new.extend(is_new.then_some((Whom::Agent(*slot), seat)));
                seats.insert(seat.key, (Whom::Agent(*slot), Subject::Agent));
                seat
            });
            if let Some(asked) = &mut member.agent {
                asked.seat = agent;
            }
        }
        if new.is_empty() && seats == self.seats {
            return;
        }
        let subjects = seats.iter().map(|(key, (_, subject))| (*key, *subject));
        observing.adopt(&subjects.collect());
        self.seats = seats;
        for (whom, seat) in new {
            if let Whom::Agent(slot) = whom {
                self.recall_said(slot, &observing);
            }
            if let Some(case) = observing.case(seat.key) {
                self.observed(whom, &case, now);
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
            if let Some((whom, _)) = self.seats.get(&key).copied() {
                self.observed(whom, &case, now);
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

    fn observed(&mut self, whom: Whom, case: &Case, now: Moment) {
        self.unqueue(whom);
        match whom {
            Whom::Agent(slot) => {
                self.with(slot, now, |member, rules, scene| {
                    member.agent_said(case, rules, scene);
                });
                self.queue_question(slot);
            }
            Whom::Backend(slot) => {
                self.with(slot, now, |member, rules, scene| {
                    member.observed(case, rules, scene);
                });
                self.queue_check(slot);
            }
        }
    }
}

impl Member {
    /// Whether it is checked here.
    pub(super) fn is_checked_here(&self) -> bool {
        self.probe.is_some() && self.seat.is_none_or(|seat| seat.mine)
    }

    /// The seat of who is asked this, and whether it is another one than before.
    fn seated(&self, before: Option<Seat>, asked: u64) -> (Seat, bool) {
        if let Some(seat) = before.filter(|seat| seat.asked == asked) {
            return (seat, false);
        }
        let (address, number) = (self.address.to_string(), format!("{asked:016x}"));
        let seat = Seat {
            key: key_of(&[&self.group_name, &self.id, &address, &number]),
            asked,
            mine: false,
        };
        (seat, true)
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
                Finding::Said(_) | Finding::Unknown => Found::Unknown,
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
            Finding::Said(_) | Finding::Unknown => Opinion::Unknown,
            Finding::Up => Opinion::Up,
        };
        if opinion != self.opinions.check {
            self.opinions.check = opinion;
            self.settle(Source::Check, "passed its checks".into(), rules, scene);
        }
    }
}
