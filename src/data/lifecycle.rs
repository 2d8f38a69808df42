//! The slow side of a worker's life: housekeeping once a second, draining, and the end.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::fault::Fault;
use crate::base::id::ListenerSlot;
use crate::base::slab::Key;
use crate::data::conn::Role;
use crate::data::ticks::ticks;
use crate::data::worker::{Draining, HOUSEKEEPING_TICKS, Worker};
use crate::link::Drain;
use crate::runtime::driver::Driver;

impl<D: Driver> Worker<D> {
    /// Accepts nothing new and ends when what runs is finished, or late.
    ///
    /// A client that is idle may be about to ask, and to close its connection now would fail that
    /// request. So for a while it is let ask once more and is told `Connection: close`.
    pub(super) fn drain(&mut self, how: Drain) {
        if self.draining.is_some() {
            return;
        }
        self.draining = Some(Draining {
            deadline_tick: self.now.tick + ticks(how.within),
            idle_tick: self.now.tick + ticks(how.idle_grace.min(how.within)),
            idle_closed: false,
        });
        for index in 0..self.listeners.len() {
            self.close_sockets(ListenerSlot(index as u32));
        }
    }

    /// Stops once the drain is over or late.
    pub(super) fn finish_drain(&mut self) {
        let now = self.now.tick;
        let Some(draining) = &mut self.draining else {
            return;
        };
        let late = now >= draining.deadline_tick;
        if now >= draining.idle_tick && !std::mem::replace(&mut draining.idle_closed, true) {
            // They have had their time, and nothing of theirs is cut.
            self.close_idle_clients(None);
        }
        let accepting = self.sockets.iter().any(|socket| socket.accepting);
        let clients: u64 = self
            .listeners
            .iter()
            .flatten()
            .map(|listener| u64::from(listener.open))
            .sum();
        if (clients == 0 && !accepting) || late {
            self.stop();
        }
    }

    /// Ends everything at once.
    pub(super) fn stop(&mut self) {
        let cut: u32 = self
            .listeners
            .iter()
            .flatten()
            .map(|listener| listener.open)
            .sum();
        let keys: Vec<Key> = self.conns.keys().collect();
        for key in keys {
            match self.conns.at(key).map(|conn| &conn.role) {
                Some(Role::Client(client)) if client.exchange.is_some() => {
                    self.abort_exchange(key, Fault::Shutdown);
                }
                Some(Role::Client(_)) => self.close_client(key, None),
                Some(Role::RelayDown(_)) => self.end_relay(key, Some(Fault::Shutdown)),
                Some(Role::RelayUp(_)) => {}
                Some(Role::Upstream(_)) => self.close_upstream(key),
                None => {}
            }
        }
        self.stopped = true;
        // What was asked last (closing, above all) goes to the kernel before the thread ends.
        let _ = self.driver.wait(Duration::from_millis(1));
        self.link.stopped(cut as usize);
    }

    /// What need not be done at every turn.
    pub(super) fn housekeeping(&mut self) {
        if self
            .accept_paused
            .is_some_and(|until| self.now.tick >= until)
        {
            self.accept_everywhere();
        }
        if self.now.tick < self.housekeeping_tick {
            return;
        }
        self.housekeeping_tick = self.now.tick + HOUSEKEEPING_TICKS;
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let unix = u64::try_from(unix.as_micros()).unwrap_or(0);
        self.now.unix_base_micros = unix.saturating_sub(self.now.micros);
        self.accept_everywhere();
        self.forget_listeners();
        self.link.give_back();
        self.give_back_connections();
        self.answer_survey();
        self.driver.buffers().trim();
        if self.conns.is_empty() {
            self.pipes.clear();
            if self.conns.release_memory() {
                self.stats.released.inc();
            }
        }
        let held = u32::try_from(self.driver.buffers().outstanding()).unwrap_or(u32::MAX);
        self.stats.buffers_held.set(held);
    }
}
