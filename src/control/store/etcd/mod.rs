//! The store of a cluster: etcd, which every node of it reads and writes.
//!
//! What lies where is in `layout`, reading in `reading`, which member is asked in `door`, and how a
//! node hears of the changes of others in `feed`. A commit is one transaction that compares etcd's
//! number of the head: who was first wins, the others read what is new and judge again. When the
//! answer to a commit is lost, the same transaction is sent again: its comparison fails if the
//! first one arrived, and the token in the change says whose it was. So an outcome is unknown only
//! while no member answers at all, and what arrives after that is found by the feed.
//!
//! Writes of one node are paced; readers are not, because each costs etcd one comparison.

mod door;
mod feed;
mod layout;
mod pace;
mod reading;
#[cfg(test)]
pub(in crate::control) mod simulated;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use etcd_client::{
    Compare, CompareOp, DeleteOptions, KvClient, Txn, TxnOp, TxnOpResponse, TxnResponse,
};
use tokio::sync::{Notify, watch};

use self::door::{Door, Unanswered};
use self::layout::{Base, ChangeRecord, Head, Keys, Parts, Writes};
use self::pace::Pace;
use self::reading::{Seen, Unread};
use super::copy::Copied;
use super::{Answer, Content, Feed, Following, Revision, Sight, Store, StoreError, Write, copy};
use crate::config::checked::EtcdStore;
use crate::telemetry::stats::StoreStats;

/// Times a commit is sent while no answer comes, for each member.
const SENDS_MAX: usize = 3;

/// A store in etcd; clones are the same one.
#[derive(Clone)]
pub struct Etcd {
    shared: Arc<Shared>,
}

struct Shared {
    door: Door,
    keys: Keys,
    settings: EtcdStore,
    seen: Mutex<Seen>,
    feed: watch::Sender<Feed>,
    pace: Mutex<Pace>,
    /// Somebody wants to know what is new, now.
    wanted: Notify,
    stats: Arc<StoreStats>,
}

impl Etcd {
    /// The store by these settings; nothing is asked yet.
    #[must_use]
    pub fn new(settings: &EtcdStore) -> Etcd {
        Etcd {
            shared: Arc::new(Shared {
                door: Door::new(settings.clone()),
                keys: Keys(settings.prefix.clone()),
                settings: settings.clone(),
                seen: Mutex::default(),
                feed: watch::Sender::new(Feed::default()),
                pace: Mutex::new(Pace::new(Instant::now())),
                wanted: Notify::new(),
                stats: Arc::default(),
            }),
        }
    }

    /// What it holds; while it cannot be asked, what the node's own copy holds. What etcd has is
    /// taken only if it is not older than the copy.
    ///
    /// # Errors
    /// When neither can be had.
    pub async fn begin(&self) -> Result<Content, StoreError> {
        let path = self.shared.settings.copy.clone();
        let copied = tokio::task::spawn_blocking(move || copy::read(&path)).await;
        let copied = copied.map_err(|error| StoreError::Failed(error.to_string()))??;
        if let Some(Copied { store, content }) = copied {
            let hash = layout::hash_of(&content);
            let seen = Seen {
                store,
                content: Arc::new(content),
                hash,
                ..Seen::default()
            };
            *self.shared.lock() = seen;
        }
        let result = self.shared.refresh().await;
        let content = Arc::clone(&self.shared.lock().content);
        match result {
            Ok(()) => {}
            Err(error) if content.revision == Revision(0) => return Err(error.into_error()),
            Err(error) => {
                let error = error.into_error();
                tracing::warn!(revision = %content.revision, %error, "served from the own copy");
            }
        }
        Ok(Content::clone(&content))
    }

    /// Forgets its connection, which belongs to a runtime that ends.
    pub fn rest(&self) {
        self.shared.door.forget();
    }
}

impl Store for Etcd {
    fn load(&self) -> Answer<Content> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            shared.refresh().await.map_err(Unread::into_error)?;
            let content = Arc::clone(&shared.lock().content);
            Ok(Content::clone(&content))
        })
    }

    fn commit(&self, expected: Revision, writes: Vec<Write>) -> Answer<Revision> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.commit(expected, writes).await })
    }

    fn follow(&self) -> Option<Following> {
        let following = Following {
            feed: self.shared.feed.subscribe(),
            stats: Arc::clone(&self.shared.stats),
            unserved: Arc::default(),
        };
        tokio::spawn(feed::run(Arc::downgrade(&self.shared)));
        Some(following)
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is new, and tells whoever follows.
    async fn refresh(&self) -> Result<(), Unread> {
        let known = self.lock().clone();
        self.stats.reads.inc();
        match reading::newest(&self.door, &self.keys, &known).await {
            Ok(seen) => {
                self.take(seen);
                Ok(())
            }
            Err(unread) => {
                self.stats.read_failures.inc();
                let sight = match &unread {
                    Unread::Unanswered(why) => Sight::Away(why.clone().text()),
                    Unread::Untrusted(why) => Sight::Untrusted(why.clone()),
                };
                self.look(sight);
                Err(unread)
            }
        }
    }

    /// Takes over a state that was read or made; one that is older than the known is ignored.
    fn take(&self, seen: Seen) {
        let content = {
            let mut known = self.lock();
            if seen.content.revision >= known.content.revision {
                *known = seen;
            }
            Arc::clone(&known.content)
        };
        self.stats.verified(std::time::SystemTime::now());
        self.feed.send_if_modified(|feed| {
            let newer = feed.content.revision < content.revision;
            let changed = newer || feed.sight != Sight::Current;
            feed.sight = Sight::Current;
            feed.content = content;
            changed
        });
    }

    fn look(&self, sight: Sight) {
        self.feed.send_if_modified(|feed| {
            let changed = feed.sight != sight;
            feed.sight = sight;
            changed
        });
    }

    async fn commit(
        self: Arc<Self>,
        expected: Revision,
        writes: Vec<Write>,
    ) -> Result<Revision, StoreError> {
        let mut known = self.lock().clone();
        // What was not read from etcd is read first; where it is away, that shows at once.
        if known.head_at.is_none() {
            self.refresh().await.map_err(Unread::into_error)?;
            known = self.lock().clone();
        }
        if known.content.revision != expected {
            self.stats.conflicts.inc();
            return Err(StoreError::Conflict {
                now: known.content.revision,
            });
        }
        let wait = {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            pace.wait_for_one(Instant::now())
        };
        tokio::time::sleep(wait).await;
        self.stats.writes.inc();
        let sent = self.send(&known, &writes).await;
        match &sent {
            Ok(_) => {}
            Err(StoreError::Conflict { .. }) => self.stats.conflicts.inc(),
            Err(_) => self.stats.write_failures.inc(),
        }
        sent
    }

    /// Makes the revision after `known`, or finds out who did.
    async fn send(&self, known: &Seen, writes: &[Write]) -> Result<Revision, StoreError> {
        let token = RandomState::new().hash_one(0);
        let made = self.make(known, writes, token).await?;
        let mut last = String::new();
        for _ in 0..SENDS_MAX * self.door.members() {
            let head_at = known.head_at.unwrap_or_default();
            let asked = self.door.ask(|kv| made.send(kv, &self.keys, head_at)).await;
            match asked {
                Ok(answer) if answer.succeeded() => {
                    let at = answer.header().map(|header| header.revision());
                    return Ok(self.made(&made, at));
                }
                Ok(answer) => return self.lost(&made, &answer).await,
                Err(Unanswered::Refused(why)) => return Err(StoreError::Failed(why)),
                Err(Unanswered::Away(why)) => last = why,
            }
        }
        self.look(Sight::Away(last.clone()));
        Err(StoreError::Failed(format!(
            "{last}; whether the change was stored shows when it answers"
        )))
    }

    fn made(&self, made: &Made, head_at: Option<i64>) -> Revision {
        self.take(Seen {
            store: made.head.store,
            content: Arc::clone(&made.content),
            hash: made.head.hash,
            head_at,
            base: made.head.base.clone(),
        });
        self.wanted.notify_one();
        made.content.revision
    }

    /// The comparison has failed: because this very change arrived before, or another one did.
    async fn lost(&self, made: &Made, answer: &TxnResponse) -> Result<Revision, StoreError> {
        let responses = answer.op_responses();
        let ours = responses.iter().any(|response| match response {
            TxnOpResponse::Get(get) => get.kvs().iter().any(|change| {
                let change = ChangeRecord::read(change.value());
                change.is_ok_and(|change| change.token == made.change.token)
            }),
            _ => false,
        });
        // Whoever hears of a conflict can go on from what is there now.
        let refreshed = self.refresh().await;
        if ours {
            return Ok(made.content.revision);
        }
        refreshed.map_err(Unread::into_error)?;
        let now = self.lock().content.revision;
        Err(StoreError::Conflict { now })
    }

    /// Prepares a commit, and writes the parts it needs.
    async fn make(&self, known: &Seen, writes: &[Write], token: u64) -> Result<Made, StoreError> {
        let expected = known.content.revision;
        let revision = Revision(expected.0 + 1);
        let place = |what: &str| format!("{:020}-{token:016x}-{what}", expected.0);
        let texts = layout::texts(writes)?;
        let pieces = layout::pieces(&texts)?;
        let mut content = Arc::clone(&known.content);
        layout::apply(&mut content, revision, texts.clone());
        let writes = match pieces.len() {
            0 | 1 => Writes::Writes(texts),
            _ => Writes::Parts(self.put_parts(place("change"), pieces).await?),
        };
        let mut base = known.base.clone();
        let based_on = base.as_ref().map_or(0, |base| base.revision);
        let is_due = expected.0 >= based_on + layout::CHANGES_KEPT;
        if is_due {
            let all = layout::texts(&layout::everything(&known.content))?;
            base = Some(Base {
                revision: expected.0,
                parts: self.put_parts(place("base"), layout::pieces(&all)?).await?,
            });
        }
        let store = match known.store {
            0 => token.max(1),
            store => store,
        };
        let hash = layout::hash_of(&content);
        Ok(Made {
            head: Head::new(store, revision, hash, base),
            change: ChangeRecord {
                revision: revision.0,
                token,
                writes,
            },
            content,
            cleans: is_due.then(|| place("")),
        })
    }

    async fn put_parts(&self, id: String, pieces: Vec<Vec<u8>>) -> Result<Parts, StoreError> {
        let count = pieces.len();
        for (number, piece) in pieces.into_iter().enumerate() {
            let key = self.keys.part(&id, number);
            let put = self.door.ask_all(|mut kv| {
                let (key, piece) = (key.clone(), piece.clone());
                async move { kv.put(key, piece, None).await }
            });
            put.await
                .map_err(|error| StoreError::Failed(error.text()))?;
        }
        Ok(Parts { id, count })
    }
}

/// A commit ready to be sent.
struct Made {
    head: Head,
    change: ChangeRecord,
    content: Arc<Content>,
    /// Where its parts begin, if it brings a base: all others go.
    cleans: Option<String>,
}

impl Made {
    async fn send(
        &self,
        mut kv: KvClient,
        keys: &Keys,
        head_at: i64,
    ) -> Result<TxnResponse, etcd_client::Error> {
        let text = |error: StoreError| etcd_client::Error::InvalidArgs(error.to_string());
        let change = keys.change(self.change.revision);
        let mut puts = vec![
            TxnOp::put(keys.head(), self.head.write().map_err(text)?, None),
            TxnOp::put(change.clone(), self.change.write().map_err(text)?, None),
        ];
        if let Some(own) = &self.cleans {
            let (start, end) = keys.all_parts();
            let own = format!("{start}{own}");
            for (from, to) in [
                (keys.change(0), change.clone()),
                (start, own.clone()),
                (format!("{own}~"), end),
            ] {
                let range = DeleteOptions::new().with_range(to);
                puts.push(TxnOp::delete(from, Some(range)));
            }
        }
        let unchanged = Compare::mod_revision(keys.head(), CompareOp::Equal, head_at);
        let txn = Txn::new().when([unchanged]).and_then(puts);
        kv.txn(txn.or_else([TxnOp::get(change, None)])).await
    }
}

#[cfg(test)]
pub(in crate::control) mod tests;
