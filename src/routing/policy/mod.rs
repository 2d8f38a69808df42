//! Policies: which backend of a group serves one exchange.
//!
//! A policy looks at the group (immutable, from the table) and at a small state of its own core,
//! so it never waits for anyone. The state lives outside the table, one per core and group slot,
//! and survives every epoch. Each core begins at its own seeded offset: cores that all began at
//! the first backend would send it one burst each.
//!
//! A backend that was tried for the same exchange is not chosen again; when none is left the
//! answer is `None`, and the caller gives up. Backends are tried in an exchange at most
//! [`TRIED_MAX`] times.

mod least_load;
mod round_robin;
#[cfg(test)]
mod tests;

use crate::base::id::{BackendIndex, CoreId, GroupSlot};
use crate::routing::table::Group;

/// Which policy a group uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// The backend with the fewest requests in flight, all cores of the node together; in groups
    /// of more than 64, the best of the next 64.
    LeastConnections,
    /// One after the other.
    RoundRobin,
}

/// Backends one exchange may try: the first and its retries. It bounds [`Tried`], which is copied
/// with every exchange, and nobody waits for a sixteenth failure.
pub const TRIED_MAX: usize = 16;

/// What a core remembers about a group between picks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PickState {
    /// Where the next search begins; reduced to the number of backends when it is used.
    cursor: u32,
}

impl PickState {
    /// The state a core begins with: an offset that differs by node (seed), core and group.
    #[must_use]
    pub fn new(seed: u64, core: CoreId, group: GroupSlot) -> Self {
        let place = u64::from(group.0) << 16 | u64::from(core.0);
        let mixed = mix(seed ^ mix(place.wrapping_add(0x9e37_79b9_7f4a_7c15)));
        PickState {
            cursor: (mixed >> 32) as u32,
        }
    }

    /// The cursor as a position among `count` backends.
    fn start(self, count: u32) -> u32 {
        if self.cursor < count {
            self.cursor
        } else {
            self.cursor % count
        }
    }

    /// The next search begins behind `chosen`.
    fn advance(&mut self, chosen: u32, count: u32) {
        self.cursor = if chosen + 1 < count { chosen + 1 } else { 0 };
    }
}

/// The backends an exchange has tried, by their index in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    indices: [u32; TRIED_MAX],
    count: u8,
}

impl Default for Tried {
    fn default() -> Self {
        Tried::NONE
    }
}

impl Tried {
    /// Nothing was tried yet.
    pub const NONE: Tried = Tried {
        indices: [0; TRIED_MAX],
        count: 0,
    };

    /// Notes that `backend` was tried. Beyond [`TRIED_MAX`] nothing is noted, but then
    /// [`pick`] offers nothing any more.
    pub fn insert(&mut self, backend: BackendIndex) {
        if !self.contains(backend) && !self.is_full() {
            self.indices[usize::from(self.count)] = backend.0;
            self.count += 1;
        }
    }

    /// Whether `backend` was tried.
    #[inline]
    #[must_use]
    pub fn contains(&self, backend: BackendIndex) -> bool {
        self.indices[..usize::from(self.count)].contains(&backend.0)
    }

    /// How many were tried.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether none was tried.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the exchange has no further try.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() == TRIED_MAX
    }
}

/// Chooses a backend that was not tried; `None` when there is none.
#[inline]
#[must_use]
pub fn pick(group: &Group, state: &mut PickState, tried: &Tried) -> Option<BackendIndex> {
    match group.backends.len() {
        0 => None,
        _ if tried.is_full() => None,
        1 => (!tried.contains(BackendIndex(0))).then_some(BackendIndex(0)),
        _ => match group.policy {
            PolicyKind::LeastConnections => least_load::pick(group, state, tried),
            PolicyKind::RoundRobin => round_robin::pick(group, state, tried),
        },
    }
}

/// The number of backends; a table is bounded far below `u32::MAX`.
fn count(group: &Group) -> u32 {
    u32::try_from(group.backends.len()).unwrap_or(u32::MAX)
}

/// The positions of all backends, beginning at `start` and wrapping around.
fn around(start: u32, count: u32) -> impl Iterator<Item = u32> {
    (start..count).chain(0..start)
}

/// The finisher of splitmix64: every bit of the input moves every bit of the output.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
