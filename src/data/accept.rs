//! Admitting connections: accept while there is room, leave the rest in the backlog.
//!
//! The limit of a listener holds over all cores together; each core adds up the gauges of all
//! when it accepts, which is rare and needs no shared write. When the limit is reached, the
//! accept is cancelled and started again as soon as a connection of this core ends, or at the next
//! housekeeping. When the process is out of descriptors, `overload` sheds and it starts again soon.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use crate::base::fault::Fault;
use crate::base::id::ListenerSlot;
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::client::Client;
use crate::data::conn::{Conn, Role};
use crate::data::overload::is_own_lack;
use crate::data::relay::RelayDown;
use crate::data::ticks::{TICK_MILLIS, few_ticks, ticks};
use crate::data::worker::Worker;
use crate::routing::breaker::Rights;
use crate::routing::matcher::Destination;
use crate::routing::overload::Admission;
use crate::routing::table::{Listener, Protocol};
use crate::runtime::driver::Driver;
use crate::runtime::net;

/// Ticks until accepting is tried again after it failed.
const ACCEPT_PAUSE_TICKS: u64 = 100 / TICK_MILLIS;

/// How long a client that is to be refused may take to ask.
const REFUSED_WAIT: Duration = Duration::from_secs(1);

impl<D: Driver> Worker<D> {
    /// A connection came in by the socket at `at`.
    pub(super) fn accepted(&mut self, at: usize, fd: OwnedFd) {
        let core = self.core;
        let Some(slot) = self.sockets.get(at).map(|socket| socket.listener) else {
            return self.driver.close(fd);
        };
        let Some(state) = self.listener(slot) else {
            return self.driver.close(fd);
        };
        let table = Pinned::clone(&state.table);
        let Some(listener) = table.listener(slot) else {
            return self.driver.close(fd);
        };
        let relay_to = match (listener.protocol, listener.routes.default) {
            (Protocol::Http, _) => None,
            (Protocol::Tcp, Some(to)) => Some(to),
            // Nowhere to go: refused before anything counts it as open.
            (Protocol::Tcp, None) => return self.driver.close(fd),
        };
        let admission = self.admission();
        if admission == Admission::Reset || (admission == Admission::Answered && relay_to.is_some())
        {
            return self.refuse(slot, fd);
        }
        let Some(state) = self.listener_mut(slot) else {
            return self.driver.close(fd);
        };
        state.open += 1;
        let stats = listener.stats.of(core);
        stats.connections.inc();
        stats.connections_open.up();
        if is_full(listener) {
            self.pause_accepting(slot);
        }
        match relay_to {
            None => self.begin_client(listener, fd, admission),
            Some(to) => self.begin_relay(&table, listener, to, fd),
        }
    }

    fn begin_client(&mut self, listener: &Listener, fd: OwnedFd, admission: Admission) {
        let mut client = Client::new(listener.slot);
        client.refused = admission != Admission::Admitted;
        client.address = self
            .log
            .as_ref()
            .and_then(|_| net::peer_address(fd.as_fd()))
            .map(Box::new);
        let key = self.add(Conn::new(fd, Role::Client(client)));
        self.receive_more(key);
        let mut head = listener.timeouts.head.min(listener.timeouts.idle);
        if admission != Admission::Admitted {
            head = head.min(REFUSED_WAIT);
        }
        self.set_deadline(key, self.now.tick + ticks(head));
    }

    fn begin_relay(&mut self, table: &Pinned, listener: &Listener, to: Destination, fd: OwnedFd) {
        let idle = few_ticks(listener.timeouts.idle);
        // Asked for now, because a connection that is gone has no address to log.
        let client = self
            .log
            .as_ref()
            .and_then(|_| net::peer_address(fd.as_fd()))
            .map(Box::new);
        let key = self.add(Conn::new(
            fd,
            Role::RelayDown(Box::new(RelayDown {
                listener: listener.slot,
                table: Pinned::clone(table),
                group: None,
                former: None,
                peek: None,
                backend: None,
                tried: None,
                retries: 0,
                trial: false,
                rights: Rights::default(),
                client,
                started_micros: self.now.micros,
                connect_micros: None,
                idle,
                bytes_received: 0,
                bytes_sent: 0,
                exchange: None,
            })),
        ));
        self.receive_more(key);
        self.set_deadline(key, self.now.tick + u64::from(idle));
        self.place_relay(key, listener, to);
    }

    /// Nothing was heard on a relay for too long.
    pub(super) fn relay_down_due(&mut self, key: Key) {
        let idle = match self.conns.at(key).map(|conn| (&conn.role, conn.peer)) {
            Some((Role::RelayDown(relay), peer)) => {
                let idle = relay.idle();
                let up_takes = peer.is_some_and(|peer| self.takes_bytes(peer));
                (self.takes_bytes(key) || up_takes).then_some(idle)
            }
            _ => None,
        };
        match idle {
            Some(idle) => self.extend_deadline(key, self.now.tick + idle),
            None => self.reset_relay(key, Fault::ClientTimeout),
        }
    }

    /// Accepting on the socket at `at` ended: on request, or because the kernel could not go on.
    pub(super) fn accept_ended(&mut self, at: usize, error: Errno) {
        let core = self.core;
        let Some(socket) = self.sockets.get_mut(at) else {
            return;
        };
        socket.accepting = false;
        socket.cancelled = false;
        let (slot, closing) = (socket.listener, socket.closing);
        match error {
            Errno::CANCELED | Errno::AGAIN => {}
            error => {
                if let Some(state) = self.listener(slot)
                    && let Some(listener) = state.table.listener(slot)
                {
                    listener.stats.of(core).accept_errors.inc();
                }
                tracing::debug!(%error, listener = slot.0, "accept failed");
                self.accept_paused = Some(self.now.tick + ACCEPT_PAUSE_TICKS);
                if is_own_lack(error) {
                    self.ran_out(error);
                    self.reset_backlog(at);
                }
                return;
            }
        }
        if closing {
            return self.close_socket(at);
        }
        self.accept_on(at);
    }

    /// Accepts on the sockets of a listener, as far as it may.
    pub(super) fn accept_again(&mut self, slot: ListenerSlot) {
        for at in 0..self.sockets.len() {
            if self.sockets[at].listener == slot {
                self.accept_on(at);
            }
        }
    }

    /// Accepts on the socket at `at` if it may.
    pub(super) fn accept_on(&mut self, at: usize) {
        if self.draining.is_some() || self.accept_paused.is_some() {
            return;
        }
        let Some(socket) = self.sockets.get(at) else {
            return;
        };
        if socket.accepting || socket.closing {
            return;
        }
        let slot = socket.listener;
        let room = self
            .listener(slot)
            .and_then(|state| state.table.listener(slot))
            .is_some_and(|listener| !is_full(listener));
        let socket = &mut self.sockets[at];
        if let (true, Some(fd)) = (room, &socket.fd) {
            socket.accepting = true;
            self.driver.accept(at as u32, fd.as_raw_fd());
        }
    }

    /// Accepts again wherever there is room, and closes what could not be closed: called by
    /// housekeeping.
    pub(super) fn accept_everywhere(&mut self) {
        self.accept_paused = None;
        for at in 0..self.sockets.len() {
            if self.sockets[at].closing && !self.sockets[at].accepting {
                self.close_socket(at);
            }
            self.accept_on(at);
        }
    }

    /// Accepts nothing on a listener until [`Worker::accept_again`].
    fn pause_accepting(&mut self, slot: ListenerSlot) {
        for at in 0..self.sockets.len() {
            if self.sockets[at].listener == slot {
                self.cancel_accept(at);
            }
        }
    }

    /// Accepts nothing more on a listener and closes its sockets.
    pub(super) fn close_sockets(&mut self, slot: ListenerSlot) {
        for at in 0..self.sockets.len() {
            let socket = &mut self.sockets[at];
            if socket.listener != slot || socket.closing {
                continue;
            }
            socket.closing = true;
            if socket.accepting {
                self.cancel_accept(at);
            } else {
                self.close_socket(at);
            }
        }
    }

    fn cancel_accept(&mut self, at: usize) {
        let socket = &mut self.sockets[at];
        if socket.accepting && !socket.cancelled {
            socket.cancelled = true;
            self.driver.cancel_accept(at as u32);
        }
    }

    /// Serves what is left in the backlog, then closes the socket: closing it with connections
    /// in it would reset them.
    fn close_socket(&mut self, at: usize) {
        let Some(socket) = self.sockets[at].fd.take() else {
            return;
        };
        while let Ok(fd) = net::accept(&socket) {
            self.accepted(at, fd);
        }
        match Arc::try_unwrap(socket) {
            Ok(fd) => self.driver.close(fd),
            // The control thread duplicates it at this moment; housekeeping comes back to it.
            Err(held) => self.sockets[at].fd = Some(held),
        }
    }
}

fn is_full(listener: &Listener) -> bool {
    let open: u64 = listener
        .stats
        .iter()
        .map(|stats| u64::from(stats.connections_open.read()))
        .sum();
    open >= u64::from(listener.connections_max)
}
