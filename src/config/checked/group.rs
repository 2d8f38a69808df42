//! Groups and their backends, as meant.

use super::{
    Adaptive, Agent, Breaker, Check, KeySource, LoadProbe, Outlier, Queue, Retry, Scrape, Shadow,
    Sticky,
};
use crate::base::drain::DrainTerms;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How a backend is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The least product of requests under way and of the time one takes there now.
    Adaptive(Adaptive),
    /// The one with the fewest requests in flight, all cores of the node together.
    LeastConnections,
    /// The least loaded of some that are drawn by weight.
    LeastRequest {
        /// How many are drawn.
        choices: u8,
    },
    /// Placed by a key, with the most even shares.
    Maglev {
        /// What each may have of its share of the load, in percent; `None` for no bound.
        bounded_load: Option<u32>,
    },
    /// Of two drawn by weight the one that promises the shorter wait.
    PeakEwma,
    /// Drawn by weight.
    Random,
    /// Placed by a key; no key moves between backends that stay.
    Rendezvous {
        /// What each may have of its share of the load, in percent; `None` for no bound.
        bounded_load: Option<u32>,
    },
    /// Placed by a key on a ring of points.
    RingHash {
        /// What each may have of its share of the load, in percent; `None` for no bound.
        bounded_load: Option<u32>,
    },
    /// One after the other.
    RoundRobin,
    /// The one with the fewest requests in flight for its weight.
    WeightedLeastConnections,
    /// In turn, as often as the weight says.
    WeightedRoundRobin,
}

impl Policy {
    /// The words of all of them, as the file has them.
    pub const NAMES: [&'static str; 11] = [
        "round_robin",
        "weighted_round_robin",
        "random",
        "least_connections",
        "weighted_least_connections",
        "least_request",
        "peak_ewma",
        "adaptive",
        "maglev",
        "ring_hash",
        "rendezvous",
    ];

    /// Whether it places by a key.
    pub(in super::super) fn places(self) -> bool {
        matches!(
            self,
            Policy::Maglev { .. } | Policy::Rendezvous { .. } | Policy::RingHash { .. }
        )
    }

    /// The word of the file.
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Policy::Adaptive(_) => "adaptive",
            Policy::LeastConnections => "least_connections",
            Policy::LeastRequest { .. } => "least_request",
            Policy::Maglev { .. } => "maglev",
            Policy::PeakEwma => "peak_ewma",
            Policy::Random => "random",
            Policy::Rendezvous { .. } => "rendezvous",
            Policy::RingHash { .. } => "ring_hash",
            Policy::RoundRobin => "round_robin",
            Policy::WeightedLeastConnections => "weighted_least_connections",
            Policy::WeightedRoundRobin => "weighted_round_robin",
        }
    }
}

/// Backends drawn by `least_request` when the file does not say.
pub const CHOICES_DEFAULT: u8 = 2;

/// A named set of interchangeable backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name, unique among groups.
    pub name: Arc<str>,
    /// How a backend is chosen.
    pub policy: Policy,
    /// A policy that picks beside it, without effect.
    pub shadow: Option<Shadow>,
    /// The backends of the configuration, at least one unless there is a file.
    pub backends: Vec<Backend>,
    /// A file that has further ones.
    pub backends_file: Option<PathBuf>,
    /// Further backends tried when one fails.
    pub retries: u32,
    /// Idle connections kept per core and backend.
    pub idle_connections_max: u32,
    /// Times.
    pub timeouts: GroupTimeouts,
    /// Sizes.
    pub limits: GroupLimits,
    /// What policies that place requests place them by; the client's address when `None`.
    pub hash_on: Option<KeySource>,
    /// How clients stay with a backend, when they do.
    pub sticky: Option<Sticky>,
    /// Where requests wait while every backend is at a hard limit.
    pub queue: Queue,
    /// How outliers are found and treated.
    pub outlier: Outlier,
    /// How long a request may take before a second copy of it goes elsewhere; `None` for never.
    pub hedge: Option<Duration>,
    /// How often the shares of weights follow what backends do; `None` for never.
    pub dynamic_weights: Option<Duration>,
    /// What is tried again.
    pub retry: Retry,
    /// How much it may have under way; no limits when `None`.
    pub breaker: Option<Breaker>,
    /// How its backends are asked whether they are well.
    pub check: Check,
    /// How their agents are asked.
    pub agent: Agent,
    /// How they are asked what they have under way; not at all when `None`.
    pub probe: Option<LoadProbe>,
    /// How their metrics are read; not at all when `None`.
    pub scrape: Option<Scrape>,
}

/// Times on the backends' side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTimeouts {
    /// A connection must be established within this time.
    pub connect: Duration,
    /// Longest wait for a response head, and longest silence inside a response body.
    pub response: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
    /// Longest silence of an upgraded connection.
    pub tunnel: Duration,
}

/// Sizes on the backends' side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// Bytes of a response head.
    pub head_bytes: usize,
}

/// One server of a group as configured; a name may yield several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// What it is known by, unique in its group: in metrics and logs, for hashing and stickiness.
    /// The address as written, unless the file gives another.
    pub id: Arc<str>,
    /// Where it is.
    pub address: BackendAddress,
    /// Its share; 0 gets no new traffic.
    pub weight: u16,
    /// What it may be given.
    pub state: BackendState,
    /// Since when it drains and until when, as far as that is said.
    pub drain: DrainTerms,
    /// What it is capable of: words, or names with a value (`zone=eu`).
    pub labels: Vec<Arc<str>>,
    /// Where its agent listens, if not where those of its group do.
    pub agent_port: Option<u16>,
    /// Open connections at one time over all cores, idle ones included; `None` for no limit.
    pub connections_max: Option<u32>,
    /// Requests at one time over all cores; `None` for no limit.
    pub requests_max: Option<u32>,
}

/// Whether labels satisfy all that is required. A word is satisfied by the label of that name, with
/// or without a value; a name with a value only by the same.
#[must_use]
pub fn satisfies(labels: &[Arc<str>], required: &[Arc<str>]) -> bool {
    required.iter().all(|required| {
        labels.iter().any(|label| match label.split_once('=') {
            Some((name, _)) if !required.contains('=') => name == &**required,
            _ => label == required,
        })
    })
}

impl Backend {
    /// Whether its id is nothing but its address, as it is when the file gives none.
    pub(in super::super) fn has_default_id(&self) -> bool {
        match &self.address {
            BackendAddress::Name { .. } | BackendAddress::Service(_) => {
                self.id.eq_ignore_ascii_case(&self.address.to_string())
            }
            BackendAddress::Socket(address) => self.id.parse() == Ok(*address),
        }
    }
}

/// What a backend may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendState {
    /// Nothing new; what runs goes on, and clients that stick to it stay for a while.
    Drain,
    /// Nothing at all; what runs may finish.
    Maint,
    /// Everything.
    Ready,
}

/// The weight of a backend the file gives none.
pub const WEIGHT_DEFAULT: u16 = 1;

/// Where a backend is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BackendAddress {
    /// A name to be resolved (lower case), and the port.
    Name {
        /// Host name; a final dot, if written, is kept.
        host: Arc<str>,
        /// Port.
        port: u16,
    },
    /// Name of SRV records (lower case; a final dot, if written, is kept), which have the rest.
    Service(Arc<str>),
    /// An address.
    Socket(SocketAddr),
}

impl fmt::Display for BackendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackendAddress::Name { host, port } => write!(f, "{host}:{port}"),
            BackendAddress::Service(name) => f.write_str(name),
            BackendAddress::Socket(address) => address.fmt(f),
        }
    }
}

/// Highest number of retries a group may ask for.
pub const RETRIES_MAX: u32 = 15;
