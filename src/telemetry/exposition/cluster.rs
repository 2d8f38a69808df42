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
    pub slots: Option<[(&'static str, u64); 3]>,
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
    let stats = facts.stats;
    for (name, kind, help, value) in [
        (
            "weir_cluster_nodes_behind",
            Kind::Gauge,
            "Other nodes that are there and serve by an older revision.",
            facts.behind,
        ),
        (
            "weir_cluster_nodes_differing",
            Kind::Gauge,
            "Other nodes that have this revision with another content: never above zero.",
            facts.differing,
        ),
        (
            "weir_cluster_datagrams_sent_total",
            Kind::Counter,
            "Datagrams sent to other nodes.",
            stats.sent.read(),
        ),
        (
            "weir_cluster_bytes_sent_total",
            Kind::Counter,
            "Bytes of datagrams sent to other nodes.",
            stats.sent_bytes.read(),
        ),
        (
            "weir_cluster_datagrams_unsent_total",
            Kind::Counter,
            "Datagrams to other nodes that the kernel did not take.",
            stats.unsent.read(),
        ),
        (
            "weir_cluster_datagrams_received_total",
            Kind::Counter,
            "Datagrams of other nodes taken in.",
            stats.received.read(),
        ),
        (
            "weir_cluster_bytes_received_total",
            Kind::Counter,
            "Bytes of datagrams of other nodes taken in.",
            stats.received_bytes.read(),
        ),
    ] {
        page.family(name, kind, help);
        page.sample("", value);
    }
    if let Some(held) = facts.slots {
        slots(page, held);
    }
    page.family(
        "weir_cluster_datagrams_rejected_total",
        Kind::Counter,
        "Datagrams refused, by reason.",
    );
    for (reason, count) in stats.rejected.iter() {
        page.sample_by("", "reason", reason, count);
    }
}

fn slots(page: &mut Page, slots: [(&'static str, u64); 3]) {
    page.family(
        "weir_cluster_slots",
        Kind::Gauge,
        "Slots of requests_max that nodes share: owned, of those lent, and held of others.",
    );
    for (which, count) in slots {
        page.sample_by("", "which", which, count);
    }
}
