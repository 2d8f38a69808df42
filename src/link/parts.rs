//! What a link is made of, named by what the protocol needs of it.
//!
//! The two sides are written once against these traits. The product fills them with rings and
//! eventfds ([`Live`]); the model checker fills them with instrumented ones and runs the same
//! code through every order in which two threads can meet.

use std::sync::Arc;

use rtrb::{Consumer, Producer};

use crate::base::epoch::Epoch;
use crate::routing::table::Table;
use crate::runtime::kick::Kick;

/// The sending end of a bounded ring with one sender and one receiver.
pub trait Outbox<M> {
    /// Messages the ring holds when it is full.
    fn capacity(&self) -> usize;

    /// Messages that fit now; only this end can make it less.
    fn room(&self) -> usize;

    /// Appends a message.
    ///
    /// # Errors
    /// When the ring is full; the message comes back.
    fn push(&mut self, message: M) -> Result<(), M>;
}

/// The receiving end of such a ring.
pub trait Inbox<M> {
    /// Messages the ring holds when it is full.
    fn capacity(&self) -> usize;

    /// The sender is gone. Whoever sees that also sees everything that was sent before.
    fn is_abandoned(&self) -> bool;

    /// The oldest message.
    fn pop(&mut self) -> Option<M>;
}

/// Wakes the thread at the other end.
///
/// A kick ends the receiver's next sleep, unless the receiver woke or took its kicks back after
/// it. So a sender pushes and then kicks, and a receiver takes back its kicks and then pops: what
/// a taken kick announced is in the ring by then. Either order turned round loses wake-ups, which
/// `link::model` shows.
pub trait Signal {
    /// Wakes.
    fn kick(&self);
}

/// Something with an epoch: a table.
pub trait Numbered {
    /// Its epoch.
    fn epoch(&self) -> Epoch;
}

/// One choice of parts.
pub trait Parts {
    /// What is published: a shared handle.
    type Table: Numbered + Clone;
    /// Receiving ends.
    type Inbox<M>: Inbox<M>;
    /// Sending ends.
    type Outbox<M>: Outbox<M>;
    /// Wake-ups.
    type Signal: Signal;
}

/// The parts of the product.
pub enum Live {}

impl Parts for Live {
    type Table = Arc<Table>;
    type Inbox<M> = Consumer<M>;
    type Outbox<M> = Producer<M>;
    type Signal = Kick;
}

impl<M> Outbox<M> for Producer<M> {
    fn capacity(&self) -> usize {
        self.buffer().capacity()
    }

    fn room(&self) -> usize {
        self.slots()
    }

    fn push(&mut self, message: M) -> Result<(), M> {
        let pushed = Producer::push(self, message);
        pushed.map_err(|rtrb::PushError::Full(message)| message)
    }
}

impl<M> Inbox<M> for Consumer<M> {
    fn capacity(&self) -> usize {
        self.buffer().capacity()
    }

    fn is_abandoned(&self) -> bool {
        Consumer::is_abandoned(self)
    }

    fn pop(&mut self) -> Option<M> {
        Consumer::pop(self).ok()
    }
}

impl Signal for Kick {
    fn kick(&self) {
        Kick::kick(self);
    }
}

impl Numbered for Arc<Table> {
    fn epoch(&self) -> Epoch {
        self.epoch
    }
}
