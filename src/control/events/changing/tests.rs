//! Changes on their way: who waits, who is refused, what a failing store leaves behind.

use std::net::SocketAddr;
use std::sync::Mutex;

use super::super::tests::{free_address, setup, text};
use super::*;
use crate::base::epoch::Epoch;
use crate::base::limits::CHANGES_MAX;
use crate::control::change::Conditions;
use crate::control::document::{ObjectPath, Op};
use crate::control::store::{Answer, Content, Memory, Store, Write};
use crate::control::truth::{self, Truth};
use crate::link::worker_side::WorkerEnd;

/// A control loop whose cores are asleep.
pub(in crate::control::events) struct Asleep {
    pub(in crate::control::events) control: Control,
    admin: SocketAddr,
    _dir: tempfile::TempDir,
    _cores: Vec<WorkerEnd>,
}

pub(in crate::control::events) async fn start(change: impl FnOnce(Truth) -> Truth) -> Asleep {
    let (admin, web) = (free_address(), free_address());
    let dir = tempfile::tempdir().unwrap();
    let text = text(admin, &[("web", web)], "");
    let config = crate::config::load(&text, "weir.toml").unwrap();
    let truth = truth::establish(&text, &config, Epoch(0)).await.unwrap();
    let (setup, cores) = setup(dir.path(), &text, change(truth));
    Asleep {
        control: Control::start(setup).await.unwrap(),
        admin,
        _dir: dir,
        _cores: cores,
    }
}

/// What something asynchronous gives while the control loop runs.
pub(in crate::control::events) async fn beside<T>(
    control: &mut Control,
    doing: impl Future<Output = T>,
) -> T {
    let looping = async {
        loop {
            assert!(control.step().await.unwrap().is_none(), "it goes on");
        }
    };
    tokio::select! {
        result = doing => result,
        () = looping => unreachable!("the loop has no end"),
    }
}

/// Sets the retries of the only group.
pub(in crate::control::events) async fn retries(
    control: &mut Control,
    count: u32,
) -> Result<Done, Refusal> {
    let handle = control.handle.clone();
    let op = Op::Patch {
        path: ObjectPath::Group("app".into()),
        value: [("retries".to_owned(), count.into())].into_iter().collect(),
    };
    beside(control, async move {
        handle.change(vec![op], Conditions::default()).await
    })
    .await
}

pub(in crate::control::events) fn published(control: &Control) -> Epoch {
    control.publisher.watch().borrow().published
}

/// A store that fails as long as it is told to.
#[derive(Clone, Default)]
struct Fragile {
    inner: Memory,
    fails: Arc<Mutex<bool>>,
}

impl Store for Fragile {
    fn load(&self) -> Answer<Content> {
        self.inner.load()
    }

    fn commit(&self, expected: Revision, writes: Vec<Write>) -> Answer<Revision> {
        match *self.fails.lock().unwrap() {
            true => Box::pin(async { Err(StoreError::Failed("no space left".into())) }),
            false => self.inner.commit(expected, writes),
        }
    }
}

/// Puts another store behind a truth; it must be at its first revision.
fn behind(truth: Truth, store: &Fragile) -> Truth {
    Truth {
        store: Arc::new(store.clone()),
        revision: Revision(1),
        ..truth
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_published() {
    let store = Fragile::default();
    store.inner.commit(Revision(0), Vec::new()).await.unwrap();
    let mut node = start(|truth| behind(truth, &store)).await;
    let control = &mut node.control;
    *store.fails.lock().unwrap() = true;
    let refused = retries(control, 7).await.unwrap_err();
    assert_eq!(refused, Refusal::Store("no space left".into()));
    assert_eq!(
        (published(control), control.config.groups[0].retries),
        (Epoch::of(1), 2)
    );
    *store.fails.lock().unwrap() = false;
    let done = retries(control, 7).await.unwrap();
    assert_eq!(
        (done.before.epoch, done.after.epoch),
        (Epoch::of(1), Epoch::of(2))
    );
    assert_eq!(
        (published(control), control.config.groups[0].retries),
        (Epoch::of(2), 7)
    );
}

#[tokio::test]
async fn a_store_somebody_else_has_changed_is_a_conflict() {
    let store = Fragile::default();
    store.inner.commit(Revision(0), Vec::new()).await.unwrap();
    let mut node = start(|truth| behind(truth, &store)).await;
    store.inner.commit(Revision(1), Vec::new()).await.unwrap();
    let refused = retries(&mut node.control, 7).await.unwrap_err();
    assert!(matches!(refused, Refusal::Conflict(_)), "{refused:?}");
    assert_eq!(published(&node.control), Epoch::of(1));
}

#[tokio::test]
async fn a_reload_during_a_change_comes_after_it() {
    let mut node = start(|truth| truth).await;
    let control = &mut node.control;
    let handle = control.handle.clone();
    let op = Op::Patch {
        path: ObjectPath::Group("app".into()),
        value: [("retries".to_owned(), 7.into())].into_iter().collect(),
    };
    let waiting = tokio::spawn(async move { handle.change(vec![op], Conditions::default()).await });
    while control.underway.is_none() {
        assert!(control.step().await.unwrap().is_none());
    }
    control.reload();
    assert!(control.reload_wanted);
    while published(control) < Epoch::of(3) {
        assert!(control.step().await.unwrap().is_none());
    }
    let done = waiting.await.unwrap().unwrap();
    assert_eq!(done.after.epoch, Epoch::of(2));
    assert_eq!(
        control.config.groups[0].retries, 2,
        "the file has the last word"
    );
}

#[tokio::test]
async fn the_library_makes_the_five_calls() {
    let mut node = start(|truth| truth).await;
    let handle = node.control.handle.clone();
    let calls = async {
        let added = handle
            .add_server(None, "s9", "127.0.0.1:10", 3)
            .await
            .unwrap();
        let same = handle
            .add_server(None, "s9", "127.0.0.1:10", 3)
            .await
            .unwrap();
        assert_eq!(same.after.epoch, added.after.epoch);
        let other = handle.add_server(None, "s9", "127.0.0.1:11", 3).await;
        assert!(matches!(other, Err(Refusal::Exists(_))), "{other:?}");
        handle.health_check_failed(None, "s9").await.unwrap();
        handle.health_check_passed(Some("app"), "s9").await.unwrap();
        handle.remove_server(None, "127.0.0.1:9").await.unwrap();
        handle.remove_server(None, "localhost:9").await.unwrap();
        let next = handle.get_next_server(None, None).unwrap();
        assert_eq!((&*next.server_id, next.address.port()), ("s9", 10));
        let last = handle.remove_server(None, "s9").await;
        assert!(matches!(last, Err(Refusal::Invalid(_))), "{last:?}");
        next.epoch
    };
    let epoch = beside(&mut node.control, calls).await;
    assert_eq!(epoch, Epoch::of(6));
}

/// Asks the admin interface while the control loop runs.
async fn ask(control: &mut Control, admin: SocketAddr, request: String) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    beside(control, async {
        let mut stream = tokio::net::TcpStream::connect(admin).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    })
    .await
}

#[tokio::test]
async fn who_waits_for_cores_that_do_not_adopt_is_told_which() {
    let mut node = start(|truth| truth).await;
    let (control, admin) = (&mut node.control, node.admin);
    let body = "{\"retries\": 7}";
    let request = format!(
        "PATCH /v1/groups/app?wait=node&timeout=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(control, admin, request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 504"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["stragglers"], serde_json::json!([0, 1]));
    assert_eq!(body["epoch"], 2, "the change stands");
    assert_eq!(control.config.groups[0].retries, 7);
}

#[tokio::test]
async fn more_changes_than_may_wait_are_refused_at_once() {
    let mut node = start(|truth| truth).await;
    let control = &mut node.control;
    let handle = control.handle.clone();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..CHANGES_MAX + 3 {
        let handle = handle.clone();
        waiting.spawn(async move { handle.change(Vec::new(), Conditions::default()).await });
    }
    // The runtime polls a bounded number of tasks between two looks at this one.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let mut busy = 0;
    let mut done = 0;
    while busy + done < CHANGES_MAX + 3 {
        tokio::select! {
            Some(answer) = waiting.join_next() => match answer.unwrap() {
                Ok(_) => done += 1,
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::Busy);
                    busy += 1;
                }
            },
            step = control.step() => assert!(step.unwrap().is_none()),
        }
    }
    assert_eq!((busy, done), (3, CHANGES_MAX));
}
