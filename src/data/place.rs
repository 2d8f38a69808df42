//! Where a request goes: its route, its shard rule, and the key of that rule in head or body.
//!
//! A decision is made once for each exchange, with the table it keeps to its end. A request whose
//! key is in its body is gathered: head and body stay in the client's stash, and a decoder and a
//! scanner look at each byte of it once, until the key is known, the body is over, or as many
//! bytes were looked at as the rule allows. Only then is it routed, and forwarded as it was
//! gathered. What waits is bounded by the head, that bound and one receive; meanwhile the
//! listener's `timeouts.body` hold, and a client that waits for 100 (Continue) gets ours.

use std::net::IpAddr;

use crate::base::fault::Fault;
use crate::base::id::{BackendIndex, GroupIndex, ListenerSlot, ShardIndex};
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::conn::{Conn, Role};
use crate::data::exchange::request_limits;
use crate::data::ticks::ticks;
use crate::data::worker::Worker;
use crate::http::{Body, Output, Refusal, RequestHead};
use crate::routing::matcher::Destination;
use crate::routing::shard::json::{Scan, Scanner};
use crate::routing::shard::key::{Extracted, JsonKey, KeySource, RequestView};
use crate::routing::shard::{Decision, Reject, Rule};
use crate::routing::table::{Group, Listener};
use crate::runtime::driver::Driver;
use crate::runtime::net;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// The framing of its body is broken.
    Broken(Refusal),
    /// To this group.
    Group(GroupIndex),
    /// No route takes it.
    Nowhere,
    /// This rule refuses it.
    Refused(ShardIndex, Reject),
}

/// What decided where a request goes, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct By {
    /// Position of the route that took it; `None` for the default of its listener.
    pub(super) route: Option<usize>,
    /// The rule that was asked.
    pub(super) shard: Option<ShardIndex>,
}

/// Where in its group a request belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Affinity {
    /// The backend its client sticks to.
    pub(super) preferred: Option<BackendIndex>,
    /// The hash of what it is placed by.
    pub(super) place: Option<u64>,
}

/// A request whose key is looked for in its body.
pub(super) struct Gather {
    /// The table it was routed with.
    pub(super) table: Pinned,
    shard: ShardIndex,
    body: Body,
    scanner: Scanner,
    head_len: usize,
    /// Bytes that were looked at, the head included.
    read: usize,
    /// We have told the client to go on.
    pub(super) continued: bool,
    /// Where it goes, once that is known.
    pub(super) placed: Option<Placed>,
    /// The route that led to the rule.
    route: Option<usize>,
}

/// What a rule may ask of a request on a connection.
struct View<'v, 's, 'b> {
    head: &'v RequestHead<'s, 'b>,
    conn: &'v Conn,
}

impl RequestView for View<'_, '_, '_> {
    fn client(&self) -> Option<IpAddr> {
        let known = match &self.conn.role {
            Role::Client(client) => client.address.as_deref().copied(),
            _ => None,
        };
        let address = known.or_else(|| net::peer_address(self.conn.fd()))?;
        Some(address.ip())
    }

    fn fields_named<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        self.head.fields_named(name)
    }

    fn host(&self) -> &[u8] {
        self.head.host()
    }

    fn method(&self) -> &[u8] {
        self.head.method_text()
    }

    fn path(&self) -> &[u8] {
        self.head.path()
    }

    fn target(&self) -> &[u8] {
        self.head.target()
    }
}

impl Gather {
    fn new(
        table: Pinned,
        (route, shard): (Option<usize>, ShardIndex),
        listener: &Listener,
        head: &RequestHead<'_, '_>,
    ) -> Gather {
        let limits = request_limits(listener.http.body_bytes_max);
        let rule = table.shard(shard);
        Gather {
            shard,
            body: Body::new(head.framing(), Output::Raw, limits),
            scanner: Scanner::new(rule.key_bytes_max),
            head_len: head.head_len(),
            read: head.head_len(),
            continued: false,
            // A body that is refused for its length is not waited for.
            placed: None,
            route,
            table,
        }
    }

    /// Where it goes and what decided that, once it is known.
    pub(super) fn decided(&self) -> Option<(Placed, By)> {
        let by = By {
            route: self.route,
            shard: Some(self.shard),
        };
        self.placed.map(|placed| (placed, by))
    }

    /// Looks at what is new in `bytes`, the request as far as it has arrived.
    fn advance(&mut self, bytes: &[u8], scratch: &mut Vec<u8>) {
        let table = Pinned::clone(&self.table);
        let rule = table.shard(self.shard);
        let load_of = |group| table.load(group);
        let KeySource::Json(key) = &rule.source else {
            return;
        };
        self.placed = match self.scan(key, bytes, scratch) {
            Ok(Extracted::NeedsBody) => None,
            Ok(Extracted::Oversized) => Some(placed(
                self.shard,
                rule.decide_by(Extracted::Oversized, load_of),
            )),
            Ok(_) => Some(placed(
                self.shard,
                rule.decide_by(self.scanner.key(), load_of),
            )),
            Err(refusal) => Some(Placed::Broken(refusal)),
        };
    }

    /// The key, once it is known. The body is over before the bound is passed if it can be.
    fn scan(
        &mut self,
        key: &JsonKey,
        bytes: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Result<Extracted<'_>, Refusal> {
        if self.body.is_oversized() {
            return Ok(Extracted::Oversized);
        }
        let end = bytes.len().min(self.head_len + key.body_bytes_max);
        let piece = bytes.get(self.read..end).unwrap_or_default();
        self.read += piece.len();
        let scan = if self.body.is_verbatim() {
            let taken = self.body.take_verbatim(piece.len());
            self.scanner.feed(&key.pointer, &piece[..taken])
        } else {
            scratch.clear();
            self.body.transcode(piece, scratch)?;
            self.scanner.feed(&key.pointer, scratch)
        };
        if scan == Scan::More && self.body.is_done() {
            self.scanner.finish(&key.pointer);
        }
        let is_at_bound = self.read - self.head_len >= key.body_bytes_max;
        Ok(match self.scanner.key() {
            Extracted::NeedsBody if is_at_bound => Extracted::Oversized,
            found => found,
        })
    }
}

impl<D: Driver> Worker<D> {
    /// Where the request in `bytes` goes and what decided that, `head` being its head; `None` while
    /// its key may still come.
    pub(super) fn place(
        &mut self,
        key: Key,
        table: &Pinned,
        listener: &Listener,
        head: &RequestHead<'_, '_>,
        bytes: &[u8],
    ) -> Option<(Placed, By)> {
        let conn = self.conns.at(key)?;
        let view = View { head, conn };
        let (route, destination) = listener.routes.choose(&view);
        let plain = By { route, shard: None };
        let shard = match destination {
            None => return Some((Placed::Nowhere, plain)),
            Some(Destination::Group(group)) => return Some((Placed::Group(group), plain)),
            Some(Destination::Shard(shard)) => shard,
        };
        let decision = table.shard(shard).decide(&view, |group| table.load(group));
        if decision != Decision::NeedsBody {
            let by = By {
                shard: Some(shard),
                ..plain
            };
            return Some((placed(shard, decision), by));
        }
        let mut gather = Gather::new(Pinned::clone(table), (route, shard), listener, head);
        gather.advance(bytes, &mut self.scratch);
        if let Some(decided) = gather.decided() {
            return Some(decided);
        }
        if head.expects_continue() {
            gather.continued = true;
            self.enqueue_bytes(key, CONTINUE);
        }
        if let Some(client) = self.client(key) {
            client.gather = Some(Box::new(gather));
        }
        None
    }

    /// Where in `group` the request with this head belongs.
    pub(super) fn affinity(&self, key: Key, group: &Group, head: &RequestHead<'_, '_>) -> Affinity {
        let (Some(conn), true) = (self.conns.at(key), group.looks_at_requests()) else {
            return Affinity::default();
        };
        let view = View { head, conn };
        Affinity {
            preferred: group.sticky.as_ref().and_then(|by| by.preferred(&view)),
            place: group
                .needs_key()
                .then(|| group.place_of_request(&view))
                .flatten(),
        }
    }

    /// The table a request is read with: the one its gathering began with, or the present one.
    pub(super) fn table_for(&self, key: Key) -> Option<(ListenerSlot, Pinned)> {
        let Role::Client(client) = &self.conns.at(key)?.role else {
            return None;
        };
        let slot = client.listener;
        let table = match &client.gather {
            Some(gather) => &gather.table,
            None => &self.listener(slot)?.table,
        };
        Some((slot, Pinned::clone(table)))
    }

    /// Looks at what has arrived of a request that is being gathered; whether it goes on.
    pub(super) fn is_gathering(&mut self, key: Key, bytes: &[u8]) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch);
        let gather = self.client(key).and_then(|client| client.gather.as_mut());
        let is_gathering = gather.is_some_and(|gather| {
            gather.advance(bytes, &mut scratch);
            gather.placed.is_none()
        });
        self.scratch = scratch;
        is_gathering
    }

    /// A client that sends a body we wait for has the time for a body.
    pub(super) fn await_body(&mut self, key: Key) {
        let wait = self
            .listener_timeouts(key)
            .map_or(0, |timeouts| ticks(timeouts.body));
        self.set_deadline(key, self.now.tick + wait);
    }

    /// Answers the exchange of client `key`, which this rule refuses.
    pub(super) fn answer_reject(&mut self, key: Key, rule: &Rule, reject: Reject) {
        let (status, fault, what) = match reject {
            Reject::Compressed => (415, Fault::ClientBadRequest, "is in a compressed body"),
            Reject::Malformed => (400, Fault::ClientBadRequest, "is malformed"),
            Reject::Missing => (400, Fault::ClientBadRequest, "is missing"),
            Reject::Oversized if matches!(rule.source, KeySource::Json(_)) => {
                let what = "is too long or too far into the body";
                (413, Fault::ClientBadRequest, what)
            }
            Reject::Oversized => (400, Fault::ClientBadRequest, "is too long"),
            Reject::Unplaced => (404, Fault::NoRoute, "belongs to no group"),
        };
        let detail = format!("shard rule {}: the key {what}", rule.name);
        self.answer(key, status, &detail, Some(fault), false);
    }
}

fn placed(shard: ShardIndex, decision: Decision) -> Placed {
    match decision {
        Decision::Group(group) => Placed::Group(group),
        // A body was asked for and read; a rule that still wants one found no key in it.
        Decision::NeedsBody => Placed::Refused(shard, Reject::Missing),
        Decision::Reject(reject) => Placed::Refused(shard, reject),
    }
}
