//! One backend and all its machines: what happens to it, and what the cores are told of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::id::{BackendSlot, GroupSlot};
use crate::base::window::Window;
use crate::control::health::agents::Asked;
use crate::control::health::counts::Traffic;
use crate::control::health::drains::Drains;
use crate::control::health::elsewhere::{HeardElsewhere, Scraped};
use crate::control::health::observed::Seat;
use crate::control::health::rules::Rules;
use crate::control::health::weights::Weighing;
use crate::engine::judging::{Opened, Totals};
use crate::health::Moment;
use crate::health::breaker::Step;
use crate::health::heartbeat::{Circumstances, Heard, Heartbeat, Rejection, Report};
use crate::health::outlier::Sample;
use crate::health::probe::{Found, Probe};
use crate::health::ramp;
use crate::health::rotation::Rotation;
use crate::health::verdict::{Opinion, Opinions, Reason, Record, Source, Status, Wish};
use crate::routing::load::Load;
use crate::routing::standing::{BackendStanding, RAMP_FULL, Standing};
use crate::routing::table::Backend;
use crate::telemetry::stats::{BackendStats, HealthStats, PerCore};

/// What every step needs: the moment, and where to count.
#[derive(Clone, Copy)]
pub(super) struct Scene<'s> {
    pub(super) now: Moment,
    /// When moments began, since 1970.
    pub(super) unix: Duration,
    pub(super) stats: &'s HealthStats,
}

/// One backend.
pub(super) struct Member {
    pub(super) slot: BackendSlot,
    pub(super) group: GroupSlot,
    pub(super) group_name: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) address: SocketAddr,
    pub(super) weight: u16,
    pub(super) identity: u64,
    pub(super) load: Load,
    pub(super) stats: PerCore<BackendStats>,
    pub(super) standing: BackendStanding,
    pub(super) probe: Option<Probe>,
    /// A check is under way.
    pub(super) checking: bool,
    /// Its place among the backends that nodes check together.
    pub(super) seat: Option<Seat>,
    /// Why the last check made here failed, if it did.
    pub(super) failure: Option<Reason>,
    pub(super) agent: Option<Asked>,
    pub(super) rotation: Rotation,
    /// What has taken it out the last time.
    pub(super) opened: Opened,
    /// Tries and failures of the last ten seconds, where breakers look at them.
    pub(super) window: Window,
    pub(super) counted: Totals,
    /// What it gets of its weight, where weights move.
    pub(super) weighing: Weighing,
    /// What the window came to when it was last looked at.
    pub(super) tried_lately: [u64; 2],
    pub(super) heartbeat: Heartbeat,
    pub(super) scraped: Scraped,
    pub(super) heard_elsewhere: HeardElsewhere,
    /// When it was first seen.
    seen: Moment,
    pub(super) opinions: Opinions,
    pub(super) record: Record,
    pub(super) drains: Drains,
    ramp_since: Option<Moment>,
    pub(super) totals: Totals,
    traffic: Traffic,
}

impl Member {
    /// A backend that is first seen now. Nothing is left of who had its slot before.
    pub(super) fn new(
        backend: &Backend,
        rules: &Rules,
        opinions: Opinions,
        newcomer: bool,
        scene: Scene<'_>,
    ) -> Member {
        let now = scene.now;
        let slow = newcomer && !rules.check.slow_start.is_zero();
        let mut member = Member {
            slot: backend.slot,
            group: rules.slot,
            group_name: Arc::clone(&rules.name),
            id: Arc::clone(&backend.id),
            address: backend.address,
            weight: backend.weight,
            identity: backend.identity,
            load: backend.load.clone(),
            totals: Totals::of(&backend.stats),
            traffic: Traffic::of(&backend.stats),
            stats: backend.stats.clone(),
            standing: backend.standing.clone(),
            probe: rules
                .ask
                .is_some()
                .then(|| Probe::new(backend.identity ^ rules.salt, &rules.pace, now)),
            checking: false,
            seat: None,
            failure: None,
            agent: Asked::of(backend, rules, now),
            rotation: Rotation::default(),
            opened: Opened::Traffic,
            window: Window::default(),
            counted: Totals::of(&backend.stats),
            weighing: Weighing::of(&backend.stats),
            tried_lately: [0; 2],
            heartbeat: Heartbeat::default(),
            scraped: Scraped::default(),
            heard_elsewhere: HeardElsewhere::default(),
            seen: now,
            record: Record::new(&opinions, now),
            drains: Drains::of(backend),
            opinions,
            ramp_since: slow.then_some(now),
        };
        member.standing.readmit();
        member.follow_drains(rules, scene);
        member.tell(rules, scene);
        member
    }

    /// Whether it is the backend of this name at this address.
    pub(super) fn is(&self, backend: &Backend, group: &Rules) -> bool {
        self.group == group.slot
            && self.group_name == group.name
            && self.id == backend.id
            && self.address == backend.address
    }

    /// Another table has it: what its operator says and how it is asked may be other.
    pub(super) fn carry_over(
        &mut self,
        backend: &Backend,
        (before, rules): (Option<&Rules>, &Rules),
        (operator, verdict): (Wish, Opinion),
        scene: Scene<'_>,
    ) {
        self.weight = backend.weight;
        self.drains.terms = backend.drain;
        self.identity = backend.identity;
        let asked_as_before = before.is_some_and(|before| {
            (&before.check.kind, before.check.port) == (&rules.check.kind, rules.check.port)
        });
        if !asked_as_before {
            let seed = self.identity ^ rules.salt;
            let fresh = || Probe::new(seed, &rules.pace, scene.now);
            self.probe = rules.ask.is_some().then(fresh);
            self.opinions.check = Opinion::Unknown;
        } else if let Some(probe) = &mut self.probe
            && before.is_some_and(|before| before.pace != rules.pace)
        {
            probe.change_pace(&rules.pace, scene.now);
        }
        self.carry_weighing_over(before, rules);
        if before.is_none_or(|before| before.watch.is_none()) {
            // What was tried before somebody looked at it is not of the last ten seconds.
            self.counted = Totals::of(&self.stats);
            self.window.clear();
        }
        self.carry_agent_over(backend, (before, rules), scene.now);
        let (source, why) = match self.opinions.verdict == verdict {
            true => (Source::Operator, "made ready"),
            false => (Source::Verdict, "passed"),
        };
        self.opinions.operator = operator;
        self.opinions.verdict = verdict;
        if rules.compares && !before.is_some_and(|before| before.compares) {
            self.totals = Totals::of(&self.stats);
        }
        self.settle(source, why.into(), rules, scene);
    }

    /// A check has come to an end.
    pub(super) fn checked(
        &mut self,
        result: &Result<Duration, Reason>,
        rules: &Rules,
        scene: Scene<'_>,
    ) {
        let Some(probe) = &mut self.probe else {
            return;
        };
        scene
            .stats
            .checks
            .inc(if result.is_ok() { "passed" } else { "failed" });
        probe.record(result.as_ref().ok().copied(), &rules.pace, scene.now);
        self.failure = result.as_ref().err().cloned();
        let opinion = match (probe.opinion(), &self.failure) {
            (Found::Down, Some(reason)) => Some(Opinion::Down(reason.clone())),
            (Found::Up, _) => Some(Opinion::Up),
            // Not enough of them have passed.
            (Found::Down | Found::Unknown, _) => None,
        };
        // Where nodes check together it is all of them who judge.
        if let Some(opinion) = opinion
            && self.seat.is_none()
        {
            self.opinions.check = opinion;
            let why = self.failure.clone();
            let why = why.unwrap_or_else(|| "passed its checks".into());
            self.settle(Source::Check, why, rules, scene);
        }
        let passed = self.rotation.checked(result.is_ok(), rules.check.rise);
        if passed && self.opened.is_lifted_by(&rules.check) {
            self.readmit(Source::Check, "passed its checks", rules, scene);
        }
    }

    /// A core, or a comparison, has suspended it.
    pub(super) fn eject(
        &mut self,
        cause: &'static str,
        opened: Opened,
        rules: &Rules,
        scene: Scene<'_>,
    ) {
        // The core that told has done it already, unless the slot was new then.
        self.standing.suspend();
        let (times, _) = rules.terms(opened);
        self.rotation.eject(times, scene.now);
        self.opened = opened;
        self.standing.grant_trials(0);
        self.window.clear();
        scene.stats.ejections.inc(cause);
        self.opinions.ejection = Opinion::Down(cause.into());
        if let Some(probe) = &mut self.probe {
            probe.suspect(&rules.pace, scene.now);
        }
        self.settle(Source::Ejection, cause.into(), rules, scene);
    }

    /// In rotation again, as far as its ejection goes.
    pub(super) fn readmit(
        &mut self,
        source: Source,
        why: &'static str,
        rules: &Rules,
        scene: Scene<'_>,
    ) {
        self.rotation.readmit(scene.now);
        self.standing.readmit();
        self.window.clear();
        self.opinions.ejection = Opinion::Unknown;
        self.settle(source, why.into(), rules, scene);
    }

    /// An exchange that was let through to it while it is suspended has ended.
    pub(super) fn tried(&mut self, passed: bool, rules: &Rules, scene: Scene<'_>) {
        let (times, _) = rules.terms(self.opened);
        match self.rotation.tried(passed, times, scene.now) {
            Step::Close => self.readmit(Source::Ejection, "passed its trials", rules, scene),
            Step::Open(_) => {
                self.standing.grant_trials(0);
                scene.stats.ejections.inc("trial");
            }
            Step::Nothing | Step::Try(_) => {}
        }
    }

    /// It says how it is.
    pub(super) fn hear(
        &mut self,
        report: &Report,
        (unix, sender): (Duration, Option<std::net::IpAddr>),
        rules: &Rules,
        scene: Scene<'_>,
    ) -> Result<Heard, Rejection> {
        let around = Circumstances {
            now: scene.now,
            unix,
            sender,
            in_flight: self.load.in_flight(),
            timeout: rules.check.heartbeat_timeout,
        };
        let heard = self.heartbeat.hear(report, &around)?;
        self.listen(rules, scene);
        self.tell(rules, scene);
        Ok(heard)
    }

    /// Whether time alone may change what is thought of it. Most of ten thousand are well, not
    /// checked and silent, and are not even looked at.
    pub(super) fn is_restless(&self, rules: &Rules) -> bool {
        let heard = self.heartbeat.heard().is_some() || rules.check.heartbeat_required;
        self.probe.is_some()
            || self.rotation.is_out()
            || heard
            || self.opinions.heartbeat != Opinion::Unknown
            || self.ramp_since.is_some()
            || self.drains.will_end()
    }

    /// The mean time to an answer it says it has, in milliseconds, while that is to be believed.
    pub(super) fn says_latency(&self, rules: &Rules, now: Moment) -> Option<f64> {
        let until = self.heartbeat.alive_until(rules.check.heartbeat_timeout);
        let alive = until.is_some_and(|until| until > now);
        let heard = self
            .heartbeat
            .heard()
            .filter(|heard| alive && !heard.discounted);
        let said = heard.and_then(|heard| heard.report.latency_ms);
        let exported = || self.scraped.figures(now)?.latency_ms;
        said.or_else(exported).filter(|latency| *latency > 0.0)
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, rules: &Rules, scene: Scene<'_>) {
        let now = scene.now;
        let (_, trials) = rules.terms(self.opened);
        let (patience, left) = (rules.outlier.interval, self.standing.has_trials());
        match self.rotation.tick(trials, patience, left, now) {
            Step::Close => self.readmit(Source::Ejection, "its time is over", rules, scene),
            Step::Try(count) => self.standing.grant_trials(count),
            Step::Nothing | Step::Open(_) => {}
        }
        self.listen(rules, scene);
        self.watch_traffic(rules, now);
        if self.ramp_since.is_some() {
            if self.ramp(rules, now) == RAMP_FULL {
                self.ramp_since = None;
            }
            self.tell(rules, scene);
        }
        self.end_drains(rules, scene);
    }

    /// What it did since this was last asked.
    pub(super) fn sample(&mut self) -> Sample {
        let totals = Totals::of(&self.stats);
        let before = std::mem::replace(&mut self.totals, totals);
        totals.since(before)
    }

    /// Whether nobody but those who may be wrong in panic keeps it from traffic.
    pub(super) fn counts(&self) -> bool {
        [self.opinions.operator, self.opinions.agent_wish] == [Wish::Ready; 2]
            && self.weight > 0
            && !matches!(self.opinions.verdict, Opinion::Down(_))
    }

    pub(super) fn is_up(&self) -> bool {
        self.record.judgement().status == Status::Up
    }

    /// What its group is judged by: whether it counts, whether it is up, and when it may be again.
    pub(super) fn seen(&self) -> (bool, bool, Option<Moment>) {
        (self.counts(), self.is_up(), self.returns())
    }

    /// How much of its share it gets, in percent.
    pub(super) fn ramp(&self, rules: &Rules, now: Moment) -> u8 {
        let Some(since) = self.ramp_since else {
            return RAMP_FULL;
        };
        ramp::percent(now.saturating_sub(since), rules.check.slow_start, 1.0)
    }

    /// What its heartbeats come to now.
    pub(super) fn listen(&mut self, rules: &Rules, scene: Scene<'_>) {
        let timeout = rules.check.heartbeat_timeout;
        let alive_until = self.heartbeat.alive_until(timeout);
        let said = self.heartbeat.heard().map(|heard| heard.report.healthy);
        let opinion = match (alive_until, said) {
            (Some(until), _) if until <= scene.now => Opinion::Down("no heartbeat in time".into()),
            (Some(_), Some(false)) => Opinion::Down("it says that it is not well".into()),
            (Some(_), _) => Opinion::Up,
            (None, _) if !rules.check.heartbeat_required => Opinion::Unknown,
            (None, _) if self.seen + timeout <= scene.now => {
                Opinion::Down("no heartbeat yet".into())
            }
            (None, _) => Opinion::Unknown,
        };
        if opinion != self.opinions.heartbeat {
            self.opinions.heartbeat = opinion;
            self.settle(Source::Heartbeat, "a heartbeat".into(), rules, scene);
        }
    }

    fn watch_traffic(&mut self, rules: &Rules, now: Moment) {
        let Some(probe) = &mut self.probe else {
            return;
        };
        let traffic = Traffic::of(&self.stats);
        let before = std::mem::replace(&mut self.traffic, traffic);
        if traffic.connect_failures != before.connect_failures {
            probe.suspect(&rules.pace, now);
        } else if rules.traffic_is_a_check() && traffic.received != before.received {
            probe.relieve(&rules.pace, now);
        }
    }

    /// Judges anew, notes and tells what changed.
    pub(super) fn settle(&mut self, source: Source, why: Reason, rules: &Rules, scene: Scene<'_>) {
        let changed = self.record.update(&self.opinions, source, &why, scene.now);
        if let Some(now) = changed {
            scene.stats.transitions.inc(now.source.name());
            tracing::info!(
                group = &*self.group_name,
                backend = &*self.id,
                address = %self.address,
                from = now.from.name(),
                to = now.to.name(),
                source = now.source.name(),
                reason = &*now.reason,
                "health"
            );
            let (from, returned) = (now.from, now.to == Status::Up);
            if returned && from != Status::Drain {
                self.begin_anew(scene.now);
            }
            if returned && !rules.check.slow_start.is_zero() {
                self.ramp_since = Some(scene.now);
            }
        }
        self.follow_drains(rules, scene);
        self.tell(rules, scene);
    }

    /// Tells the cores. An ejection is a suspension, which has its own bit.
    pub(super) fn tell(&self, rules: &Rules, scene: Scene<'_>) {
        let quiet = [
            Source::Agent,
            Source::Check,
            Source::Heartbeat,
            Source::Verdict,
        ];
        let is_down = |source: &Source| matches!(self.opinions.of(*source), Opinion::Down(_));
        let alive = !matches!(self.opinions.heartbeat, Opinion::Down(_));
        let claimed = self.heartbeat.capacity().filter(|_| alive);
        let exported = self.scraped.capacity(scene.now);
        let claimed = claimed.into_iter().chain(exported);
        let share = u32::from(self.ramp(rules, scene.now)) * u32::from(self.agent_percent()) / 100;
        let share = share * u32::from(self.weighing.percent()) / 100;
        self.standing.set(Standing {
            available: !quiet.iter().any(is_down),
            state: self.agent_state(),
            released: self.drains.are_over(scene.unix + scene.now),
            ramp: u8::try_from(share).unwrap_or(RAMP_FULL),
            capacity: claimed.chain(self.agent_capacity()).min(),
        });
    }
}
