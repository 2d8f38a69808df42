//! Tries a ring for real: setup with the workers' flags, the operations they use, a buffer ring,
//! one multishot receive. Feature bits alone are not believed, because filters and emulated
//! kernels refuse what the bits promise.
//!
//! `unsafe` is needed for two calls of the `io-uring` crate that hand memory to the kernel. That
//! memory is leaked on purpose, once per process: its soundness then does not depend on when the
//! kernel finishes tearing down a ring that was closed.
#![allow(unsafe_code)]

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue};

use crate::runtime::probe::{RingFacts, Step};

/// The operations a worker uses.
const OPERATIONS: [(u8, &str); 7] = [
    (opcode::Accept::CODE, "IORING_OP_ACCEPT"),
    (opcode::AsyncCancel::CODE, "IORING_OP_ASYNC_CANCEL"),
    (opcode::Close::CODE, "IORING_OP_CLOSE"),
    (opcode::Connect::CODE, "IORING_OP_CONNECT"),
    (opcode::PollAdd::CODE, "IORING_OP_POLL_ADD"),
    (opcode::Recv::CODE, "IORING_OP_RECV"),
    (opcode::Send::CODE, "IORING_OP_SEND"),
];

/// Entries of the trial ring.
const ENTRIES: u32 = 8;

/// The only buffer group of the trial ring.
const GROUP: u16 = 0;

/// How long the kernel may take to hand over one byte that is already there.
const PATIENCE: Duration = Duration::from_secs(1);

/// A buffer ring of one entry, aligned for the largest page size Linux has, and its buffer.
#[repr(C, align(65536))]
struct Provided {
    ring: [u8; 16],
    buffer: [u8; 64],
}

type Refused = (Step, io::Error);

/// Goes as far as the kernel lets it.
pub(crate) fn try_ring() -> RingFacts {
    let mut facts = RingFacts::default();
    if let Err((step, error)) = steps(&mut facts.missing) {
        facts.refused = Some((step, error.raw_os_error().unwrap_or(0)));
    }
    facts
}

fn steps(missing: &mut Vec<&'static str>) -> Result<(), Refused> {
    drop(IoUring::new(ENTRIES).map_err(|error| (Step::Setup, error))?);
    let mut ring = flagged_ring().map_err(|error| (Step::SetupFlags, error))?;
    features(&ring, missing);
    operations(&ring, missing).map_err(|error| (Step::Operations, error))?;
    let buffer_ring = register_buffer_ring(&ring);
    buffer_ring.map_err(|error| (Step::BufferRing, error))?;
    multishot_recv(&mut ring).map_err(|error| (Step::MultishotRecv, error))
}

fn flagged_ring() -> io::Result<IoUring> {
    let mut builder = IoUring::<squeue::Entry, cqueue::Entry>::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_no_sqarray();
    builder.build(ENTRIES)
}

fn features(ring: &IoUring, missing: &mut Vec<&'static str>) {
    let parameters = ring.params();
    let features = [
        (parameters.is_feature_nodrop(), "IORING_FEAT_NODROP"),
        (parameters.is_feature_fast_poll(), "IORING_FEAT_FAST_POLL"),
        (parameters.is_feature_ext_arg(), "IORING_FEAT_EXT_ARG"),
    ];
    missing.extend(
        features
            .iter()
            .filter(|(has, _)| !has)
            .map(|(_, name)| name),
    );
}

fn operations(ring: &IoUring, missing: &mut Vec<&'static str>) -> io::Result<()> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let absent = OPERATIONS
        .iter()
        .filter(|(code, _)| !probe.is_supported(*code));
    missing.extend(absent.map(|(_, name)| name));
    Ok(())
}

fn register_buffer_ring(ring: &IoUring) -> io::Result<()> {
    let provided: &'static mut Provided = Box::leak(Box::new(Provided {
        ring: [0; 16],
        buffer: [0; 64],
    }));
    let entry = provided.ring.as_mut_ptr().cast::<BufRingEntry>();
    // SAFETY: needed because the crate cannot know how long the memory lives. It is leaked, so
    // it outlives the ring; it is page-aligned and holds exactly the one entry announced.
    unsafe {
        let address = entry as u64;
        ring.submitter()
            .register_buf_ring_with_flags(address, 1, GROUP, 0)?;
    }
    // SAFETY: needed because the kernel reads this memory. `entry` points to 16 aligned,
    // initialised bytes that nothing else refers to; the tail lies inside them and is written
    // last, with release order, as the kernel's interface asks. The buffer is leaked as well.
    unsafe {
        (*entry).set_addr(provided.buffer.as_mut_ptr() as u64);
        (*entry).set_len(64);
        (*entry).set_bid(0);
        let tail = BufRingEntry::tail(entry).cast_mut();
        AtomicU16::from_ptr(tail).store(1, Ordering::Release);
    }
    Ok(())
}

fn multishot_recv(ring: &mut IoUring) -> io::Result<()> {
    let (mut near, far) = UnixStream::pair()?;
    near.write_all(b"w")?;
    let receive = opcode::RecvMulti::new(Fd(far.as_raw_fd()), GROUP).build();
    // SAFETY: needed because an entry may name memory. This one names none: its buffer comes
    // from the registered ring, and the kernel holds its own reference to the socket.
    let pushed = unsafe { ring.submission().push(&receive) };
    pushed.map_err(io::Error::other)?;
    let patience = Timespec::from(PATIENCE);
    let wait = SubmitArgs::new().timespec(&patience);
    ring.submitter().submit_with_args(1, &wait)?;
    let completion = ring.completion().next();
    let completion = completion.ok_or(io::ErrorKind::TimedOut)?;
    if completion.result() < 0 {
        return Err(io::Error::from_raw_os_error(-completion.result()));
    }
    let multishot = completion.result() == 1 && cqueue::more(completion.flags());
    match multishot {
        true => Ok(()),
        false => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_that_builds_weir_has_all_of_it() {
        assert_eq!(try_ring(), RingFacts::default());
    }
}
