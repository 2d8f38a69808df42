//! The configuration as meant: every default filled in, every name resolved, nothing left to
//! doubt. It is built from `raw` only (the private field sees to that), so whoever holds a
//! [`Config`] need not validate anything again.
//!
//! The enums repeat some of `routing::table` on purpose: leaf modules do not know each other, and
//! the planner, which knows both, is the one place where words of the file become facts of a
//! table.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::problem::Problem;

mod admin;
mod affinity;
mod cluster;
mod dns;
mod group;
mod health;
mod load;
mod overload;
mod policy;
mod probe;
mod route;
mod shard;
mod store;
mod telemetry;
mod upgrade;

pub use admin::{Admin, MetricsDetail, Secret, Token};
pub use affinity::{Queue, SameSite, Sticky, StickyBy, StickyCookie};
pub use cluster::Cluster;
pub use dns::{Dns, DnsResolver};
pub use group::{
    Backend, BackendAddress, BackendState, CHOICES_DEFAULT, Group, GroupLimits, GroupTimeouts,
    Policy, RETRIES_MAX, SourcePrefix, WEIGHT_DEFAULT, satisfies,
};
pub use health::{Breaker, Outlier, Retry, RetryOn};
pub use load::{LoadProbe, Scrape};
pub use overload::{Overload, RefuseWith};
pub use policy::{Adaptive, Shadow};
pub use probe::{Agent, Check, CheckKind, HeartbeatDoor, HttpCheck};
pub use route::{HeaderCondition, HeaderTest, HostPattern, PathPattern, Route};
pub use shard::{
    Destination, Handover, HashAlgorithm, IntegerRange, KeySource, Shard, ShardFunction, ShardHash,
    ShardKeys, ShardOutcome, ShardRef, TextRange,
};
pub use store::{EtcdStore, EtcdTls, EtcdUser, Store};
pub use telemetry::{Collector, DecisionLog, Tracing};
pub use upgrade::Upgrade;

/// One whole configuration file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which cores serve traffic.
    pub workers: Workers,
    /// How long a worker polls network cards before it sleeps, when it does.
    pub busy_poll: Option<Duration>,
    /// The admin interface, when there is one.
    pub admin: Option<Admin>,
    /// What weir says about itself.
    pub log: Log,
    /// What weir says about each exchange, when it does.
    pub access_log: Option<AccessLog>,
    /// Where decisions are written, when they are.
    pub decision_log: Option<DecisionLog>,
    /// How traces of requests are followed, when they are.
    pub tracing: Option<Tracing>,
    /// Where heartbeats arrive beside the API, when they do.
    pub heartbeat: Option<HeartbeatDoor>,
    /// How it and other nodes know each other, when they do.
    pub cluster: Option<Cluster>,
    /// Where changes are kept, when they outlive the process.
    pub store: Option<Store>,
    /// The seed of every placement: all nodes that should place alike have the same.
    pub hash_seed: u64,
    /// How it ends.
    pub shutdown: Shutdown,
    /// How another process takes over.
    pub upgrade: Upgrade,
    /// What happens when it runs out of something.
    pub overload: Overload,
    /// How names of backends are followed.
    pub dns: Dns,
    /// Listeners in the order of the file.
    pub listeners: Vec<Listener>,
    /// Shard rules in the order of the file.
    pub shards: Vec<Shard>,
    /// Groups in the order of the file. Copies of a configuration have them in common.
    pub groups: Vec<Arc<Group>>,
    /// What is allowed and yet looks like a slip. Not part of equality.
    pub warnings: Vec<Problem>,
    pub(super) _sealed: Sealed,
}

/// Keeps anyone but this module's parent from building a [`Config`].
#[derive(Clone, Debug)]
pub(super) struct Sealed;

impl PartialEq for Config {
    fn eq(&self, other: &Config) -> bool {
        let Config {
            workers,
            busy_poll,
            admin,
            log,
            access_log,
            decision_log,
            tracing,
            heartbeat,
            cluster,
            store,
            hash_seed,
            shutdown,
            upgrade,
            overload,
            dns,
            listeners,
            shards,
            groups,
            warnings: _,
            _sealed: _,
        } = self;
        *workers == other.workers
            && *busy_poll == other.busy_poll
            && *admin == other.admin
            && *log == other.log
            && *access_log == other.access_log
            && *decision_log == other.decision_log
            && *tracing == other.tracing
            && *heartbeat == other.heartbeat
            && *cluster == other.cluster
            && *store == other.store
            && *hash_seed == other.hash_seed
            && *shutdown == other.shutdown
            && *upgrade == other.upgrade
            && *overload == other.overload
            && *dns == other.dns
            && *listeners == other.listeners
            && *shards == other.shards
            && *groups == other.groups
    }
}

impl Eq for Config {}

impl Config {
    /// The group a listener or a route names.
    #[must_use]
    pub fn group(&self, group: GroupRef) -> &Group {
        &self.groups[group.0]
    }

    /// The shard rule a listener or a route names.
    #[must_use]
    pub fn shard(&self, shard: ShardRef) -> &Shard {
        &self.shards[shard.0]
    }

    /// Every distinct name (host, port) that a backend is configured by, for the resolver.
    pub fn backend_names(&self) -> impl Iterator<Item = (&str, u16)> {
        let mut names: Vec<(&str, u16)> = self
            .groups
            .iter()
            .flat_map(|group| &group.backends)
            .filter_map(|backend| match &backend.address {
                BackendAddress::Name { host, port } => Some((&**host, *port)),
                BackendAddress::Service(_) | BackendAddress::Socket(_) => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter()
    }

    /// Every distinct name of SRV records, for the resolver.
    pub fn service_names(&self) -> impl Iterator<Item = &str> {
        let backends = self.groups.iter().flat_map(|group| &group.backends);
        let names = backends.filter_map(|backend| match &backend.address {
            BackendAddress::Service(name) => Some(&**name),
            BackendAddress::Name { .. } | BackendAddress::Socket(_) => None,
        });
        names.collect::<BTreeSet<_>>().into_iter()
    }

    /// Every distinct file of backends.
    #[must_use]
    pub fn backends_files(&self) -> BTreeSet<PathBuf> {
        let files = self.groups.iter();
        files
            .filter_map(|group| group.backends_file.clone())
            .collect()
    }
}

/// Which cores serve traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One worker for each CPU this process may run on, each pinned.
    Auto,
    /// These CPUs, one pinned worker each.
    Cores(Vec<usize>),
    /// So many workers, on the first CPUs this process may run on.
    Count(usize),
}

/// What weir says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least urgent message that is printed.
    pub level: LogLevel,
    /// How a message looks.
    pub format: LogFormat,
}

/// How urgent a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Deviations from the expected.
    Debug,
    /// Something failed for good.
    Error,
    /// State changes.
    Info,
    /// Every request.
    Trace,
    /// Worth an alert.
    Warn,
}

/// How a message looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What weir says about each exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where lines go.
    pub destination: LogDestination,
    /// What a line looks like.
    pub format: AccessLogFormat,
    /// One of so many exchanges has a line, and every one that failed.
    pub sample: u32,
}

/// Where access log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDestination {
    /// Appended to this file.
    File(PathBuf),
    /// Standard output (`"-"` in the file).
    Stdout,
    /// A syslog daemon, with the number of a facility.
    Syslog(LogReceiver, u8),
    /// Datagrams of one line each.
    Udp(SocketAddr),
}

/// Where a syslog daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogReceiver {
    /// Over UDP.
    Udp(SocketAddr),
    /// On a unix socket.
    Unix(PathBuf),
}

/// What an access log line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// The combined format Apache made common.
    Combined,
    /// What HAProxy writes with `option httplog`.
    Httplog,
    /// One JSON object a line, with everything that is known.
    Json,
}

/// How weir ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long running exchanges may take to finish; zero cuts them at once.
    pub drain_timeout: Duration,
    /// How long idle clients are let ask once more, within that.
    pub idle_grace: Duration,
}

/// Position of a group in [`Config::groups`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupRef(pub usize);

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, routed by content.
    Http,
    /// Bytes, relayed as they are.
    Tcp,
}

/// Which headers tell the backend about the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// RFC 7239 `Forwarded`.
    Forwarded,
    /// None at all.
    None,
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    XForwarded,
}

/// One listening address and how to serve it. A `tcp` listener has the defaults wherever a field
/// says HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, unique among listeners.
    pub name: Arc<str>,
    /// Where it listens. IPv6 sockets are meant to be IPv6 only: `[::]` does not cover IPv4.
    pub address: SocketAddr,
    /// What is spoken.
    pub protocol: Protocol,
    /// Where connections or requests go that no route takes.
    pub destination: Option<Destination>,
    /// Connections the kernel keeps waiting to be accepted.
    pub backlog: u32,
    /// Whether each core prefers the connections that come in on its own CPU.
    pub steered: bool,
    /// Connections at one time, over all cores.
    pub connections_max: u32,
    /// Which headers tell the backend about the client (HTTP).
    pub forwarded: Forwarded,
    /// Whether what the client sent of them is believed (HTTP).
    pub trust_forwarded: bool,
    /// Whether requests carry an `X-Request-Id` (HTTP).
    pub request_id: bool,
    /// Whether responses name their epoch and backend (HTTP).
    pub decision_headers: bool,
    /// Pseudonym for `Via` (HTTP).
    pub via: Option<Arc<str>>,
    /// Times.
    pub timeouts: ListenerTimeouts,
    /// Sizes (HTTP).
    pub limits: ListenerLimits,
    /// Routes in the order they are tried (HTTP).
    pub routes: Vec<Route>,
}

/// Times on the client's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// A request head must be complete this long after its first byte (HTTP).
    pub head: Duration,
    /// Longest silence inside a body (HTTP).
    pub body: Duration,
    /// Longest silence between two requests (HTTP) or in both directions (TCP).
    pub idle: Duration,
}

/// Sizes on the client's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Bytes of a request head.
    pub head_bytes: usize,
    /// Fields of a request head.
    pub fields: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Bytes of a request body; `None` for no limit.
    pub body_bytes: Option<u64>,
    /// Requests on one connection; `None` for no limit.
    pub requests_per_connection: Option<u32>,
}
