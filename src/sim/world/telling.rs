//! What nodes learn beside their own traffic: from backends by probes, and from each other.
//!
//! What is asked when, and what becomes of an answer, is the product's: [`Asking`] and
//! `Group::told`, or `Others::tell`. Here is what is between them: a backend answers a probe by
//! what it has at that moment, and a message of gossip takes its time.

use super::{Event, World};
use crate::base::id::BackendIndex;
use crate::health::asking::Asking;
use crate::routing::feedback::Said;

/// How often probes are made, in seconds: as the control thread looks at them.
const PROBE_TURN: f64 = 0.01;

/// Who asks, for one node.
pub(super) struct Prober {
    asking: Asking,
    /// Requests this node has handed to backends.
    pub(super) requests: u64,
}

impl World<'_> {
    /// Begins to probe and to gossip, as far as that is configured.
    pub(super) fn begin_telling(&mut self) {
        if let Some(probe) = &self.config.groups[0].probe {
            let rate = f64::from(probe.rate_percent) / 100.0;
            let asking = Asking::new(rate, f64::from(probe.rate_max));
            let prober = || Prober {
                asking: asking.clone(),
                requests: 0,
            };
            self.probers = self.balancers.iter().map(|_| prober()).collect();
            self.agenda.add(PROBE_TURN, Event::Probe);
        }
        if let Some(period) = self.entrant.nodes.gossip {
            self.agenda.add(period, Event::Gossip);
        }
    }

    /// Every node asks as many backends as are due.
    pub(super) fn probe(&mut self) {
        let (now, micros, count) = (self.moment(), self.micros(), self.sites.len());
        let World {
            probers,
            balancers,
            present,
            reports,
            probing,
            ..
        } = self;
        for (prober, balancer) in probers.iter_mut().zip(balancers) {
            let due = prober.asking.due(prober.requests, now);
            for _ in 0..due.min(u32::try_from(count).unwrap_or(u32::MAX)) {
                let Some(asked) = prober.asking.next(count, || probing.bits()) else {
                    continue;
                };
                let in_flight = present[asked as usize];
                let latency = reports.latency(asked as usize, in_flight);
                let said = Said {
                    in_flight,
                    latency_micros: (latency > 0.0).then_some((latency * 1e6) as u64),
                };
                balancer.group().told(BackendIndex(asked), said, micros);
            }
        }
        self.agenda.add(self.now + PROBE_TURN, Event::Probe);
    }

    /// Every node says what it has under way.
    pub(super) fn gossip(&mut self) {
        let Some(period) = self.entrant.nodes.gossip else {
            return;
        };
        let own = self.balancers.iter().map(|one| one.own().to_vec());
        let counts: Vec<Vec<u32>> = own.collect();
        let at = self.now + self.entrant.nodes.delay;
        self.agenda.add(at, Event::Gossiped(counts));
        self.agenda.add(self.now + period, Event::Gossip);
    }

    /// What nodes have said of themselves has arrived.
    pub(super) fn gossiped(&mut self, counts: &[Vec<u32>]) {
        let all = sums(counts, self.sites.len());
        let micros = self.micros();
        for (balancer, own) in self.balancers.iter().zip(counts) {
            let indices = (0..).map(BackendIndex);
            for (index, (all, own)) in indices.zip(all.iter().zip(own)) {
                balancer.group().heard(index, all - own, micros);
            }
        }
    }
}

/// What all nodes have under way, by backend.
pub(super) fn sums(counts: &[Vec<u32>], backends: usize) -> Vec<u32> {
    let mut all = vec![0; backends];
    for one in counts {
        all.iter_mut()
            .zip(one)
            .for_each(|(sum, count)| *sum += count);
    }
    all
}
