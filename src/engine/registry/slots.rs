//! Numbered places for things with an identity.
//!
//! A copy shares with its original all that stays the same in both, so a plan can be made on a copy
//! of ten thousand places and thrown away at the price of what it changes.

use std::hash::Hash;
use std::sync::Arc;

use imbl::{HashMap, Vector};

use crate::base::epoch::Epoch;

#[derive(Clone)]
pub(super) struct Slots<K, T> {
    entries: Vector<Option<Arc<Entry<K, T>>>>,
    by_identity: HashMap<K, u32>,
    /// The last epoch whose table names it, by slot. Every plan writes all of them.
    last: Vec<Epoch>,
    /// Places without an entry, the next one to be used last.
    free: Vec<u32>,
}

#[derive(Clone)]
pub(super) struct Entry<K, T> {
    pub(super) identity: K,
    pub(super) state: T,
}

impl<K: Clone + Eq + Hash, T: Clone> Default for Slots<K, T> {
    fn default() -> Self {
        Slots {
            entries: Vector::new(),
            by_identity: HashMap::new(),
            last: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, T: Clone> Slots<K, T> {
    /// The slot of `identity`, a new one if it has none, marked as named by `epoch`.
    pub(super) fn claim(
        &mut self,
        identity: K,
        epoch: Epoch,
        make: impl FnOnce(u32) -> T,
    ) -> (u32, &T) {
        let slot = match self.by_identity.get(&identity) {
            Some(slot) => *slot,
            None => self.place(identity, make),
        };
        self.last[slot as usize] = epoch;
        let entry = self.entries[slot as usize].as_ref();
        (slot, &entry.expect("identities name entries").state)
    }

    fn place(&mut self, identity: K, make: impl FnOnce(u32) -> T) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push_back(None);
            self.last.push(Epoch::default());
            self.len() - 1
        });
        self.by_identity.insert(identity.clone(), slot);
        let state = make(slot);
        self.entries[slot as usize] = Some(Arc::new(Entry { identity, state }));
        slot
    }

    /// Gives what is at a slot another state; copies of it keep theirs.
    pub(super) fn change(&mut self, slot: u32, change: impl FnOnce(&mut T)) {
        if let Some(Some(entry)) = self.entries.get_mut(slot as usize) {
            change(&mut Arc::make_mut(entry).state);
        }
    }

    pub(super) fn release_before(&mut self, oldest: Epoch) {
        let free = self.free.len();
        for (slot, last) in (0_u32..).zip(&self.last) {
            if *last >= oldest || self.entries[slot as usize].is_none() {
                continue;
            }
            if let Some(entry) = self.entries[slot as usize].take() {
                self.by_identity.remove(&entry.identity);
                self.free.push(slot);
            }
        }
        if self.free.len() > free {
            self.free.sort_unstable_by(|left, right| right.cmp(left));
        }
    }

    /// Every place that is taken, and the last epoch whose table names it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Entry<K, T>, Epoch)> {
        let places = (0_u32..).zip(&self.entries).zip(&self.last);
        places.filter_map(|((slot, place), last)| Some((slot, &**place.as_ref()?, *last)))
    }

    /// About so many: what the trees of places and names need beside these is not known.
    pub(super) fn memory_bytes(&self) -> usize {
        let place = size_of::<Option<Arc<Entry<K, T>>>>() + size_of::<Epoch>();
        self.entries.len() * (place + size_of::<Entry<K, T>>())
            + self.by_identity.len() * size_of::<(K, u32)>()
    }

    /// One past the highest slot that was ever used.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(slots: &mut Slots<&'static str, u32>, name: &'static str, epoch: u64) -> u32 {
        slots.claim(name, Epoch::of(epoch), |slot| slot * 10).0
    }

    fn names(slots: &Slots<&'static str, u32>) -> Vec<(u32, &'static str, u32)> {
        let entries = slots.iter();
        entries
            .map(|(slot, entry, _)| (slot, entry.identity, entry.state))
            .collect()
    }

    #[test]
    fn a_copy_goes_its_own_way() {
        let mut first = Slots::default();
        assert_eq!(
            [claim(&mut first, "a", 1), claim(&mut first, "b", 1)],
            [0, 1]
        );
        let mut second = first.clone();
        second.change(0, |state| *state = 7);
        assert_eq!(claim(&mut second, "b", 2), 1);
        assert_eq!(claim(&mut second, "c", 2), 2);
        second.release_before(Epoch::of(2));
        assert_eq!(names(&first), [(0, "a", 0), (1, "b", 10)]);
        assert_eq!(names(&second), [(1, "b", 10), (2, "c", 20)]);
        let last: Vec<Epoch> = first.iter().map(|(_, _, last)| last).collect();
        assert_eq!(last, [Epoch::of(1); 2]);
    }

    #[test]
    fn the_lowest_free_place_is_taken_first_and_made_anew() {
        let mut slots = Slots::default();
        for name in ["a", "b", "c"] {
            claim(&mut slots, name, 1);
        }
        slots.change(0, |state| *state = 7);
        claim(&mut slots, "b", 2);
        slots.release_before(Epoch::of(2));
        assert_eq!(names(&slots), [(1, "b", 10)]);
        assert_eq!(claim(&mut slots, "d", 2), 0);
        assert_eq!(claim(&mut slots, "e", 2), 2);
        assert_eq!(claim(&mut slots, "a", 2), 3);
        assert_eq!(names(&slots)[0], (0, "d", 0));
        assert_eq!(slots.len(), 4);
    }
}
