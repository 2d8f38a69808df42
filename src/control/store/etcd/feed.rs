//! How a node hears of what others have changed.
//!
//! A watch is only a bell: whatever it rings for, what is new is read (`reading`), with its hash.
//! So a watch that loses events, repeats old ones or is compacted away costs time and nothing
//! else; and the bell is not waited for either, but what is new is asked for every second. What
//! was read is copied to the node's own file, from which it starts while etcd is away.

use std::sync::{Arc, Weak};
use std::time::Duration;

use etcd_client::WatchStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;

/// How often what is new is asked for without a bell.
const VERIFY_EVERY: Duration = Duration::from_secs(1);

/// How soon a member is asked again after none has answered.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Reads until the store is dropped.
pub(super) async fn run(shared: Weak<Shared>) {
    let mut bell: Option<Bell> = None;
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
        // Again where that has failed: whoever exports the file has it for a moment.
        let (_, is_kept) = shared.keep().await;
        let pause = match (is_there, is_kept) {
            (true, true) => VERIFY_EVERY,
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
