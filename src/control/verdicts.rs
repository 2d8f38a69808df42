//! Verdicts of somebody outside on their way to the store: gathered, and written together.
//!
//! A monitor that sees a tenth of a thousand backends flap says so thousands of times a minute,
//! and each verdict is to last, so it is acknowledged when it is stored. Stored one by one they
//! would be as many transactions of etcd. Here all that wait are one change, made at once after a
//! pause and no sooner than [`ONE_EVERY`] times the number of nodes after the last: so that all
//! nodes together write eight times a second at most, however many there are and whatever they are
//! told.
//! Changes of people, and verdicts with conditions, are not gathered.
//!
//! A change that is refused because of one verdict (a backend that has just been removed) is made
//! again verdict by verdict, so that nobody is refused for another.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::control::change::{Change, Conditions, Done, Refusal};
use crate::control::document::Op;

/// How often all nodes together write verdicts.
const ONE_EVERY: Duration = Duration::from_millis(125);

/// Verdicts that may wait.
const WAITING_MAX: usize = 4096;

/// Verdicts of one change.
const BATCH_MAX: usize = 512;

type Answer = oneshot::Sender<Result<Done, Refusal>>;

/// What waits; clones are the same.
#[derive(Clone)]
pub(super) struct Verdicts(Arc<Shared>);

struct Shared {
    changes: mpsc::Sender<Change>,
    every: Duration,
    nodes: AtomicU32,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<(Op, Answer)>,
    /// When the last change was made.
    last: Option<Instant>,
    /// Somebody makes changes of what waits.
    busy: bool,
}

impl Verdicts {
    /// Of a node that makes its changes by this queue.
    pub(super) fn new(changes: mpsc::Sender<Change>) -> Verdicts {
        Verdicts::at_pace(changes, ONE_EVERY)
    }

    fn at_pace(changes: mpsc::Sender<Change>, every: Duration) -> Verdicts {
        Verdicts(Arc::new(Shared {
            changes,
            every,
            nodes: AtomicU32::new(1),
            queue: Mutex::default(),
        }))
    }

    /// So many nodes share the store.
    pub(super) fn share_with(&self, nodes: usize) {
        let nodes = u32::try_from(nodes).unwrap_or(u32::MAX).max(1);
        self.0.nodes.store(nodes, Ordering::Relaxed);
    }

    /// Makes it part of the next change; answers when that is made.
    pub(super) async fn add(&self, op: Op) -> Result<Done, Refusal> {
        let (answer, made) = oneshot::channel();
        let begins = {
            let mut queue = self.queue();
            if queue.waiting.len() == WAITING_MAX {
                return Err(Refusal::Busy);
            }
            queue.waiting.push((op, answer));
            !std::mem::replace(&mut queue.busy, true)
        };
        if begins {
            let verdicts = self.clone();
            tokio::spawn(async move { verdicts.make_all().await });
        }
        made.await.unwrap_or(Err(Refusal::Ending))
    }

    /// Makes changes until nothing waits.
    async fn make_all(&self) {
        loop {
            if let Some(at) = self.next() {
                sleep_until(at).await;
            }
            let batch = {
                let mut queue = self.queue();
                let count = queue.waiting.len().min(BATCH_MAX);
                if count == 0 {
                    queue.busy = false;
                    return;
                }
                queue.last = Some(Instant::now());
                queue.waiting.drain(..count).collect::<Vec<_>>()
            };
            self.make(batch).await;
        }
    }

    /// When the next change may be made.
    fn next(&self) -> Option<Instant> {
        let nodes = self.0.nodes.load(Ordering::Relaxed);
        Some(self.queue().last? + self.0.every * nodes)
    }

    async fn make(&self, batch: Vec<(Op, Answer)>) {
        let ops: Vec<Op> = batch.iter().map(|(op, _)| op.clone()).collect();
        let alone = ops.len() == 1;
        let made = self.change(ops).await;
        let is_of_one = matches!(
            made,
            Err(Refusal::Absent(_) | Refusal::Invalid(_) | Refusal::NoWindow(_))
        );
        for (op, answer) in batch {
            let told = match is_of_one && !alone {
                true => self.change(vec![op]).await,
                false => made.clone(),
            };
            // Whoever does not wait any more has given up.
            let _ = answer.send(told);
        }
    }

    async fn change(&self, ops: Vec<Op>) -> Result<Done, Refusal> {
        let (answer, made) = oneshot::channel();
        let change = Change {
            ops,
            conditions: Conditions::default(),
            answer,
            tries: 0,
            asked: std::time::Instant::now(),
        };
        match self.0.changes.try_send(change) {
            Ok(()) => made.await.unwrap_or(Err(Refusal::Ending)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Refusal::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Refusal::Ending),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::control::change::Snapshot;
    use crate::control::document::{HEALTH_KEY, Section};

    fn verdict(backend: u64) -> Op {
        Op::Patch {
            path: format!("groups/app/backends/b{backend}").parse().unwrap(),
            value: Section::from_iter([(HEALTH_KEY.to_owned(), "failed".into())]),
        }
    }

    /// A node that takes changes, counts them, and refuses those with the backend 13.
    fn node(writes: &Arc<AtomicU64>, every: Duration) -> Verdicts {
        let (changes, mut queue) = mpsc::channel::<Change>(64);
        let writes = Arc::clone(writes);
        tokio::spawn(async move {
            while let Some(change) = queue.recv().await {
                let gone = change.ops.iter().find(|op| **op == verdict(13));
                let made = match gone {
                    Some(Op::Patch { path, .. }) => Err(Refusal::Absent(path.clone())),
                    _ => {
                        writes.fetch_add(1, Ordering::Relaxed);
                        let snapshot = Arc::new(Snapshot::default());
                        Ok(Done {
                            before: Arc::clone(&snapshot),
                            after: snapshot,
                        })
                    }
                };
                let _ = change.answer.send(made);
            }
        });
        Verdicts::at_pace(changes, every)
    }

    #[tokio::test]
    async fn what_waits_is_one_change_and_nobody_is_refused_for_another() {
        let writes = Arc::new(AtomicU64::new(0));
        let node = node(&writes, Duration::from_millis(50));
        assert!(node.add(verdict(0)).await.is_ok(), "at once");
        let tasks = (1..=12).map(|backend| {
            let node = node.clone();
            tokio::spawn(async move { node.add(verdict(backend)).await })
        });
        for task in tasks.collect::<Vec<_>>() {
            assert!(task.await.unwrap().is_ok());
        }
        assert_eq!(writes.load(Ordering::Relaxed), 2);
        let tasks = (12..=14).map(|backend| {
            let node = node.clone();
            tokio::spawn(async move { node.add(verdict(backend)).await.is_ok() })
        });
        let mut told = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            told.push(task.await.unwrap());
        }
        assert_eq!(told, [true, false, true]);
    }

    /// A tenth of 1,000 backends changes fifty times faster than by checks, told to 50 nodes, at
    /// ten times the real pace: what all of them write stays within what is allowed for that.
    #[tokio::test]
    async fn fifty_nodes_together_write_eight_times_a_second_while_a_tenth_flaps() {
        let (writes, every) = (Arc::new(AtomicU64::new(0)), ONE_EVERY / 10);
        let nodes: Vec<Verdicts> = (0..50).map(|_| node(&writes, every)).collect();
        nodes.iter().for_each(|node| node.share_with(50));
        let (begun, mut told) = (Instant::now(), 0_u64);
        let mut tasks = Vec::new();
        while begun.elapsed() < Duration::from_secs(4) {
            for backend in 100..200 {
                let node = nodes[(told % 50) as usize].clone();
                told += 1;
                tasks.push(tokio::spawn(async move {
                    node.add(verdict(backend)).await.is_ok()
                }));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for task in tasks {
            assert!(task.await.unwrap(), "all are acknowledged");
        }
        let (writes, time) = (writes.load(Ordering::Relaxed), begun.elapsed());
        // Each node writes once at once, and then as often as all of them together may.
        let allowed = 50.0 + time.as_secs_f64() / every.as_secs_f64();
        eprintln!("{told} verdicts at 50 nodes: {writes} writes in {time:?}, {allowed:.0} allowed");
        assert!(writes as f64 <= allowed + 1.0);
        assert!(told > 10 * writes);
    }
}
