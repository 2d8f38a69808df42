//! The node among others as TOML.

use super::super::checked::Cluster;
use super::Page;

pub(super) fn print(cluster: &Cluster, page: &mut Page) {
    page.section("[cluster]");
    page.text("name", &cluster.name);
    if let Some(node) = &cluster.node {
        page.text("node", node);
    }
    page.text("bind", &cluster.bind.to_string());
    page.text("advertise", &cluster.advertise.to_string());
    page.texts("seeds", cluster.seeds.iter().map(ToString::to_string));
    let owners = cluster.limit_owners.iter();
    page.texts("limit_owners", owners.map(ToString::to_string));
    page.raw("observers", cluster.observers);
    page.text("key_file", &cluster.key_file.to_string_lossy());
}
