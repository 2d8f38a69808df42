//! Waiting for kicks inside a tokio runtime.
#![allow(unsafe_code)] // tokio's registration of a descriptor is unsafe; see the one block.

use std::io;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::kick::Kick;

/// Waits for the kicks of one [`Kick`].
pub struct KickWaiter(AsyncFd<Kick>);

impl KickWaiter {
    /// A waiter for `kick`. Panics outside a tokio runtime.
    ///
    /// # Errors
    /// When the runtime's poller refuses the eventfd.
    pub fn new(kick: Kick) -> io::Result<Self> {
        // SAFETY: the waiter owns this `Kick`, whose private `Arc<OwnedFd>` nothing can replace or
        // close while the `Kick` lives, so its descriptor stays open and the same.
        let registered = unsafe { AsyncFd::register_with_interest(kick, Interest::READABLE) };
        Ok(KickWaiter(registered?))
    }

    /// Returns after the next kick, or at once if one came since the last call.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn kicked(&self) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        // Taken back before any message is read, so that a later message kicks anew.
        self.0.get_ref().clear();
        ready.clear_ready();
        Ok(())
    }
}
