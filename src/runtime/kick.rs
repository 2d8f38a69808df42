//! Waking a thread that sleeps in the kernel: an eventfd both sides hold.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

/// A shared eventfd.
#[derive(Clone)]
pub struct Kick(Arc<OwnedFd>);

impl Kick {
    /// A new one, non-blocking.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new() -> io::Result<Kick> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Kick(Arc::new(fd)))
    }

    /// Wakes whoever waits for it. A counter that is full already has a wake-up pending, so a
    /// failed write loses nothing.
    pub fn kick(&self) {
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Takes back all kicks so far.
    pub fn clear(&self) {
        let _ = rustix::io::read(&*self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Kick {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Kick {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
