//! What is told arrives, again and again, over more than one process.

use super::*;
use crate::base::id::{CoreId, ListenerSlot};

/// What one process counts: one listener with two routes, two backends.
struct Process {
    listener: PerCore<ListenerStats>,
    unplaced: [PerCore<StatusCounts>; 2],
    backends: [PerCore<BackendStats>; 2],
    /// The number of its first route.
    first: u32,
}

const ROUTES: [&str; 2] = ["", "api"];

impl Process {
    fn new(first: u32) -> Process {
        Process {
            listener: PerCore::new(2),
            unplaced: [PerCore::new(2), PerCore::new(2)],
            backends: [PerCore::new(2), PerCore::new(2)],
            first,
        }
    }

    /// Some requests, `times` over, on both cores.
    fn works(&self, times: u64) {
        for core in [CoreId(0), CoreId(1)] {
            for number in 0..times {
                let listener = self.listener.of(core);
                listener.connections.inc();
                listener
                    .requests
                    .inc(if number % 3 == 0 { 404 } else { 200 });
                listener.faults[Fault::NoRoute as usize].inc();
                listener.latency.record_micros(100 * number);
                self.unplaced[1].of(core).inc(404);
                let backend = self.backends[0].of(core);
                backend.bytes_sent.add(10);
                backend.requests.inc(200);
                backend.latency.record_micros(90 * number);
                let route = RouteSerial(self.first + (number % 2) as u32);
                backend.answered.inc(route, 200);
            }
        }
    }

    fn facts(
        &self,
    ) -> (
        Vec<ListenerFacts<'_>>,
        Vec<RouteFacts<'_>>,
        Vec<BackendFacts<'_>>,
    ) {
        let listener = ListenerFacts {
            name: "web",
            address: "10.0.0.1:80".into(),
            slot: ListenerSlot(0),
            stats: &self.listener,
        };
        let routes = (self.first..)
            .map(RouteSerial)
            .zip(ROUTES)
            .zip(&self.unplaced);
        let routes = routes.map(|((serial, route), unplaced)| RouteFacts {
            listener: "web",
            route,
            serial,
            unplaced,
        });
        let backends = ["a", "b"].into_iter().zip(&self.backends);
        let backends = backends.map(|(name, stats)| BackendFacts {
            group: "app",
            name,
            address: "10.0.0.2:80".into(),
            up: true,
            breaker: 0,
            in_flight: 0,
            estimate: None,
            shadowed: false,
            stats,
        });
        (vec![listener], routes.collect(), backends.collect())
    }

    fn totals(&self) -> Totals {
        let (listeners, routes, backends) = self.facts();
        Totals::of(&listeners, &routes, &backends)
    }

    /// Hears what the process before has told.
    fn hears(&self, told: &Totals) {
        let text = serde_json::to_vec(told).unwrap();
        let heard: Totals = serde_json::from_slice(&text).unwrap();
        let (listeners, routes, backends) = self.facts();
        heard.put(&listeners, &routes, &backends);
    }
}

#[test]
fn a_process_goes_on_where_the_one_before_ends() {
    let [first, second, third] = [1, 5, 9].map(Process::new);
    let alone = Process::new(1);
    for times in [7, 4] {
        first.works(times);
        alone.works(times);
        second.hears(&first.totals());
        assert_eq!(second.totals(), first.totals(), "set, not added");
    }
    assert_eq!(first.totals(), alone.totals());
    second.works(5);
    third.hears(&second.totals());
    // What the first process does now reaches the third by the second.
    first.works(3);
    second.hears(&first.totals());
    third.hears(&second.totals());
    third.works(2);
    for times in [5, 3, 2] {
        alone.works(times);
    }
    let told = third.totals();
    assert_eq!(told, alone.totals());
    assert_eq!(
        told.listeners[0].codes[&200] + told.listeners[0].codes[&404],
        42
    );
    assert_eq!(told.backends.len(), 1, "who counted nothing is left out");
    assert_eq!(told.backends[0].answered.len(), 2);
}

#[test]
fn what_is_not_here_is_passed_over() {
    let (first, second) = (Process::new(1), Process::new(1));
    first.works(3);
    let mut told = first.totals();
    told.listeners[0].address = "10.0.0.9:80".into();
    told.routes[1].route = "gone".into();
    told.backends[0].name = "gone".into();
    second.hears(&told);
    let alone = Process::new(1);
    assert_eq!(second.totals(), alone.totals());
    let nothing: Totals = serde_json::from_str("{\"later\": 1}").unwrap();
    second.hears(&nothing);
    assert_eq!(second.totals(), alone.totals());
}

#[test]
fn routes_beyond_those_there_is_room_for_are_told_together() {
    let (first, second) = (Process::new(1), Process::new(1));
    let answered = &first.backends[0].of(CoreId(0)).answered;
    for route in 1..=500 {
        answered.inc(RouteSerial(route), 200);
    }
    let counted = |process: &Process| {
        let mut rest = 0;
        process.backends[0].all().for_each(|core| {
            core.answered.visit(|route, counts| {
                rest += if route.is_none() { counts.total() } else { 0 };
            });
        });
        rest
    };
    second.hears(&first.totals());
    assert!(counted(&first) >= 500 - 65);
    assert_eq!(counted(&second), counted(&first));
}
