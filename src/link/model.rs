//! The protocol between the planes under a model checker (`loom`): the code of both sides as it
//! is, over instrumented rings and bells, through the orders in which their threads can meet.
//!
//! What is checked in each of them: every wake-up comes (nobody has a time limit here, so a lost
//! one is a deadlock); no push finds its ring full; epochs only rise and the last one is adopted
//! by every core; a table is freed by the control thread, when nobody uses it, and none is left;
//! a worker that stops is told from one that dies, and both are noticed by a kick alone. Each
//! mutation below breaks one step on purpose, and the checker must find it.
//!
//! Orders are explored with a bounded number of preemptions: a switch away from a thread that
//! could go on. Real defects of protocols this small need two or three of them.

mod world;

use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom::thread;

use crate::base::epoch::Epoch;
use crate::link::control_side::{ControlEnd, ControlSide, CoreState, PublishError};
use crate::link::parts::{Inbox, Numbered, Parts, Signal};
use crate::link::worker_side::{LastKick, Pinned, WorkerEnd, WorkerSide};
use crate::link::{Drain, ToWorker, tables_unanswered_max};

use world::{Bell, Model, Notes, Sheet, ring};

/// One step done wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mutation {
    /// The control thread asks whether a core is gone after it read what that core said.
    AsksLate,
    /// The control thread reads its messages first and takes its kicks back then.
    ControlClearsLast,
    None,
    /// Tables go back into slots that answers need.
    ReservesNothing,
    /// The worker reads its messages first and takes its kicks back then.
    WorkerClearsLast,
}

/// What happens in one exploration.
#[derive(Clone, Copy)]
struct Story {
    workers: usize,
    tables: u64,
    /// Exchanges a core lets run, each with its table.
    hoard: usize,
    /// Slots from the control thread to a worker.
    to_worker: usize,
    /// The first core dies when it is sent this epoch.
    dies_at: Option<u64>,
    mutation: Mutation,
    preemptions: usize,
    /// After so many orders the exploration ends, complete or not.
    orders_max: Option<usize>,
}

const STORY: Story = Story {
    workers: 1,
    tables: 3,
    hoard: 1,
    to_worker: 4,
    dies_at: None,
    mutation: Mutation::None,
    preemptions: 3,
    orders_max: None,
};

/// Tables that go back together are more than the ring takes beside the answers.
const HOARDER: Story = Story {
    tables: 5,
    hoard: 2,
    preemptions: 2,
    ..STORY
};

fn explore(story: Story) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(story.preemptions);
    model.max_branches = 10_000;
    model.max_permutations = story.orders_max;
    let sheets = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&sheets);
    model.check(move || {
        // The one before has ended with all its threads.
        assert_eq!(left.load(Ordering::Relaxed), 0, "tables leaked");
        live(story, &left);
    });
    assert_eq!(sheets.load(Ordering::Relaxed), 0, "tables leaked");
}

/// One life of a node, from the first table to the last word.
fn live(story: Story, sheets: &Arc<AtomicUsize>) {
    let notes = Rc::new(Notes::new(Arc::clone(sheets)));
    let bell = Bell::new();
    let all_ended = Bell::new();
    let mut ends = Vec::new();
    for core in 0..story.workers {
        let (control_end, worker_end) = link(story, &bell);
        ends.push(control_end);
        let (bell, notes) = (all_ended.clone(), Rc::clone(&notes));
        thread::spawn(move || {
            work(core, worker_end, &notes, story);
            notes.ended.set(notes.ended.get() + 1);
            bell.kick();
        });
    }
    let mut control = Control {
        side: ControlSide::new(ends),
        bell,
        notes,
        mutation: story.mutation,
    };
    let newest = control.lead(story);
    // In place of joining, which in `loom` a late kick of the other bell would end, too.
    while control.notes.ended.get() < story.workers {
        all_ended.wait();
    }
    drop(newest);
}

/// As [`super::link`], with the least room towards the control thread that lets a table back.
fn link(story: Story, bell: &Bell) -> (ControlEnd<Model>, WorkerEnd<Model>) {
    let (to_worker, from_control) = ring(story.to_worker);
    let (to_control, from_worker) = ring(tables_unanswered_max(story.to_worker) + 2);
    let kick = Bell::new();
    let control = ControlEnd {
        to_worker,
        from_worker,
        kick_worker: kick.clone(),
    };
    let worker = WorkerEnd {
        from_control,
        to_control,
        kicked: kick,
        kick_control: LastKick(bell.clone()),
    };
    (control, worker)
}

/// The control thread, as `control::events` drives it.
struct Control {
    side: ControlSide<Model>,
    bell: Bell,
    notes: Rc<Notes>,
    mutation: Mutation,
}

impl Control {
    /// Publishes, waits for all that must follow, and ends the cores. Answers the newest table,
    /// which readers of the present view hold.
    fn lead(&mut self, story: Story) -> <Model as Parts>::Table {
        let mut last = Sheet::new(1, &self.notes);
        for epoch in 1..=story.tables {
            if epoch > 1 {
                last = Sheet::new(epoch, &self.notes);
            }
            self.until(|side| !matches!(side.check_room(), Err(PublishError::Stuck(_))));
            let sockets = (0..story.workers).map(|_| Vec::new()).collect();
            match self.side.publish(&last, sockets) {
                Ok(()) => {}
                Err(PublishError::Ended(_)) if story.dies_at.is_some() => break,
                Err(error) => panic!("{error}"),
            }
        }
        let lives = |state: CoreState| state != CoreState::Died;
        let newest = self.side.published();
        if story.dies_at.is_some() {
            self.until(|side| side.cores()[0].state == CoreState::Died);
        }
        self.side.drain(Drain {
            within: Duration::ZERO,
            idle_grace: Duration::ZERO,
        });
        self.until(|side| {
            let mut living = side.cores().iter().filter(|core| lives(core.state));
            living.all(|core| core.adopted == newest && core.held == [newest])
        });
        self.side.stop();
        self.until(|side| {
            let mut cores = side.cores().iter();
            cores.all(|core| core.state != CoreState::Running)
        });
        for (index, core) in self.side.cores().iter().enumerate() {
            let expected = match story.dies_at {
                Some(_) if index == 0 => CoreState::Died,
                _ => CoreState::Stopped { cut: index },
            };
            assert_eq!(core.state, expected);
        }
        last
    }

    fn until(&mut self, holds: impl Fn(&ControlSide<Model>) -> bool) {
        while !holds(&self.side) {
            self.bell.wait();
            let before: Vec<Epoch> = self.side.cores().iter().map(|core| core.adopted).collect();
            self.receive();
            let after = self.side.cores().iter().map(|core| core.adopted);
            assert!(
                before
                    .iter()
                    .zip(after)
                    .all(|(before, after)| *before <= after)
            );
            for (core, epoch) in self.notes.in_use.borrow().iter() {
                assert!(self.side.cores()[*core].held.contains(epoch), "in use");
            }
        }
    }

    fn receive(&mut self) {
        match self.mutation {
            Mutation::AsksLate => {
                self.bell.clear();
                self.receive_asking_late();
            }
            Mutation::ControlClearsLast => {
                self.side.receive();
                self.bell.clear();
            }
            Mutation::None | Mutation::ReservesNothing | Mutation::WorkerClearsLast => {
                self.bell.clear();
                self.side.receive();
            }
        }
    }

    /// [`ControlSide::receive`] with its first step last.
    fn receive_asking_late(&mut self) {
        let parties = self.side.ends.iter_mut().zip(&mut self.side.cores);
        for (end, core) in parties {
            end.take_messages(core, &mut self.side.reports);
            if end.from_worker.is_abandoned() && core.state == CoreState::Running {
                core.state = CoreState::Died;
            }
        }
    }
}

/// A worker, as `data::worker` drives it. One exchange begins in each turn, with the first table
/// that brings; together they end when they are more than `story.hoard`.
struct Worker {
    core: usize,
    side: WorkerSide<Model>,
    exchanges: Vec<Pinned<<Model as Parts>::Table>>,
    draining: bool,
    notes: Rc<Notes>,
    story: Story,
}

fn work(core: usize, end: WorkerEnd<Model>, notes: &Rc<Notes>, story: Story) {
    let bell = end.kicked.clone();
    let clears_last = story.mutation == Mutation::WorkerClearsLast;
    let mut worker = Worker {
        core,
        side: WorkerSide::new(end),
        exchanges: Vec::new(),
        draining: false,
        notes: Rc::clone(notes),
        story,
    };
    if story.mutation == Mutation::ReservesNothing {
        worker.side.reserved = 0;
    }
    loop {
        bell.wait();
        if !clears_last {
            bell.clear();
        }
        if worker.turn().is_break() {
            return;
        }
        if clears_last {
            bell.clear();
        }
    }
}

impl Worker {
    fn turn(&mut self) -> ControlFlow<()> {
        let end = self.take_messages();
        if end.is_break() || self.draining || self.exchanges.len() > self.story.hoard {
            self.finish_exchanges();
        }
        if end.is_break() {
            if !self.notes.death.get() {
                self.side.stopped(self.core);
            }
            return end;
        }
        // Housekeeping, which comes round by itself once a second.
        self.side.give_back();
        let unused = |table: &Pinned<_>| Rc::strong_count(table) == 1;
        while self.side.leaving.iter().any(unused) {
            thread::yield_now();
            self.side.give_back();
        }
        ControlFlow::Continue(())
    }

    fn take_messages(&mut self) -> ControlFlow<()> {
        let mut fresh = !self.draining;
        while let Some(message) = self.side.next_message() {
            match message {
                ToWorker::Adopt { table, .. } => {
                    self.adopt(table, fresh)?;
                    fresh = false;
                }
                ToWorker::Drain(_) => self.draining = true,
                ToWorker::Stop => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    fn adopt(&mut self, table: <Model as Parts>::Table, fresh: bool) -> ControlFlow<()> {
        let epoch = table.epoch();
        if self.core == 0 && self.story.dies_at == Some(epoch.0) {
            self.notes.death.set(true);
            return ControlFlow::Break(());
        }
        let table = self.side.admit(table).expect("epochs rise");
        if fresh {
            self.notes.in_use.borrow_mut().push((self.core, epoch));
            self.exchanges.push(Pinned::clone(&table));
        }
        self.side.adopt(table);
        assert_eq!(self.side.epoch(), epoch);
        ControlFlow::Continue(())
    }

    fn finish_exchanges(&mut self) {
        let mut in_use = self.notes.in_use.borrow_mut();
        in_use.retain(|(core, _)| *core != self.core);
        self.exchanges.clear();
    }
}

#[test]
fn one_worker_takes_tables_as_fast_as_they_come() {
    explore(STORY);
}

#[test]
fn tables_that_go_back_together_leave_room_for_answers() {
    explore(HOARDER);
}

#[test]
fn two_workers_hold_the_same_table() {
    explore(Story {
        workers: 2,
        tables: 1,
        preemptions: 1,
        // Three threads meet in more ways than a test has time for.
        orders_max: Some(20_000),
        ..STORY
    });
}

#[test]
fn a_worker_that_dies_is_noticed_by_its_kick() {
    explore(Story {
        dies_at: Some(2),
        ..STORY
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn found_a_worker_that_clears_last_sleeps_over_a_message() {
    explore(Story {
        mutation: Mutation::WorkerClearsLast,
        ..STORY
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn found_a_control_thread_that_clears_last_sleeps_over_a_message() {
    explore(Story {
        mutation: Mutation::ControlClearsLast,
        ..STORY
    });
}

#[test]
#[should_panic(expected = "left: Died")]
fn found_asking_late_takes_a_stopped_worker_for_a_dead_one() {
    explore(Story {
        mutation: Mutation::AsksLate,
        ..STORY
    });
}

#[test]
#[should_panic(expected = "room was counted")]
fn found_without_reserve_an_answer_finds_no_room() {
    explore(Story {
        mutation: Mutation::ReservesNothing,
        ..HOARDER
    });
}
