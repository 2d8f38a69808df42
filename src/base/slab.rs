//! A slab whose keys carry a generation: a key to something removed is recognised, never trusted.
//!
//! The standard `slab` crate reuses an index at once; a late completion for the old connection
//! would then reach the new one. Here each reuse of an index raises its generation, and a lookup
//! with an old one finds nothing. Generations are 24 bits wide (they travel in io_uring's
//! `user_data` beside an index of 32 and an operation of 8) and wrap around, which is safe
//! because a slot is only freed after the last completion that names it.

/// Position and generation of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Position in the slab.
    pub index: u32,
    /// How often this position was reused, modulo 2^24.
    pub generation: u32,
}

const GENERATION_MASK: u32 = 0x00ff_ffff;

struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

/// A growable array of reusable entries.
pub struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    /// The generation new positions begin with.
    first: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab {
            entries: Vec::new(),
            free: Vec::new(),
            first: 0,
        }
    }
}

impl<T> Slab<T> {
    /// Entries in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether no entry is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stores what `make` builds from its own key.
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry {
                generation: self.first,
                value: None,
            });
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 connections")
        });
        let entry = &mut self.entries[index as usize];
        let key = Key {
            index,
            generation: entry.generation,
        };
        entry.value = Some(make(key));
        key
    }

    /// Takes the entry out; its key is dead from now on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = (entry.generation + 1) & GENERATION_MASK;
        self.free.push(key.index);
        Some(value)
    }

    /// Gives back the memory of many entries that are gone, if all are, and tells whether it did.
    /// Keys of them stay dead.
    pub fn release_memory(&mut self) -> bool {
        /// Fewer are not worth it.
        const MANY: usize = 1024;
        if self.entries.len() < MANY || !self.is_empty() {
            return false;
        }
        let highest = self.entries.iter().map(|entry| entry.generation).max();
        // Every generation that was ever given out is below the present one of its entry.
        self.first = highest.unwrap_or(0) & GENERATION_MASK;
        self.entries = Vec::new();
        self.free = Vec::new();
        true
    }

    /// The entry of a live key.
    #[inline]
    #[must_use]
    pub fn at(&self, key: Key) -> Option<&T> {
        let entry = self.entries.get(key.index as usize)?;
        if entry.generation == key.generation {
            entry.value.as_ref()
        } else {
            None
        }
    }

    /// The entry of a live key, to change it.
    #[inline]
    pub fn at_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation == key.generation {
            entry.value.as_mut()
        } else {
            None
        }
    }

    /// Keys of all entries in use.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.value.is_some())
            .map(|(index, entry)| Key {
                index: u32::try_from(index).expect("fewer than 2^32 connections"),
                generation: entry.generation,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_finds_nothing_after_its_place_was_reused() {
        let mut slab = Slab::default();
        let first = slab.insert_with(|_| 'a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert_with(|_| 'b');
        assert_eq!(first.index, second.index);
        assert_eq!(slab.at(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.at(second), Some(&'b'));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn keys_stay_dead_when_the_memory_of_all_was_given_back() {
        let mut slab = Slab::default();
        let few = slab.insert_with(|_| 0);
        slab.remove(few);
        assert!(!slab.release_memory());
        assert_eq!(
            slab.insert_with(|_| 1).generation,
            few.generation + 1,
            "kept"
        );
        let mut keys: Vec<Key> = (0..5000)
            .map(|number| slab.insert_with(|_| number))
            .collect();
        assert!(!slab.release_memory());
        assert_eq!(slab.at(keys[4999]), Some(&4999));
        for key in slab.keys().collect::<Vec<_>>() {
            slab.remove(key);
        }
        keys.push(few);
        assert!(slab.release_memory());
        assert_eq!(slab.entries.capacity(), 0);
        for _ in 0..5000 {
            let fresh = slab.insert_with(|_| 2);
            assert!(!keys.contains(&fresh));
        }
        assert!(keys.iter().all(|key| slab.at(*key).is_none()));
    }

    #[test]
    fn keys_lists_exactly_the_live_entries() {
        let mut slab = Slab::default();
        let a = slab.insert_with(|_| 1);
        let b = slab.insert_with(|_| 2);
        slab.remove(a);
        assert_eq!(slab.keys().collect::<Vec<_>>(), vec![b]);
    }
}
