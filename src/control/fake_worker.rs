//! Workers for tests of the control plane: they answer as a core does and serve nobody.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::base::epoch::Epoch;
use crate::base::id::ListenerSlot;
use crate::link::{FromWorker, ToWorker, WorkerEnd};
use crate::routing::table::Table;

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

fn run(mut end: WorkerEnd, habit: Habit) {
    let mut table: Option<Arc<Table>> = None;
    let mut sockets = HashMap::<ListenerSlot, OwnedFd>::new();
    loop {
        while let Ok(message) = end.from_control.pop() {
            match message {
                ToWorker::Adopt {
                    table: next,
                    sockets: new,
                } => {
                    if habit == Habit::DiesAt(next.epoch.0) {
                        return;
                    }
                    assert!(table.as_ref().map_or(Epoch(0), |t| t.epoch) < next.epoch);
                    sockets.extend(new.into_iter().map(|socket| (socket.listener, socket.fd)));
                    sockets.retain(|slot, _| next.listener(*slot).is_some());
                    tell(&mut end, FromWorker::Adopted(next.epoch));
                    if let Some(old) = table.replace(next) {
                        tell(&mut end, FromWorker::Retired(old));
                    }
                }
                ToWorker::Drain(_) if habit == Habit::NeverDrains => {}
                ToWorker::Drain(_) => return tell(&mut end, FromWorker::Stopped { cut: 0 }),
                ToWorker::Stop => return tell(&mut end, FromWorker::Stopped { cut: 1 }),
            }
        }
        if end.from_control.is_abandoned() {
            return;
        }
        end.kicked.clear();
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn tell(end: &mut WorkerEnd, message: FromWorker) {
    let _ = end.to_control.push(message);
    end.kick_control.kick();
}
