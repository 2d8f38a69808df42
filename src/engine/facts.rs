//! What is known of backends beside the configuration: the addresses of names, and the targets of
//! SRV records. Facts, not intent: they are never stored.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::Members;

/// What a table goes by beside the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The backends in files.
    pub members: Members,
    /// What DNS said.
    pub resolved: Resolved,
}

/// What DNS knows now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    addresses: BTreeMap<String, BTreeMap<u16, Vec<SocketAddr>>>,
    services: BTreeMap<String, Vec<Target>>,
}

/// One SRV record, and where its target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name of the target, without final dot.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
    /// Lower numbers come first.
    pub priority: u16,
    /// Its share among those of its priority.
    pub weight: u16,
    /// Its addresses; none while it does not resolve.
    pub addresses: Vec<SocketAddr>,
}

impl Resolved {
    /// Notes the addresses of `host`:`port`. An empty answer counts as none.
    pub fn insert(&mut self, host: &str, port: u16, addresses: Vec<SocketAddr>) {
        let ports = self.addresses.entry(host.to_owned()).or_default();
        ports.insert(port, addresses);
    }

    /// Notes what the SRV records of `name` say.
    pub fn insert_service(&mut self, name: &str, targets: Vec<Target>) {
        self.services.insert(name.to_owned(), targets);
    }

    /// Whether `host`:`port` has been asked for, with or without success.
    #[must_use]
    pub fn knows(&self, host: &str, port: u16) -> bool {
        let ports = self.addresses.get(host);
        ports.is_some_and(|ports| ports.contains_key(&port))
    }

    /// Whether the SRV records of `name` have been asked for, with or without success.
    #[must_use]
    pub fn knows_service(&self, name: &str) -> bool {
        self.services.contains_key(name)
    }

    /// The addresses of `host`:`port`, empty when it did not resolve.
    #[must_use]
    pub fn addresses(&self, host: &str, port: u16) -> &[SocketAddr] {
        self.addresses
            .get(host)
            .and_then(|ports| ports.get(&port))
            .map_or(&[], Vec::as_slice)
    }

    /// The targets of the SRV records of `name`, none when there are no records.
    #[must_use]
    pub fn service(&self, name: &str) -> &[Target] {
        self.services.get(name).map_or(&[], Vec::as_slice)
    }
}
