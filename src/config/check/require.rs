//! Labels that shard rules and routes require, and whether anybody has them.
//!
//! What a rule requires counts for every group it leads to, its default and its outcomes included:
//! a request that needs a label needs it wherever it goes. A group none of whose backends has the
//! labels would answer each of these requests with 503, which is a mistake here and not a surprise
//! there; unless a file may bring one that has them. Drained backends and those without weight
//! count as having theirs: that is a state.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::checked::{Config, Destination, GroupRef, satisfies};
use super::super::problem::{At, Problems};
use super::super::raw::{self, Texts};
use super::backend::check_labels;

/// Pairs of a group and what is required of it. Each is a choice of its own, with tables of its
/// own.
const PAIRS_MAX: usize = 4096;

/// The labels in their order.
pub(super) fn labels(written: &Texts, problems: &mut Problems<'_>) -> Vec<Arc<str>> {
    let mut labels = check_labels(written, problems);
    labels.sort_unstable();
    labels
}

/// The labels a route requires; of one that leads to a rule, the rule says them.
pub(super) fn of_route(raw: &raw::Route, problems: &mut Problems<'_>) -> Vec<Arc<str>> {
    if let (Some(written), Some(_)) = (&raw.require, &raw.shard) {
        let fix = "write it in the [[shard]] section of the rule";
        problems.error(
            &written.at,
            "what a shard rule places is required by the rule",
            fix,
        );
    }
    labels(&raw.require, problems)
}

/// Notes every requirement that no backend of a group satisfies.
pub(super) fn check(raw: &raw::File, config: &Config, problems: &mut Problems<'_>) {
    if config.groups.len() != raw.groups.len() {
        // A group with a mistake is missing, and positions do not fit.
        return;
    }
    let mut pairs = Pairs {
        raw,
        config,
        seen: BTreeSet::new(),
    };
    for shard in &config.shards {
        let named = |raw: &&raw::Shard| raw.name.as_ref().is_some_and(|n| *n.value == *shard.name);
        let written = raw.shards.iter().find(named);
        if let Some(written) = written.and_then(|raw| raw.require.as_ref()) {
            for group in shard.groups() {
                pairs.add(group, &shard.require, &written.at, problems);
            }
        }
    }
    let listeners = raw.listeners.iter().zip(&config.listeners);
    for (written, listener) in listeners.filter(|_| raw.listeners.len() == config.listeners.len()) {
        if written.routes.len() != listener.routes.len() {
            continue;
        }
        for (written, route) in written.routes.iter().zip(&listener.routes) {
            if let (Some(written), Destination::Group(group)) =
                (&written.require, route.destination)
            {
                pairs.add(group, &route.require, &written.at, problems);
            }
        }
    }
}

/// Requirements of groups so far.
struct Pairs<'c> {
    raw: &'c raw::File,
    config: &'c Config,
    seen: BTreeSet<(GroupRef, &'c [Arc<str>])>,
}

impl<'c> Pairs<'c> {
    fn add(
        &mut self,
        group: GroupRef,
        required: &'c [Arc<str>],
        at: &At,
        problems: &mut Problems<'_>,
    ) {
        if required.is_empty() {
            return;
        }
        let found = self.config.group(group);
        let mut backends = found.backends.iter();
        let satisfied = backends.any(|backend| satisfies(&backend.labels, required));
        let found_later = found.backends_file.is_some();
        // The backend that has them may be the one with another mistake.
        if !satisfied && !found_later && !problems.noted_below(&self.raw.groups[group.0].at) {
            let what = format!(
                "no backend of group {:?} has {}",
                &*found.name,
                required.join(" and ")
            );
            problems.error(at, what, "give one these labels, or require less");
        }
        let before = self.seen.len();
        self.seen.insert((group, required));
        if (before, self.seen.len()) == (PAIRS_MAX, PAIRS_MAX + 1) {
            let what = "too many groups with something required of them";
            problems.error(
                at,
                what,
                format!("require at most {PAIRS_MAX} pairs of both"),
            );
        }
    }
}
