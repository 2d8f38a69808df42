//! The worker's side of the protocol: adopt, acknowledge, give back.
//!
//! A table is pinned by whoever works with it, through a core-local `Rc`: no atomic on the request
//! path. A replaced table that nobody pins any more travels back to the control thread, which
//! frees it.
//!
//! Every answer finds room, by counting and not by hope. The control thread has at most
//! [`tables_unanswered_max`](crate::link::tables_unanswered_max) tables without an answer, so the
//! answers owed to it and the last word take that many slots and one. Reports and tables going
//! back, which may be any number at once when long requests end together, use only what is left
//! beyond them, and wait on this side otherwise; reports go first, so that the slots they name are
//! still those of tables this core has. Each follows from something the control thread did (it put
//! a backend in use, it granted a trial), so no more of them wait than there are backends and
//! trials.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::base::epoch::Epoch;
use crate::link::parts::{Inbox, Live, Numbered, Outbox, Parts, Signal};
use crate::link::{FromWorker, Report, ToWorker, tables_unanswered_max};

/// A table in use on this core.
pub type Pinned<T> = Rc<T>;

/// The worker's end of a link, to be moved to its thread.
pub struct WorkerEnd<P: Parts = Live> {
    pub(super) from_control: P::Inbox<ToWorker<P::Table>>,
    pub(super) to_control: P::Outbox<FromWorker<P::Table>>,
    /// What the worker listens on for kicks.
    pub kicked: P::Signal,
    /// Last, because fields are dropped in their order: whoever it wakes finds the rings
    /// abandoned.
    pub(super) kick_control: LastKick<P::Signal>,
}

/// Kicks once more when it is dropped, so that the end of a worker that fell silent is noticed
/// as soon as its words.
pub(super) struct LastKick<S: Signal>(pub(super) S);

impl<S: Signal> Drop for LastKick<S> {
    fn drop(&mut self) {
        self.0.kick();
    }
}

/// The worker's end on its thread, and the tables this core has.
pub struct WorkerSide<P: Parts = Live> {
    end: WorkerEnd<P>,
    /// The table new requests are served by.
    current: Option<Pinned<P::Table>>,
    /// Replaced or refused tables that are not back with the control thread.
    pub(super) leaving: Vec<Pinned<P::Table>>,
    /// Reports that have found no room yet.
    reports: VecDeque<Report>,
    /// Slots towards the control thread that returning tables leave free.
    pub(super) reserved: usize,
}

impl<P: Parts> WorkerSide<P> {
    /// A side without a table.
    #[must_use]
    pub fn new(end: WorkerEnd<P>) -> Self {
        let last_word = 1;
        let reserved = tables_unanswered_max(end.from_control.capacity()) + last_word;
        WorkerSide {
            end,
            current: None,
            leaving: Vec::new(),
            reports: VecDeque::new(),
            reserved,
        }
    }

    /// The next message. To be asked until there is none after every kick, which is taken back
    /// first.
    pub fn next_message(&mut self) -> Option<ToWorker<P::Table>> {
        self.end.from_control.pop()
    }

    /// Whether the control thread is gone.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.end.from_control.is_abandoned()
    }

    /// The table new requests are served by.
    #[must_use]
    pub fn current(&self) -> Option<&Pinned<P::Table>> {
        self.current.as_ref()
    }

    /// The epoch new requests are served by; 0 before the first.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        let current = self.current();
        current.map_or(Epoch(0), |table| table.epoch())
    }

    /// Pins a table that is newer than the present one. Another is refused and goes back.
    pub fn admit(&mut self, table: P::Table) -> Option<Pinned<P::Table>> {
        let newer = self.epoch() < table.epoch();
        let table = Rc::new(table);
        if newer {
            return Some(table);
        }
        self.leaving.push(table);
        self.give_back();
        None
    }

    /// New requests are served by `table`, which was admitted, from now on: replaces the present
    /// one, says so, and gives back what nobody uses any more.
    pub fn adopt(&mut self, table: Pinned<P::Table>) {
        let epoch = table.epoch();
        self.leaving.extend(self.current.replace(table));
        self.tell(FromWorker::Adopted(epoch));
        self.give_back();
    }

    /// Tells of a backend, now or when there is room.
    pub fn report(&mut self, report: Report) {
        self.reports.push_back(report);
        self.send_reports();
    }

    /// Sends back the tables nobody uses any more, as far as there is room, after the reports that
    /// have found none. Call it now and then: a table that is pinned, or finds no room, waits for
    /// the next call.
    pub fn give_back(&mut self) {
        self.send_reports();
        let mut index = 0;
        while index < self.leaving.len() {
            if Rc::strong_count(&self.leaving[index]) > 1 {
                index += 1;
                continue;
            }
            if !self.has_room() {
                return;
            }
            if let Ok(table) = Rc::try_unwrap(self.leaving.swap_remove(index)) {
                self.tell(FromWorker::Retired(table));
            }
        }
    }

    /// The last word: every connection ended, `cut` of them before their time.
    pub fn stopped(&mut self, cut: usize) {
        self.give_back();
        self.tell(FromWorker::Stopped { cut });
    }

    fn send_reports(&mut self) {
        while self.has_room() {
            let Some(report) = self.reports.pop_front() else {
                return;
            };
            self.tell(FromWorker::Reported(report));
        }
    }

    /// Room beyond what answers need.
    fn has_room(&self) -> bool {
        self.end.to_control.room() > self.reserved
    }

    fn tell(&mut self, message: FromWorker<P::Table>) {
        let full = self.end.to_control.push(message).is_err();
        debug_assert!(!full, "room was counted");
        self.end.kick_control.0.kick();
    }
}
