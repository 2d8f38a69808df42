//! The routing table: all facts a core needs to serve traffic, immutable, with an epoch.
//!
//! It is compiled on the control thread, sent whole to every core and never changed afterwards;
//! a request keeps the table it began with until its last retry. Names and addresses are resolved
//! already, so nothing here is looked up by text on the hot path but the request's own host and
//! path. What changes per request (in-flight, counters) or with health is reached through the
//! `load`, `gate`, `standing` and `stats` handles, which belong to stable slots and outlive any
//! table.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::base::drain::DrainTerms;
use crate::base::epoch::Epoch;
use crate::base::id::{
    BackendIndex, BackendSlot, CoreId, GroupIndex, GroupSlot, ListenerSlot, RouteSerial, ShardIndex,
};
use crate::base::limits::SHARD_KEY_BYTES_MAX;
use crate::routing::breaker::Breaker;
use crate::routing::hashing::hash_key;
use crate::routing::latency::GroupNorm;
use crate::routing::limit::{Full, Gate, Limited, Permit, Queue};
use crate::routing::load::Load;
use crate::routing::matcher::RouteSet;
use crate::routing::outlier::Outlier;
use crate::routing::overload::Terms;
use crate::routing::policy::{Policy, Shadow};
use crate::routing::retry::Retry;
use crate::routing::shard::Rule;
use crate::routing::shard::key::{Extracted, KeyRoom, KeySource, RequestView};
use crate::routing::sources::Sources;
use crate::routing::standing::{BackendStanding, GroupStanding};
use crate::routing::sticky::Sticky;
use crate::telemetry::stats::{BackendStats, ListenerStats, PerCore, StatusCounts};

/// All routing facts of one epoch; by default there are none.
#[derive(Default)]
pub struct Table {
    /// Number of this table.
    pub epoch: Epoch,
    /// Listeners by [`ListenerSlot`]; `None` where a slot is not in use any more.
    pub listeners: Vec<Option<Arc<Listener>>>,
    /// Groups by [`GroupIndex`]: those of the file in its order, then parts of them.
    pub groups: Vec<Group>,
    /// Shard rules by [`ShardIndex`].
    pub shards: Vec<Rule>,
    /// What is done when the node runs out of something.
    pub overload: Terms,
    /// One past the highest backend slot in use, so that cores can size their own arrays.
    pub backend_slots: u32,
    /// One past the highest group slot in use.
    pub group_slots: u32,
}

impl Table {
    /// The listener in `slot`, if it still exists in this epoch.
    #[must_use]
    pub fn listener(&self, slot: ListenerSlot) -> Option<&Arc<Listener>> {
        self.listeners.get(slot.index())?.as_ref()
    }

    /// The group of the file with this name; a search, for people and not for requests.
    #[must_use]
    pub fn group_named(&self, name: &str) -> Option<&Group> {
        self.whole_groups().find(|group| &*group.name == name)
    }

    /// The groups of the file in its order, without the parts something requires.
    pub fn whole_groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| group.required.is_empty())
    }

    /// The group at `index`.
    #[must_use]
    pub fn group(&self, index: GroupIndex) -> &Group {
        &self.groups[index.index()]
    }

    /// Requests and connections a group has in flight, all cores of the node together.
    #[must_use]
    pub fn load(&self, index: GroupIndex) -> u64 {
        u64::from(self.group(index).load.in_flight())
    }

    /// The shard rule at `index`.
    #[must_use]
    pub fn shard(&self, index: ShardIndex) -> &Rule {
        &self.shards[index.index()]
    }
}

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
pub enum ForwardedHeaders {
    /// RFC 7239 `Forwarded`.
    Forwarded,
    /// None at all.
    None,
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    XForwarded,
}

/// One listening address and how to serve it.
pub struct Listener {
    /// Stable slot.
    pub slot: ListenerSlot,
    /// Name from the configuration.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: SocketAddr,
    /// What is spoken.
    pub protocol: Protocol,
    /// Routes in the order they are tried, and the default group.
    pub routes: RouteSet,
    /// What each route is called.
    pub route_names: Box<[Arc<str>]>,
    /// What is counted of each route.
    pub route_accounts: Box<[RouteAccount]>,
    /// What is counted of requests that none of them takes.
    pub rest_account: RouteAccount,
    /// Whether each core prefers the connections that come in on its own CPU.
    pub steered: bool,
    /// Connections over all cores; more wait in the backlog.
    pub connections_max: u32,
    /// Times.
    pub timeouts: ListenerTimeouts,
    /// Sizes.
    pub http: HttpOptions,
    /// Counters by core.
    pub stats: PerCore<ListenerStats>,
}

/// What is counted of a route, beside what its backends count for it.
#[derive(Clone)]
pub struct RouteAccount {
    /// By this its backends know it.
    pub serial: RouteSerial,
    /// Requests by status that came to no backend.
    pub unplaced: PerCore<StatusCounts>,
}

impl Listener {
    /// What is counted of the route at this position.
    #[inline]
    #[must_use]
    pub fn account(&self, route: Option<usize>) -> &RouteAccount {
        let of_route = route.and_then(|position| self.route_accounts.get(position));
        of_route.unwrap_or(&self.rest_account)
    }
}

/// Times on the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// A request head must be complete this long after its first byte (HTTP), or after accept.
    pub head: Duration,
    /// Longest silence while a request body is being received, and while a response is written.
    pub body: Duration,
    /// Longest silence between two requests (HTTP) or in both directions (TCP).
    pub idle: Duration,
}

/// How HTTP is served on a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// Bytes of a request head.
    pub head_bytes_max: usize,
    /// Fields of a request head.
    pub fields_max: usize,
    /// Bytes of a request target.
    pub target_bytes_max: usize,
    /// Bytes of a request body; `u64::MAX` for no limit.
    pub body_bytes_max: u64,
    /// Requests on one connection before it is closed; `u32::MAX` for no limit.
    pub requests_max: u32,
    /// Which headers tell the backend about the client.
    pub forwarded: ForwardedHeaders,
    /// Whether forwarding headers and the request id the client sent are kept and added to.
    pub trust_forwarded: bool,
    /// Pseudonym for `Via`, when it is wanted.
    pub via: Option<Arc<str>>,
    /// Whether requests carry an `X-Request-Id`.
    pub request_id: bool,
    /// Whether responses name their epoch and backend.
    pub decision_headers: bool,
}

/// A named set of interchangeable backends.
pub struct Group {
    /// Stable slot.
    pub slot: GroupSlot,
    /// Name from the configuration.
    pub name: Arc<str>,
    /// Labels all of its backends have; empty for a group of the file. With some it is the part
    /// of that group that rules with these requirements see.
    pub required: Arc<[Arc<str>]>,
    /// How a backend is chosen.
    pub policy: Policy,
    /// A policy that picks beside it, without effect.
    pub shadow: Option<Shadow>,
    /// The backends.
    pub backends: Vec<Backend>,
    /// The addresses connections to them come from.
    pub sources: Sources,
    /// What all of them have under way, whoever they have it from.
    pub load: Load,
    /// What an answer of it usually takes.
    pub norm: GroupNorm,
    /// The seed of keys that place requests among them.
    pub key_seed: u64,
    /// Times.
    pub timeouts: GroupTimeouts,
    /// Further backends tried when one refuses the connection and nothing has been sent.
    pub retries_max: u32,
    /// Idle connections kept per core and backend.
    pub idle_connections_max: u32,
    /// Bytes of a response head.
    pub head_bytes_max: usize,
    /// What policies that place requests place them by; the client's address when `None`.
    pub hash_on: Option<KeySource>,
    /// How clients stay with a backend, when they do.
    pub sticky: Option<Sticky>,
    /// Where requests wait while every backend is at a hard limit.
    pub queue: Queue,
    /// How outliers are found and treated.
    pub outlier: Outlier,
    /// What is tried again.
    pub retry: Retry,
    /// What it may have under way as a whole, and when it is left alone.
    pub breaker: Breaker,
    /// What holds for all of it at this moment.
    pub standing: GroupStanding,
}

impl Group {
    /// Notes that `core` hands a request to a backend.
    #[inline]
    pub fn enter(&self, backend: BackendIndex, core: CoreId) {
        let backend = &self.backends[backend.index()];
        backend.load.up(core);
        self.load.up(core);
        for load in &backend.shared_by {
            load.up(core);
        }
    }

    /// The hash of a key, for policies that place by one.
    #[inline]
    #[must_use]
    pub fn place_of(&self, key: &[u8]) -> u64 {
        hash_key(self.key_seed, key)
    }

    /// The hash of a client's address: its bytes, IPv4 also where it came mapped into IPv6.
    #[must_use]
    pub fn place_of_client(&self, client: IpAddr) -> u64 {
        match client.to_canonical() {
            IpAddr::V4(address) => self.place_of(&address.octets()),
            IpAddr::V6(address) => self.place_of(&address.octets()),
        }
    }

    /// Whether the choice of a backend depends on what a request says.
    #[inline]
    #[must_use]
    pub fn looks_at_requests(&self) -> bool {
        self.sticky.is_some() || self.needs_key()
    }

    /// The hash of what a request is placed by; `None` when it does not say.
    #[must_use]
    pub fn place_of_request<R: RequestView>(&self, request: &R) -> Option<u64> {
        let Some(source) = &self.hash_on else {
            return request.client().map(|client| self.place_of_client(client));
        };
        let mut room = KeyRoom::default();
        match source.extract(request, SHARD_KEY_BYTES_MAX, &mut room) {
            Extracted::Key(key) => Some(self.place_of(key)),
            _ => None,
        }
    }

    /// How long one try may wait for its answer.
    #[must_use]
    pub fn answer_timeout(&self) -> Duration {
        let whole = self.timeouts.response;
        self.retry.per_try.map_or(whole, |time| time.min(whole))
    }

    /// Notes that a request `core` had handed to a backend has left it.
    #[inline]
    pub fn leave(&self, backend: BackendIndex, core: CoreId) {
        let backend = &self.backends[backend.index()];
        backend.load.down(core);
        self.load.down(core);
        for load in &backend.shared_by {
            load.down(core);
        }
    }
}

/// Times on the backends' side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupTimeouts {
    /// A connection must be established within this time.
    pub connect: Duration,
    /// Longest wait for the response's head, and longest silence inside its body.
    pub response: Duration,
    /// How long an unused connection is kept in the pool.
    pub idle: Duration,
    /// Longest silence of an upgraded (WebSocket) connection.
    pub tunnel: Duration,
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

/// One server of a group.
#[derive(Clone)]
pub struct Backend {
    /// Stable slot.
    pub slot: BackendSlot,
    /// What it is known by in its group; the addresses of a DNS name share it.
    pub id: Arc<str>,
    /// The hash of what it is known by; addresses of a DNS name differ in it.
    pub identity: u64,
    /// Where it is.
    pub address: SocketAddr,
    /// Its share; 0 gets no new traffic.
    pub weight: u16,
    /// What it may be given.
    pub state: BackendState,
    /// Since when it drains and until when, as far as that is said.
    pub drain: DrainTerms,
    /// What it is capable of.
    pub labels: Vec<Arc<str>>,
    /// Where its agent listens, if not where those of its group do.
    pub agent_port: Option<u16>,
    /// Open connections at one time over all cores, idle ones included.
    pub connections_max: Option<u32>,
    /// Requests at one time over all cores.
    pub requests_max: Option<u32>,
    /// Counters by core.
    pub stats: PerCore<BackendStats>,
    /// What it has under way.
    pub load: Load,
    /// The loads of other groups it is in: parts of its group that rules require, and their whole.
    pub shared_by: Box<[Load]>,
    /// The account of its hard limits, if it has one.
    pub gate: Option<Arc<Gate>>,
    /// What this node thinks of it at this moment.
    pub standing: BackendStanding,
}

impl Backend {
    /// Whether a hard limit or what it says it can take keeps it from taking one more request;
    /// `has_idle` tells whether the asking core has an idle connection to it.
    #[must_use]
    pub fn is_full(&self, has_idle: &dyn Fn(BackendSlot) -> bool) -> bool {
        let capacity = self.standing.word().capacity();
        if capacity.is_some_and(|capacity| self.load.in_flight() >= capacity) {
            return true;
        }
        let Some(gate) = &self.gate else {
            return false;
        };
        let is_full = |what, max: Option<u32>, seen: &dyn Fn() -> u32| {
            max.is_some_and(|max| gate.taken(what) >= max || seen() >= max)
        };
        let limit = gate.limit();
        let requests_max = self.requests_max.map(|max| max.min(limit));
        if is_full(Limited::Requests, requests_max, &|| self.load.in_flight()) {
            if requests_max < self.requests_max {
                gate.set_short();
            }
            return true;
        }
        let unconnected = is_full(Limited::Connections, self.connections_max, &|| self.open())
            && !has_idle(self.slot);
        if unconnected {
            gate.set_starved();
        }
        unconnected
    }

    /// Whether some core found no connection since this was last asked: others should give back
    /// what they keep idle.
    #[must_use]
    pub fn is_starved(&self) -> bool {
        self.gate.as_ref().is_some_and(|gate| gate.take_starved())
    }

    /// Takes what a request needs, if requests are limited.
    ///
    /// # Errors
    /// When there are as many as there may be.
    pub fn take_request(&self) -> Result<Option<Permit>, Full> {
        self.take(Limited::Requests, self.requests_max)
    }

    /// Takes what a connection needs, if connections are limited.
    ///
    /// # Errors
    /// When there are as many as there may be.
    pub fn take_connection(&self) -> Result<Option<Permit>, Full> {
        let taken = self.take(Limited::Connections, self.connections_max);
        if let (Err(Full), Some(gate)) = (&taken, &self.gate) {
            gate.set_starved();
        }
        taken
    }

    /// Idle connections one core may keep: with a limit its share, so that no core keeps all.
    #[must_use]
    pub fn idle_max(&self, wanted: u32) -> u32 {
        let cores = u32::try_from(self.stats.cores()).unwrap_or(u32::MAX);
        self.connections_max
            .map_or(wanted, |max| wanted.min(max / cores.max(1)))
    }

    fn take(&self, what: Limited, max: Option<u32>) -> Result<Option<Permit>, Full> {
        match (&self.gate, max) {
            (Some(gate), Some(max)) => gate.take(what, max).map(Some),
            _ => Ok(None),
        }
    }

    /// Connections open now, all cores together.
    fn open(&self) -> u32 {
        let cores = self.stats.iter().map(|core| core.connections_open.read());
        cores.fold(0, u32::wrapping_add)
    }
}
