//! Two control loops that share a store, and what each makes of the other's changes.

use std::net::TcpListener;
use std::sync::Mutex;

use tokio::sync::watch;

use super::super::changing::tests::{Asleep, beside, published, retries, start};
use super::*;
use crate::base::epoch::Epoch;
use crate::control::change::{Conditions, Done};
use crate::control::document::{ObjectPath, Op, Section};
use crate::control::store::{Answer, Content, Feed, Memory, Store, Write};
use crate::control::truth::Truth;

/// A store in memory that several loops follow, and that can be away.
#[derive(Clone)]
struct Shared {
    inner: Memory,
    feed: Arc<watch::Sender<Feed>>,
    /// What the next commit finds done before it.
    first: Arc<Mutex<Option<Vec<Write>>>>,
}

impl Shared {
    fn new() -> Shared {
        Shared {
            inner: Memory::default(),
            feed: Arc::new(watch::Sender::new(Feed::default())),
            first: Arc::default(),
        }
    }

    async fn tell(&self) {
        let content = Arc::new(self.inner.load().await.unwrap());
        self.feed.send_modify(|feed| feed.content = content);
    }

    fn look(&self, sight: Sight) {
        self.feed.send_modify(|feed| feed.sight = sight);
    }

    /// Commits as a node elsewhere would.
    async fn elsewhere(&self, writes: Vec<Write>) -> Revision {
        let now = self.inner.load().await.unwrap().revision;
        let made = self.inner.commit(now, writes).await.unwrap();
        self.tell().await;
        made
    }
}

impl Store for Shared {
    fn load(&self) -> Answer<Content> {
        self.inner.load()
    }

    fn commit(&self, expected: Revision, writes: Vec<Write>) -> Answer<Revision> {
        let store = self.clone();
        Box::pin(async move {
            let first = store.first.lock().unwrap().take();
            if let Some(first) = first {
                store.elsewhere(first).await;
            }
            let made = store.inner.commit(expected, writes).await;
            store.tell().await;
            made
        })
    }

    fn follow(&self) -> Option<Following> {
        Some(Following {
            feed: self.feed.subscribe(),
            stats: Arc::default(),
            unserved: Arc::default(),
        })
    }
}

/// A control loop on `store`, which has the truth of its file at revision 1.
async fn node(store: &Shared) -> Asleep {
    let first = store.clone();
    start(move |truth: Truth| Truth {
        store: Arc::new(first),
        ..truth
    })
    .await
}

/// A store that holds what `node` starts with.
async fn filled() -> Shared {
    let store = Shared::new();
    let other = start(|truth| truth).await;
    let content = other.control.store.as_ref().unwrap().load().await.unwrap();
    let records = content.records.into_iter();
    let writes = records.map(|(key, record)| (key, Some(record))).collect();
    store.inner.commit(Revision(0), writes).await.unwrap();
    store.tell().await;
    store
}

/// The record of the only group with other retries.
async fn group_with(store: &Shared, count: u64) -> Vec<Write> {
    let records = store.inner.load().await.unwrap().records;
    let mut record: Section = serde_json::from_slice(&records["groups/app"]).unwrap();
    record["value"]["retries"] = count.into();
    let record = serde_json::to_vec(&record).unwrap();
    vec![("groups/app".to_owned(), Some(record))]
}

async fn until(control: &mut Control, epoch: Epoch) {
    while published(control) < epoch {
        assert!(control.step().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn what_another_node_stores_is_served_as_its_revision() {
    let store = filled().await;
    let mut node = node(&store).await;
    let made = store.elsewhere(group_with(&store, 9).await).await;
    until(&mut node.control, made.epoch()).await;
    assert_eq!(published(&node.control), Epoch::of(2));
    assert_eq!(node.control.config.groups[0].retries, 9);
    let done = retries(&mut node.control, 3).await.unwrap();
    assert_eq!(done.after.epoch, Epoch::of(3));
    // Several at once are one table: the newest.
    for count in 4..8 {
        store.elsewhere(group_with(&store, count).await).await;
    }
    until(&mut node.control, Epoch::of(7)).await;
    assert_eq!(node.control.config.groups[0].retries, 7);
    assert_eq!(node.control.stats.published.read(), 4);
}

/// Gives the only group another policy.
async fn policy(
    control: &mut Control,
    name: &str,
    conditions: Conditions,
) -> Result<Done, Refusal> {
    let handle = control.handle.clone();
    let op = Op::Patch {
        path: ObjectPath::Group("app".into()),
        value: [("policy".to_owned(), name.into())].into_iter().collect(),
    };
    beside(
        control,
        async move { handle.change(vec![op], conditions).await },
    )
    .await
}

#[tokio::test]
async fn who_comes_second_is_judged_anew() {
    let store = filled().await;
    let mut node = node(&store).await;
    *store.first.lock().unwrap() = Some(group_with(&store, 9).await);
    let done = policy(&mut node.control, "random", Conditions::default())
        .await
        .unwrap();
    assert_eq!(
        (done.before.epoch, done.after.epoch),
        (Epoch::of(2), Epoch::of(3))
    );
    assert_eq!(
        node.control.config.groups[0].retries, 9,
        "both changes count"
    );
    // One that asked for the state before is refused.
    *store.first.lock().unwrap() = Some(group_with(&store, 8).await);
    let conditions = Conditions {
        epochs: Some(vec![Epoch::of(3)]),
        ..Conditions::default()
    };
    let refused = policy(&mut node.control, "round_robin", conditions)
        .await
        .unwrap_err();
    assert_eq!(refused, Refusal::NotAt(Epoch::of(4)));
}

#[tokio::test]
async fn without_the_store_changes_are_refused_and_the_table_stays() {
    let store = filled().await;
    let mut node = node(&store).await;
    store.look(Sight::Away("no answer".to_owned()));
    let refused = retries(&mut node.control, 9).await.unwrap_err();
    assert_eq!(
        refused,
        Refusal::Store("the store is away: no answer".to_owned())
    );
    assert_eq!(published(&node.control), Epoch::of(1));
    store.look(Sight::Current);
    assert_eq!(
        retries(&mut node.control, 9).await.unwrap().after.epoch,
        Epoch::of(2)
    );
}

#[tokio::test]
async fn what_cannot_be_served_here_is_told_and_tried_again() {
    let store = filled().await;
    let mut node = node(&store).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = serde_json::json!({"order": 9, "value": {
        "address": taken.local_addr().unwrap().to_string(), "group": "app",
    }});
    let write = (
        "listeners/taken".to_owned(),
        Some(listener.to_string().into_bytes()),
    );
    store.elsewhere(vec![write]).await;
    while node.control.stats.unserved.read() == 0 {
        assert!(node.control.step().await.unwrap().is_none());
    }
    let refused = retries(&mut node.control, 9).await.unwrap_err();
    assert!(
        matches!(&refused, Refusal::Store(why) if why.contains("cannot serve")),
        "{refused:?}"
    );
    assert_eq!(published(&node.control), Epoch::of(1));
    drop(taken);
    until(&mut node.control, Epoch::of(2)).await;
    assert_eq!(
        retries(&mut node.control, 9).await.unwrap().after.epoch,
        Epoch::of(3)
    );
}
