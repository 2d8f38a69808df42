//! Instrumented parts: a ring, a bell and a table whose every access the model checker schedules.

use std::cell::{Cell as Note, RefCell};
use std::rc::Rc;
use std::sync::{Arc, atomic as sync};

use loom::cell::Cell;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

use crate::base::epoch::Epoch;
use crate::link::parts::{Inbox, Numbered, Outbox, Parts, Signal};

/// The parts of the model.
pub(super) enum Model {}

impl Parts for Model {
    type Table = Rc<Sheet>;
    type Inbox<M> = Taker<M>;
    type Outbox<M> = Putter<M>;
    type Signal = Bell;
}

/// What the checker knows beside the protocol. The model's threads take turns on one thread of
/// the system, so this needs no lock and adds no step to explore.
pub(super) struct Notes {
    /// Epochs in use: a core and the table its exchange began with.
    pub(super) in_use: RefCell<Vec<(usize, Epoch)>>,
    /// A worker ends without a word, and its tables with it.
    pub(super) death: Note<bool>,
    /// Workers whose threads have ended.
    pub(super) ended: Note<usize>,
    /// Tables that were made and not freed, beyond this world.
    sheets: Arc<sync::AtomicUsize>,
}

impl Notes {
    pub(super) fn new(sheets: Arc<sync::AtomicUsize>) -> Notes {
        Notes {
            in_use: RefCell::default(),
            death: Note::default(),
            ended: Note::default(),
            sheets,
        }
    }
}

/// A table: a number, and a protest when it is freed at the wrong place or time.
pub(super) struct Sheet {
    epoch: Epoch,
    home: thread::ThreadId,
    notes: Rc<Notes>,
}

impl Sheet {
    /// A table that is to be freed on the thread that makes it.
    pub(super) fn new(epoch: u64, notes: &Rc<Notes>) -> Rc<Sheet> {
        notes.sheets.fetch_add(1, Ordering::Relaxed);
        Rc::new(Sheet {
            epoch: Epoch(epoch),
            home: thread::current().id(),
            notes: Rc::clone(notes),
        })
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.notes.sheets.fetch_sub(1, Ordering::Relaxed);
        let at_home = thread::current().id() == self.home;
        assert!(at_home || self.notes.death.get(), "freed by a worker");
        let in_use = self.notes.in_use.borrow();
        let used = in_use.iter().any(|(_, epoch)| *epoch == self.epoch);
        assert!(!used, "freed while in use");
    }
}

impl Numbered for Rc<Sheet> {
    fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// A single-producer single-consumer ring with the steps and the memory orders of `rtrb`.
struct Ring<M> {
    slots: Vec<Cell<Option<M>>>,
    /// Messages taken so far.
    head: AtomicUsize,
    /// Messages put so far.
    tail: AtomicUsize,
    abandoned: AtomicBool,
}

/// The ring's sending end.
pub(super) struct Putter<M> {
    ring: Rc<Ring<M>>,
    head_seen: Note<usize>,
    tail: usize,
}

/// The ring's receiving end.
pub(super) struct Taker<M> {
    ring: Rc<Ring<M>>,
    head: usize,
    tail_seen: usize,
}

/// A ring of this many slots.
pub(super) fn ring<M>(capacity: usize) -> (Putter<M>, Taker<M>) {
    let ring = Rc::new(Ring {
        slots: (0..capacity).map(|_| Cell::new(None)).collect(),
        head: AtomicUsize::new(0),
        tail: AtomicUsize::new(0),
        abandoned: AtomicBool::new(false),
    });
    let putter = Putter {
        ring: Rc::clone(&ring),
        head_seen: Note::new(0),
        tail: 0,
    };
    let taker = Taker {
        ring,
        head: 0,
        tail_seen: 0,
    };
    (putter, taker)
}

impl<M> Outbox<M> for Putter<M> {
    fn capacity(&self) -> usize {
        self.ring.slots.len()
    }

    fn room(&self) -> usize {
        self.head_seen.set(self.ring.head.load(Ordering::Acquire));
        self.capacity() - (self.tail - self.head_seen.get())
    }

    fn push(&mut self, message: M) -> Result<(), M> {
        let maybe_full = self.tail - self.head_seen.get() == self.capacity();
        if maybe_full && self.room() == 0 {
            return Err(message);
        }
        self.ring.slots[self.tail % self.capacity()].set(Some(message));
        self.tail += 1;
        self.ring.tail.store(self.tail, Ordering::Release);
        Ok(())
    }
}

/// Nothing is said while a panic unwinds: the world it would be said in has ended.
impl<M> Drop for Putter<M> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.ring.abandoned.store(true, Ordering::Release);
        }
    }
}

impl<M> Inbox<M> for Taker<M> {
    fn capacity(&self) -> usize {
        self.ring.slots.len()
    }

    fn is_abandoned(&self) -> bool {
        self.ring.abandoned.load(Ordering::Acquire)
    }

    fn pop(&mut self) -> Option<M> {
        if self.head == self.tail_seen {
            self.tail_seen = self.ring.tail.load(Ordering::Acquire);
        }
        if self.head == self.tail_seen {
            return None;
        }
        let message = self.ring.slots[self.head % self.capacity()].take();
        self.head += 1;
        self.ring.head.store(self.head, Ordering::Release);
        message
    }
}

/// An eventfd and the sleep in its reader, at their weakest: a wake-up uses the kick up, as an
/// edge-triggered poll does, and so does taking it back, as reading the counter does. A protocol
/// that loses no wake-up with this one loses none with a real one.
#[derive(Clone)]
pub(super) struct Bell(Rc<(AtomicBool, RefCell<Option<thread::Thread>>)>);

impl Bell {
    pub(super) fn new() -> Bell {
        Bell(Rc::new((AtomicBool::new(false), RefCell::new(None))))
    }

    /// Sleeps until the next kick, without a time limit: a lost one is a deadlock.
    pub(super) fn wait(&self) {
        let (rung, sleeper) = &*self.0;
        sleeper.replace(Some(thread::current()));
        while !rung.swap(false, Ordering::AcqRel) {
            thread::park();
        }
    }

    /// Takes back all kicks so far.
    pub(super) fn clear(&self) {
        self.0.0.swap(false, Ordering::AcqRel);
    }
}

impl Signal for Bell {
    fn kick(&self) {
        if std::thread::panicking() {
            return;
        }
        let (rung, sleeper) = &*self.0;
        rung.swap(true, Ordering::AcqRel);
        let sleeper = sleeper.borrow().clone();
        if let Some(sleeper) = sleeper {
            sleeper.unpark();
        }
    }
}
