//! A change tried without being made: the tables before and after it, planned from nothing, so
//! that neither counters nor loads of the node play a part, and compared.
//!
//! Nothing is looked up: names and files that are in use stand for what is known of them now, and
//! those that are not are told.

use std::collections::BTreeSet;

use super::compare::{Comparison, compare};
use super::facts::Facts;
use super::planner::{Plan, PlanWarning, plan};
use super::registry::Registry;
use crate::base::epoch::Epoch;
use crate::config::Config;
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
    /// Names, services and files of backends that nothing is known of yet; they count as empty.
    pub unknown_names: Vec<String>,
    /// What planning would warn of.
    pub warnings: Vec<PlanWarning>,
}

/// Tries the change from the configuration `before` to `after`, by what is known now, with so many
/// keys.
#[must_use]
pub fn run(before: &Config, after: &Config, facts: &Facts, keys: u32) -> Trial {
    let planned = |config: &Config| {
        let merged = config.with_members(&facts.members);
        plan(&merged, &facts.resolved, Epoch(1), &mut Registry::new(1))
    };
    let old = planned(before).table;
    let Plan {
        table: new,
        warnings,
        ..
    } = planned(after);
    let (listening, would_listen) = (listeners(&old), listeners(&new));
    let known = |warning: &PlanWarning| !matches!(warning, PlanWarning::NameUnresolved { .. });
    Trial {
        comparison: compare(&old, &new, keys),
        opens: would_listen.difference(&listening).cloned().collect(),
        closes: listening.difference(&would_listen).cloned().collect(),
        unknown_names: unknown(after, facts),
        warnings: warnings.into_iter().filter(known).collect(),
    }
}

/// What the configuration goes by that is not known.
fn unknown(config: &Config, facts: &Facts) -> Vec<String> {
    let Facts { members, resolved } = facts;
    let merged = config.with_members(members);
    let names = merged.backend_names();
    let names = names.filter(|(host, port)| !resolved.knows(host, *port));
    let services = merged.service_names();
    let services = services.filter(|name| !resolved.knows_service(name));
    let files = config.backends_files().into_iter();
    let files = files.filter(|path| !members.contains_key(path));
    names
        .map(|(host, port)| format!("{host}:{port}"))
        .chain(services.map(|name| format!("SRV {name}")))
        .chain(files.map(|path| format!("file {}", path.display())))
        .collect()
}

fn listeners(table: &Table) -> BTreeSet<String> {
    let listeners = table.listeners.iter().flatten();
    listeners
        .map(|listener| format!("{} {}", listener.name, listener.address))
        .collect()
}
