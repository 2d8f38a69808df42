//! Hard limits of one backend or group over all cores: permits that are taken before and given
//! back after.
//!
//! Only a backend with a limit has a gate, so only its requests pay for the one shared word they
//! must agree on. A permit gives itself back when it is dropped, with whatever held it: there is
//! no path on which it could be forgotten.
//!
//! A limit that a reload brings finds requests and connections that hold no permit. They are
//! seen on the counters the cores keep anyway ([`Gate::take`] is told their number), so the limit
//! holds from the first moment, but for as many as there are cores that start one in the same
//! instant while the last of them are still running.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Open connections, idle ones included.
    Connections,
    /// Requests under way.
    Requests,
    /// Requests that are being tried again.
    Retries,
}

/// There is no permit left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The shared account of one limited backend or group.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Gate {
    connections: AtomicU32,
    /// Permits in the lower half; in the upper one what is missing of the highest limit, so that
    /// both change as one.
    requests: AtomicU64,
    retries: AtomicU32,
    starved: AtomicBool,
    short: AtomicBool,
}

/// An account of requests: permits, and the limit beside that of the table.
fn parts(account: u64) -> (u32, u32) {
    (account as u32, !((account >> 32) as u32))
}

fn account_of(taken: u32, limit: u32) -> u64 {
    u64::from(!limit) << 32 | u64::from(taken)
}

impl Gate {
    /// Permits that are out.
    #[inline]
    #[must_use]
    pub fn taken(&self, what: Limited) -> u32 {
        match what {
            Limited::Connections => self.connections.load(Ordering::Relaxed),
            Limited::Requests => parts(self.requests.load(Ordering::Relaxed)).0,
            Limited::Retries => self.retries.load(Ordering::Relaxed),
        }
    }

    /// What this node may have of requests, where nodes share a limit; else the highest number.
    #[inline]
    #[must_use]
    pub fn limit(&self) -> u32 {
        parts(self.requests.load(Ordering::Relaxed)).1
    }

    /// Sets that limit; what is under way beyond it goes on.
    pub fn set_limit(&self, limit: u32) {
        let set = |account| Some(account_of(parts(account).0, limit));
        let _ = self
            .requests
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, set);
    }

    /// Lowers it to this, or to what is under way where that is more; answers which.
    pub fn lower_limit(&self, limit: u32) -> u32 {
        let lowered = |account| limit.max(parts(account).0);
        let set = |account| Some(account_of(parts(account).0, lowered(account)));
        let before = self
            .requests
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, set);
        before.map_or(limit, lowered)
    }

    /// Notes that a request was refused that the limit of the table would have let through.
    pub fn set_short(&self) {
        self.short.store(true, Ordering::Relaxed);
    }

    /// Whether one was since this was last asked.
    #[must_use]
    pub fn take_short(&self) -> bool {
        self.short.load(Ordering::Relaxed) && self.short.swap(false, Ordering::Relaxed)
    }

    /// Takes a permit if fewer than `max` are out.
    ///
    /// # Errors
    /// When none is left.
    pub fn take(self: &Arc<Self>, what: Limited, max: u32) -> Result<Permit, Full> {
        let took = match what {
            Limited::Connections => one_more(&self.connections, max),
            Limited::Requests => self.one_more_request(max),
            Limited::Retries => one_more(&self.retries, max),
        };
        took.map(|()| Permit {
            gate: Arc::clone(self),
            what,
        })
    }

    /// Notes that a core found no connection while others may keep idle ones.
    pub fn set_starved(&self) {
        self.starved.store(true, Ordering::Relaxed);
    }

    /// Whether some core found no connection since this was last asked.
    #[must_use]
    pub fn take_starved(&self) -> bool {
        // Looking first keeps the line shared while nobody starves.
        self.starved.load(Ordering::Relaxed) && self.starved.swap(false, Ordering::Relaxed)
    }

    fn one_more_request(&self, max: u32) -> Result<(), Full> {
        let next = |account| {
            let (taken, limit) = parts(account);
            (taken < max.min(limit)).then_some(account + 1)
        };
        let account = &self.requests;
        match account.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next) {
            Ok(_) => Ok(()),
            Err(account) => {
                if parts(account).0 < max {
                    self.set_short();
                }
                Err(Full)
            }
        }
    }
}

fn one_more(account: &AtomicU32, max: u32) -> Result<(), Full> {
    let next = |taken: u32| (taken < max).then_some(taken + 1);
    match account.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next) {
        Ok(_) => Ok(()),
        Err(_) => Err(Full),
    }
}

/// The right to one request or one connection; dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    what: Limited,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let gate = &self.gate;
        match self.what {
            Limited::Connections => {
                gate.connections.fetch_sub(1, Ordering::AcqRel);
            }
            Limited::Requests => {
                gate.requests.fetch_sub(1, Ordering::AcqRel);
            }
            Limited::Retries => {
                gate.retries.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }
}

/// The requests of one group that wait for room, all cores together.
#[derive(Clone, Debug)]
pub struct Queue {
    /// How many may.
    pub requests_max: u32,
    /// How long each may.
    pub timeout: Duration,
    /// How many do; it outlives every table.
    pub waiting: Arc<AtomicU32>,
}

impl Queue {
    /// A place in the queue.
    ///
    /// # Errors
    /// When all are taken.
    pub fn enter(&self) -> Result<Place, Full> {
        let one_more = |waiting: u32| (waiting < self.requests_max).then_some(waiting + 1);
        match self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more)
        {
            Ok(_) => Ok(Place(Arc::clone(&self.waiting))),
            Err(_) => Err(Full),
        }
    }

    /// Requests that wait now.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A place in a [`Queue`]; dropping it leaves the queue.
#[derive(Debug)]
pub struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_a_dropped_permit_is_free_again() {
        let gate = Arc::new(Gate::default());
        let first = gate.take(Limited::Requests, 2).unwrap();
        let _second = gate.take(Limited::Requests, 2).unwrap();
        assert_eq!(gate.take(Limited::Requests, 2).unwrap_err(), Full);
        let _other = gate.take(Limited::Connections, 1).unwrap();
        drop(first);
        assert_eq!(gate.taken(Limited::Requests), 1);
        assert!(gate.take(Limited::Requests, 2).is_ok());
        assert_eq!(gate.taken(Limited::Connections), 1);
    }

    #[test]
    fn a_lower_limit_waits_for_what_is_out() {
        let gate = Arc::new(Gate::default());
        let out: Vec<Permit> = (0..5)
            .map(|_| gate.take(Limited::Requests, 5).unwrap())
            .collect();
        assert!(gate.take(Limited::Requests, 2).is_err());
        drop(out);
        assert!(gate.take(Limited::Requests, 2).is_ok());
    }

    #[test]
    fn threads_never_hold_more_than_the_limit() {
        let gate = Arc::new(Gate::default());
        let held = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if let Ok(permit) = gate.take(Limited::Requests, 3) {
                            let now = held.fetch_add(1, Ordering::SeqCst) + 1;
                            assert!(now <= 3);
                            held.fetch_sub(1, Ordering::SeqCst);
                            drop(permit);
                        }
                    }
                });
            }
        });
        assert_eq!(gate.taken(Limited::Requests), 0);
    }

    #[test]
    fn a_limit_of_nodes_holds_beside_that_of_the_table_and_is_lowered_to_what_is_free() {
        let gate = Arc::new(Gate::default());
        assert_eq!(gate.limit(), u32::MAX);
        gate.set_limit(2);
        let first = gate.take(Limited::Requests, 9).unwrap();
        let second = gate.take(Limited::Requests, 9).unwrap();
        assert!(!gate.take_short());
        assert_eq!(gate.take(Limited::Requests, 9).unwrap_err(), Full);
        assert!(gate.take_short() && !gate.take_short());
        assert_eq!(gate.lower_limit(1), 2, "two are under way");
        drop(first);
        assert_eq!((gate.lower_limit(1), gate.limit()), (1, 1));
        gate.set_limit(0);
        assert_eq!(gate.taken(Limited::Requests), 1);
        drop(second);
        assert_eq!(gate.taken(Limited::Requests), 0);
        assert!(gate.take(Limited::Requests, 9).is_err());
        gate.set_limit(u32::MAX);
        assert!(gate.take(Limited::Requests, 1).is_ok());
    }

    #[test]
    fn starving_is_told_once() {
        let gate = Gate::default();
        assert!(!gate.take_starved());
        gate.set_starved();
        assert!(gate.take_starved() && !gate.take_starved());
    }

    #[test]
    fn a_queue_is_bounded_and_a_place_is_left_by_dropping_it() {
        let queue = Queue {
            requests_max: 2,
            timeout: Duration::from_secs(1),
            waiting: Arc::default(),
        };
        let (first, _second) = (queue.enter().unwrap(), queue.enter().unwrap());
        assert_eq!((queue.enter().unwrap_err(), queue.waiting()), (Full, 2));
        drop(first);
        assert_eq!(queue.waiting(), 1);
        assert!(queue.enter().is_ok());
    }
}
