//! The two files every program on a machine resolves by: /etc/hosts and /etc/resolv.conf.
//!
//! They are read again when they change, as `getaddrinfo` does; a machine without resolv.conf asks
//! a server on itself, as there.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, Resolver, TokioResolver};

const FILES: [&str; 2] = ["/etc/hosts", "/etc/resolv.conf"];

/// The longest one server is waited for, so that the next is still asked within a lookup's time.
const SERVER_TIMEOUT_MAX: Duration = Duration::from_secs(2);

/// What tells one state of the files from another; none for a file that is not there.
pub(super) type Stamp = [Option<(u64, u64, i64, i64)>; 2];

/// What resolving goes by.
pub(super) struct System {
    pub(super) hosts: Hosts,
    pub(super) resolver: TokioResolver,
    search: Vec<Name>,
    ndots: usize,
}

impl System {
    /// What a name may stand for, the first choice first.
    pub(super) fn candidates(&self, name: &Name) -> Vec<Name> {
        candidates(name, &self.search, self.ndots)
    }
}

/// The name itself when it ends in a dot; else with each domain of the search list, after the name
/// as it is if that has at least `ndots` dots, before it if not.
pub(super) fn candidates(name: &Name, search: &[Name], ndots: usize) -> Vec<Name> {
    if name.is_fqdn() {
        return vec![name.clone()];
    }
    let mut whole = name.clone();
    whole.set_fqdn(true);
    // A name that grows too long is none.
    let searched = search.iter().filter_map(|domain| {
        let mut name = name.clone().append_domain(domain).ok()?;
        name.set_fqdn(true);
        Some(name)
    });
    let dots = name.iter().count().saturating_sub(1);
    let mut candidates: Vec<Name> = searched.collect();
    let place = if dots >= ndots { 0 } else { candidates.len() };
    candidates.insert(place, whole);
    candidates
}

/// The present state of the files.
pub(super) fn stamp() -> Stamp {
    FILES.map(|path| {
        let file = fs::metadata(path).ok()?;
        Some((file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
    })
}

/// Reads the files; `servers`, if there are any, take the place of those in resolv.conf.
///
/// # Errors
/// When no resolver can be made of them.
pub(super) fn read(servers: &[SocketAddr]) -> Result<System, NetError> {
    let (config, mut options) = read_system_conf().unwrap_or_else(|error| {
        tracing::debug!(%error, "resolv.conf unreadable");
        let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let config = ResolverConfig::from_name_servers(vec![local]);
        (config, ResolverOpts::default())
    });
    let search = match (config.search(), config.domain()) {
        ([], Some(domain)) => vec![domain.clone()],
        (search, _) => search.to_vec(),
    };
    let config = match servers {
        [] => config,
        servers => ResolverConfig::from_name_servers(servers.iter().map(server).collect()),
    };
    options.timeout = options.timeout.min(SERVER_TIMEOUT_MAX);
    // The schedule asks when an answer has ended; nothing else may answer in its stead.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    let ndots = options.ndots;
    let builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    Ok(System {
        hosts: Hosts::from_system().unwrap_or_default(),
        resolver: builder.with_options(options).build()?,
        search,
        ndots,
    })
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}
