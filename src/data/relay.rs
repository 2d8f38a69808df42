//! Plain byte relay: TCP listeners, and HTTP connections after an upgrade.
//!
//! Each direction is independent: its end is passed on as a half-close once everything before it
//! has been sent, and the pair is closed when both directions have ended. A reset on one side
//! becomes a reset on the other, so that nobody takes a truncated stream for a complete one.
//! The backend's handshake is not waited for: what the client sends goes into the kernel's hands
//! at once, and while nothing has been taken from them a refused connection is tried again on
//! another backend.

use std::net::SocketAddr;

use rustix::io::Errno;

use crate::base::fault::Fault;
use crate::base::id::{BackendIndex, BackendSlot, CoreId, GroupIndex, ListenerSlot, ShardIndex};
use crate::base::limits::BUFFER_BYTES;
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::bulk::BULK_AFTER;
use crate::data::conn::{Conn, OutQueue, Role};
use crate::data::exchange::Exchange;
use crate::data::health::fault_of;
use crate::data::peek::Peek;
use crate::data::search::{Found, Means};
use crate::data::ticks::ticks;
use crate::data::worker::Worker;
use crate::routing::breaker::Rights;
use crate::routing::limit::Permit;
use crate::routing::policy::Tried;
use crate::routing::standing::Outcome;
use crate::routing::table::Backend;
use crate::runtime::buffers::Segment;
use crate::runtime::driver::Driver;
use crate::runtime::net;

/// The client's side of a relay, with the accounts of the pair.
pub(super) struct RelayDown {
    pub(super) listener: ListenerSlot,
    pub(super) table: Pinned,
    /// `None` while the first bytes are waited for that decide it.
    pub(super) group: Option<GroupIndex>,
    /// Who had its key before, while that is its second choice, and by which rule.
    pub(super) former: Option<Box<(GroupIndex, ShardIndex)>>,
    /// Those bytes, as far as they have arrived.
    pub(super) peek: Option<Box<Peek>>,
    pub(super) backend: Option<BackendIndex>,
    /// Backends that failed; none for most.
    pub(super) tried: Option<Box<Tried>>,
    pub(super) retries: u8,
    /// It goes as a trial of a backend that is suspended.
    pub(super) trial: bool,
    /// What it holds of its group.
    pub(super) rights: Rights,
    pub(super) client: Option<Box<SocketAddr>>,
    pub(super) started_micros: u64,
    /// From then to the connection to its backend; none while there is none.
    pub(super) connect_micros: Option<u64>,
    /// Longest silence, in ticks.
    pub(super) idle: u32,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    /// The request that was upgraded, for a tunnel.
    pub(super) exchange: Option<Box<Exchange>>,
}

impl RelayDown {
    /// Longest silence, in ticks.
    pub(super) fn idle(&self) -> u64 {
        self.idle.into()
    }

    pub(super) fn backend(&self) -> Option<&Backend> {
        self.table
            .group(self.group?)
            .backends
            .get(self.backend?.index())
    }

    /// The connection is not in flight any more.
    fn leave(&mut self, core: CoreId) {
        if let (Some(group), Some(backend)) = (self.group, self.backend) {
            self.table.group(group).leave(backend, core);
        }
        if std::mem::take(&mut self.trial)
            && let Some(backend) = self.backend()
        {
            backend.standing.give_back_trial();
        }
    }
}

/// The backend's side of a relay.
pub(super) struct RelayUp {
    pub(super) slot: BackendSlot,
    /// The rights to the connection and to a request, where backend or group limit these.
    pub(super) _permits: [Option<Permit>; 3],
}

impl<D: Driver> Worker<D> {
    /// Bytes on either side of a relay.
    pub(super) fn relay_bytes(&mut self, source: Key, segment: Segment) {
        let length = segment.len();
        let full = length == BUFFER_BYTES;
        let Some(conn) = self.conns.at_mut(source) else {
            return self.driver.buffers().give(segment);
        };
        conn.run_bytes = if full {
            conn.run_bytes + length as u64
        } else {
            0
        };
        let is_bulk = conn.run_bytes >= BULK_AFTER && conn.bulk.is_none();
        let Some(target) = conn.peer else {
            return self.peek_bytes(source, segment);
        };
        self.relay_moved(source, target, length as u64);
        self.enqueue(target, segment);
        if is_bulk {
            self.start_bulk(source);
        } else if self.is_congested(target) {
            self.hold(source);
        }
    }

    /// Accounts for bytes from `source` and moves the deadline of the pair.
    pub(super) fn relay_moved(&mut self, source: Key, target: Key, count: u64) {
        let down = match self.conns.at(source).map(|conn| &conn.role) {
            Some(Role::RelayDown(_)) => source,
            _ => target,
        };
        let core = self.core;
        let mut deadline = 0;
        if let Some(Role::RelayDown(relay)) = self.conns.at_mut(down).map(|c| &mut c.role) {
            deadline = self.now.tick + relay.idle();
            let listener = relay
                .table
                .listener(relay.listener)
                .map(|l| l.stats.of(core));
            let backend = relay.backend().map(|backend| backend.stats.of(core));
            if down == source {
                listener.inspect(|stats| stats.bytes_received.add(count));
                backend.inspect(|stats| stats.bytes_sent.add(count));
                relay.bytes_received += count;
            } else {
                listener.inspect(|stats| stats.bytes_sent.add(count));
                backend.inspect(|stats| stats.bytes_received.add(count));
                relay.bytes_sent += count;
            }
        }
        self.set_deadline(down, deadline);
    }

    /// One side of a relay has ended.
    pub(super) fn relay_end(&mut self, source: Key) {
        let Some(conn) = self.conns.at_mut(source) else {
            return;
        };
        let Some(target) = conn.peer else {
            return self.peek_end(source);
        };
        let Some(peer) = self.conns.at_mut(target) else {
            return;
        };
        peer.finish_when_sent = true;
        if peer.is_flushed() {
            self.relay_flushed(target);
        }
    }

    /// Everything queued for `target` has been sent.
    pub(super) fn relay_flushed(&mut self, target: Key) {
        let Some(conn) = self.conns.at_mut(target) else {
            return;
        };
        let source = conn.peer;
        let spliced = source
            .and_then(|key| self.conns.at(key))
            .is_some_and(|source| source.bulk.is_some());
        if spliced {
            return self.begin_bulk_when_ready(source.unwrap_or(target));
        }
        let Some(conn) = self.conns.at_mut(target) else {
            return;
        };
        if conn.finish_when_sent && !conn.finished {
            conn.finished = true;
            if !conn.ended {
                net::finish_sending(conn.fd());
            }
            return self.close_if_both_ended(target);
        }
        if let Some(source) = source {
            self.release(source);
        }
    }

    fn close_if_both_ended(&mut self, key: Key) {
        let Some(conn) = self.conns.at(key) else {
            return;
        };
        let peer_finished = conn
            .peer
            .and_then(|peer| self.conns.at(peer))
            .is_none_or(|peer| peer.finished);
        if conn.finished && peer_finished {
            self.end_relay(key, None);
        }
    }

    /// Receiving or sending failed on one side of a relay.
    pub(super) fn relay_failed(&mut self, key: Key, error: Errno) {
        let Some(conn) = self.conns.at(key) else {
            return;
        };
        match conn.role {
            Role::RelayUp(_) if !conn.established => self.fail(key, error),
            Role::RelayUp(_) => self.reset_relay(key, Fault::UpstreamAborted),
            _ => self.reset_relay(key, Fault::ClientAborted),
        }
    }

    /// A backend's connection failed and the kernel holds nothing of it any more: the next
    /// backend is tried if nothing was taken, else the relay ends.
    pub(super) fn settle_failed_relay(&mut self, up: Key, error: Errno) {
        let Some(conn) = self.conns.at_mut(up) else {
            return;
        };
        if conn.established {
            return self.reset_relay(up, Fault::UpstreamAborted);
        }
        let out = std::mem::take(&mut conn.out);
        let finish = conn.finish_when_sent;
        let down = conn.peer.take();
        self.close(up);
        let Some(down) = down else {
            return self.give_queue(out);
        };
        self.count_connect_failure(down);
        self.connect_relay(down, out, finish, Some(error));
    }

    fn count_connect_failure(&mut self, down: Key) {
        let core = self.core;
        self.observe(down, Outcome::ConnectFailed);
        let Some(Role::RelayDown(relay)) = self.conns.at_mut(down).map(|c| &mut c.role) else {
            return;
        };
        if let Some(backend) = relay.backend() {
            let stats = backend.stats.of(core);
            stats.connect_failures.inc();
            stats.connections_open.down();
            stats.retries.inc();
        }
        relay.leave(core);
        if let Some(index) = relay.backend.take() {
            relay.tried.get_or_insert_default().insert(index);
        }
    }

    /// Connects a relay to the next backend of its group, with what is queued for it.
    pub(super) fn connect_relay(
        &mut self,
        down: Key,
        mut out: OutQueue,
        finish: bool,
        failure: Option<Errno>,
    ) {
        let (core, now) = (self.core, self.now);
        let Some(Role::RelayDown(relay)) = self.conns.at_mut(down).map(|c| &mut c.role) else {
            return self.give_queue(out);
        };
        let table = Pinned::clone(&relay.table);
        let Some(group) = relay.group.map(|index| table.group(index)) else {
            return self.give_queue(out);
        };
        if group.looks_at_requests() && relay.client.is_none() {
            self.find_client(down);
        }
        let Some(Role::RelayDown(relay)) = self.conns.at_mut(down).map(|c| &mut c.role) else {
            return self.give_queue(out);
        };
        if failure.is_none() {
            self.budgets[group.slot.index()].enter(now.second());
            match group.breaker.admit(&group.standing) {
                Ok(rights) => relay.rights = rights,
                Err(overflow) => return self.relay_unplaced(down, out, finish, fault_of(overflow)),
            }
        }
        let mut means = Means {
            picks: &mut self.picks[group.slot.index()],
            source_turn: &mut self.source_turns[group.slot.index()],
            budget: &mut self.budgets[group.slot.index()],
            refused: Vec::new(),
            lack: None,
            core,
            now,
        };
        let found = relay.search(group, &mut means, failure);
        let lack = means.lack;
        for (index, trial) in means.refused {
            self.observe_at(group, index, Outcome::ConnectFailed, trial);
        }
        match found {
            Ok(found) => {
                let up = self.join(down, found, finish);
                while let Some(segment) = out.pop() {
                    self.enqueue(up, segment);
                }
                self.set_deadline(up, self.now.tick + ticks(group.timeouts.connect));
            }
            Err(fault) => {
                if let Some(error) = lack {
                    self.ran_out(error);
                }
                self.relay_unplaced(down, out, finish, fault);
            }
        }
    }

    /// Gives a relay the connection that was found for it.
    fn join(&mut self, down: Key, found: Found<'_>, finish: bool) -> Key {
        let Found {
            fd,
            backend,
            permits,
        } = found;
        backend.stats.of(self.core).connections_open.up();
        let (slot, _permits) = (backend.slot, permits);
        let mut conn = Conn::new(fd, Role::RelayUp(RelayUp { slot, _permits }));
        conn.peer = Some(down);
        conn.finish_when_sent = finish;
        let up = self.add(conn);
        if let Some(conn) = self.conns.at_mut(down) {
            conn.peer = Some(up);
        }
        // Receiving comes first: whichever of the two is tried first is told of a refusal, and the
        // other would take it for an orderly end.
        self.receive_more(up);
        up
    }

    /// Looks up who the client of a relay is.
    fn find_client(&mut self, down: Key) {
        let address = self.conns.at(down).and_then(|c| net::peer_address(c.fd()));
        if let Some(Role::RelayDown(relay)) = self.conns.at_mut(down).map(|c| &mut c.role) {
            relay.client = address.map(Box::new);
        }
    }

    /// The connect deadline of the backend's side.
    pub(super) fn relay_up_due(&mut self, up: Key) {
        let Some(conn) = self.conns.at_mut(up) else {
            return;
        };
        if conn.established || net::is_connected(conn.fd()) {
            return self.establish(up);
        }
        self.relay_failed(up, Errno::TIMEDOUT);
    }

    /// Ends a relay at once, telling both sides by a reset.
    pub(super) fn reset_relay(&mut self, key: Key, fault: Fault) {
        for key in [Some(key), self.conns.at(key).and_then(|conn| conn.peer)]
            .into_iter()
            .flatten()
        {
            if let Some(conn) = self.conns.at(key) {
                net::reset_on_close(conn.fd());
            }
        }
        self.end_relay(key, Some(fault));
    }

    /// Closes both sides and settles the accounts.
    pub(super) fn end_relay(&mut self, key: Key, fault: Option<Fault>) {
        let Some(conn) = self.conns.at(key) else {
            return;
        };
        let peer = conn.peer;
        let down = if matches!(conn.role, Role::RelayDown(_)) {
            Some(key)
        } else {
            peer
        };
        if let Some(down) = down {
            self.settle_relay(down, fault);
        }
        self.close(key);
        if let Some(peer) = peer {
            self.close(peer);
        }
    }

    fn settle_relay(&mut self, down: Key, fault: Option<Fault>) {
        let core = self.core;
        let Some(conn) = self.conns.at_mut(down) else {
            return;
        };
        if conn.dying {
            return;
        }
        let Role::RelayDown(relay) = &mut conn.role else {
            return;
        };
        relay.leave(core);
        let established = relay.backend().map(|backend| backend.stats.of(core));
        if let Some(stats) = established {
            stats.connections_open.down();
            if let Some(fault) = fault {
                stats.faults[fault as usize].inc();
            }
        }
        self.log_relay(down, fault);
        self.leave_listener(down, fault);
    }

    pub(super) fn give_queue(&mut self, mut out: OutQueue) {
        while let Some(segment) = out.pop() {
            self.driver.buffers().give(segment);
        }
    }
}
