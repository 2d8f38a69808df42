//! What happens next: the queue of events.
//!
//! Most events are the end of a job, and each backend has at most one such moment, which changes
//! with every arrival there. So these have a heap of their own with a place for each backend, in
//! which a moment is moved and not added: it never holds what is out of date. Everything rarer is
//! in a plain heap. Of events at one moment the one that was noted first comes first, so a run
//! depends on nothing but its seed.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

const NOWHERE: u32 = u32::MAX;

/// The next moment of each of a fixed number of places.
pub(super) struct Moments {
    /// By place; infinite when there is none.
    at: Vec<f64>,
    /// Places, as a heap by their moments.
    heap: Vec<u32>,
    /// Where in the heap a place is.
    position: Vec<u32>,
}

impl Moments {
    pub(super) fn new(places: usize) -> Moments {
        Moments {
            at: vec![f64::INFINITY; places],
            heap: Vec::with_capacity(places),
            position: vec![NOWHERE; places],
        }
    }

    /// The earliest moment and its place.
    pub(super) fn first(&self) -> Option<(f64, u32)> {
        let place = *self.heap.first()?;
        Some((self.at[place as usize], place))
    }

    /// The next moment of `place` is this one now.
    pub(super) fn set(&mut self, place: u32, moment: Option<f64>) {
        let index = place as usize;
        let held = self.position[index];
        match (moment, held) {
            (None, NOWHERE) => {}
            (None, at) => self.remove(at as usize),
            (Some(moment), NOWHERE) => {
                self.at[index] = moment;
                self.position[index] = self.heap.len() as u32;
                self.heap.push(place);
                self.rise(self.heap.len() - 1);
            }
            (Some(moment), at) => {
                self.at[index] = moment;
                let at = self.rise(at as usize);
                self.sink(at);
            }
        }
    }

    fn remove(&mut self, at: usize) {
        let place = self.heap.swap_remove(at);
        self.position[place as usize] = NOWHERE;
        self.at[place as usize] = f64::INFINITY;
        if at < self.heap.len() {
            self.position[self.heap[at] as usize] = at as u32;
            let at = self.rise(at);
            self.sink(at);
        }
    }

    fn is_before(&self, left: u32, right: u32) -> bool {
        let (earlier, later) = (self.at[left as usize], self.at[right as usize]);
        earlier.total_cmp(&later).then(left.cmp(&right)) == Ordering::Less
    }

    fn rise(&mut self, mut at: usize) -> usize {
        while at > 0 {
            let above = (at - 1) / 4;
            if !self.is_before(self.heap[at], self.heap[above]) {
                break;
            }
            self.swap(at, above);
            at = above;
        }
        at
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let below = (4 * at + 1)..(4 * at + 5).min(self.heap.len());
            let first =
                below.reduce(
                    |best, at| match self.is_before(self.heap[at], self.heap[best]) {
                        true => at,
                        false => best,
                    },
                );
            let Some(first) =
                first.filter(|first| self.is_before(self.heap[*first], self.heap[at]))
            else {
                return;
            };
            self.swap(at, first);
            at = first;
        }
    }

    fn swap(&mut self, left: usize, right: usize) {
        self.heap.swap(left, right);
        self.position[self.heap[left] as usize] = left as u32;
        self.position[self.heap[right] as usize] = right as u32;
    }
}

/// Events at any moments.
pub(super) struct Agenda<E> {
    heap: BinaryHeap<Entry<E>>,
    numbers: u64,
}

struct Entry<E> {
    at: f64,
    number: u64,
    event: E,
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Entry<E>) -> Ordering {
        let by_time = other.at.total_cmp(&self.at);
        by_time.then(other.number.cmp(&self.number))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Entry<E>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Entry<E>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

impl<E> Agenda<E> {
    pub(super) fn new() -> Agenda<E> {
        Agenda {
            heap: BinaryHeap::new(),
            numbers: 0,
        }
    }

    pub(super) fn add(&mut self, at: f64, event: E) {
        self.numbers += 1;
        self.heap.push(Entry {
            at,
            number: self.numbers,
            event,
        });
    }

    pub(super) fn first(&self) -> Option<f64> {
        self.heap.peek().map(|entry| entry.at)
    }

    pub(super) fn take(&mut self) -> Option<E> {
        self.heap.pop().map(|entry| entry.event)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_moment_is_the_least(
            steps in prop::collection::vec((0_u32..40, prop::option::of(0_u32..1000)), 1..300),
        ) {
            let mut moments = Moments::new(40);
            let mut plain = vec![None; 40];
            for (place, moment) in steps {
                let moment = moment.map(f64::from);
                moments.set(place, moment);
                plain[place as usize] = moment;
                let known = (0..).zip(&plain);
                let least = known
                    .filter_map(|(place, at)| Some(((*at)?, place)))
                    .min_by(|left: &(f64, u32), right| {
                        left.0.total_cmp(&right.0).then(left.1.cmp(&right.1))
                    });
                prop_assert_eq!(moments.first(), least);
            }
        }
    }

    #[test]
    fn events_of_one_moment_come_in_the_order_they_were_noted() {
        let mut agenda = Agenda::new();
        for (at, event) in [(2.0, 'c'), (1.0, 'a'), (2.0, 'd'), (1.0, 'b')] {
            agenda.add(at, event);
        }
        assert_eq!(agenda.first(), Some(1.0));
        let order: String = std::iter::from_fn(|| agenda.take()).collect();
        assert_eq!(order, "abcd");
    }
}
