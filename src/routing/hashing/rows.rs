//! A table of rows, each owned by one member: what maglev and large rendezvous look up in.
//!
//! A row is two bytes while the list has fewer than 65536 members, which halves what a core's
//! cache has to hold.

use super::key::scale;
use super::walk::{Course, count};

/// Who owns which row, and the members by key.
#[derive(Debug)]
pub(super) struct Rows {
    owners: Owners,
    members: Box<[u32]>,
}

#[derive(Debug)]
enum Owners {
    Narrow(Box<[u16]>),
    Wide(Box<[u32]>),
}

impl Rows {
    /// A table from the owner of each row, as a position in `members`, which holds the places in
    /// the list they were given in. Nobody owns a row of a table without members.
    pub(super) fn new(owners: &[u32], members: Box<[u32]>) -> Self {
        let place = |owner: &u32| members[*owner as usize];
        let most = members.iter().max().copied().unwrap_or(0);
        let owners = if u16::try_from(most).is_ok() {
            // Cut to what was just found to fit.
            Owners::Narrow(owners.iter().map(|owner| place(owner) as u16).collect())
        } else {
            Owners::Wide(owners.iter().map(place).collect())
        };
        Rows { owners, members }
    }

    /// How many rows there are.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        match &self.owners {
            Owners::Narrow(owners) => count(owners),
            Owners::Wide(owners) => count(owners),
        }
    }

    /// The owner of the row of `hash`.
    #[inline]
    pub(super) fn lookup(&self, hash: u64) -> Option<u32> {
        self.owner(self.begin(hash))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let owners = match &self.owners {
            Owners::Narrow(owners) => size_of_val::<[u16]>(owners),
            Owners::Wide(owners) => size_of_val::<[u32]>(owners),
        };
        owners + size_of_val::<[u32]>(&self.members)
    }
}

impl Course for Rows {
    type Place = u32;

    #[inline]
    fn begin(&self, hash: u64) -> u32 {
        scale(hash, self.len())
    }

    #[inline]
    fn next(&self, place: u32) -> u32 {
        if place + 1 < self.len() { place + 1 } else { 0 }
    }

    #[inline]
    fn owner(&self, place: u32) -> Option<u32> {
        match &self.owners {
            Owners::Narrow(owners) => owners.get(place as usize).copied().map(u32::from),
            Owners::Wide(owners) => owners.get(place as usize).copied(),
        }
    }

    fn members(&self) -> &[u32] {
        &self.members
    }
}
