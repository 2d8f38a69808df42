//! A change tried without being made: the tables before and after it, planned from nothing, so
//! that neither counters nor loads of the node play a part, and compared.
//!
//! No name is looked up: the addresses of those that are in use are taken from the table that
//! serves, and a name that is not is told. Services count as unknown, and members of files are left
//! out: a trial compares what is configured.

use std::collections::BTreeSet;

use super::compare::{Comparison, compare};
use super::planner::{Plan, PlanWarning, Resolved, plan};
use super::registry::Registry;
use crate::base::epoch::Epoch;
use crate::config::Config;
use crate::config::checked::BackendAddress;
use crate::routing::table::Table;

/// What a change would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Whom requests go to.
    pub comparison: Comparison,
    /// Listeners (name and address) that would be opened.
    pub opens: Vec<String>,
    /// Listeners that would be closed.
    pub closes: Vec<String>,
    /// Names of backends whose addresses are not known yet; they count as having none.
    pub unknown_names: Vec<String>,
    /// What planning would warn of.
    pub warnings: Vec<PlanWarning>,
}

/// Tries the change from the configuration `before`, which `serving` was planned from, to `after`,
/// with so many keys.
#[must_use]
pub fn run(before: &Config, after: &Config, serving: &Table, keys: u32) -> Trial {
    let resolved = resolved_of(before, serving);
    let planned = |config: &Config| plan(config, &resolved, Epoch(1), &mut Registry::new(1));
    let old = planned(before).table;
    let Plan {
        table: new,
        warnings,
        ..
    } = planned(after);
    let (listening, would_listen) = (listeners(&old), listeners(&new));
    let names = after.backend_names();
    let unknown = names.filter(|(host, port)| !resolved.knows(host, *port));
    let unknown = unknown.map(|(host, port)| format!("{host}:{port}"));
    let services = after.service_names().map(|name| format!("SRV {name}"));
    let known = |warning: &PlanWarning| !matches!(warning, PlanWarning::NameUnresolved { .. });
    Trial {
        comparison: compare(&old, &new, keys),
        opens: would_listen.difference(&listening).cloned().collect(),
        closes: listening.difference(&would_listen).cloned().collect(),
        unknown_names: unknown.chain(services).collect(),
        warnings: warnings.into_iter().filter(known).collect(),
    }
}

/// What the names of a configuration resolved to when its table was planned.
fn resolved_of(config: &Config, table: &Table) -> Resolved {
    let mut resolved = Resolved::default();
    for group in &config.groups {
        let planned = table.group_named(&group.name);
        for backend in &group.backends {
            let BackendAddress::Name { host, port } = &backend.address else {
                continue;
            };
            let planned = planned.into_iter().flat_map(|group| &group.backends);
            let addresses = planned.filter(|planned| planned.id == backend.id);
            let addresses = addresses.map(|planned| planned.address).collect();
            resolved.insert(host, *port, addresses);
        }
    }
    resolved
}

fn listeners(table: &Table) -> BTreeSet<String> {
    let listeners = table.listeners.iter().flatten();
    listeners
        .map(|listener| format!("{} {}", listener.name, listener.address))
        .collect()
}
