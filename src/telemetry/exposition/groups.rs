//! Families of groups: how many of their backends are well, and where their breakers stand.

use crate::telemetry::exposition::GroupFacts;
use crate::telemetry::exposition::page::{Kind, Page, labels};

pub(super) fn breakers(page: &mut Page, groups: &[GroupFacts<'_>]) {
    page.family(
        "weir_breaker_group_state",
        Kind::Gauge,
        "Where the breaker of the group stands: 0 closed, 1 half-open, 2 open.",
    );
    for group in groups {
        page.sample_by("", "group", group.name, u64::from(group.breaker));
    }
    page.family(
        "weir_breaker_overflows_total",
        Kind::Counter,
        "What a limit of the group, or its open breaker, refused.",
    );
    for group in groups {
        for (limit, count) in &group.overflows {
            let labels = labels(&[("group", group.name), ("limit", limit)]);
            page.sample(&labels, *count);
        }
    }
    page.family(
        "weir_breaker_in_use",
        Kind::Gauge,
        "What is under way in the group of what is limited.",
    );
    for group in groups {
        for (limit, count) in &group.in_use {
            let labels = labels(&[("group", group.name), ("limit", limit)]);
            page.sample(&labels, u64::from(*count));
        }
    }
}

pub(super) fn groups(page: &mut Page, groups: &[GroupFacts<'_>]) {
    let of: Vec<String> = groups
        .iter()
        .map(|group| labels(&[("group", group.name)]))
        .collect();
    page.family(
        "weir_group_backends",
        Kind::Gauge,
        "Backends of a group by what this node thinks of them.",
    );
    for (labels, group) in of.iter().zip(groups) {
        for (status, count) in &group.backends {
            page.sample_by(labels, "status", status, *count);
        }
    }
    page.family(
        "weir_group_panics",
        Kind::Gauge,
        "1 if a group uses all its backends because too few are well.",
    );
    for (labels, group) in of.iter().zip(groups) {
        page.sample(labels, u64::from(group.panics));
    }
}
