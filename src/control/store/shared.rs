//! A store that several nodes of one process share: in memory, and each hears of what the others
//! change. What a cluster has in etcd a demonstration and tests have here, without a server.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use super::{Answer, Feed, Following, Memory, Revision, Sight, Store, Write};
use crate::telemetry::stats::StoreStats;

/// The store; clones are the same one.
#[derive(Clone)]
pub struct Shared {
    memory: Memory,
    feed: watch::Sender<Feed>,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared {
            memory: Memory::default(),
            feed: watch::Sender::new(Feed::default()),
        }
    }
}

impl Store for Shared {
    fn load(&self) -> Answer<super::Content> {
        self.memory.load()
    }

    fn commit(&self, expected: Revision, writes: Vec<Write>) -> Answer<Revision> {
        let shared = self.clone();
        Box::pin(async move {
            let revision = shared.memory.commit(expected, writes).await?;
            let content = Arc::new(shared.memory.load().await?);
            // Of two that come here at once the one with the newer content counts.
            shared.feed.send_if_modified(|feed| {
                let newer = feed.content.revision < content.revision;
                if newer {
                    feed.content = content;
                    feed.sight = Sight::Current;
                }
                newer
            });
            Ok(revision)
        })
    }

    fn follow(&self) -> Option<Following> {
        let stats = Arc::new(StoreStats::default());
        stats.verified(SystemTime::now());
        Some(Following {
            feed: self.feed.subscribe(),
            stats,
            unserved: Arc::default(),
        })
    }
}
