//! The trip of one request: its node, its backend, its answer, and what everybody learns from it.
//!
//! What is done here in which order is what the data plane does around a pick (`data::upstream`,
//! `data::retry`, `data::response`), without the sockets.

use super::{Event, Request, World, place_of};
use crate::base::fault::Fault;
use crate::base::id::{BackendIndex, CoreId};
use crate::routing::breaker::Rights;
use crate::routing::feedback::Answer;
use crate::routing::hashing::hash_key;
use crate::routing::policy::{Ask, Tried, pick};
use crate::routing::standing::Outcome as Shown;
use crate::routing::table::Group;
use crate::sim::outcome::{Failed, Seen};
use crate::sim::rivals::Sight;
use crate::sim::server::Job;
use crate::sim::site::Mood;

/// How long a backend takes to say that it is full, in seconds.
const FULL: f64 = 0.0005;

impl World<'_> {
    /// Finds out when the next request comes.
    pub(super) fn plan_arrival(&mut self) {
        if let Some(told) = &mut self.told {
            self.next_arrival = told.as_slice().first().map_or(f64::INFINITY, |one| one.at);
            return;
        }
        let traffic = &self.scenario.traffic;
        let most = traffic.rate_max();
        let mut at = self.now;
        // By thinning: of a process at the highest rate as many are taken as the rate is lower.
        loop {
            at += self.arrivals.wait(1.0 / most);
            let rate = traffic.rate(at);
            if rate >= most || self.arrivals.share() * most < rate {
                break;
            }
        }
        self.next_arrival = at;
    }

    /// A request comes.
    pub(super) fn arrive(&mut self) {
        let work = match &mut self.told {
            Some(told) => told.next().map_or(0.0, |one| one.work),
            None => self.scenario.work.draw(&mut self.work),
        };
        let node = self.choose_node();
        let core = self.places.below(self.entrant.nodes.cores);
        let (view, core) = place_of(self.entrant, node, core);
        let key = self.draw_key();
        let id = self.free.pop().unwrap_or_else(|| {
            self.requests.push(Request {
                number: 0,
                generation: 0,
                open: false,
                counts: false,
                trial: false,
                working: false,
                retries: 0,
                core: 0,
                node: 0,
                view: 0,
                backend: None,
                last: None,
                met: 0,
                crowd: 0,
                arrived: 0.0,
                handed: 0.0,
                work: 0.0,
                key: 0,
                tried: Tried::NONE,
                permit: None,
                rights: Rights::default(),
            });
            (self.requests.len() - 1) as u32
        });
        let request = &mut self.requests[id as usize];
        *request = Request {
            number: self.number,
            generation: request.generation,
            open: true,
            counts: self.measuring,
            trial: false,
            working: false,
            retries: 0,
            core: core as u16,
            node: node as u32,
            view: view as u32,
            backend: None,
            last: None,
            met: 0,
            crowd: 0,
            arrived: self.now,
            handed: self.now,
            work,
            key,
            tried: Tried::NONE,
            permit: None,
            rights: Rights::default(),
        };
        self.number += 1;
        self.outcome.simulated += 1;
        self.missing += u64::from(self.measuring);
        let second = self.second();
        self.balancers[view].cores[core].budget.enter(second);
        self.dispatch(id, None);
        self.plan_arrival();
    }

    fn choose_node(&mut self) -> usize {
        loop {
            let node = self.places.below(self.up.len());
            if self.up[node] {
                return node;
            }
        }
    }

    /// The hash of the key of a request, the one asked for most in front.
    fn draw_key(&mut self) -> u64 {
        let traffic = &self.scenario.traffic;
        let number = match traffic.zipf > 0.0 {
            true => self.keys.zipf(traffic.keys, traffic.zipf),
            false => self.keys.below(traffic.keys) as u64,
        };
        hash_key(1, &number.to_le_bytes())
    }

    /// Sends a request to a backend: the first one, or another because of `failure`.
    pub(super) fn dispatch(&mut self, id: u32, mut failure: Option<Failed>) {
        let view = self.requests[id as usize].view as usize;
        let table = self.balancers[view].table();
        let group = &table.groups[0];
        if failure.is_none() {
            match group.breaker.admit(&group.standing) {
                Ok(rights) => self.requests[id as usize].rights = rights,
                Err(_) => return self.over(id, Some(Failed::Closed)),
            }
        }
        // Who was full when it came to it is passed over for now, and not tried.
        let mut passed = self.requests[id as usize].tried;
        loop {
            let retries = self.requests[id as usize].retries;
            if failure.is_some() && u32::from(retries) >= group.retries_max {
                return self.over(id, failure);
            }
            let Some(index) = self.choose(id, group, &passed) else {
                return self.over(id, failure.or(Some(Failed::Nobody)));
            };
            let backend = &group.backends[index.index()];
            passed.insert(index);
            let Some(trial) = group.may_enter(backend) else {
                continue;
            };
            let give_back = || {
                if trial {
                    backend.standing.give_back_trial();
                }
            };
            let Ok(permit) = backend.take_request() else {
                give_back();
                continue;
            };
            if failure.is_some() && !self.may_retry(id, group) {
                give_back();
                return self.over(id, failure);
            }
            let core = CoreId(self.requests[id as usize].core);
            let request = &mut self.requests[id as usize];
            request.retries += u8::from(failure.is_some());
            request.tried.insert(index);
            request.trial = trial;
            if request.counts {
                self.outcome.picks[index.index()] += 1;
                self.outcome.attempts += 1;
                self.outcome.retries += u64::from(failure.is_some());
            }
            if self.sites[index.index()].mood == Mood::Crashed {
                backend.stats.of(core).connect_failures.inc();
                self.show(id, index, Shown::ConnectFailed);
                failure = Some(Failed::Refused);
                continue;
            }
            let request = &mut self.requests[id as usize];
            request.permit = permit;
            request.backend = Some(index);
            request.last = Some(index.0);
            request.handed = self.now;
            request.met = self.present[index.index()];
            let _ = group.observe(index, Shown::Connected);
            return self.hand(id, index.index());
        }
    }

    fn choose(&mut self, id: u32, group: &Group, passed: &Tried) -> Option<BackendIndex> {
        let micros = self.micros();
        let request = &self.requests[id as usize];
        let (view, core) = (request.view as usize, usize::from(request.core));
        let balancer = &mut self.balancers[view];
        if let Some(rival) = &mut balancer.rival {
            let sight = Sight {
                group,
                tried: passed,
                present: &self.present,
                reports: &self.reports,
                now: self.now,
            };
            return rival.pick(&sight, &mut self.draws).map(BackendIndex);
        }
        let picks = &mut balancer.cores[core].picks;
        let before = *picks;
        let ask = Ask {
            key: Some(request.key),
            ..Ask::new(passed, micros)
        };
        let found = pick(group, picks, &ask);
        if !request.tried.is_empty() {
            picks.return_turn(before);
        }
        found.ok()
    }

    /// Whether a request may be tried again: as far as its group limits that, and by the budget.
    fn may_retry(&mut self, id: u32, group: &Group) -> bool {
        let second = self.second();
        let request = &mut self.requests[id as usize];
        if !request.rights.may_retry(&group.breaker) {
            return false;
        }
        let balancer = &mut self.balancers[request.view as usize];
        let budget = &mut balancer.cores[usize::from(request.core)].budget;
        budget.take(second, group.retry.allowance)
    }

    /// A request is with its backend.
    fn hand(&mut self, id: u32, site: usize) {
        let request = &self.requests[id as usize];
        let (work, core) = (request.work, request.core);
        let job = Job {
            request: id,
            generation: request.generation,
        };
        let view = request.view as usize;
        let index = BackendIndex(site as u32);
        self.balancers[view].enter(index, core);
        if let Some(prober) = self.probers.get_mut(view) {
            prober.requests += 1;
        }
        let micros = self.micros();
        let crowd = self.balancers[view].group().crowd_at(index, micros);
        self.requests[id as usize].crowd = crowd;
        self.deadlines.push_back((self.now + self.timeout, job));
        let there = &mut self.sites[site];
        match there.mood {
            Mood::Errors {
                status,
                after,
                portion,
            } if self.failures.share() < portion => {
                self.agenda
                    .add(self.now + after, Event::Answer(job, status));
            }
            Mood::Hung | Mood::Crashed => {}
            Mood::Well | Mood::Errors { .. } if there.is_full() => {
                self.agenda.add(self.now + FULL, Event::Answer(job, 503));
            }
            Mood::Well | Mood::Errors { .. } => {
                there.server.add(self.now, job, work);
                self.requests[id as usize].working = true;
                self.reschedule(site);
            }
        }
    }

    /// A backend has answered.
    pub(super) fn answered(&mut self, id: u32, status: u16) {
        let micros = self.micros();
        let request = &self.requests[id as usize];
        let (view, core) = (request.view as usize, CoreId(request.core));
        let request_crowd = request.crowd;
        let Some(index) = request.backend else { return };
        let took = self.now - request.handed;
        let latency = (took * 1e6) as u64;
        self.reports.note(index.index(), request.met, took);
        let table = self.balancers[view].table();
        let group = &table.groups[0];
        if self.balancers[view].counts {
            let stats = group.backends[index.index()].stats.of(core);
            stats.requests.inc(status);
            stats.latency.record_micros(latency);
        }
        self.leave(id);
        if group.retry.statuses.contains(status) {
            self.show(id, index, Shown::of_status(status));
            return self.dispatch(id, Some(Failed::Error));
        }
        let answer = Answer {
            micros: latency,
            crowd: request_crowd,
            status,
        };
        group.answered(index, core, answer, micros);
        self.show(id, index, Shown::of_status(status));
        self.over(id, (status >= 500).then_some(Failed::Error));
    }

    /// The time of a try is over.
    pub(super) fn too_late(&mut self, job: Job) {
        let id = job.request;
        let request = &self.requests[id as usize];
        let (view, core) = (request.view as usize, CoreId(request.core));
        let Some(index) = request.backend else { return };
        let table = self.balancers[view].table();
        let group = &table.groups[0];
        let stats = group.backends[index.index()].stats.of(core);
        stats.faults[Fault::UpstreamTimeout as usize].inc();
        self.leave(id);
        self.show(id, index, Shown::GatewayFailed);
        match group.retry.reset && group.retry.per_try.is_some() {
            true => self.dispatch(id, Some(Failed::TimedOut)),
            false => self.over(id, Some(Failed::TimedOut)),
        }
    }

    /// A request is not at its backend any more; what was planned for this try is void, and a
    /// backend that works on it stops.
    pub(super) fn leave(&mut self, id: u32) {
        let request = &mut self.requests[id as usize];
        let job = Job {
            request: id,
            generation: request.generation,
        };
        request.generation = request.generation.wrapping_add(1);
        request.permit = None;
        let working = std::mem::take(&mut request.working);
        if let Some(index) = request.backend.take() {
            let (view, core) = (request.view as usize, request.core);
            self.balancers[view].leave(index, core);
            if working {
                self.sites[index.index()].server.abandon(self.now, job);
                self.reschedule(index.index());
            }
        }
    }

    /// Notes what a try has shown of a backend.
    pub(super) fn show(&mut self, id: u32, index: BackendIndex, shown: Shown) {
        let (now, micros) = (self.moment(), self.micros());
        let request = &mut self.requests[id as usize];
        let trial = std::mem::take(&mut request.trial);
        let balancer = &mut self.balancers[request.view as usize];
        let table = balancer.table();
        let group = &table.groups[0];
        if !matches!(shown, Shown::Answered | Shown::Connected) {
            group.failed(index, micros);
        }
        let cause = group.observe(index, shown);
        if trial {
            let passed = matches!(shown, Shown::Answered | Shown::Connected);
            balancer.keeper.tried(group, index, passed, now);
        } else if let Some(cause) = cause {
            balancer.keeper.suspended(group, index, cause, now);
        }
    }

    /// A request is over.
    pub(super) fn over(&mut self, id: u32, failed: Option<Failed>) {
        let (took, now) = (self.now - self.requests[id as usize].arrived, self.moment());
        let request = &mut self.requests[id as usize];
        if let Some(trial) = std::mem::take(&mut request.rights).trial {
            trial.spend();
            let balancer = &mut self.balancers[request.view as usize];
            let table = balancer.table();
            balancer
                .keeper
                .group_tried(&table.groups[0], failed.is_none(), now);
        }
        let request = &mut self.requests[id as usize];
        request.generation = request.generation.wrapping_add(1);
        request.open = false;
        self.free.push(id);
        if !request.counts {
            return;
        }
        self.missing -= 1;
        self.outcome.note(took, failed);
        if let Some(watch) = &mut self.watch {
            watch(&Seen {
                number: request.number,
                arrived: request.arrived,
                view: request.view,
                backend: request.last,
                retries: request.retries,
                took,
                failed,
            });
        }
    }
}
