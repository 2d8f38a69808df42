//! Lets the workers in while the control thread makes a change.
//!
//! A change of a table of a thousand backends is a millisecond of work, and where CPUs are busy
//! it happens on one that has a worker. Nice does not keep it out of the worker's way: Linux gives
//! a thread that wakes the CPU at once only if it has not had more than its share, which a busy
//! worker always has, and otherwise at the next tick, 4 ms on many a kernel. What always lets the
//! worker in is a sleep, however short, so long work is done a little at a time. Threads that
//! never have more than a little to do are not slowed: it is their time on a CPU that counts.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Work at a time: a sixteenth of what a request takes at 64 connections on a busy core, so that
/// those that waited for it are not among the slowest.
const AT_A_TIME: Duration = Duration::from_micros(50);

/// The longest sleep for work of any length is so many times as long. A worker that never rests
/// gives the CPU back at ticks alone, and a change of ten thousand backends would take a second.
const SLEEP_MAX: u32 = 16;

/// Items between two looks at the clock.
const ITEMS_AT_A_TIME: usize = 64;

/// Any time will do; the kernel makes 50 us and more of it.
const SHORTEST: Duration = Duration::from_nanos(1);

thread_local! {
    static REST: Cell<Rest> = const { Cell::new(Rest::NEVER) };
}

/// The last sleep of a thread.
#[derive(Clone, Copy)]
struct Rest {
    /// Time the thread had had on a CPU.
    worked: Duration,
    /// How long it lasted, the wait for a CPU included.
    lasted: Duration,
}

impl Rest {
    const NEVER: Rest = Rest {
        worked: Duration::ZERO,
        lasted: Duration::ZERO,
    };

    /// Whether another is due for who has had so much time on a CPU.
    fn is_over(self, worked: Duration) -> bool {
        worked.saturating_sub(self.worked) >= AT_A_TIME.max(self.lasted / SLEEP_MAX)
    }
}

/// Sleeps as briefly as there is if this thread has worked for long enough. To be called between
/// steps of long work; a call that does nothing costs a system call that reads a clock.
pub(in crate::control) fn breathe() {
    let worked = worked();
    if REST.get().is_over(worked) {
        let began = Instant::now();
        thread::sleep(SHORTEST);
        let lasted = began.elapsed();
        REST.set(Rest { worked, lasted });
    }
}

/// The same items, with a [`breathe`] now and then.
pub(in crate::control) fn unhurried<T>(items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    items.enumerate().map(|(position, item)| {
        if position.is_multiple_of(ITEMS_AT_A_TIME) {
            breathe();
        }
        item
    })
}

fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the thread gave its CPU away, sleeps among them.
    fn sleeps() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let count = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count.unwrap().trim().parse().unwrap()
    }

    fn work(time: Duration) {
        let end = worked() + time;
        while worked() < end {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn long_work_is_interrupted_by_sleeps() {
        let before = sleeps();
        for _ in 0..10 {
            REST.set(Rest::NEVER);
            work(AT_A_TIME);
            breathe();
        }
        assert!(sleeps() >= before + 10);
    }

    #[test]
    fn a_long_walk_is_interrupted_and_whole() {
        REST.set(Rest::NEVER);
        let before = sleeps();
        let items = 0..100 * ITEMS_AT_A_TIME;
        let slow = items.clone().inspect(|_| work(AT_A_TIME / 50));
        assert!(unhurried(slow).eq(items));
        assert!(sleeps() > before);
    }

    #[test]
    fn who_sleeps_long_works_longer() {
        let micros = Duration::from_micros;
        let rest = |lasted| Rest {
            worked: micros(1_000),
            lasted: micros(lasted),
        };
        for lasted in [0, 60, 800] {
            assert!(!rest(lasted).is_over(micros(1_049)), "{lasted}");
            assert!(rest(lasted).is_over(micros(1_050)), "{lasted}");
        }
        assert!(!rest(4_000).is_over(micros(1_249)));
        assert!(rest(4_000).is_over(micros(1_250)));
    }
}
