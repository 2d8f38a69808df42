//! The segments of sends under way, by the index of their connection.
//!
//! In pages, made when the first connection of one sends: of a million connections most are silent,
//! and a place for each would be 16 bytes that none of them uses.

use std::array;

use crate::runtime::buffers::Segment;

const PAGE: usize = 64;

type Page = Box<[Option<Segment>; PAGE]>;

/// Segments by index, at most one for each.
#[derive(Default)]
pub(super) struct Sends(Vec<Option<Page>>);

impl Sends {
    /// Keeps the segment of a send; there must be none under way for `index`.
    #[inline]
    pub(super) fn put(&mut self, index: u32, segment: Segment) {
        let (page, at) = place(index);
        if self.0.len() <= page {
            self.0.resize_with(page + 1, || None);
        }
        let page = self.0[page].get_or_insert_with(|| Box::new(array::from_fn(|_| None)));
        debug_assert!(page[at].is_none(), "one send per connection at a time");
        page[at] = Some(segment);
    }

    /// Gives back the segment of a send that has ended.
    #[inline]
    pub(super) fn take(&mut self, index: u32) -> Option<Segment> {
        let (page, at) = place(index);
        self.0.get_mut(page)?.as_mut()?[at].take()
    }
}

fn place(index: u32) -> (usize, usize) {
    let index = index as usize;
    (index / PAGE, index % PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::buffers::BufPool;

    #[test]
    fn what_was_put_is_taken_once() {
        let mut pool = BufPool::default();
        let mut sends = Sends::default();
        for index in [0, 1, 63, 64, 1_000_000] {
            let mut segment = pool.empty();
            segment.append(&index.to_string().into_bytes());
            sends.put(index, segment);
        }
        assert_eq!(sends.0.iter().flatten().count(), 3, "pages in use only");
        for index in [1_000_000, 64, 0, 63, 1] {
            let segment = sends.take(index).expect("it was put");
            assert_eq!(segment.bytes(), index.to_string().as_bytes());
            pool.give(segment);
            assert!(sends.take(index).is_none());
        }
        assert!(sends.take(u32::MAX).is_none());
    }
}
