//! `[cluster]`: how a node and the others know each other.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::checked::Cluster;
use super::super::problem::Problems;
use super::super::raw::{self, Text};
use super::super::reader::Written;
use super::address;
use super::names::is_valid;
use super::values::{missing, number, path};

/// The cluster of whoever names none.
const NAME: &str = "weir";

/// Nodes of one cluster.
const NODES_MAX: usize = 64;

/// Addresses that may be given.
const SEEDS_MAX: usize = 64;

/// Nodes that check a backend, of whoever says nothing: one may be wrong, or die.
const OBSERVERS: u32 = 3;

const KEY_FILE: &str = "\"/etc/weir/cluster.key\"";

pub(super) fn check(raw: &raw::Cluster, problems: &mut Problems<'_>) -> Option<Cluster> {
    let name = match &raw.name {
        None => Some(Arc::from(NAME)),
        Some(written) => name_of(written, problems),
    };
    let node = raw
        .node
        .as_ref()
        .and_then(|written| name_of(written, problems));
    let places = places(raw, problems);
    let seeds = check_seeds(raw, problems);
    let key_file = match &raw.key_file {
        Some(written) => path(written, &format!("write key_file = {KEY_FILE}"), problems),
        None => {
            missing(&raw.at, "key_file", KEY_FILE, problems);
            None
        }
    };
    let limit_owners = check_owners(raw, problems);
    let observers = number(&raw.observers, OBSERVERS, 1..=NODES_MAX as u32, problems);
    let (bind, advertise) = places?;
    Some(Cluster {
        name: name?,
        node,
        bind,
        advertise,
        seeds,
        limit_owners,
        observers,
        key_file: key_file?,
    })
}

fn name_of(written: &Written<String>, problems: &mut Problems<'_>) -> Option<Arc<str>> {
    if is_valid(&written.value) {
        return Some(Arc::from(&*written.value));
    }
    let what = format!("{:?} is not a name", written.value);
    let fix = "write 1 to 64 letters, digits, '-', '_' or '.', such as \"node-1\"";
    problems.error(&written.at, what, fix);
    None
}

/// Where it hears, and where others reach it.
fn places(raw: &raw::Cluster, problems: &mut Problems<'_>) -> Option<(SocketAddr, SocketAddr)> {
    let Some(written) = &raw.bind else {
        missing(&raw.at, "bind", "\"10.0.0.1:7946\"", problems);
        return None;
    };
    let bind = address::listen(written, problems);
    let told = advertised(&raw.advertise, problems);
    let bind = bind?;
    match (told, raw.advertise.is_some()) {
        (Some(told), _) => Some((bind, told)),
        (None, true) => None,
        (None, false) if bind.ip().is_unspecified() => {
            missing(&raw.at, "advertise", "\"10.0.0.1:7946\"", problems);
            None
        }
        (None, false) => Some((bind, bind)),
    }
}

fn advertised(written: &Text, problems: &mut Problems<'_>) -> Option<SocketAddr> {
    let written = written.as_ref()?;
    let address = address::listen(written, problems)?;
    if address.ip().is_unspecified() {
        let what = format!("{address} reaches nobody");
        let fix = "write the address the other nodes reach this one at";
        problems.error(&written.at, what, fix);
        return None;
    }
    Some(address)
}

fn check_owners(raw: &raw::Cluster, problems: &mut Problems<'_>) -> Vec<Arc<str>> {
    let mut owners: Vec<Arc<str>> = Vec::new();
    let Some(written) = &raw.limit_owners else {
        return owners;
    };
    if let Some(excess) = written.value.get(NODES_MAX) {
        let fix = format!("write at most {NODES_MAX}: a cluster has no more nodes");
        problems.error(&excess.at, "too many nodes", fix);
    }
    for name in &written.value {
        match name_of(name, problems) {
            Some(owner) if owners.contains(&owner) => {
                problems.error(&name.at, format!("{owner} is there twice"), "remove one");
            }
            Some(owner) => owners.push(owner),
            None => {}
        }
    }
    owners
}

fn check_seeds(
    raw: &raw::Cluster,
    problems: &mut Problems<'_>,
) -> Vec<super::super::checked::BackendAddress> {
    let Some(written) = &raw.seeds else {
        return Vec::new();
    };
    if let Some(excess) = written.value.get(SEEDS_MAX) {
        let fix = format!("write at most {SEEDS_MAX}: a node tells another of all it knows");
        problems.error(&excess.at, "too many addresses", fix);
    }
    let seeds = written.value.iter();
    seeds
        .filter_map(|seed| address::backend(seed, problems))
        .collect()
}
