#![allow(unsafe_code)]
//! Data buffers: fixed memory that moves by ownership between the kernel and the data plane.
//!
//! A [`Buf`] is a unique handle on one block. Whoever holds it may read and write the block;
//! while an operation is under way the driver holds it, so nobody else can. The block's address
//! never changes, which is what the kernel needs. Dropping a handle frees the block; returning it
//! to the [`BufPool`] keeps it hot: the free list is a stack, so the block used last (still in
//! the cache) is handed out first.
//!
//! Every block begins with head room that receives do not touch. A message head that grows when
//! it is rewritten is placed there, right before its body, and both leave in one send.

use std::ptr::NonNull;

use crate::base::limits::BUFFER_BYTES;

/// Bytes kept free before received data.
pub const HEAD_ROOM: usize = 512;

/// Bytes of a block: head room and data. The odd size keeps neighbouring blocks from starting
/// in the same cache sets.
const BLOCK_BYTES: usize = HEAD_ROOM + BUFFER_BYTES;

/// Free blocks a pool keeps; what is returned beyond them is freed.
const POOL_KEEP: usize = 512;

/// A unique handle on one block of memory.
pub struct Buf(NonNull<[u8; BLOCK_BYTES]>);

impl Buf {
    fn new() -> Buf {
        let block: Box<[u8; BLOCK_BYTES]> = vec![0_u8; BLOCK_BYTES]
            .into_boxed_slice()
            .try_into()
            .expect("the length is BLOCK_BYTES");
        Buf(NonNull::from(Box::leak(block)))
    }

    /// Address of the block, for operations of the kernel.
    pub(super) fn address(&self) -> *mut u8 {
        self.0.as_ptr().cast()
    }

    /// The whole block.
    #[inline]
    #[must_use]
    pub fn block(&self) -> &[u8] {
        // SAFETY: the pointer comes from a leaked Box that only this handle's Drop frees; the
        // handle is unique and moved to the driver while the kernel may write to the block, so
        // no write happens during this borrow.
        unsafe { &self.0.as_ref()[..] }
    }

    /// The whole block, to write to.
    #[inline]
    pub fn block_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `block`; `&mut self` makes the borrow exclusive.
        unsafe { &mut self.0.as_mut()[..] }
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        // SAFETY: the pointer comes from `Box::leak` in `new` and is freed only here, once,
        // because the handle is neither Copy nor Clone.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

// SAFETY: a Buf is plain memory with one owner; nothing in it is tied to a thread.
unsafe impl Send for Buf {}

/// Some bytes of a block: `start..end`.
pub struct Segment {
    buf: Buf,
    start: u32,
    end: u32,
}

impl Segment {
    /// What the kernel received into `buf`: `length` bytes behind the head room.
    pub(super) fn received(buf: Buf, length: usize) -> Segment {
        let end = (HEAD_ROOM + length.min(BUFFER_BYTES)) as u32;
        Segment {
            buf,
            start: HEAD_ROOM as u32,
            end,
        }
    }

    /// The bytes.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buf.block()[self.start as usize..self.end as usize]
    }

    /// How many bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops the first `count` bytes.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        self.start = (self.start + count as u32).min(self.end);
    }

    /// Keeps only the first `count` bytes.
    #[inline]
    pub fn truncate(&mut self, count: usize) {
        self.end = self.end.min(self.start + count as u32);
    }

    /// Puts `head` right before the bytes, when there is room for it.
    #[must_use]
    pub fn prepend(&mut self, head: &[u8]) -> bool {
        let Some(start) = (self.start as usize).checked_sub(head.len()) else {
            return false;
        };
        self.buf.block_mut()[start..self.start as usize].copy_from_slice(head);
        self.start = start as u32;
        true
    }

    /// Appends as much of `bytes` as fits; returns how much.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let end = self.end as usize;
        let count = bytes.len().min(BLOCK_BYTES - end);
        self.buf.block_mut()[end..end + count].copy_from_slice(&bytes[..count]);
        self.end = (end + count) as u32;
        count
    }

    /// Room behind the bytes.
    #[must_use]
    pub fn room(&self) -> usize {
        BLOCK_BYTES - self.end as usize
    }

    pub(super) fn start_address(&self) -> *const u8 {
        self.bytes().as_ptr()
    }
}

/// A stack of free blocks.
#[derive(Default)]
pub struct BufPool {
    free: Vec<Buf>,
    out: usize,
}

impl BufPool {
    /// A block, the one used last if any is free.
    #[inline]
    pub(super) fn take(&mut self) -> Buf {
        self.out += 1;
        self.free.pop().unwrap_or_else(Buf::new)
    }

    /// A block to post to the kernel: counted as handed out only when data comes in it.
    pub(super) fn take_to_post(&mut self) -> Buf {
        self.free.pop().unwrap_or_else(Buf::new)
    }

    /// A posted block came back with data.
    pub(super) fn count_received(&mut self) {
        self.out += 1;
    }

    /// An empty segment to append to.
    #[inline]
    pub fn empty(&mut self) -> Segment {
        Segment {
            buf: self.take(),
            start: 0,
            end: 0,
        }
    }

    /// Gives a segment's block back.
    #[inline]
    pub fn give(&mut self, segment: Segment) {
        self.give_buf(segment.buf);
    }

    #[inline]
    pub(super) fn give_buf(&mut self, buf: Buf) {
        self.out -= 1;
        if self.free.len() < POOL_KEEP {
            self.free.push(buf);
        }
    }

    /// Blocks handed out and not given back yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.out
    }

    /// Frees half of the spare blocks: called now and then while a worker is idle, so that the
    /// memory of a burst does not stay for ever.
    pub fn trim(&mut self) {
        self.free.truncate(self.free.len() / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_goes_before_the_body_without_moving_it() {
        let mut pool = BufPool::default();
        let mut buf = pool.take();
        buf.block_mut()[HEAD_ROOM..HEAD_ROOM + 7].copy_from_slice(b"oldbody");
        let mut segment = Segment::received(buf, 7);
        segment.advance(3);
        assert!(segment.prepend(b"a longer head, "));
        assert_eq!(segment.bytes(), b"a longer head, body");
        assert!(!segment.prepend(&[b'x'; HEAD_ROOM + 1]));
        pool.give(segment);
        assert_eq!(pool.outstanding(), 0);
    }

    #[test]
    fn append_stops_at_the_end_of_the_block() {
        let mut pool = BufPool::default();
        let mut segment = pool.empty();
        assert_eq!(segment.append(&vec![1; BLOCK_BYTES + 5]), BLOCK_BYTES);
        assert_eq!(segment.room(), 0);
        assert_eq!(segment.append(b"x"), 0);
    }
}
