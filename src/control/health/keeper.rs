//! All backends of the present table with their machines, and the groups they are judged in.
//!
//! It is told what happened and when, and asks for the checks that are due; it opens nothing and
//! reads no clock. A backend that stays from one table to the next keeps all that is known of it.

mod adopting;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::id::{BackendSlot, GroupSlot};
use crate::base::limits::CHECKS_MAX;
use crate::control::document::{Document, Family, HEALTH_KEY};
use crate::control::gossip::Observing;
use crate::control::health::due::{Due, What, Whom};
use crate::control::health::member::{Member, Scene};
use crate::control::health::returns::unix_millis;
use crate::control::health::rules::Rules;
use crate::engine::judging::{Opened, suspend_outliers};
use crate::gossip::observers::Subject;
use crate::health::Moment;
use crate::health::verdict::{Opinion, Reason, Source, Wish};
use crate::link::Report;
use crate::routing::standing::Return;
use crate::routing::table::{Backend, BackendState, Group, Table};
use crate::telemetry::stats::ControlStats;

/// How often time alone is looked at: silence, the end of ejections, slow starts.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// The keeper.
pub(super) struct Keeper {
    pub(super) stats: Arc<ControlStats>,
    /// When its moments began, since 1970.
    pub(super) unix: Duration,
    /// Checks that nodes share, where there are others.
    pub(super) observing: Option<Observing>,
    /// Who has which key there.
    pub(super) seats: BTreeMap<u64, (Whom, Subject)>,
    pub(super) members: BTreeMap<BackendSlot, Member>,
    pub(super) groups: BTreeMap<GroupSlot, Rules>,
    pub(super) table: Option<Arc<Table>>,
    /// The group of the file each group of the table is, or is a part of.
    pub(super) wholes: BTreeMap<GroupSlot, GroupSlot>,
    /// Who has an id.
    by_id: BTreeMap<Arc<str>, Vec<BackendSlot>>,
    /// Members that time alone may change.
    restless: BTreeSet<BackendSlot>,
    /// Groups whose members are compared.
    comparing: Vec<GroupSlot>,
    /// Groups of which somebody is up or down that was not.
    unjudged: BTreeSet<GroupSlot>,
    /// When each is asked next; those who are being asked are not in it.
    pub(super) due: BTreeSet<(Moment, Whom)>,
    pub(super) running: usize,
    ticked: Moment,
}

impl Keeper {
    pub(super) fn new(
        stats: Arc<ControlStats>,
        unix: Duration,
        observing: Option<Observing>,
    ) -> Keeper {
        Keeper {
            stats,
            unix,
            observing,
            seats: BTreeMap::new(),
            members: BTreeMap::new(),
            groups: BTreeMap::new(),
            table: None,
            wholes: BTreeMap::new(),
            by_id: BTreeMap::new(),
            restless: BTreeSet::new(),
            comparing: Vec::new(),
            unjudged: BTreeSet::new(),
            due: BTreeSet::new(),
            running: 0,
            ticked: Moment::ZERO,
        }
    }

    /// Brings everything up to `now`; answers the checks to be made.
    pub(super) fn turn(&mut self, now: Moment) -> Vec<Due> {
        self.follow_observers(now);
        if now >= self.ticked + TICK {
            self.ticked = now;
            self.tick(now);
        }
        let mut checks = Vec::new();
        while self.running < CHECKS_MAX
            && let Some((due, whom)) = self.due.first().copied()
            && due <= now
        {
            self.due.remove(&(due, whom));
            checks.extend(match whom {
                Whom::Agent(slot) => self.begin_question(slot),
                Whom::Backend(slot) => self.begin_check(slot),
            });
        }
        checks
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Moment {
        let tick = self.ticked + TICK;
        match self.due.first() {
            Some((due, _)) if self.running < CHECKS_MAX => tick.min(*due),
            _ => tick,
        }
    }

    /// A check has come to an end.
    pub(super) fn checked(
        &mut self,
        slot: BackendSlot,
        address: SocketAddr,
        result: &Result<Duration, Reason>,
        now: Moment,
    ) {
        self.running = self.running.saturating_sub(1);
        let same = |member: &Member| member.checking && member.address == address;
        if self.members.get(&slot).is_some_and(same) {
            self.with(slot, now, |member, rules, scene| {
                member.checking = false;
                member.checked(result, rules, scene);
            });
            self.tell_observers(slot, now);
            self.queue_check(slot);
            self.judge_panic();
        }
    }

    /// What a core saw. The slot of the backend says whose it is, because a core tells what it saw
    /// before it gives back the table it saw it with; the group may be a part of its group.
    pub(super) fn reported(&mut self, report: Report, now: Moment) {
        match report {
            Report::GroupTried { group, passed } => self.group_tried(group, passed, now),
            Report::Suspended { backend, cause, .. } => {
                self.eject(backend, cause.name(), Opened::by(cause), now);
            }
            Report::Tried {
                backend, passed, ..
            } => {
                self.with(backend, now, |member, rules, scene| {
                    member.tried(passed, rules, scene);
                });
            }
        }
        self.judge_panic();
    }

    /// Somebody outside found a server well: what traffic showed is forgiven.
    pub(super) fn passed(&mut self, group: &str, id: &str, now: Moment) {
        for slot in self.named(Some(group), id) {
            let ejected = |member: &Member| member.rotation.is_out();
            if self.members.get(&slot).is_some_and(ejected) {
                self.with(slot, now, |member, rules, scene| {
                    member.readmit(Source::Verdict, "passed", rules, scene);
                });
            }
        }
        self.judge_panic();
    }

    /// The members of this id.
    pub(super) fn named(&self, group: Option<&str>, id: &str) -> Vec<BackendSlot> {
        let named = self.by_id.get(id).into_iter().flatten();
        let is_meant = |slot: &&BackendSlot| {
            let member = self.members.get(slot);
            member.is_some_and(|member| group.is_none_or(|group| *member.group_name == *group))
        };
        named.filter(is_meant).copied().collect()
    }

    /// Does something with a member by the rules of its group.
    pub(super) fn with<R>(
        &mut self,
        slot: BackendSlot,
        now: Moment,
        does: impl FnOnce(&mut Member, &Rules, Scene<'_>) -> R,
    ) -> Option<R> {
        let member = self.members.get_mut(&slot)?;
        let rules = self.groups.get(&member.group)?;
        let scene = Scene {
            now,
            unix: self.unix,
            stats: &self.stats.health,
        };
        let before = member.seen();
        let done = does(member, rules, scene);
        if before != member.seen() {
            self.unjudged.insert(rules.slot);
        }
        if member.is_restless(rules) {
            self.restless.insert(slot);
        }
        Some(done)
    }

    /// Begins or ends the panic of every group in which something has changed, and tells the cores
    /// when the first of its backends that is out comes back.
    pub(super) fn judge_panic(&mut self) {
        let Some(table) = &self.table else {
            return;
        };
        for slot in std::mem::take(&mut self.unjudged) {
            let Some(rules) = self.groups.get_mut(&slot) else {
                continue;
            };
            let group = &table.groups[rules.index];
            let (mut available, mut total, mut first) = (0, 0, None);
            for backend in &group.backends {
                let seen = self.members.get(&backend.slot).map(Member::seen);
                let (counts, is_up, returns) = seen.unwrap_or_default();
                total += usize::from(counts);
                available += usize::from(counts && is_up);
                first = returns.into_iter().chain(first).min();
            }
            let returns = first.map_or(0, |at| unix_millis(self.unix + at));
            group.standing.set_returns(Return::Backend, returns);
            let Some(panicking) = rules.panic(available, total) else {
                continue;
            };
            group.standing.set_panicking(panicking);
            let name = &*rules.name;
            match panicking {
                true => tracing::warn!(group = name, available, total, "panic: all are used"),
                false => tracing::info!(group = name, available, total, "panic is over"),
            }
        }
    }

    fn tick(&mut self, now: Moment) {
        let Keeper {
            members,
            groups,
            stats,
            due,
            unjudged,
            restless,
            unix,
            ..
        } = self;
        let scene = Scene {
            now,
            unix: *unix,
            stats: &stats.health,
        };
        restless.retain(|slot| {
            let Some(member) = members.get_mut(slot) else {
                return false;
            };
            let Some(rules) = groups.get(&member.group) else {
                return false;
            };
            let was_due = member.probe.as_ref().map(|probe| probe.due());
            let before = member.seen();
            member.tick(rules, scene);
            if before != member.seen() {
                unjudged.insert(rules.slot);
            }
            if let (Some(before), Some(probe), false) = (was_due, &member.probe, member.checking)
                && before != probe.due()
                && due.remove(&(before, Whom::Backend(member.slot)))
            {
                due.insert((probe.due(), Whom::Backend(member.slot)));
            }
            member.is_restless(rules)
        });
        self.judge_errors(now);
        self.move_weights(now);
        self.compare(now);
        self.judge_panic();
    }

    /// Compares the members of each group whose interval is over.
    fn compare(&mut self, now: Moment) {
        let Some(table) = self.table.clone() else {
            return;
        };
        let mut judged = Vec::new();
        for slot in &self.comparing {
            if let Some(rules) = self.groups.get_mut(slot)
                && rules.judged <= now
            {
                rules.judged = now + rules.outlier.interval;
                judged.push(rules.index);
            }
        }
        for index in judged {
            let group = &table.groups[index];
            let mut samples = Vec::with_capacity(group.backends.len());
            for backend in &group.backends {
                let member = self.members.get_mut(&backend.slot);
                samples.push(member.map(Member::sample).unwrap_or_default());
            }
            for (index, deviation) in suspend_outliers(group, &samples) {
                let backend = group.backends[index.index()].slot;
                self.eject(backend, deviation.name(), Opened::Traffic, now);
            }
        }
    }

    pub(super) fn eject(
        &mut self,
        backend: BackendSlot,
        cause: &'static str,
        opened: Opened,
        now: Moment,
    ) {
        self.unqueue(Whom::Backend(backend));
        self.with(backend, now, |member, rules, scene| {
            member.eject(cause, opened, rules, scene);
        });
        self.queue_check(backend);
    }

    fn begin_check(&mut self, slot: BackendSlot) -> Option<Due> {
        let member = self.members.get_mut(&slot)?;
        let rules = self.groups.get(&member.group)?;
        let ask = rules.ask.as_ref().filter(|_| member.probe.is_some())?;
        member.checking = true;
        self.running += 1;
        let mut asked = member.address;
        if let Some(port) = rules.check.port {
            asked.set_port(port);
        }
        Some(Due {
            slot,
            address: member.address,
            asked,
            what: What::Check(Arc::clone(ask)),
            timeout: rules.check.timeout,
        })
    }
}

/// What the operator and somebody outside say of a backend. The table has one that failed in
/// maintenance; what its operator says of it is in the document.
fn said(document: &Document, group: &Group, backend: &Backend) -> (Wish, Opinion) {
    match backend.state {
        BackendState::Ready => return (Wish::Ready, Opinion::Unknown),
        BackendState::Drain => return (Wish::Drain, Opinion::Unknown),
        BackendState::Maint => {}
    }
    let family = Family::Backends(Arc::clone(&group.name));
    let value = document.value(&family.member(&backend.id));
    let failed = value.is_some_and(|value| {
        value.get(HEALTH_KEY).and_then(|health| health.as_str()) == Some("failed")
    });
    let state = value.and_then(|value| value.get("state")?.as_str());
    let operator = match (failed, state) {
        (true, Some("drain")) => Wish::Drain,
        (true, Some("maint")) | (false, _) => Wish::Maint,
        (true, _) => Wish::Ready,
    };
    let verdict = match failed {
        true => Opinion::Down("health_check_failed".into()),
        false => Opinion::Unknown,
    };
    (operator, verdict)
}

#[cfg(test)]
mod tests;
