//! What a node knows of the others.

use crate::telemetry::cluster::ClusterStats;
use crate::telemetry::exposition::page::{Kind, Page};

/// The other nodes, and what is counted of talking with them.
pub struct ClusterFacts<'a> {
    /// How many of them stand how.
    pub nodes: Vec<(&'static str, u64)>,
    /// Nodes that are there and serve by an older revision than this one.
    pub behind: u64,
    /// Nodes that are there with this one's revision and another configuration.
    pub differing: u64,
    /// Slots of limits that nodes share: the node's own, of those lent, and held of others.
    pub slots: Option<[(&'static str, u64); 4]>,
    /// Agents this node asks.
    pub asked: u64,
    /// Backends this node checks.
    pub checked: u64,
    /// Of how many backends each observer finds something else than the others, for long.
    pub contradicting: Vec<(String, u64)>,
    /// What is counted.
    pub stats: &'a ClusterStats,
}

pub(super) fn cluster(page: &mut Page, facts: &ClusterFacts<'_>) {
    page.family(
        "weir_cluster_nodes",
        Kind::Gauge,
        "Other nodes of the cluster by how they stand.",
    );
    for (standing, count) in &facts.nodes {
        page.sample_by("", "standing", standing, *count);
    }
    for (name, help, value) in [
        (
            "weir_cluster_nodes_behind",
            "Other nodes that are there and serve by an older revision.",
            facts.behind,
        ),
        (
            "weir_cluster_nodes_differing",
            "Other nodes that have this revision with another content: never above zero.",
            facts.differing,
        ),
        (
            "weir_cluster_agents_asked",
            "Agents of backends that this node asks.",
            facts.asked,
        ),
        (
            "weir_cluster_backends_checked",
            "Backends whose checks this node makes.",
            facts.checked,
        ),
    ] {
        page.family(name, Kind::Gauge, help);
        page.sample("", value);
    }
    datagrams(page, facts.stats);
    contradicting(page, &facts.contradicting);
    if let Some(held) = facts.slots {
        slots(page, held);
    }
    rejected(page, facts.stats);
}

fn datagrams(page: &mut Page, stats: &ClusterStats) {
    for (name, help, value) in [
        (
            "weir_cluster_datagrams_sent_total",
            "Datagrams sent to other nodes.",
            stats.sent.read(),
        ),
        (
            "weir_cluster_sent_bytes_total",
            "Bytes of datagrams sent to other nodes.",
            stats.sent_bytes.read(),
        ),
        (
            "weir_cluster_datagrams_unsent_total",
            "Datagrams to other nodes that the kernel did not take.",
            stats.unsent.read(),
        ),
        (
            "weir_cluster_datagrams_received_total",
            "Datagrams of other nodes taken in.",
            stats.received.read(),
        ),
        (
            "weir_cluster_received_bytes_total",
            "Bytes of datagrams of other nodes taken in.",
            stats.received_bytes.read(),
        ),
    ] {
        page.family(name, Kind::Counter, help);
        page.sample("", value);
    }
}

fn rejected(page: &mut Page, stats: &ClusterStats) {
    page.family(
        "weir_cluster_datagrams_rejected_total",
        Kind::Counter,
        "Datagrams refused, by reason.",
    );
    for (reason, count) in stats.rejected.iter() {
        page.sample_by("", "reason", reason, count);
    }
}

fn contradicting(page: &mut Page, nodes: &[(String, u64)]) {
    page.family(
        "weir_cluster_observers_contradicting",
        Kind::Gauge,
        "Backends of which a node finds for long what the other observers do not, by that node.",
    );
    for (node, count) in nodes {
        page.sample_by("", "node", node, *count);
    }
}

fn slots(page: &mut Page, slots: [(&'static str, u64); 4]) {
    page.family(
        "weir_cluster_slots",
        Kind::Gauge,
        "Slots of requests_max nodes share: owned, of those lent, held of others, taken over.",
    );
    for (which, count) in slots {
        page.sample_by("", "which", which, count);
    }
}
