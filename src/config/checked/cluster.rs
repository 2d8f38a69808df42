//! The node among others, as meant.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::BackendAddress;

/// How a node and the others know each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster it belongs to.
    pub name: Arc<str>,
    /// Who it is; the name of its machine if nothing is written.
    pub node: Option<Arc<str>>,
    /// Where it hears the others.
    pub bind: SocketAddr,
    /// Where the others reach it.
    pub advertise: SocketAddr,
    /// Where others may be.
    pub seeds: Vec<BackendAddress>,
    /// Nodes that own parts of hard limits of backends; without any, limits hold on each node.
    pub limit_owners: Vec<Arc<str>>,
    /// Nodes that check each backend, and ask each agent.
    pub observers: u32,
    /// The file of the keys all nodes share.
    pub key_file: PathBuf,
}
