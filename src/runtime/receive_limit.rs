#![allow(unsafe_code)]
//! A multishot receive that ends by itself after so many bytes (Linux 6.17).
//!
//! Without a limit the kernel fills every posted block from one busy socket before we hear of
//! the first one: the start of a large body would come as megabytes of copies that splice was
//! to save, and one client that does not read would be worth that much memory. With it a receive
//! brings [`RECEIVE_BYTES_MAX`] at most until it is asked for again; small messages share one
//! receive as before.
//!
//! The limit is the `optlen` field of the submission entry, which the `io-uring` crate does not
//! offer for receives. Older kernels refuse the field or ignore it, so it is tried first.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::base::limits::RECEIVE_BYTES_MAX;
use crate::runtime::buffer_ring::BufferRing;
use crate::runtime::buffers::BufPool;

/// Where `optlen` stands in `struct io_uring_sqe` (include/uapi/linux/io_uring.h).
const OPTLEN_OFFSET: usize = 44;

/// How long the kernel may take to hand over a byte that is already there.
const PATIENCE: Duration = Duration::from_secs(1);

const _: () = assert!(size_of::<squeue::Entry>() == 64);

/// The limit of receives on this kernel: `None` where it knows none. Leaves the ring as it was.
///
/// # Errors
/// When the ring does not work at all.
pub(super) fn find(
    ring: &mut IoUring,
    received: &mut BufferRing,
    pool: &mut BufPool,
) -> io::Result<Option<u32>> {
    let (mut near, far) = UnixStream::pair()?;
    near.write_all(b"w")?;
    let receive = opcode::RecvMulti::new(Fd(far.as_raw_fd()), BufferRing::GROUP).build();
    // SAFETY: the entry names no memory but the registered buffers, which outlive the ring.
    let pushed = unsafe { ring.submission().push(&limited(receive, 1)) };
    pushed.map_err(io::Error::other)?;
    let first = next(ring)?;
    if let Some(id) = cqueue::buffer_select(first.flags()) {
        pool.count_received();
        pool.give_buf(received.take(id));
    }
    let more = cqueue::more(first.flags());
    if more {
        // Not limited, so it goes on: closing the other end ends it.
        drop(near);
        next(ring)?;
    }
    let limit = u32::try_from(RECEIVE_BYTES_MAX).unwrap_or(u32::MAX);
    Ok((first.result() == 1 && !more).then_some(limit))
}

fn next(ring: &mut IoUring) -> io::Result<cqueue::Entry> {
    let patience = Timespec::from(PATIENCE);
    let wait = SubmitArgs::new().timespec(&patience);
    ring.submitter().submit_with_args(1, &wait)?;
    let completion = ring.completion().next();
    completion.ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// The same receive, ending after `bytes`.
pub(super) fn limited(mut entry: squeue::Entry, bytes: u32) -> squeue::Entry {
    let start = std::ptr::from_mut(&mut entry).cast::<u8>();
    // SAFETY: needed because the crate has no setter. `Entry` is a transparent `repr(C)` wrapper
    // of the kernel's 64-byte entry, in which four bytes at this offset belong to the operation;
    // for a receive they are `optlen`, and any value is valid.
    unsafe {
        start
            .add(OPTLEN_OFFSET)
            .cast::<u32>()
            .write_unaligned(bytes);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finding_the_limit_leaves_no_block_behind() {
        let mut pool = BufPool::default();
        let mut ring = IoUring::new(8).expect("a ring");
        let mut received = BufferRing::register(&ring.submitter(), &mut pool).expect("buffers");
        let limit = find(&mut ring, &mut received, &mut pool).expect("an answer");
        assert!(limit.is_none_or(|limit| limit as usize == RECEIVE_BYTES_MAX));
        assert_eq!(pool.outstanding(), 0);
        assert!(ring.completion().next().is_none());
        received.leak();
    }
}
