//! Keeps what one node thinks of its backends: the machines of `health`, and the standings the
//! picks read.
//!
//! The machines are the real ones, and so are the rules and counts, of `engine::judging`. What
//! joins them is short and stands here once more: in the product it belongs to the control plane,
//! which brings the checks it has made over sockets and the pages of the admin interface with it.

use crate::base::id::BackendIndex;
use crate::base::window::Window;
use crate::config::checked::{self, Check};
use crate::engine::group_breaker::{GroupBreaker, state_after};
use crate::engine::judging::{Opened, Totals, pace_of, suspend_outliers, times_of};
use crate::health::Moment;
use crate::health::breaker::Step;
use crate::health::ejection::EjectionTimes;
use crate::health::outlier::Sample;
use crate::health::panic::panics;
use crate::health::portion::{self, Portion};
use crate::health::probe::{Found, Pace, Probe};
use crate::health::ramp;
use crate::health::rotation::Rotation;
use crate::routing::outlier::{Outlier, Suspension};
use crate::routing::standing::{BreakerState, Cause, RAMP_FULL, Standing};
use crate::routing::table::{Backend, Group};

/// How often time alone is looked at, as in the product.
pub(super) const TICK: f64 = 0.2;

/// The keeper of one node.
pub(super) struct Keeper {
    check: Check,
    pace: Pace,
    times: EjectionTimes,
    members: Vec<Member>,
    breaker: Option<GroupBreaker>,
    judged: Moment,
    /// How often weights move, and when next.
    weights: Option<Moment>,
    weighed: Moment,
    /// Some machine is not at rest.
    restless: bool,
}

struct Member {
    probe: Option<Probe>,
    down: bool,
    rotation: Rotation,
    /// What has taken it out the last time.
    opened: Opened,
    /// Tries and failures of the last ten seconds, and what was counted before.
    window: Window,
    counted: Totals,
    ramp_since: Option<Moment>,
    totals: Totals,
    portion: Portion,
    /// What was counted when weights were last moved.
    weighed: Totals,
}

impl Member {
    fn is_up(&self) -> bool {
        !self.down && !self.rotation.is_out()
    }
}

impl Keeper {
    pub(super) fn new(group: &Group, meant: &checked::Group) -> Keeper {
        let check = &meant.check;
        let outlier = &group.outlier;
        let pace = pace_of(check);
        let probe = |backend: &Backend| {
            let probe = || Probe::new(backend.identity, &pace, Moment::ZERO);
            check.kind.is_some().then(probe)
        };
        let member = |backend| Member {
            probe: probe(backend),
            down: false,
            rotation: Rotation::default(),
            opened: Opened::Traffic,
            window: Window::default(),
            counted: Totals::default(),
            ramp_since: None,
            totals: Totals::default(),
            portion: Portion::default(),
            weighed: Totals::default(),
        };
        Keeper {
            times: times_of(outlier),
            members: group.backends.iter().map(member).collect(),
            breaker: GroupBreaker::of(group),
            judged: outlier.interval,
            weights: meant.dynamic_weights,
            weighed: meant.dynamic_weights.unwrap_or_default(),
            restless: false,
            check: check.clone(),
            pace,
        }
    }

    /// Whether anything judges backends by what is counted of them.
    pub(super) fn counts(&self, group: &Group) -> bool {
        let breaks = group.breaker.errors.is_some();
        self.weights.is_some() || breaks || Keeper::compares(&group.outlier)
    }

    /// Whether anything compares backends by it.
    fn compares(outlier: &Outlier) -> bool {
        outlier.success_rate_stdev_factor > 0
            || outlier.failure_percentage > 0
            || outlier.latency_stdev_factor > 0
    }

    /// A core has suspended a backend.
    pub(super) fn suspended(
        &mut self,
        group: &Group,
        index: BackendIndex,
        cause: Cause,
        now: Moment,
    ) {
        self.eject(group, index, Opened::by(cause), now);
        self.judge_panic(group);
    }

    /// A trial is over.
    pub(super) fn tried(&mut self, group: &Group, index: BackendIndex, passed: bool, now: Moment) {
        let times = self.times_of(index.index());
        let member = &mut self.members[index.index()];
        match member.rotation.tried(passed, &times, now) {
            Step::Close => self.readmit(group, index.index(), now),
            Step::Open(_) => group.backends[index.index()].standing.grant_trials(0),
            Step::Nothing | Step::Try(_) => {}
        }
        self.judge_panic(group);
    }

    /// Time has passed. `answers` tells whether a check of a backend passes now.
    pub(super) fn tick(&mut self, group: &Group, now: Moment, answers: &dyn Fn(usize) -> bool) {
        if self.check.kind.is_some() {
            self.make_checks(group, now, answers);
        }
        if self.restless {
            self.restless = false;
            for at in 0..self.members.len() {
                self.tick_member(group, at, now);
            }
            self.judge_panic(group);
        }
        self.judge_errors(group, now);
        self.move_weights(group, now);
        if now >= self.judged {
            self.judged = now + group.outlier.interval;
            self.compare(group, now);
        }
    }

    fn tick_member(&mut self, group: &Group, at: usize, now: Moment) {
        let member = &mut self.members[at];
        let trials = match (member.opened, &group.breaker.errors) {
            (Opened::Errors, Some(errors)) => errors.trials,
            _ => group.outlier.trials,
        };
        let standing = &group.backends[at].standing;
        let (patience, left) = (group.outlier.interval, standing.has_trials());
        match member.rotation.tick(trials, patience, left, now) {
            Step::Close => self.readmit(group, at, now),
            Step::Try(count) => standing.grant_trials(count),
            Step::Nothing | Step::Open(_) => {}
        }
        let member = &mut self.members[at];
        if let Some(since) = member.ramp_since {
            let passed = now.saturating_sub(since);
            if ramp::percent(passed, self.check.slow_start, 1.0) == RAMP_FULL {
                member.ramp_since = None;
            }
            self.tell(group, at, now);
        }
        let member = &self.members[at];
        self.restless |= member.ramp_since.is_some() || member.rotation.is_out();
    }

    fn make_checks(&mut self, group: &Group, now: Moment, answers: &dyn Fn(usize) -> bool) {
        for at in 0..self.members.len() {
            let pace = self.pace;
            let Some(probe) = &mut self.members[at].probe else {
                continue;
            };
            if probe.due() > now {
                continue;
            }
            let passed = answers(at);
            let took = passed.then_some(Moment::from_millis(1));
            probe.record(took, &pace, now);
            let down = probe.opinion() == Found::Down;
            let member = &mut self.members[at];
            let speaks_for_it = member.rotation.checked(passed, self.check.rise);
            let was_up = member.is_up();
            member.down = down;
            if speaks_for_it && member.opened.is_lifted_by(&self.check) {
                self.readmit(group, at, now);
            }
            self.settle(group, at, was_up, now);
        }
        self.judge_panic(group);
    }

    fn times_of(&self, at: usize) -> EjectionTimes {
        match (self.members[at].opened, &self.breaker) {
            (Opened::Errors, Some(breaker)) => breaker.times,
            _ => self.times,
        }
    }

    fn eject(&mut self, group: &Group, index: BackendIndex, opened: Opened, now: Moment) {
        let standing = &group.backends[index.index()].standing;
        standing.suspend();
        standing.grant_trials(0);
        self.members[index.index()].opened = opened;
        let times = self.times_of(index.index());
        let member = &mut self.members[index.index()];
        member.rotation.eject(&times, now);
        member.window.clear();
        if let Some(probe) = &mut member.probe {
            probe.suspect(&self.pace, now);
        }
        self.restless = true;
    }

    fn readmit(&mut self, group: &Group, at: usize, now: Moment) {
        let member = &mut self.members[at];
        member.rotation.readmit(now);
        member.window.clear();
        group.backends[at].standing.readmit();
        self.settle(group, at, false, now);
    }

    /// Begins a slow start if it has come back, and tells the cores.
    fn settle(&mut self, group: &Group, at: usize, was_up: bool, now: Moment) {
        let slow = !self.check.slow_start.is_zero();
        let member = &mut self.members[at];
        let is_up = member.is_up();
        if is_up && !was_up {
            // As in the control plane: nothing it did before counts.
            member.totals = Totals::of(&group.backends[at].stats);
            group.backends[at].standing.forget_rows();
        }
        if is_up && !was_up && slow {
            member.ramp_since = Some(now);
            self.restless = true;
        }
        self.tell(group, at, now);
    }

    fn tell(&self, group: &Group, at: usize, now: Moment) {
        let member = &self.members[at];
        let ramp = member.ramp_since.map_or(RAMP_FULL, |since| {
            ramp::percent(now.saturating_sub(since), self.check.slow_start, 1.0)
        });
        let share = u32::from(ramp) * u32::from(member.portion.percent()) / 100;
        group.backends[at].standing.set(Standing {
            available: !member.down,
            ramp: share.max(1) as u8,
            ..Standing::default()
        });
    }

    /// Opens the breakers of backends that failed too often in the last ten seconds.
    fn judge_errors(&mut self, group: &Group, now: Moment) {
        let Some(breaker) = &self.breaker else {
            return;
        };
        let rate = breaker.rate(breaker.errors.backend_percent);
        let mut sums = [0; 2];
        for (at, backend) in group.backends.iter().enumerate() {
            let member = &mut self.members[at];
            let totals = Totals::of(&backend.stats);
            let more = totals.since(std::mem::replace(&mut member.counted, totals));
            for (sort, count) in [more.requests, more.failures].into_iter().enumerate() {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                member.window.add(now.as_secs(), sort, count);
            }
            let [tries, failures] = member.window.sums(now.as_secs());
            sums = [sums[0] + tries, sums[1] + failures];
            let index = BackendIndex(at as u32);
            if !member.rotation.is_out()
                && rate.trips(tries, failures)
                && group.suspend(index) == Suspension::Done
            {
                self.eject(group, index, Opened::Errors, now);
            }
        }
        let breaker = self.breaker.as_mut();
        let step = breaker.map_or(Step::Nothing, |breaker| breaker.judge(group, sums, now));
        self.follow(group, step);
        self.judge_panic(group);
    }

    /// A trial of the group has ended.
    pub(super) fn group_tried(&mut self, group: &Group, passed: bool, now: Moment) {
        let breaker = self.breaker.as_mut();
        let step = breaker.map_or(Step::Nothing, |breaker| breaker.tried(passed, now));
        self.follow(group, step);
    }

    /// Tells the cores where the breaker of the group stands now.
    fn follow(&mut self, group: &Group, step: Step) {
        let Some((state, trials)) = state_after(step) else {
            return;
        };
        group.standing.set_breaker(state, trials);
        if state == BreakerState::Closed {
            // What made it open has been paid for.
            self.members
                .iter_mut()
                .for_each(|member| member.window.clear());
        }
    }

    fn move_weights(&mut self, group: &Group, now: Moment) {
        let Some(interval) = self.weights.filter(|_| now >= self.weighed) else {
            return;
        };
        self.weighed = now + interval;
        for (member, backend) in self.members.iter_mut().zip(&group.backends) {
            let totals = Totals::of(&backend.stats);
            let sample = totals.since(std::mem::replace(&mut member.weighed, totals));
            let under_way = backend.load.in_flight();
            member.portion.see(sample.latency_micros, under_way);
        }
        let mut portions: Vec<Portion> = self.members.iter().map(|one| one.portion).collect();
        portion::balance(&mut portions);
        for (at, portion) in portions.into_iter().enumerate() {
            self.members[at].portion = portion;
            self.tell(group, at, now);
        }
    }

    fn compare(&mut self, group: &Group, now: Moment) {
        if !Keeper::compares(&group.outlier) {
            return;
        }
        let samples: Vec<Sample> = group
            .backends
            .iter()
            .zip(&mut self.members)
            .map(|(backend, member)| {
                let totals = Totals::of(&backend.stats);
                let before = std::mem::replace(&mut member.totals, totals);
                totals.since(before)
            })
            .collect();
        for (index, _) in suspend_outliers(group, &samples) {
            self.eject(group, index, Opened::Traffic, now);
        }
        self.judge_panic(group);
    }

    fn judge_panic(&mut self, group: &Group) {
        let available = self.members.iter().filter(|member| member.is_up()).count();
        let threshold = group.outlier.panic_threshold;
        let panicking = panics(available, self.members.len(), threshold);
        group.standing.set_panicking(panicking);
    }
}
