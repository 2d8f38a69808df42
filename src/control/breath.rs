//! Lets the workers in while the control thread makes a change.
//!
//! A change of a table of a thousand backends is two milliseconds of work, and where CPUs are busy
//! it happens on one that has a worker. Nice does not keep it out of the worker's way: Linux gives
//! a thread that wakes the CPU at once only if it has not had more than its share, which a busy
//! worker always has, and otherwise at the next tick, 4 ms on many a kernel. What always lets the
//! worker in is a sleep, however short, so long work is done a little at a time. Threads that
//! never have more than a little to do are not slowed: it is their time on a CPU that counts.

use std::cell::Cell;
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Work at a time: an eighth of what a request takes at 64 connections on a busy core, so that those
/// that waited for it are not among the slowest.
const AT_A_TIME: Duration = Duration::from_micros(100);

/// Items between two looks at the clock.
const ITEMS_AT_A_TIME: usize = 64;

/// Any time will do; the kernel makes 50 us and more of it.
const SHORTEST: Duration = Duration::from_nanos(1);

thread_local! {
    /// Time this thread had had on a CPU when it slept last.
    static SLEPT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Sleeps as briefly as there is if this thread has worked for long enough. To be called between
/// steps of long work; a call that does nothing costs a system call that reads a clock.
pub(in crate::control) fn breathe() {
    let worked = worked();
    if is_long(worked.saturating_sub(SLEPT.get())) {
        thread::sleep(SHORTEST);
        SLEPT.set(worked);
    }
}

fn is_long(work: Duration) -> bool {
    work >= AT_A_TIME
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
            work(AT_A_TIME);
            breathe();
        }
        assert!(sleeps() >= before + 10);
    }

    #[test]
    fn a_long_walk_is_interrupted_and_whole() {
        let before = sleeps();
        let items = 0..10 * ITEMS_AT_A_TIME;
        let slow = items.clone().inspect(|_| work(AT_A_TIME / 50));
        assert!(unhurried(slow).eq(items));
        assert!(sleeps() >= before + 9);
    }

    #[test]
    fn short_work_goes_on() {
        assert!(!is_long(AT_A_TIME - Duration::from_nanos(1)));
        assert!(is_long(AT_A_TIME));
    }
}
