//! Being told when something in some directories changes, by inotify.
//!
//! It watches directories and not files, because what replaces a file atomically (a rename, a
//! symlink that is swapped) happens to its directory. It says that something changed, not what:
//! whoever asks looks for himself. rustix speaks inotify already, so no crate and no thread is
//! needed for it.
#![allow(unsafe_code)] // tokio's registration of a descriptor is unsafe; see the one block.

use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Room for many events; one has at most 16 bytes and a name of 255.
const EVENTS_BYTES: usize = 16 * 1024;

/// Watches directories.
pub struct Watch {
    inotify: AsyncFd<OwnedFd>,
    /// What the kernel calls the directories it watches.
    watched: BTreeSet<i32>,
}

impl Watch {
    /// A watch of nothing yet. Panics outside a tokio runtime.
    ///
    /// # Errors
    /// When the kernel gives no inotify instance.
    pub fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        // SAFETY: the watch owns the descriptor, which nothing replaces or closes while it lives.
        let registered = unsafe { AsyncFd::register_with_interest(inotify, Interest::READABLE) };
        Ok(Watch {
            inotify: registered?,
            watched: BTreeSet::new(),
        })
    }

    /// Watches these directories and no others; those that cannot be watched are left out. Called
    /// again, it notices directories that have taken the place of others.
    pub fn directories(&mut self, wanted: &BTreeSet<PathBuf>) {
        let flags = WatchFlags::ATTRIB
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let inotify = self.inotify.get_ref();
        let added = wanted
            .iter()
            .filter_map(|path| inotify::add_watch(inotify, path, flags).ok());
        let added: BTreeSet<i32> = added.collect();
        for gone in self.watched.difference(&added) {
            // A directory that was deleted is not watched any more already.
            let _ = inotify::remove_watch(inotify, *gone);
        }
        self.watched = added;
    }

    /// Returns when something has changed since the last call.
    ///
    /// # Errors
    /// When the runtime is shutting down, or the kernel takes the instance away.
    pub async fn changed(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let mut events = 0_usize;
            let mut buffer = [MaybeUninit::uninit(); EVENTS_BYTES];
            let mut reader = Reader::new(self.inotify.get_ref(), &mut buffer);
            loop {
                match reader.next() {
                    Ok(_) => events += 1,
                    Err(Errno::INTR) => {}
                    Err(Errno::WOULDBLOCK) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            ready.clear_ready();
            if events > 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn changes(watch: &mut Watch, within: u64) -> bool {
        let within = Duration::from_millis(within);
        timeout(within, watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn changes_in_watched_directories_are_told_and_others_are_not() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut watch = Watch::new().unwrap();
        let missing = PathBuf::from("/nonexistent/directory");
        watch.directories(&[one.path().to_owned(), missing].into());
        assert!(!changes(&mut watch, 50).await);
        fs::write(one.path().join("a"), "1").unwrap();
        assert!(changes(&mut watch, 10_000).await);
        fs::rename(one.path().join("a"), one.path().join("b")).unwrap();
        assert!(changes(&mut watch, 10_000).await);
        fs::write(two.path().join("a"), "1").unwrap();
        assert!(!changes(&mut watch, 50).await);
        watch.directories(&[two.path().to_owned()].into());
        // The kernel tells of the watch it ended.
        while changes(&mut watch, 50).await {}
        fs::write(one.path().join("a"), "1").unwrap();
        assert!(!changes(&mut watch, 50).await);
        fs::remove_file(two.path().join("a")).unwrap();
        assert!(changes(&mut watch, 10_000).await);
    }
}
