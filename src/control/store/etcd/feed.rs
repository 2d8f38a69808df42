//! How a node hears of what others have changed.
//!
//! A watch is only a bell: whatever it rings for, what is new is read (`reading`), with its hash.
//! So a watch that loses events, repeats old ones or is compacted away costs time and nothing
//! else; and the bell is not waited for either, but what is new is asked for every second. What
//! was read is copied to the node's own file, from which it starts while etcd is away.

use std::sync::{Arc, Weak};
use std::time::Duration;

use etcd_client::WatchStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;
use crate::control::store::copy;

/// How often what is new is asked for without a bell.
const VERIFY_EVERY: Duration = Duration::from_secs(1);

/// How soon a member is asked again after none has answered.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Reads until the store is dropped.
pub(super) async fn run(shared: Weak<Shared>) {
    let mut bell: Option<Bell> = None;
    let mut copy = Copy::default();
    loop {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let mut is_there = shared.refresh().await.is_ok();
        // One that hangs at a member that was left may ring no more.
        let chosen = shared.door.chosen();
        bell = bell.filter(|bell| is_there && bell.member == chosen);
        if is_there && bell.is_none() {
            bell = hang(&shared, chosen).await;
            // What came between the reading and the bell is read now.
            is_there = shared.refresh().await.is_ok();
        }
        let is_late = copy.follow(&shared).await;
        let pause = match (is_there, is_late) {
            (true, false) => VERIFY_EVERY,
            _ => AGAIN_AFTER,
        };
        let deadline = Instant::now() + pause;
        tokio::select! {
            () = sleep_until(deadline) => {}
            () = shared.wanted.notified() => {}
            rang = ring(&mut bell) => match rang {
                true => shared.stats.watch_events.inc(),
                false => bell = None,
            },
        }
    }
}

/// A watch, and at which member it hangs.
struct Bell {
    stream: WatchStream,
    member: usize,
}

/// Watches the head.
async fn hang(shared: &Arc<Shared>, member: usize) -> Option<Bell> {
    let client = shared.door.client().await.ok()?;
    let mut watch = client.watch_client();
    let watching = watch.watch(shared.keys.head(), None);
    let stream = timeout(shared.settings.timeout, watching)
        .await
        .ok()?
        .ok()?;
    shared.stats.watches.inc();
    Some(Bell { stream, member })
}

/// Waits for the bell; answers whether it still hangs. Without one it waits for ever.
async fn ring(bell: &mut Option<Bell>) -> bool {
    let Some(Bell { stream, .. }) = bell else {
        return std::future::pending().await;
    };
    match stream.message().await {
        Ok(Some(message)) => !message.canceled(),
        Ok(None) | Err(_) => false,
    }
}

/// The node's own copy as it is written.
#[derive(Default)]
struct Copy {
    writing: Option<JoinHandle<bool>>,
    /// What is in the file, or is being written.
    revision: u64,
}

impl Copy {
    /// Copies the newest state, again where that has failed: whoever exports the file has it for a
    /// moment. Answers whether something is left to be done.
    async fn follow(&mut self, shared: &Arc<Shared>) -> bool {
        let (store, content) = {
            let seen = shared.lock();
            (seen.store, Arc::clone(&seen.content))
        };
        if let Some(written) = self.writing.take_if(|writing| writing.is_finished())
            && !written.await.unwrap_or(false)
        {
            self.revision = 0;
        }
        if content.revision.0 == self.revision || store == 0 {
            return self.writing.is_some();
        }
        if self.writing.is_some() {
            return true;
        }
        self.revision = content.revision.0;
        let path = shared.settings.copy.clone();
        let stats = Arc::clone(&shared.stats);
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let written = copy::write(&path, store, &content);
            if let Err(error) = &written {
                stats.copy_failures.inc();
                tracing::error!(path = %path.display(), %error, "the own copy is not written");
            }
            written.is_ok()
        }));
        true
    }
}
