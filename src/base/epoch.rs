//! The number of a routing table. It never falls on a node: a core refuses what is not newer.
//!
//! An epoch is the revision of the store its configuration comes from, which is the same number on
//! every node; and, behind a point, how often this node has found other backends since (answers of
//! DNS, files), which is its own affair. 12 is before 12.1, and that is before 13. Both are in one
//! word, so that cores compare and carry it as a number.

use std::fmt;

/// Bits of what was found: one a second for eight years without a change of the configuration.
const FOUND_BITS: u32 = 28;

/// The longest text of an epoch: the digits of 36 bits, a point, those of 28.
pub const TEXT_BYTES_MAX: usize = 11 + 1 + 9;

/// Number of a routing table; grows with every published change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The first epoch of a revision of the store.
    #[must_use]
    pub const fn of(revision: u64) -> Epoch {
        Epoch(revision << FOUND_BITS)
    }

    /// The revision its configuration comes from.
    #[must_use]
    pub const fn revision(self) -> u64 {
        self.0 >> FOUND_BITS
    }

    /// How often something was found since.
    #[must_use]
    pub const fn found(self) -> u64 {
        self.0 & ((1 << FOUND_BITS) - 1)
    }

    /// The epoch after this one with the same configuration; the same where none is left.
    #[must_use]
    pub const fn next_found(self) -> Epoch {
        let next = Epoch(self.0.saturating_add(1));
        match next.revision() == self.revision() {
            true => next,
            false => self,
        }
    }

    /// Its text, without a formatter.
    pub fn text(self, room: &mut [u8; TEXT_BYTES_MAX]) -> &[u8] {
        let (mut revision, mut found) = (itoa::Buffer::new(), itoa::Buffer::new());
        let revision = revision.format(self.revision()).as_bytes();
        let mut end = revision.len();
        room[..end].copy_from_slice(revision);
        if self.found() > 0 {
            let found = found.format(self.found()).as_bytes();
            room[end] = b'.';
            room[end + 1..][..found.len()].copy_from_slice(found);
            end += 1 + found.len();
        }
        &room[..end]
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.revision().fmt(f)?;
        match self.found() {
            0 => Ok(()),
            found => write!(f, ".{found}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_comes_between_two_revisions() {
        let (twelve, thirteen) = (Epoch::of(12), Epoch::of(13));
        let found = twelve.next_found();
        assert!(twelve < found && found < thirteen);
        assert_eq!((found.revision(), found.found()), (12, 1));
        assert_eq!(
            (twelve.to_string(), found.to_string()),
            ("12".into(), "12.1".into())
        );
    }

    #[test]
    fn no_find_becomes_a_revision() {
        for last in [Epoch(thirteen_less_one()), Epoch(u64::MAX)] {
            assert_eq!(last.next_found(), last);
        }
    }

    fn thirteen_less_one() -> u64 {
        Epoch::of(13).0 - 1
    }

    #[test]
    fn the_longest_text_fits_and_is_what_display_says() {
        let mut room = [0; TEXT_BYTES_MAX];
        for epoch in [
            Epoch(0),
            Epoch::of(7),
            Epoch(u64::MAX),
            Epoch(thirteen_less_one()),
        ] {
            assert_eq!(epoch.text(&mut room), epoch.to_string().as_bytes());
        }
    }
}
