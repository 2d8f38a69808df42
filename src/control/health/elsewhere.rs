//! What is known of backends from elsewhere than checks and traffic: what they export, what they
//! say of themselves in all, and what other nodes see of them.
//!
//! A page of metrics is a claim like a heartbeat and is used like one: for the capacity, and for
//! how a backend compares with its group. It is no sign of life, because an exporter is often
//! another process than the one that serves. What it said lapses after three intervals without a
//! reading.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::id::BackendSlot;
use crate::control::health::Health;
use crate::control::health::keeper::Keeper;
use crate::control::health::member::Member;
use crate::control::health::rules::Rules;
use crate::gossip::Claimed;
use crate::health::Moment;
pub(in crate::control) use crate::health::metrics::Figures;

/// Readings that may be missed before what was read lapses.
const MISSED_MAX: u32 = 3;

/// What was last read of the metrics of a backend, and until when it counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scraped(Option<(Figures, Moment)>);

impl Scraped {
    pub(super) fn figures(&self, now: Moment) -> Option<Figures> {
        let fresh = self.0.filter(|(_, until)| now < *until);
        fresh.map(|(figures, _)| figures)
    }

    /// Requests it can have under way, by its metrics.
    pub(super) fn capacity(&self, now: Moment) -> Option<u32> {
        let capacity = self.figures(now)?.capacity?;
        (capacity >= 1.0).then_some(capacity as u32)
    }
}

/// What answers of other nodes took, and until when that counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeardElsewhere(Option<(u32, f64)>);

impl HeardElsewhere {
    /// The mean of what answers took here and elsewhere, in microseconds: `own` is that of so many
    /// here in an interval so long.
    pub(super) fn joined(&self, own: Option<f64>, answers: u64, interval: Duration) -> Option<f64> {
        let Some((rate, elsewhere)) = self.0 else {
            return own;
        };
        let others = f64::from(rate) * interval.as_secs_f64();
        let (own, mine) = (own.unwrap_or(0.0), answers as f64);
        Some((own * mine + elsewhere * others) / (mine + others))
    }
}

impl Health {
    /// What backends say of themselves, by whichever way.
    #[must_use]
    pub(in crate::control) fn claims(&self) -> BTreeMap<BackendSlot, Claimed> {
        let (keeper, now) = (self.keeper(), self.now());
        let members = keeper.members.values();
        let claims = members.filter_map(|member| {
            let rules = keeper.groups.get(&member.group)?;
            Some((member.slot, member.claims(rules, now)?))
        });
        claims.collect()
    }

    /// The metrics of a backend were read, or could not be.
    pub(in crate::control) fn scraped(
        &self,
        slot: BackendSlot,
        read: bool,
        figures: Option<Figures>,
        interval: Duration,
    ) {
        let result = if read { "read" } else { "unreachable" };
        self.0.stats.health.scrapes.inc(result);
        if let Some(figures) = figures {
            let now = self.now();
            self.keeper().scraped(slot, figures, interval, now);
        }
    }

    /// What answers of other nodes take, of those backends of which it is known: answers in a
    /// second, and microseconds in the mean.
    pub(in crate::control) fn heard_elsewhere(&self, heard: &BTreeMap<BackendSlot, (u32, f64)>) {
        for (slot, member) in &mut self.keeper().members {
            member.heard_elsewhere = HeardElsewhere(heard.get(slot).copied());
        }
    }
}

impl Keeper {
    fn scraped(&mut self, slot: BackendSlot, figures: Figures, interval: Duration, now: Moment) {
        let until = now + interval * MISSED_MAX;
        self.with(slot, now, |member, rules, scene| {
            member.scraped = Scraped(Some((figures, until)));
            member.tell(rules, scene);
        });
        self.weigh_latency(slot, now);
    }
}

impl Member {
    fn claims(&self, rules: &Rules, now: Moment) -> Option<Claimed> {
        let count = |number: f64| number.clamp(0.0, 65_534.0) as u16;
        let percent = |share: f64| (share * 100.0).clamp(0.0, 254.0) as u8;
        let share = |number: &f64| *number <= 1.0;
        let mib = |bytes: f64| count(bytes / f64::from(1 << 20));
        let scraped = self.scraped.figures(now).map(|figures| Claimed {
            active: figures.active.map(count),
            capacity: figures.capacity.map(count),
            cpu_percent: figures.cpu.map(percent),
            memory_percent: figures.memory.filter(share).map(percent),
            memory_mib: figures.memory.filter(|number| !share(number)).map(mib),
        });
        let timeout = rules.check.heartbeat_timeout;
        let alive = self
            .heartbeat
            .alive_until(timeout)
            .is_some_and(|until| until > now);
        let heard = self.heartbeat.heard().filter(|_| alive);
        let said = heard.map(|heard| Claimed {
            active: Some(count(heard.report.active)),
            capacity: heard.report.capacity.map(count),
            cpu_percent: heard.report.cpu.map(percent),
            memory_percent: heard.report.memory.map(percent),
            memory_mib: None,
        });
        let agent = self.agent_capacity().map(|most| Claimed {
            capacity: Some(count(f64::from(most))),
            ..Claimed::default()
        });
        // The word of the backend itself before what is exported of it.
        [said, scraped, agent]
            .into_iter()
            .flatten()
            .reduce(|first, second| Claimed {
                active: first.active.or(second.active),
                capacity: first.capacity.or(second.capacity),
                cpu_percent: first.cpu_percent.or(second.cpu_percent),
                memory_percent: first.memory_percent.or(second.memory_percent),
                memory_mib: first.memory_mib.or(second.memory_mib),
            })
    }
}
