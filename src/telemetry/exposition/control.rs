//! What the control thread knows of the node as a whole.

use crate::telemetry::exposition::Facts;
use crate::telemetry::exposition::entities::LISTENER_BOUNDS;
use crate::telemetry::exposition::page::{Kind, Page, labels};
use crate::telemetry::stats::{ControlStats, HealthStats};

pub(super) fn node(page: &mut Page, facts: &Facts<'_>) {
    page.family(
        "weir_build_info",
        Kind::Gauge,
        "Always 1; the version is a label.",
    );
    page.sample(&labels(&[("version", facts.version)]), 1);
    let mut single = |name, kind, help, value| {
        page.family(name, kind, help);
        page.sample("", value);
    };
    single(
        "weir_epoch",
        Kind::Gauge,
        "Newest epoch published to the cores.",
        facts.epoch.revision(),
    );
    single(
        "weir_epoch_found",
        Kind::Gauge,
        "How often other backends were found since that epoch's configuration.",
        facts.epoch.found(),
    );
    let control = facts.control;
    single(
        "weir_epochs_published_total",
        Kind::Counter,
        "Epochs published to the cores.",
        control.published.read(),
    );
    single(
        "weir_store_unserved_total",
        Kind::Counter,
        "Revisions of other nodes that could not be served here.",
        control.unserved.read(),
    );
    single(
        "weir_resolve_failures_total",
        Kind::Counter,
        "Names that could not be resolved.",
        control.resolve_failures.read(),
    );
    single(
        "weir_upgrade_failures_total",
        Kind::Counter,
        "Upgrades that failed, after which this process went on.",
        control.upgrade_failures.read(),
    );
    single(
        "weir_backends_file_failures_total",
        Kind::Counter,
        "Times a file of backends could not be used.",
        control.file_failures.read(),
    );
    health(page, &control.health);
    latencies(page, control);
    page.family(
        "weir_reloads_total",
        Kind::Counter,
        "Reloads of the configuration by result.",
    );
    page.sample_by("", "result", "ok", control.reloads.read());
    page.sample_by("", "result", "refused", control.reload_failures.read());
}

/// How long changes take: to be made, and to be seen by every core.
fn latencies(page: &mut Page, control: &ControlStats) {
    page.family(
        "weir_epoch_adoption_seconds",
        Kind::Histogram,
        "From the publication of a table to its use by every core.",
    );
    page.histogram(
        "",
        &LISTENER_BOUNDS,
        std::iter::once(&control.adoption),
        None,
    );
    page.family(
        "weir_change_seconds",
        Kind::Histogram,
        "From asking for a change to its answer: judged, stored and published.",
    );
    let changes = std::iter::once(&control.changes);
    page.histogram("", &LISTENER_BOUNDS, changes, None);
}

fn health(page: &mut Page, stats: &HealthStats) {
    let families = [
        (
            "weir_checks_total",
            "Active checks by result.",
            "result",
            stats.checks.iter().collect::<Vec<_>>(),
        ),
        (
            "weir_agent_checks_total",
            "Questions to the agents of backends by what came of them.",
            "result",
            stats.agents.iter().collect(),
        ),
        (
            "weir_load_probes_total",
            "Probes of the load of backends by what came of them.",
            "result",
            stats.load_probes.iter().collect(),
        ),
        (
            "weir_scrapes_total",
            "Readings of the metrics of backends by what came of them.",
            "result",
            stats.scrapes.iter().collect(),
        ),
        (
            "weir_breaker_transitions_total",
            "Times the breaker of a group came to a state.",
            "to",
            stats.breakers.iter().collect(),
        ),
        (
            "weir_backend_ejections_total",
            "Backends ejected because of their traffic, by cause.",
            "cause",
            stats.ejections.iter().collect(),
        ),
        (
            "weir_backend_transitions_total",
            "Times a backend became up, down, draining or in maintenance, by whose word.",
            "source",
            stats.transitions.iter().collect(),
        ),
        (
            "weir_heartbeats_total",
            "Heartbeats believed, whole or without their figures.",
            "result",
            stats.heartbeats.iter().collect(),
        ),
        (
            "weir_heartbeats_rejected_total",
            "Heartbeats refused, by reason.",
            "reason",
            stats.rejected.iter().collect(),
        ),
    ];
    for (name, help, label, counts) in families {
        page.family(name, Kind::Counter, help);
        for (word, count) in counts {
            page.sample_by("", label, word, count);
        }
    }
}
