//! The members one configured backend stands for: itself, one for each address of its name, or
//! those its SRV records name.
//!
//! Of SRV records only those with the lowest priority number that has an address anywhere are
//! used: the others are their fallback. Weights are those of the records; 0, which RFC 2782 gives
//! a small chance, counts as 1, because here it would mean none.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::facts::Target;
use super::super::registry::Registry;
use super::{ADDRESSES_MAX, PlanWarning, Resolved};
use crate::config::checked::{Backend, BackendAddress, Group};

/// One place requests can go to.
pub(super) struct Member {
    pub(super) id: Arc<str>,
    pub(super) address: SocketAddr,
    pub(super) weight: u16,
}

/// Puts those of a backend behind others: most have one, and there are ten thousand of them.
pub(super) fn find(
    backend: &Backend,
    group: &Group,
    resolved: &Resolved,
    registry: &mut Registry,
    (members, warnings): (&mut Vec<Member>, &mut Vec<PlanWarning>),
) {
    let member = |address| Member {
        id: Arc::clone(&backend.id),
        address,
        weight: backend.weight,
    };
    match &backend.address {
        BackendAddress::Name { host, port } => {
            let name = (host, *port);
            let addresses = addresses_of(backend, group, name, resolved, registry, warnings);
            members.extend(addresses.into_iter().map(member));
        }
        BackendAddress::Service(name) => {
            let targets = resolved.service(name);
            members.extend(of_service(backend, group, targets, warnings));
        }
        BackendAddress::Socket(address) => members.push(member(*address)),
    }
}

/// The addresses of one name, sorted, because DNS servers rotate their answers and a table should
/// not change with them.
fn addresses_of(
    backend: &Backend,
    group: &Group,
    (host, port): (&Arc<str>, u16),
    resolved: &Resolved,
    registry: &mut Registry,
    warnings: &mut Vec<PlanWarning>,
) -> Vec<SocketAddr> {
    let key = (Arc::clone(host), port);
    let mut addresses = resolved.addresses(host, port).to_vec();
    if addresses.is_empty() {
        let kept = registry.known.get(&key).cloned().unwrap_or_default();
        warnings.push(PlanWarning::NameUnresolved {
            group: Arc::clone(&group.name),
            backend: Arc::clone(&backend.id),
            kept: kept.len(),
        });
        return kept;
    }
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.len() > ADDRESSES_MAX {
        addresses.truncate(ADDRESSES_MAX);
        warnings.push(cut(backend, group));
    }
    registry.known.insert(key, addresses.clone());
    addresses
}

fn of_service(
    backend: &Backend,
    group: &Group,
    targets: &[Target],
    warnings: &mut Vec<PlanWarning>,
) -> Vec<Member> {
    let mut members = Vec::new();
    let mut preferred: Vec<&Target> = preferred(targets).collect();
    preferred.sort_by_key(|target| (&target.host, target.port));
    for target in preferred {
        let id: Arc<str> = format!("{}:{}", target.host, target.port).into();
        let mut addresses = target.addresses.clone();
        addresses.sort_unstable();
        addresses.dedup();
        members.extend(addresses.into_iter().map(|address| Member {
            id: Arc::clone(&id),
            address,
            weight: target.weight.max(1),
        }));
    }
    if members.is_empty() {
        warnings.push(PlanWarning::NameUnresolved {
            group: Arc::clone(&group.name),
            backend: Arc::clone(&backend.id),
            kept: 0,
        });
    }
    if members.len() > ADDRESSES_MAX {
        members.truncate(ADDRESSES_MAX);
        warnings.push(cut(backend, group));
    }
    members
}

/// The targets of the lowest priority number with which any has an address.
fn preferred(targets: &[Target]) -> impl Iterator<Item = &Target> {
    let found = |target: &&Target| !target.addresses.is_empty();
    let lowest = targets
        .iter()
        .filter(found)
        .map(|target| target.priority)
        .min();
    let wanted = move |target: &&Target| found(target) && Some(target.priority) == lowest;
    targets.iter().filter(wanted)
}

fn cut(backend: &Backend, group: &Group) -> PlanWarning {
    PlanWarning::NameCut {
        group: Arc::clone(&group.name),
        backend: Arc::clone(&backend.id),
    }
}
