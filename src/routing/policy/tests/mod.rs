//! What every policy promises, and each by itself.

use crate::routing::breaker::Breaker;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::drain::DrainTerms;
use crate::base::id::{BackendSlot, CoreId, GroupSlot};
use crate::routing::hashing::hash_key;
use crate::routing::latency::Norms;
use crate::routing::limit::{Limited, Queue};
use crate::routing::outlier::Outlier;
use crate::routing::retry::Retry;
use crate::routing::sources::Sources;
use crate::routing::standing::{GroupStanding, Standing};
use crate::routing::table::{Backend, GroupTimeouts};
use crate::telemetry::stats::PerCore;

mod adaptive;
mod placed;
mod promises;
mod shares;
mod standings;
mod turns;

const CORES: usize = 2;

const POLICIES: [PolicyKind; 13] = [
    PolicyKind::Adaptive(Adaptive {
        choices: 10,
        life_millis: 3_000,
        tolerance_percent: 30,
        failure_penalty: 20,
        nodes: 1,
    }),
    PolicyKind::LeastConnections,
    PolicyKind::LeastRequest { choices: 2 },
    PolicyKind::LeastRequest { choices: 16 },
    PolicyKind::Maglev { bounded_load: None },
    PolicyKind::PeakEwma,
    PolicyKind::Random,
    PolicyKind::Rendezvous { bounded_load: None },
    PolicyKind::RingHash { bounded_load: None },
    PolicyKind::RingHash {
        bounded_load: Some(110),
    },
    PolicyKind::RoundRobin,
    PolicyKind::WeightedLeastConnections,
    PolicyKind::WeightedRoundRobin,
];

/// A group of backends with these weights.
fn weighted(kind: PolicyKind, weights: &[u16]) -> Group {
    changed(kind, weights, |_, _| {})
}

/// A group of so many equal backends.
pub(in super::super) fn even(kind: PolicyKind, backends: usize) -> Group {
    weighted(kind, &vec![1; backends])
}

/// The same, each backend changed as it likes before the policy is made.
fn changed(kind: PolicyKind, weights: &[u16], change: impl Fn(u32, &mut Backend)) -> Group {
    let mut board = Board::new(CORES);
    let mut standings = Standings::default();
    let stats = PerCore::new(CORES);
    let backend = |(index, weight): (u32, &u16)| {
        let mut backend = Backend {
            slot: BackendSlot(index),
            id: Arc::from(format!("b{index}")),
            address: ([127, 0, 0, 1], 9000).into(),
            identity: hash_key(0, format!("b{index}").as_bytes()),
            weight: *weight,
            state: BackendState::Ready,
            drain: DrainTerms::default(),
            labels: Vec::new(),
            agent_port: None,
            connections_max: None,
            requests_max: None,
            stats: stats.clone(),
            load: board.claim(index),
            shared_by: Box::default(),
            gate: None,
            standing: standings.claim(index),
        };
        change(index, &mut backend);
        let limited = backend.requests_max.is_some() || backend.connections_max.is_some();
        backend.gate = limited.then(Arc::default);
        backend
    };
    let backends: Vec<Backend> = (0..).zip(weights).map(backend).collect();
    group_of(kind, backends, &board, &standings)
}

fn group_of(
    kind: PolicyKind,
    backends: Vec<Backend>,
    board: &Board,
    standings: &Standings,
) -> Group {
    let second = Duration::from_secs(1);
    Group {
        slot: GroupSlot(0),
        name: Arc::from("app"),
        required: Arc::default(),
        policy: Policy::new(kind, &backends, board, standings),
        shadow: None,
        backends,
        load: Board::new(CORES).claim(0),
        norm: Norms::new(CORES).claim(0),
        sources: Sources::default(),
        key_seed: 1,
        timeouts: GroupTimeouts {
            connect: second,
            response: second,
            idle: second,
            tunnel: second,
        },
        retries_max: 2,
        idle_connections_max: 8,
        head_bytes_max: 16384,
        hash_on: None,
        sticky: None,
        queue: Queue {
            requests_max: 0,
            timeout: second,
            waiting: Arc::default(),
        },
        outlier: Outlier::default(),
        retry: Retry::default(),
        breaker: Breaker::default(),
        standing: GroupStanding::default(),
    }
}

/// Sets the load of a backend, spread over the cores.
fn load(group: &Group, backend: usize, in_flight: u32) {
    let load = &group.backends[backend].load;
    load.set(CoreId(0), in_flight / 2);
    load.set(CoreId(1), in_flight - in_flight / 2);
}

fn one(group: &Group, state: &mut PickState, tried: &Tried) -> Result<BackendIndex, NoPick> {
    pick(group, state, &Ask::new(tried, 0))
}

fn picks(group: &Group, state: &mut PickState, count: usize) -> Vec<u32> {
    let next = |_| one(group, state, &Tried::NONE).unwrap().0;
    (0..count).map(next).collect()
}

/// How often each backend was picked.
fn counts(group: &Group, picks: &[u32]) -> Vec<usize> {
    let mut counts = vec![0; group.backends.len()];
    for index in picks {
        counts[*index as usize] += 1;
    }
    counts
}

fn seeded(seed: u64) -> PickState {
    PickState::new(seed, CoreId(0), GroupSlot(0))
}
