//! Nodes of one cluster: a key they share, and where each hears the others.

use std::fmt::Write as _;

use super::port::Port;
use super::{Proxy, Settings};

/// What nodes of one cluster have in common.
pub struct Nodes {
    folder: tempfile::TempDir,
    ports: Vec<Port>,
}

impl Nodes {
    /// Room for so many nodes.
    pub fn new(count: usize) -> Nodes {
        let folder = tempfile::Builder::new().prefix("weir-nodes-").tempdir();
        let folder = folder.unwrap();
        for (name, digits) in [("key", "5a"), ("other", "a5")] {
            std::fs::write(folder.path().join(name), digits.repeat(32)).unwrap();
        }
        let ports = (0..count).map(|_| Port::fresh()).collect();
        Nodes { folder, ports }
    }

    /// The `[cluster]` of a node, which is told where the first one is.
    pub fn section(&self, node: usize) -> String {
        self.section_with(node, "key")
    }

    /// The same with the key of another cluster.
    pub fn strange_section(&self, node: usize) -> String {
        self.section_with(node, "other")
    }

    /// The `[cluster]` of a node that is told of no other.
    pub fn section_alone(&self, node: usize) -> String {
        let section = self.section(node);
        let lines = section.lines().filter(|line| !line.starts_with("seeds"));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn section_with(&self, node: usize, key: &str) -> String {
        let mut section = format!("[cluster]\nnode = \"n{node}\"\n");
        let _ = writeln!(section, "bind = \"{}\"", self.ports[node].address());
        let _ = writeln!(section, "seeds = [\"{}\"]", self.ports[0].address());
        let _ = write!(section, "key_file = {:?}", self.folder.path().join(key));
        section
    }

    /// Starts a node that has all else of `settings`, with an admin interface of its own.
    pub fn start(&self, node: usize, settings: &Settings) -> Proxy {
        Nodes::beside(settings).section(&self.section(node)).start()
    }

    /// The same configuration with an admin interface of its own.
    pub fn beside(settings: &Settings) -> Settings {
        Settings {
            admin: Settings::new().admin,
            ..settings.clone()
        }
    }
}

impl Proxy {
    /// How many other nodes stand so, as this one sees them.
    pub fn nodes(&self, standing: &str) -> u64 {
        let labels = [("standing", standing)];
        self.metrics().count("weir_cluster_nodes", &labels) as u64
    }
}
