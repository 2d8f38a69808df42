//! Finding out what etcd holds: what is new since a known state, or everything.
//!
//! All reads are linearizable, and none is believed without its hash: whatever a member that was
//! paused, restored or cut off tells, a state is taken over only when it is newer than the known
//! one and its records come to the hash its head names. What is older, or the same revision with
//! another hash, is refused, for good: following it would take back what was acknowledged.

use std::sync::Arc;

use etcd_client::{Error, GetOptions, KeyValue, KvClient, Txn, TxnOp, TxnOpResponse};

use super::super::{Content, Revision, StoreError};
use super::door::{Door, Unanswered};
use super::layout::{Base, ChangeRecord, Head, Keys, Parts, Writes, apply, hash_of, joined};

/// Times a read begins again because a new base came in between.
const READS_MAX: usize = 8;

/// A state as etcd has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Which store it is of; 0 while that is empty.
    pub(super) store: u64,
    /// Its records.
    pub(super) content: Arc<Content>,
    /// Their hash.
    pub(super) hash: u64,
    /// What is compared when the next revision is made: etcd's own number of the head. None of a
    /// state that was not read from etcd.
    pub(super) head_at: Option<i64>,
    /// What its changes are counted from.
    pub(super) base: Option<Base>,
}

/// Why a read gave nothing.
#[derive(Clone, Debug)]
pub(super) enum Unread {
    /// It could not be asked.
    Unanswered(Unanswered),
    /// What it says is not taken.
    Untrusted(String),
}

impl Unread {
    pub(super) fn into_error(self) -> StoreError {
        StoreError::Failed(match self {
            Unread::Unanswered(unanswered) => unanswered.text(),
            Unread::Untrusted(why) => why,
        })
    }
}

impl From<Unanswered> for Unread {
    fn from(unanswered: Unanswered) -> Unread {
        Unread::Unanswered(unanswered)
    }
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Unread {
        Unread::Untrusted(error.to_string())
    }
}

/// A head, etcd's number of it, and the changes from some revision on.
struct Answer {
    head: Option<(Head, i64)>,
    changes: Vec<KeyValue>,
}

/// What it holds now, `known` if that is the same.
///
/// # Errors
/// When it cannot be asked, or what it says is older than `known` or contradicts it.
pub(super) async fn newest(door: &Door, keys: &Keys, known: &Seen) -> Result<Seen, Unread> {
    let have = known.content.revision.0;
    let Answer { head, changes } = since(door, keys, have).await?;
    let Some((head, head_at)) = head else {
        return match known.store {
            0 => Ok(Seen {
                head_at: Some(0),
                ..Seen::default()
            }),
            _ => Err(Unread::Untrusted(format!(
                "it is empty, and revision {have} is known: not followed"
            ))),
        };
    };
    trusted(&head, known)?;
    if head.revision == have {
        return Ok(Seen {
            head_at: Some(head_at),
            base: head.base,
            ..known.clone()
        });
    }
    let followed = follow(door, keys, &known.content, &changes, &head).await?;
    match followed {
        Some(content) => Ok(seen(head, head_at, content)),
        None => whole(door, keys, known).await,
    }
}

/// Refuses what would take back what is known.
pub(super) fn trusted(head: &Head, known: &Seen) -> Result<(), Unread> {
    let have = known.content.revision.0;
    let why = if known.store == 0 {
        return Ok(());
    } else if head.store != known.store {
        format!("it is another store than the one revision {have} is from: not followed")
    } else if head.revision < have {
        let now = head.revision;
        format!("it is at revision {now}, and {have} is known: not followed")
    } else if head.revision == have && head.hash != known.hash {
        format!("its revision {have} is another one than the known: not followed")
    } else {
        return Ok(());
    };
    Err(Unread::Untrusted(why))
}

fn seen(head: Head, head_at: i64, content: Arc<Content>) -> Seen {
    Seen {
        store: head.store,
        content,
        hash: head.hash,
        head_at: Some(head_at),
        base: head.base,
    }
}

/// Everything, from its base on.
async fn whole(door: &Door, keys: &Keys, known: &Seen) -> Result<Seen, Unread> {
    for _ in 0..READS_MAX {
        let Some((head, _)) = since(door, keys, u64::MAX - 1).await?.head else {
            break;
        };
        let start = match &head.base {
            None => Some(Arc::default()),
            Some(base) => {
                let parts = parts(door, keys, &base.parts).await?;
                parts.map(|writes| {
                    let mut content = Arc::default();
                    apply(&mut content, Revision(base.revision), writes);
                    content
                })
            }
        };
        let Answer { head: now, changes } = since(door, keys, head.base_revision()).await?;
        let (Some(start), Some((now, head_at))) = (start, now) else {
            continue;
        };
        trusted(&now, known)?;
        if now.base != head.base {
            continue;
        }
        if let Some(content) = follow(door, keys, &start, &changes, &now).await? {
            return Ok(seen(now, head_at, content));
        }
    }
    let why = "what it holds does not come to the hash it names: not followed";
    Err(Unread::Untrusted(why.to_owned()))
}

/// The state after these changes, if they are all there and come to the head's hash.
async fn follow(
    door: &Door,
    keys: &Keys,
    start: &Arc<Content>,
    changes: &[KeyValue],
    head: &Head,
) -> Result<Option<Arc<Content>>, Unread> {
    let mut content = Arc::clone(start);
    for change in changes {
        let change = ChangeRecord::read(change.value())?;
        if change.revision != content.revision.0 + 1 {
            return Ok(None);
        }
        let writes = match change.writes {
            Writes::Writes(writes) => writes,
            Writes::Parts(place) => match parts(door, keys, &place).await? {
                Some(writes) => writes,
                None => return Ok(None),
            },
        };
        apply(&mut content, Revision(change.revision), writes);
    }
    let is_whole = content.revision.0 == head.revision && hash_of(&content) == head.hash;
    Ok(is_whole.then_some(content))
}

/// The writes of some parts, unless one is missing.
async fn parts(
    door: &Door,
    keys: &Keys,
    place: &Parts,
) -> Result<Option<std::collections::BTreeMap<String, Option<String>>>, Unread> {
    let mut pieces = Vec::with_capacity(place.count);
    // One by one: together they may be more than an answer takes.
    for number in 0..place.count {
        let key = keys.part(&place.id, number);
        let answer = door
            .ask_all(|mut kv| {
                let key = key.clone();
                async move { kv.get(key, None).await }
            })
            .await?;
        match answer.kvs().first() {
            Some(piece) => pieces.push(piece.value().to_vec()),
            None => return Ok(None),
        }
    }
    Ok(Some(joined(&pieces)?))
}

/// The head, and the changes after `revision`, as of one moment.
async fn since(door: &Door, keys: &Keys, revision: u64) -> Result<Answer, Unread> {
    let answer = door.ask_all(|kv| read(kv, keys, revision)).await?;
    let mut parts = answer.op_responses().into_iter();
    let mut next = || match parts.next() {
        Some(TxnOpResponse::Get(mut get)) => get.take_kvs(),
        _ => Vec::new(),
    };
    let (head, changes) = (next(), next());
    let head = match head.first() {
        Some(head) => Some((Head::read(head.value())?, head.mod_revision())),
        None => None,
    };
    Ok(Answer { head, changes })
}

async fn read(
    mut kv: KvClient,
    keys: &Keys,
    revision: u64,
) -> Result<etcd_client::TxnResponse, Error> {
    let range = GetOptions::new().with_range(keys.changes_end());
    kv.txn(Txn::new().and_then([
        TxnOp::get(keys.head(), None),
        TxnOp::get(keys.change(revision.saturating_add(1)), Some(range)),
    ]))
    .await
}
