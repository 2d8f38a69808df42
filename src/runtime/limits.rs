//! The limits the kernel puts on this process: how many descriptors, how much locked memory.
//!
//! Both are raised at start as far as this process may, because the defaults (1,024 descriptors
//! in many shells) are for programs that do not hold a descriptor per client. Raising is decided
//! by a pure function; the raise itself may be refused, and what was really got is read back.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bytes of locked memory below which glommio refuses to start an executor.
pub const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// Bytes of locked memory asked for: room for the rings of every core.
const MEMLOCK_BYTES_WANTED: u64 = 64 * 1024 * 1024;

/// Descriptors a process may have when the kernel does not say (its built-in default).
const NR_OPEN_DEFAULT: u64 = 1 << 20;

/// Descriptors that do not belong to connections: rings, eventfds, listening sockets, logs.
const DESCRIPTORS_RESERVED: u64 = 256;

/// A limit: what is in force, and how far it may be raised. `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In force.
    pub soft: Option<u64>,
    /// How far `soft` may be raised without privilege.
    pub hard: Option<u64>,
}

/// Raises the number of descriptors toward `/proc/sys/fs/nr_open`; returns what is in force now.
#[must_use]
pub fn raise_descriptors() -> u64 {
    let nr_open = fs::read_to_string("/proc/sys/fs/nr_open")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(NR_OPEN_DEFAULT);
    raise(Resource::Nofile, nr_open).soft.unwrap_or(nr_open)
}

/// Raises the amount of locked memory; returns what is in force now, `None` for no limit.
#[must_use]
pub fn raise_memlock() -> Option<u64> {
    raise(Resource::Memlock, MEMLOCK_BYTES_WANTED).soft
}

/// Descriptors needed for so many connections: each has one to the client and one upstream.
#[must_use]
pub fn descriptors_needed(connections_max: u64) -> u64 {
    connections_max
        .saturating_mul(2)
        .saturating_add(DESCRIPTORS_RESERVED)
}

/// Tries the limits of [`attempts`] until the kernel grants one; reads back what is in force.
fn raise(resource: Resource, wanted: u64) -> Limit {
    for attempt in attempts(read(resource), wanted) {
        let asked = Rlimit {
            current: attempt.soft,
            maximum: attempt.hard,
        };
        if setrlimit(resource, asked).is_ok() {
            break;
        }
    }
    read(resource)
}

fn read(resource: Resource) -> Limit {
    let limit = getrlimit(resource);
    Limit {
        soft: limit.current,
        hard: limit.maximum,
    }
}

/// What to ask for, best first: `wanted` with the hard limit raised to it (a privilege), then
/// what the hard limit allows. Nothing that lowers a limit is ever asked for.
fn attempts(now: Limit, wanted: u64) -> Vec<Limit> {
    let reaches = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted);
    if reaches(now.soft) {
        return Vec::new();
    }
    if reaches(now.hard) {
        let soft = Some(wanted);
        return vec![Limit { soft, ..now }];
    }
    let privileged = Limit {
        soft: Some(wanted),
        hard: Some(wanted),
    };
    let allowed = Limit {
        soft: now.hard,
        ..now
    };
    vec![privileged, allowed]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(soft: u64, hard: u64) -> Limit {
        Limit {
            soft: Some(soft),
            hard: Some(hard),
        }
    }

    #[test]
    fn a_low_hard_limit_is_raised_when_privileged_and_used_up_otherwise() {
        assert_eq!(
            attempts(limit(1024, 4096), 1_048_576),
            [limit(1_048_576, 1_048_576), limit(4096, 4096)]
        );
    }

    #[test]
    fn a_high_hard_limit_is_left_alone() {
        assert_eq!(
            attempts(limit(1024, 524_288), 65_536),
            [limit(65_536, 524_288)]
        );
        let unlimited = Limit {
            soft: Some(1024),
            hard: None,
        };
        let raised = Limit {
            soft: Some(65_536),
            hard: None,
        };
        assert_eq!(attempts(unlimited, 65_536), [raised]);
    }

    #[test]
    fn nothing_is_ever_lowered() {
        assert_eq!(attempts(limit(4096, 4096), 1024), []);
        let unlimited = Limit {
            soft: None,
            hard: None,
        };
        assert_eq!(attempts(unlimited, 1024), []);
    }

    #[test]
    fn a_connection_needs_two_descriptors() {
        assert_eq!(descriptors_needed(10_000), 20_256);
        assert_eq!(descriptors_needed(u64::MAX), u64::MAX);
    }

    #[test]
    fn raising_really_raises() {
        let before = read(Resource::Nofile);
        let after = raise_descriptors();
        assert!(before.soft.is_none_or(|soft| after >= soft));
        assert!(
            before
                .hard
                .is_none_or(|hard| after >= hard.min(NR_OPEN_DEFAULT))
        );
    }
}
