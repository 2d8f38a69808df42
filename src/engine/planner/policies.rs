//! Policies, from the words of the file to what a table holds.

use crate::config::checked;
use crate::engine::registry::Registry;
use crate::routing::policy::{Adaptive, Policy, PolicyKind, Shadow};
use crate::routing::table::Backend;

/// The policy of a group with these backends, all of which are claimed.
pub(super) fn of(group: &checked::Group, backends: &[Backend], registry: &Registry) -> Policy {
    made(group.policy, backends, registry)
}

/// The policy in its shadow.
pub(super) fn shadow_of(
    group: &checked::Group,
    backends: &[Backend],
    registry: &Registry,
) -> Option<Shadow> {
    group.shadow.map(|shadow| Shadow {
        policy: made(shadow.policy, backends, registry),
        every: shadow.every,
    })
}

fn made(policy: checked::Policy, backends: &[Backend], registry: &Registry) -> Policy {
    let (loads, standings) = (registry.backend_loads(), registry.standings());
    Policy::new(kind_of(policy), backends, loads, standings)
}

fn kind_of(policy: checked::Policy) -> PolicyKind {
    match policy {
        checked::Policy::Adaptive(adaptive) => PolicyKind::Adaptive(adaptive_of(&adaptive)),
        checked::Policy::LeastConnections => PolicyKind::LeastConnections,
        checked::Policy::LeastRequest { choices } => PolicyKind::LeastRequest { choices },
        checked::Policy::Maglev { bounded_load } => PolicyKind::Maglev { bounded_load },
        checked::Policy::PeakEwma => PolicyKind::PeakEwma,
        checked::Policy::Random => PolicyKind::Random,
        checked::Policy::Rendezvous { bounded_load } => PolicyKind::Rendezvous { bounded_load },
        checked::Policy::RingHash { bounded_load } => PolicyKind::RingHash { bounded_load },
        checked::Policy::RoundRobin => PolicyKind::RoundRobin,
        checked::Policy::WeightedLeastConnections => PolicyKind::WeightedLeastConnections,
        checked::Policy::WeightedRoundRobin => PolicyKind::WeightedRoundRobin,
    }
}

/// The checks of the configuration keep all of it in range.
fn adaptive_of(adaptive: &checked::Adaptive) -> Adaptive {
    let life = adaptive.memory.as_millis();
    Adaptive {
        choices: u8::try_from(adaptive.choices).unwrap_or(u8::MAX),
        life_millis: u32::try_from(life).unwrap_or(u32::MAX),
        tolerance_percent: u16::try_from(adaptive.tolerance_percent).unwrap_or(u16::MAX),
        failure_penalty: u16::try_from(adaptive.failure_penalty).unwrap_or(u16::MAX),
        nodes: u16::try_from(adaptive.nodes).unwrap_or(u16::MAX),
    }
}
