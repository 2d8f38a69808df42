#![allow(unsafe_code)]
//! The ring of provided buffers: where the kernel puts what multishot receives bring.
//!
//! Shared memory between user and kernel: an array of (address, length, id) and a tail. The
//! kernel takes entries from the front in order and names the id in the completion. An entry's
//! block belongs to the kernel from [`BufferRing::refill`] until [`BufferRing::take`].
//! Small and hot beats large: the kernel walks through all posted blocks in turn, so their
//! number is the cache footprint (../shared/DESIGN.md, section 1 point 4); how many are posted
//! follows the load (`runtime::posting`).

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

use crate::base::limits::BUFFER_BYTES;
use crate::runtime::buffers::{Buf, BufPool, HEAD_ROOM};
use crate::runtime::posting::Posting;

/// Most blocks posted to the kernel; a power of two. One turn can bring this many receives.
const ENTRIES: u16 = 256;

const RING_BYTES: usize = ENTRIES as usize * size_of::<BufRingEntry>();

/// The registered ring.
pub(super) struct BufferRing {
    entries: *mut BufRingEntry,
    tail: u16,
    /// The block posted under each id.
    posted: Vec<Option<Buf>>,
    /// Ids without a block.
    vacant: Vec<u16>,
    posting: Posting,
    /// Blocks taken since the last refill, and whether there were too few.
    taken: u16,
    starved: bool,
}

impl BufferRing {
    /// The buffer group receives ask for.
    pub(super) const GROUP: u16 = 0;

    /// Maps, registers and fills the ring.
    pub(super) fn register(submitter: &Submitter<'_>, pool: &mut BufPool) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh anonymous mapping; no existing memory is touched.
        let memory = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                RING_BYTES,
                protection,
                MapFlags::PRIVATE,
            )
        }?;
        let mut ring = BufferRing {
            entries: memory.cast(),
            tail: 0,
            posted: (0..ENTRIES).map(|_| None).collect(),
            vacant: (0..ENTRIES).rev().collect(),
            posting: Posting::new(ENTRIES),
            taken: 0,
            starved: false,
        };
        // SAFETY: the mapping is page aligned, RING_BYTES long and never unmapped.
        unsafe {
            submitter.register_buf_ring_with_flags(memory as u64, ENTRIES, Self::GROUP, 0)?;
        }
        ring.refill(pool);
        Ok(ring)
    }

    /// The block the kernel filled under `id`.
    #[inline]
    pub(super) fn take(&mut self, id: u16) -> Buf {
        self.vacant.push(id);
        self.taken += 1;
        self.posted[usize::from(id)]
            .take()
            .expect("the kernel names only posted blocks")
    }

    /// A receive ended because no block was posted.
    pub(super) fn note_starved(&mut self) {
        self.starved = true;
    }

    /// Posts blocks for the next turn.
    pub(super) fn refill(&mut self, pool: &mut BufPool) {
        let taken = std::mem::take(&mut self.taken);
        let starved = std::mem::take(&mut self.starved);
        let target = self.posting.after_turn(taken, starved);
        let spare = usize::from(ENTRIES - target);
        if self.vacant.len() <= spare {
            return;
        }
        while self.vacant.len() > spare {
            let Some(id) = self.vacant.pop() else {
                break;
            };
            let buf = pool.take_to_post();
            let slot = usize::from(self.tail & (ENTRIES - 1));
            // SAFETY: `slot` is below ENTRIES, so the entry lies inside the mapping; the kernel
            // does not read entries at or behind the tail it last saw.
            let entry = unsafe { &mut *self.entries.add(slot) };
            entry.set_addr(buf.address().wrapping_add(HEAD_ROOM) as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            self.posted[usize::from(id)] = Some(buf);
        }
        // SAFETY: the tail lies in the first entry, inside the mapping and aligned; the kernel
        // reads it concurrently, hence the atomic. Release makes the entries visible first.
        let tail = unsafe { &*BufRingEntry::tail(self.entries).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }

    /// Forgets the posted blocks and the mapping instead of freeing them.
    pub(super) fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.posted));
    }
}
