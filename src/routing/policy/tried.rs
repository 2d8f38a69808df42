//! The backends one exchange has tried.

use crate::base::id::BackendIndex;

/// Backends one exchange may try: the first and its retries. It bounds [`Tried`], which is copied
/// with every exchange, and nobody waits for a sixteenth failure.
pub const TRIED_MAX: usize = 16;

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
    /// a policy offers nothing any more.
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
