//! The adaptive policy: by itself, and in a small model of backends that serve what they are
//! given as fast as they can.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;
use crate::base::id::BackendIndex;
use crate::routing::feedback::Answer;
use crate::routing::latency::{Fading, Traffic};

const ADAPTIVE: PolicyKind = PolicyKind::Adaptive(Adaptive {
    choices: 10,
    life_millis: 3_000,
    tolerance_percent: 30,
    failure_penalty: 20,
    nodes: 1,
});
const SECOND: u64 = 1_000_000;

fn answered(group: &Group, backend: u32, micros: u64, now: u64) {
    let answer = Answer {
        micros,
        crowd: 0,
        status: 200,
    };
    group.answered(BackendIndex(backend), CoreId(0), answer, now);
}

fn picks_at(group: &Group, now: u64, count: usize) -> Vec<usize> {
    let mut state = seeded(7);
    let ask = Ask::new(&Tried::NONE, now);
    let picks = (0..count).map(|_| pick(group, &mut state, &ask).unwrap().0);
    counts(group, &picks.collect::<Vec<u32>>())
}

#[test]
fn who_takes_four_times_as_long_gets_a_quarter_of_the_queue() {
    for backends in [4, 40] {
        let group = even(ADAPTIVE, backends);
        for step in 0..200 {
            for backend in 0..backends as u32 {
                let took = if backend == 0 { 4000 } else { 1000 };
                answered(&group, backend, took, SECOND + step);
            }
        }
        (1..backends).for_each(|backend| load(&group, backend, 6));
        // Six elsewhere and one more, and half of what is usual, are more than four here, or less.
        let expected = [(0, true), (2, false)];
        for (in_flight, chosen) in expected {
            load(&group, 0, in_flight);
            let share = picks_at(&group, SECOND + 300, 400)[0];
            assert_eq!(share > 0, chosen, "{backends} {in_flight}: {share}");
        }
    }
}

#[test]
fn among_equals_noise_is_not_followed() {
    let group = even(ADAPTIVE, 8);
    for (backend, took) in (0..8).zip([1000, 1200, 850, 1100, 950, 1050, 900, 1000]) {
        (0..50).for_each(|_| answered(&group, backend, took, SECOND));
    }
    let counts = picks_at(&group, SECOND, 8000);
    assert!(
        counts.iter().all(|count| (850..1150).contains(count)),
        "{counts:?}"
    );
}

/// Fifty nodes see next to nothing under way each: there a time tells what the others have given.
#[test]
fn the_less_is_under_way_the_smaller_a_difference_is_followed() {
    for (under_way, followed) in [(80, false), (0, true)] {
        let group = even(ADAPTIVE, 8);
        group.load.set(CoreId(0), under_way);
        for step in 0..100 {
            for backend in 0..8 {
                let took = if backend == 3 { 800 } else { 1000 };
                answered(&group, backend, took, SECOND + step * 2000);
            }
        }
        let share = picks_at(&group, SECOND + 200_000, 800)[3];
        assert_eq!(share == 800, followed, "{under_way}: {share}");
    }
}

#[test]
fn what_was_seen_lives_longer_where_answers_are_seldom() {
    let adaptive = Adaptive::default();
    let life = |interval_micros: f32| {
        let traffic = Traffic {
            interval_micros,
            under_way: 1.0,
        };
        adaptive.fading(SECOND, Some(traffic))
    };
    let fading = |seconds: f32| Fading::new(SECOND, seconds * 1e6);
    assert_eq!(life(10_000.0), fading(5.0), "never less than is configured");
    assert_eq!(life(200_000.0), fading(10.0), "fifty answers");
    assert_eq!(life(1e6), fading(30.0), "six times as long at most");
    assert_eq!(adaptive.fading(SECOND, None), fading(5.0));
}

#[test]
fn one_that_looked_slow_is_tried_again_when_that_is_long_ago() {
    for backends in [4, 40] {
        let group = even(ADAPTIVE, backends);
        for backend in 0..backends as u32 {
            let took = if backend == 0 { 20_000 } else { 1000 };
            (0..100).for_each(|_| answered(&group, backend, took, SECOND));
        }
        assert_eq!(picks_at(&group, SECOND, 1000)[0], 0);
        let count = picks_at(&group, 31 * SECOND, 4000)[0];
        assert!(count > 2000 / backends, "{backends}: {count}");
    }
}

#[test]
fn too_many_requests_and_failures_repel_and_success_forgets_them() {
    for refuses in [true, false] {
        let group = even(ADAPTIVE, 4);
        (0..4).for_each(|backend| answered(&group, backend, 2000, SECOND));
        if refuses {
            let answer = Answer {
                micros: 10,
                crowd: 0,
                status: 429,
            };
            group.answered(BackendIndex(2), CoreId(0), answer, SECOND);
        } else {
            group.failed(BackendIndex(2), SECOND);
        }
        assert_eq!(picks_at(&group, SECOND, 400)[2], 0);
        group.backends[2].load.latency().forget();
        assert!(picks_at(&group, SECOND, 400)[2] > 50);
    }
}

#[test]
fn other_nodes_are_taken_to_do_as_this_one_does() {
    let nodes = |nodes| {
        let kind = PolicyKind::Adaptive(Adaptive {
            nodes,
            ..Adaptive::default()
        });
        let group = even(kind, 2);
        for backend in 0..2 {
            let took = if backend == 0 { 3000 } else { 1000 };
            (0..200).for_each(|_| answered(&group, backend, took, SECOND));
        }
        load(&group, 1, 1);
        picks_at(&group, SECOND, 100)[0]
    };
    // One here is two to one node and five to four: more than three times one.
    assert_eq!((nodes(1), nodes(4)), (0, 100));
}

/// A backend that shares its speed among all it has.
struct Server {
    speed: f64,
    fails: bool,
    done: f64,
    at: f64,
    jobs: BinaryHeap<Reverse<(u64, usize)>>,
    version: u64,
}

/// How one request fared.
struct Job {
    started: f64,
    server: u32,
    crowd: u8,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    Completion(u32, u64),
}

struct Model {
    group: Group,
    servers: Vec<Server>,
    random: PickState,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    jobs: Vec<Job>,
    picks: Vec<u32>,
    times: Vec<f64>,
}

/// The mean work of a request, in seconds of a backend of speed 1.
const WORK: f64 = 0.010;

/// When a virtual second is, so that stamps are as on a real clock.
const EPOCH_MICROS: f64 = 1.79e15;

impl Model {
    fn new(kind: PolicyKind, speeds: &[f64]) -> Model {
        let server = |speed: &f64| Server {
            speed: *speed,
            fails: false,
            done: 0.0,
            at: 0.0,
            jobs: BinaryHeap::new(),
            version: 0,
        };
        Model {
            group: even(kind, speeds.len()),
            servers: speeds.iter().map(server).collect(),
            random: seeded(99),
            events: BinaryHeap::new(),
            sequence: 0,
            jobs: Vec::new(),
            picks: vec![0; speeds.len()],
            times: Vec::new(),
        }
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        let uniform = (self.random.random() >> 11) as f64 / (1_u64 << 53) as f64;
        -mean * (1.0 - uniform).ln()
    }

    fn push(&mut self, at: f64, event: Event) {
        self.sequence += 1;
        let nanos = (at * 1e9) as u64;
        self.events.push(Reverse((nanos, self.sequence, event)));
    }

    fn advance(&mut self, server: u32, now: f64) {
        let server = &mut self.servers[server as usize];
        let jobs = server.jobs.len();
        if jobs > 0 {
            server.done += server.speed / jobs as f64 * (now - server.at);
        }
        server.at = now;
    }

    fn schedule(&mut self, index: u32, now: f64) {
        let server = &mut self.servers[index as usize];
        server.version += 1;
        let version = server.version;
        if let Some(Reverse((work, _))) = server.jobs.peek() {
            let left = (*work as f64 / 1e12 - server.done).max(0.0);
            let at = now + left * server.jobs.len() as f64 / server.speed + 1e-9;
            self.push(at, Event::Completion(index, version));
        }
    }

    /// Serves so many requests a second for so long, and forgets what was counted before.
    fn run(&mut self, rate: f64, from: f64, until: f64, state: &mut PickState) {
        self.picks.fill(0);
        self.times.clear();
        let first = from + self.exponential(1.0 / rate);
        self.push(first, Event::Arrival);
        while let Some(Reverse((nanos, _, event))) = self.events.pop() {
            let now = nanos as f64 / 1e9;
            match event {
                Event::Arrival if now >= until => {}
                Event::Arrival => {
                    let next = now + self.exponential(1.0 / rate);
                    self.push(next, Event::Arrival);
                    self.arrive(now, state);
                }
                Event::Completion(server, version) => self.complete(server, version, now),
            }
        }
    }

    fn arrive(&mut self, now: f64, state: &mut PickState) {
        let ask = Ask::new(&Tried::NONE, (EPOCH_MICROS + now * 1e6) as u64);
        let index = pick(&self.group, state, &ask).unwrap();
        self.picks[index.index()] += 1;
        self.group.enter(index, CoreId(0));
        let crowd = self.group.crowd_at(index, ask.now_micros);
        let server = index.0;
        let work = match self.servers[index.index()].fails {
            true => 0.0001,
            false => self.exponential(WORK),
        };
        self.advance(server, now);
        self.jobs.push(Job {
            started: now,
            server,
            crowd,
        });
        let until = self.servers[index.index()].done + work;
        let job = Reverse(((until * 1e12) as u64, self.jobs.len() - 1));
        self.servers[index.index()].jobs.push(job);
        self.schedule(server, now);
    }

    fn complete(&mut self, server: u32, version: u64, now: f64) {
        if self.servers[server as usize].version != version {
            return;
        }
        self.advance(server, now);
        let Some(Reverse((_, job))) = self.servers[server as usize].jobs.pop() else {
            return;
        };
        let (job, index) = (&self.jobs[job], BackendIndex(server));
        debug_assert_eq!(job.server, server);
        self.group.leave(index, CoreId(0));
        let micros = ((now - job.started) * 1e6) as u64;
        let unix = (EPOCH_MICROS + now * 1e6) as u64;
        if self.servers[server as usize].fails {
            self.group.failed(index, unix);
        } else {
            let answer = Answer {
                micros,
                crowd: job.crowd,
                status: 200,
            };
            self.group.answered(index, CoreId(0), answer, unix);
        }
        self.times.push(now - job.started);
        self.schedule(server, now);
    }

    /// The share of the picks `server` had, 1 being its even share.
    fn share(&self, server: usize) -> f64 {
        let total: u32 = self.picks.iter().sum();
        f64::from(self.picks[server]) * self.picks.len() as f64 / f64::from(total)
    }

    fn p99(&mut self) -> f64 {
        self.times.sort_by(f64::total_cmp);
        self.times[self.times.len() * 99 / 100]
    }
}

/// The 99th percentile after a while, at this part of the capacity.
fn p99_of(kind: PolicyKind, speeds: &[f64], load: f64) -> f64 {
    let rate = speeds.iter().sum::<f64>() / WORK * load;
    let (mut model, mut state) = (Model::new(kind, speeds), seeded(3));
    model.run(rate, 0.0, 5.0, &mut state);
    model.run(rate, 5.0, 15.0, &mut state);
    model.p99()
}

#[test]
fn with_slow_backends_its_tail_is_the_shortest_and_among_equals_it_is_no_longer() {
    let mut uneven = [1.0; 16];
    (uneven[3], uneven[11]) = (0.1, 0.1);
    let [adaptive, least, ewma] = [ADAPTIVE, PolicyKind::LeastConnections, PolicyKind::PeakEwma]
        .map(|kind| p99_of(kind, &uneven, 0.6));
    assert!(adaptive < 0.7 * least, "{adaptive} {least}");
    assert!(adaptive < 0.9 * ewma, "{adaptive} {ewma}");
    for (backends, load) in [(16, 0.8), (40, 0.8), (16, 0.4)] {
        let [adaptive, least] = [ADAPTIVE, PolicyKind::LeastConnections]
            .map(|kind| p99_of(kind, &vec![1.0; backends], load));
        assert!(
            adaptive < 1.13 * least,
            "{backends} {load}: {adaptive} {least}"
        );
    }
}

#[test]
fn equals_have_equal_shares_near_saturation() {
    let (mut model, mut state) = (Model::new(ADAPTIVE, &[1.0; 20]), seeded(5));
    let rate = 20.0 / WORK * 0.9;
    model.run(rate, 0.0, 5.0, &mut state);
    // Long enough for the chance in which arrivals come to be small beside the bound.
    model.run(rate, 5.0, 25.0, &mut state);
    for server in 0..20 {
        let share = model.share(server);
        assert!((0.9..1.1).contains(&share), "{server}: {share}");
    }
}

#[test]
fn one_that_fails_fast_gets_less_than_its_share_at_once_and_is_back_when_it_is_well() {
    let fails = |kind| {
        let (mut model, mut state) = (Model::new(kind, &[1.0; 20]), seeded(8));
        let rate = 20.0 / WORK * 0.7;
        model.run(rate, 0.0, 5.0, &mut state);
        model.servers[6].fails = true;
        model.run(rate, 5.0, 6.0, &mut state);
        let first = model.share(6);
        model.run(rate, 6.0, 10.0, &mut state);
        let then = model.share(6);
        model.servers[6].fails = false;
        model.run(rate, 10.0, 40.0, &mut state);
        model.run(rate, 40.0, 50.0, &mut state);
        (first, then, model.share(6))
    };
    let (sinkhole, _, _) = fails(PolicyKind::LeastConnections);
    assert!(sinkhole > 1.5, "{sinkhole}: else the test shows nothing");
    let (first, then, well) = fails(ADAPTIVE);
    assert!(first < 0.2 && then < 0.2, "{first} {then}");
    assert!((0.8..1.2).contains(&well), "{well}");
}
