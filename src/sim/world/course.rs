//! The course of a run: what happens next, and what it does to the fleet.

use super::telling::sums;
use super::{Event, World, views_of};
use crate::base::id::BackendIndex;
use crate::routing::standing::Outcome as Shown;
use crate::sim::balancer::Balancer;
use crate::sim::keeper::TICK;
use crate::sim::outcome::Failed;
use crate::sim::scenario::{Chooser, FailureKind, RivalKind, View, Who};
use crate::sim::site::Mood;

/// How often weights by utilisation are made anew, in seconds.
const WEIGH: f64 = 1.0;

/// How much of it a new weight is, beside the one before.
const WEIGH_SHARE: f64 = 0.5;

/// How often a backend that warms up is a little faster, in seconds.
const WARM: f64 = 0.5;

/// What comes first.
#[derive(Clone, Copy)]
enum Next {
    Arrival,
    Deadline,
    Event,
    Site(u32),
}

impl World<'_> {
    pub(super) fn begin(&mut self) {
        for site in 0..self.sites.len() {
            if let Some(contention) = self.sites[site].like.contention {
                if self.antagonists.share() < contention.share {
                    self.contend(site);
                }
                self.plan_antagonist(site);
            }
        }
        for failure in 0..self.scenario.failures.len() {
            let at = self.scenario.failures[failure].at;
            self.agenda.add(at, Event::Fails(failure));
        }
        self.agenda.add(self.scenario.warmup, Event::Measure);
        let end = self.scenario.warmup + self.scenario.duration;
        self.agenda.add(end, Event::Measured);
        self.agenda.add(TICK, Event::Tick);
        if let Some(period) = self.entrant.nodes.mesh {
            self.agenda.add(period, Event::Mesh);
        }
        if let View::Snapshot { period } = self.entrant.nodes.view {
            self.agenda.add(period, Event::Snapshot);
        }
        let weighs = Chooser::Rival(RivalKind::WeightedByUtilisation);
        if self.entrant.chooser == weighs {
            self.agenda.add(WEIGH, Event::Weigh);
        }
        self.begin_telling();
        self.plan_arrival();
    }

    /// Does what comes next; false when the run is over.
    pub(super) fn step(&mut self) -> bool {
        while let Some((_, job)) = self.deadlines.front()
            && !World::is_alive(&self.requests, *job)
        {
            self.deadlines.pop_front();
        }
        let (mut at, mut next) = (self.next_arrival, Next::Arrival);
        if let Some((moment, site)) = self.moments.first()
            && moment < at
        {
            (at, next) = (moment, Next::Site(site));
        }
        if let Some((moment, _)) = self.deadlines.front()
            && *moment < at
        {
            (at, next) = (*moment, Next::Deadline);
        }
        if let Some(moment) = self.agenda.first()
            && moment <= at
        {
            (at, next) = (moment, Next::Event);
        }
        let end = self.scenario.warmup + self.scenario.duration;
        if !self.measuring && self.missing == 0 && self.now >= end {
            return false;
        }
        self.now = self.now.max(at);
        match next {
            Next::Arrival => self.arrive(),
            Next::Deadline => {
                if let Some((_, job)) = self.deadlines.pop_front() {
                    self.too_late(job);
                }
            }
            Next::Event => {
                if let Some(event) = self.agenda.take() {
                    self.happen(event);
                }
            }
            Next::Site(site) => self.site_answers(site as usize),
        }
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Answer(job, status) => {
                if World::is_alive(&self.requests, job) {
                    self.answered(job.request, status);
                }
            }
            Event::Antagonist(site) => {
                self.contend(site as usize);
                self.plan_antagonist(site as usize);
            }
            Event::Fails(failure) => self.fails(failure),
            Event::Gossip => self.gossip(),
            Event::Gossiped(counts) => self.gossiped(&counts),
            Event::Heard(counts) => self.heard(&counts),
            Event::Measure => self.measure(true),
            Event::Measured => self.measure(false),
            Event::Mends(failure, who) => self.mends(failure, &who),
            Event::Mesh => self.mesh(),
            Event::Probe => self.probe(),
            Event::Snapshot => {
                for balancer in &self.balancers {
                    balancer.hear(self.present.iter().copied());
                }
                if let View::Snapshot { period } = self.entrant.nodes.view {
                    self.agenda.add(self.now + period, Event::Snapshot);
                }
            }
            Event::Tick => self.tick(),
            Event::Warms(site) => self.warms(site as usize),
            Event::Weigh => self.weigh(),
        }
    }

    fn site_answers(&mut self, site: usize) {
        let job = self.sites[site].server.finish(self.now);
        self.reschedule(site);
        if let Some(job) = job {
            self.sites[site].answered += 1;
            self.requests[job.request as usize].working = false;
            self.answered(job.request, 200);
        }
    }

    /// Antagonists come to a site, or leave it.
    fn contend(&mut self, site: usize) {
        let Some(contention) = self.sites[site].like.contention else {
            return;
        };
        let left = self.antagonists.between(contention.low, contention.high);
        let site_there = &mut self.sites[site];
        site_there.contended = match site_there.contended {
            Some(_) => None,
            None => Some(left),
        };
        site_there.settle(self.now);
        self.reschedule(site);
    }

    fn plan_antagonist(&mut self, site: usize) {
        let Some(contention) = self.sites[site].like.contention else {
            return;
        };
        let mean = match self.sites[site].contended {
            Some(_) => contention.lasts,
            None => contention.lasts * (1.0 - contention.share) / contention.share,
        };
        let wait = self.antagonists.wait(mean);
        let event = Event::Antagonist(site as u32);
        self.agenda.add(self.now + wait, event);
    }

    /// What counts begins or ends.
    fn measure(&mut self, begins: bool) {
        self.measuring = begins;
        let now = self.now;
        let done = self.sites.iter_mut().map(|site| site.server.done(now));
        let done: Vec<f64> = done.collect();
        if begins {
            self.outcome.utilisation = done;
            return;
        }
        let seconds = self.scenario.duration;
        let each = self.outcome.utilisation.iter_mut().zip(done);
        for ((before, after), site) in each.zip(&self.sites) {
            *before = (after - *before) / (seconds * site.like.capacity);
        }
    }

    fn tick(&mut self) {
        let now = self.moment();
        let sites = &self.sites;
        let answers = |at: usize| sites[at].mood == Mood::Well;
        for balancer in &mut self.balancers {
            let table = balancer.table();
            balancer.keeper.tick(&table.groups[0], now, &answers);
        }
        self.agenda.add(self.now + TICK, Event::Tick);
    }

    fn mesh(&mut self) {
        let Some(period) = self.entrant.nodes.mesh else {
            return;
        };
        let own = self.balancers.iter().map(|one| one.own().to_vec());
        let counts: Vec<Vec<u32>> = own.collect();
        let delay = self.entrant.nodes.delay;
        match delay > 0.0 {
            true => self.agenda.add(self.now + delay, Event::Heard(counts)),
            false => self.heard(&counts),
        }
        self.agenda.add(self.now + period, Event::Mesh);
    }

    fn heard(&mut self, counts: &[Vec<u32>]) {
        let all = sums(counts, self.sites.len());
        for (balancer, own) in self.balancers.iter().zip(counts) {
            balancer.hear(all.iter().zip(own).map(|(all, own)| all - own));
        }
    }

    fn weigh(&mut self) {
        let now = self.now;
        let mut weights = Vec::with_capacity(self.sites.len());
        for site in &mut self.sites {
            let done = site.server.done(now);
            let used = (done - site.done) / (WEIGH * site.like.capacity);
            let rate = std::mem::take(&mut site.answered) as f64 / WEIGH;
            site.done = done;
            weights.push((used > 0.01).then(|| rate / used));
        }
        let known: Vec<f64> = weights.iter().flatten().copied().collect();
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        let fresh = weights.into_iter().map(|weight| weight.unwrap_or(mean));
        let fresh: Vec<f64> = fresh.collect();
        if mean > 0.0 {
            for balancer in &mut self.balancers {
                if let Some(rival) = &mut balancer.rival {
                    rival.weigh(&fresh, WEIGH_SHARE);
                }
            }
        }
        self.agenda.add(now + WEIGH, Event::Weigh);
    }

    fn warms(&mut self, site: usize) {
        if self.sites[site].warm_up(self.now) {
            let event = Event::Warms(site as u32);
            self.agenda.add(self.now + WARM, event);
        }
        self.reschedule(site);
    }

    fn fails(&mut self, number: usize) {
        let failure = &self.scenario.failures[number];
        let is_node = failure.kind == FailureKind::Node;
        let all = if is_node {
            self.up.len()
        } else {
            self.sites.len()
        };
        let who = match &failure.who {
            Who::These(these) => these.clone(),
            Who::Any(count) => self.any(all, *count),
        };
        if let Some(every) = failure.every {
            self.agenda.add(self.now + every, Event::Fails(number));
        }
        for &one in &who {
            match failure.kind {
                FailureKind::Crash => self.crash(one),
                FailureKind::Errors {
                    status,
                    after,
                    portion,
                } => {
                    self.sites[one].mood = Mood::Errors {
                        status,
                        after,
                        portion,
                    };
                }
                FailureKind::Hang => {
                    self.sites[one].mood = Mood::Hung;
                    // What it has is not answered either.
                    self.drop_jobs(one);
                    self.reschedule(one);
                }
                FailureKind::Node => self.lose_node(one),
                FailureKind::Slow { factor } => {
                    self.sites[one].slow = factor;
                    self.sites[one].settle(self.now);
                    self.reschedule(one);
                }
            }
        }
        if failure.lasts.is_finite() {
            let at = self.now + failure.lasts;
            self.agenda.add(at, Event::Mends(number, who));
        }
    }

    fn mends(&mut self, number: usize, who: &[usize]) {
        for &one in who {
            match self.scenario.failures[number].kind {
                FailureKind::Crash => {
                    self.sites[one].restart(self.now);
                    self.warms(one);
                }
                FailureKind::Errors { .. } | FailureKind::Hang => {
                    self.sites[one].mood = Mood::Well;
                }
                FailureKind::Node => self.up[one] = true,
                FailureKind::Slow { .. } => {
                    self.sites[one].slow = 1.0;
                    self.sites[one].settle(self.now);
                    self.reschedule(one);
                }
            }
        }
    }

    /// So many of all, each once.
    fn any(&mut self, all: usize, count: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..all).collect();
        let chosen = (0..count.min(all)).map(|_| {
            let at = self.failures.below(left.len());
            left.swap_remove(at)
        });
        chosen.collect()
    }

    /// Connections are refused from now on. Those that are open break; they had served before, so
    /// each request is first sent to the same backend again, which shows that it is gone.
    fn crash(&mut self, site: usize) {
        self.sites[site].mood = Mood::Crashed;
        self.drop_jobs(site);
        let index = BackendIndex(site as u32);
        let there = |request: &super::Request| request.open && request.backend == Some(index);
        let lost: Vec<u32> = (0..)
            .zip(&self.requests)
            .filter(|(_, request)| there(request))
            .map(|(id, _)| id)
            .collect();
        for id in lost {
            self.leave(id);
            self.requests[id as usize].retries += 1;
            self.show(id, index, Shown::ConnectFailed);
            self.dispatch(id, Some(Failed::Refused));
        }
        self.reschedule(site);
    }

    /// A site works on nothing any more.
    fn drop_jobs(&mut self, site: usize) {
        self.sites[site].server.clear(self.now);
        let here = Some(BackendIndex(site as u32));
        for request in &mut self.requests {
            request.working &= request.backend != here;
        }
    }

    /// A node is gone; whoever waited for it gets nothing, and what it knew is forgotten.
    fn lose_node(&mut self, node: usize) {
        if self.up.iter().filter(|up| **up).count() < 2 || !self.up[node] {
            return;
        }
        self.up[node] = false;
        let at = node as u32;
        let there = |request: &super::Request| request.open && request.node == at;
        let lost: Vec<u32> = (0..)
            .zip(&self.requests)
            .filter(|(_, request)| there(request))
            .map(|(id, _)| id)
            .collect();
        for id in lost {
            self.leave(id);
            self.over(id, Some(Failed::NodeLost));
        }
        if self.entrant.nodes.view == View::Node {
            debug_assert_eq!(views_of(self.entrant), self.up.len());
            let cores = super::cores_of(self.entrant);
            let (config, entrant) = (self.config, self.entrant);
            self.balancers[node] = Balancer::new(config, entrant, cores, self.seed, node);
        }
    }
}
