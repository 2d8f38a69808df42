//! The order in which members are offered for one hash.
//!
//! The first choice is what the function says. The next ones are found by walking on, to the next
//! row, point or draw, and passing over members that were offered before. Those are remembered in
//! an array, not on the heap, so the walk has two bounds: [`OFFERED_MAX`] distinct members and
//! [`STEPS_MAX`] steps, whichever comes first. Behind them follow all members not offered yet, by
//! key, from a place that the hash chooses. So every member comes exactly once, in the same order
//! on every node.
//!
//! The walk keeps shares in proportion when a member is passed over; the scan behind it does not
//! know weights, which is why it comes last. An exchange tries at most sixteen backends
//! (`policy::TRIED_MAX`), so only a group in which nearly everybody is full ever gets there.

use super::key::{STEP, mix, scale};

/// Members the walk remembers.
pub(super) const OFFERED_MAX: usize = 16;

/// Steps of the walk. Sixteen of sixteen equal members take 54 on average.
pub(super) const STEPS_MAX: u32 = 128;

/// What can be walked.
pub(super) trait Course {
    /// Where the walk stands.
    type Place: Copy;

    /// Where the walk for `hash` begins.
    fn begin(&self, hash: u64) -> Self::Place;

    /// One step on.
    fn next(&self, place: Self::Place) -> Self::Place;

    /// The member at `place`, if it is anyone's.
    fn owner(&self, place: Self::Place) -> Option<u32>;

    /// All members with a weight, by key, as places in the list they were given in.
    fn members(&self) -> &[u32];
}

/// All members for one hash, in order.
#[derive(Debug)]
pub(super) struct Walk<'a, C: Course> {
    course: &'a C,
    place: C::Place,
    steps_left: u32,
    /// Where the scan began and how many it has looked at.
    start: u32,
    scanned: u32,
    offered: [u32; OFFERED_MAX],
    offered_count: usize,
}

impl<'a, C: Course> Walk<'a, C> {
    #[inline]
    pub(super) fn new(course: &'a C, hash: u64) -> Self {
        let count = count(course.members());
        Walk {
            course,
            place: course.begin(hash),
            steps_left: if count == 0 { 0 } else { STEPS_MAX },
            start: scale(mix(hash.wrapping_add(STEP)), count),
            scanned: 0,
            offered: [0; OFFERED_MAX],
            offered_count: 0,
        }
    }

    fn was_offered(&self, index: u32) -> bool {
        self.offered[..self.offered_count].contains(&index)
    }

    #[inline]
    fn walk(&mut self) -> Option<u32> {
        let most = self.course.members().len().min(OFFERED_MAX);
        while self.steps_left > 0 && self.offered_count < most {
            let owner = self.course.owner(self.place);
            self.place = self.course.next(self.place);
            self.steps_left -= 1;
            let Some(index) = owner else {
                continue;
            };
            if !self.was_offered(index) {
                self.offered[self.offered_count] = index;
                self.offered_count += 1;
                return Some(index);
            }
        }
        None
    }

    fn scan(&mut self) -> Option<u32> {
        let members = self.course.members();
        let (before, from) = members.split_at(self.start as usize);
        while self.scanned < count(members) {
            let at = self.scanned as usize;
            self.scanned += 1;
            let index = from.get(at).or_else(|| before.get(at - from.len()));
            if let Some(index) = index.copied().filter(|index| !self.was_offered(*index)) {
                return Some(index);
            }
        }
        None
    }
}

impl<C: Course> Iterator for Walk<'_, C> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        self.walk().or_else(|| self.scan())
    }
}

/// The number of members; lists are bounded far below `u32::MAX`.
pub(super) fn count<T>(members: &[T]) -> u32 {
    u32::try_from(members.len()).unwrap_or(u32::MAX)
}
