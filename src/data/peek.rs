//! Where a TCP connection goes: to the listener's group, or where a shard rule says, by the
//! client's address or by the name in a TLS hello.
//!
//! A hello is waited for within the listener's `timeouts.head` and bounded by
//! [`HELLO_BYTES_MAX`]; what was gathered is the first thing the backend receives. A client that
//! waits for the server to speak first is not one that says hello, and ends with that time. A
//! connection a rule refuses is reset: there is nobody to answer to.

use crate::base::fault::Fault;
use crate::base::id::ShardIndex;
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::conn::{OutQueue, Role};
use crate::data::ticks::ticks;
use crate::data::worker::Worker;
use crate::routing::matcher::Destination;
use crate::routing::shard::key::{Extracted, KeySource};
use crate::routing::shard::{Decision, Reject};
use crate::routing::sni::{HELLO_BYTES_MAX, Hello, peek};
use crate::routing::table::Listener;
use crate::runtime::buffers::Segment;
use crate::runtime::driver::Driver;
use crate::runtime::net;

/// What a client has said before it is known where its connection goes.
pub(super) struct Peek {
    shard: ShardIndex,
    bytes: Vec<u8>,
}

impl<D: Driver> Worker<D> {
    /// Sends a new connection on its way, or waits for what decides it.
    pub(super) fn place_relay(&mut self, down: Key, listener: &Listener, to: Destination) {
        let shard = match to {
            Destination::Group(group) => {
                return self.begin_relay_to(down, Decision::Group(group), &[]);
            }
            Destination::Shard(shard) => shard,
        };
        let (head, now) = (ticks(listener.timeouts.head), self.since_1970());
        let Some(conn) = self.conns.at_mut(down) else {
            return;
        };
        let address = net::peer_address(conn.fd());
        let Role::RelayDown(relay) = &mut conn.role else {
            return;
        };
        let table = Pinned::clone(&relay.table);
        let rule = table.shard(shard);
        if rule.source == KeySource::Sni {
            let bytes = Vec::new();
            relay.peek = Some(Box::new(Peek { shard, bytes }));
            return self.set_deadline(down, self.now.tick + head);
        }
        let ip = address.map(|address| address.ip());
        let decision = rule.decide_address(ip, |group| table.load(group));
        let former = rule.former(decision, now, |before| {
            before.decide_address(ip, |group| table.load(group))
        });
        self.note_relay_former(down, former, shard);
        self.begin_relay_to(down, decision, &[]);
    }

    /// Bytes of a connection that is not connected to a backend.
    pub(super) fn peek_bytes(&mut self, down: Key, segment: Segment) {
        let now = self.since_1970();
        let Some(Role::RelayDown(relay)) = self.conns.at_mut(down).map(|conn| &mut conn.role)
        else {
            return self.driver.buffers().give(segment);
        };
        let Some(Peek { shard, bytes }) = relay.peek.as_deref_mut() else {
            return self.driver.buffers().give(segment);
        };
        bytes.extend_from_slice(segment.bytes());
        let hello = peek(bytes);
        let key = match &hello {
            Hello::NeedMore => return self.driver.buffers().give(segment),
            Hello::Absent => Extracted::Missing,
            Hello::Found(name) => Extracted::Key(name),
            Hello::NotTls if bytes.len() >= HELLO_BYTES_MAX => Extracted::Oversized,
            Hello::NotTls => Extracted::Malformed,
        };
        let bytes = std::mem::take(bytes);
        let (shard, table) = (*shard, Pinned::clone(&relay.table));
        let rule = table.shard(shard);
        let decision = rule.decide_by(key, |group| table.load(group));
        let former = rule.former(decision, now, |before| {
            before.decide_by(key, |group| table.load(group))
        });
        relay.peek = None;
        self.driver.buffers().give(segment);
        self.note_relay_former(down, former, shard);
        self.begin_relay_to(down, decision, &bytes);
    }

    /// The client ended before it was known where its connection goes.
    pub(super) fn peek_end(&mut self, down: Key) {
        if let Some(Role::RelayDown(relay)) = self.conns.at(down).map(|conn| &conn.role)
            && relay.peek.is_some()
        {
            self.reset_relay(down, Fault::ClientAborted);
        }
    }

    /// Connects to a backend, which gets `bytes` first, or ends what a rule refuses.
    fn begin_relay_to(&mut self, down: Key, decision: Decision, bytes: &[u8]) {
        let group = match decision {
            Decision::Group(group) => group,
            Decision::Reject(Reject::Unplaced) => return self.reset_relay(down, Fault::NoRoute),
            Decision::NeedsBody | Decision::Reject(_) => {
                return self.reset_relay(down, Fault::ClientBadRequest);
            }
        };
        let mut out = OutQueue::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut segment = self.driver.buffers().empty();
            rest = &rest[segment.append(rest)..];
            out.push(segment);
        }
        if let Some(Role::RelayDown(relay)) = self.conns.at_mut(down).map(|conn| &mut conn.role) {
            relay.group = Some(group);
            let deadline = self.now.tick + relay.idle();
            self.set_deadline(down, deadline);
        }
        self.connect_relay(down, out, false, None);
        let up = self.conns.at(down).and_then(|conn| conn.peer);
        if let (Some(up), false) = (up, bytes.is_empty()) {
            self.relay_moved(down, up, bytes.len() as u64);
        }
    }
}
