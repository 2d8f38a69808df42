//! Listeners: what clients ask for, what they get, how long it takes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::super::status::sum;
use super::Buckets;
use crate::base::fault::Fault;
use crate::control::view::View;
use crate::engine::registry::ListenerEntry;
use crate::routing::table::{Protocol, Table};

#[derive(Serialize)]
pub(super) struct Listener<'v> {
    name: &'v str,
    address: String,
    protocol: Option<&'static str>,
    live: bool,
    connections: u64,
    connections_total: u64,
    bytes_received: u64,
    bytes_sent: u64,
    /// By the status the client got.
    requests: BTreeMap<u16, u64>,
    /// Those that are not zero.
    faults: BTreeMap<&'static str, u64>,
    latency: Buckets,
}

pub(super) fn all(view: &View) -> Vec<Listener<'_>> {
    let each = view.listeners().iter();
    each.map(|entry| listener(entry, &view.table)).collect()
}

fn listener<'v>(entry: &'v ListenerEntry, table: &Table) -> Listener<'v> {
    let stats = &entry.stats;
    let protocol = table.listener(entry.slot);
    let mut requests = BTreeMap::new();
    for (code, count) in stats.all().flat_map(|core| core.requests.iter()) {
        *requests.entry(code).or_default() += count;
    }
    let faults = Fault::ALL.into_iter().map(|fault| {
        let count = sum(stats, |core| core.faults[fault as usize].read());
        (fault.name(), count)
    });
    Listener {
        name: &entry.name,
        address: entry.address.to_string(),
        protocol: protocol.map(|listener| match listener.protocol {
            Protocol::Http => "http",
            Protocol::Tcp => "tcp",
        }),
        live: entry.live,
        connections: sum(stats, |core| u64::from(core.connections_open.read())),
        connections_total: sum(stats, |core| core.connections.read()),
        bytes_received: sum(stats, |core| core.bytes_received.read()),
        bytes_sent: sum(stats, |core| core.bytes_sent.read()),
        requests,
        faults: faults.filter(|(_, count)| *count > 0).collect(),
        latency: Buckets::of(stats.all().map(|core| &core.latency)),
    }
}
