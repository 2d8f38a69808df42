//! Workers for tests of the control plane: they answer as a core does and serve nobody.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::base::id::ListenerSlot;
use crate::link::ToWorker;
use crate::link::parts::Live;
use crate::link::worker_side::{WorkerEnd, WorkerSide};

/// How a worker behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Dies when it adopts this epoch.
    DiesAt(u64),
    /// As it should.
    Good,
    /// Does not end before it is stopped.
    NeverDrains,
}

/// Starts one thread for each end.
pub(super) fn start(ends: Vec<WorkerEnd>, habit: Habit) -> Vec<JoinHandle<()>> {
    ends.into_iter()
        .map(|end| std::thread::spawn(move || run(end, habit)))
        .collect()
}

fn run(end: WorkerEnd, habit: Habit) {
    let kicked = end.kicked.clone();
    let mut side = WorkerSide::<Live>::new(end);
    let mut sockets = HashMap::<ListenerSlot, Arc<OwnedFd>>::new();
    loop {
        kicked.clear();
        while let Some(message) = side.next_message() {
            match message {
                ToWorker::Adopt {
                    table,
                    sockets: new,
                } => {
                    if habit == Habit::DiesAt(table.epoch.revision()) {
                        return;
                    }
                    let table = side.admit(table).expect("epochs grow");
                    sockets.extend(new.into_iter().map(|socket| (socket.listener, socket.fd)));
                    sockets.retain(|slot, _| table.listener(*slot).is_some());
                    side.adopt(table);
                }
                ToWorker::Drain(_) if habit == Habit::NeverDrains => {}
                ToWorker::Drain(_) => return side.stopped(0),
                ToWorker::Stop => return side.stopped(1),
            }
        }
        if side.is_abandoned() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
