//! A real etcd, and what must hold whatever it is put through.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;
use crate::config::checked::EtcdStore;
use crate::control::store::Embedded;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// One member, killed when dropped.
pub(in crate::control) struct Server {
    child: Child,
    folder: tempfile::TempDir,
    clients: SocketAddr,
    peers: SocketAddr,
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

impl Server {
    pub(in crate::control) fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let (clients, peers) = (free_address(), free_address());
        let child = run(folder.path(), clients, peers);
        Server {
            child,
            folder,
            clients,
            peers,
        }
    }

    /// Settings of a node of its own.
    pub(in crate::control) fn settings(&self, node: &str) -> EtcdStore {
        EtcdStore {
            endpoints: vec![format!("http://{}", self.clients)],
            prefix: "/test/".to_owned(),
            user: None,
            tls: None,
            timeout: Duration::from_secs(5),
            copy: self.folder.path().join(format!("{node}.redb")),
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = run(self.folder.path(), self.clients, self.peers);
    }

    async fn client(&self) -> KvClient {
        let client = etcd_client::Client::connect([self.clients.to_string()], None).await;
        client.unwrap().kv_client()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(folder: &Path, clients: SocketAddr, peers: SocketAddr) -> Child {
    let (clients, peers) = (format!("http://{clients}"), format!("http://{peers}"));
    let mut command = Command::new("etcd");
    command
        .args(["--name", "a", "--initial-cluster", &format!("a={peers}")])
        .args([
            "--listen-client-urls",
            &clients,
            "--advertise-client-urls",
            &clients,
        ])
        .args([
            "--listen-peer-urls",
            &peers,
            "--initial-advertise-peer-urls",
            &peers,
        ])
        .args(["--data-dir".as_ref(), folder.join("etcd").as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
        .spawn()
        .expect("etcd is installed (Debian: etcd-server)")
}

/// A store that has read what is there.
async fn store(server: &Server, node: &str) -> Etcd {
    let store = Etcd::new(&server.settings(node));
    let deadline = Instant::now() + PATIENCE;
    loop {
        match store.begin().await {
            Ok(_) => return store,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An empty store, for the contract.
pub(in crate::control) async fn empty(server: &Server) -> Etcd {
    store(server, "contract").await
}

fn write(key: &str, record: &str) -> Write {
    (key.to_owned(), Some(record.as_bytes().to_vec()))
}

async fn until(following: &mut Following, holds: impl FnMut(&Feed) -> bool) -> Feed {
    let waiting = tokio::time::timeout(PATIENCE, following.feed.wait_for(holds));
    waiting.await.expect("in time").unwrap().clone()
}

async fn commit(store: &Etcd, writes: Vec<Write>) -> Revision {
    let now = store.load().await.unwrap().revision;
    store.commit(now, writes).await.unwrap()
}

#[tokio::test]
async fn what_one_node_writes_another_hears() {
    let server = Server::start();
    let (one, two) = (store(&server, "one").await, store(&server, "two").await);
    let mut heard = two.follow().unwrap();
    for number in 1..=5 {
        let made = commit(&one, vec![write("key", &number.to_string())]).await;
        assert_eq!(made, Revision(number));
        let feed = until(&mut heard, |feed| feed.content.revision == made).await;
        assert_eq!(feed.content.records["key"], number.to_string().into_bytes());
    }
    // Who comes second is told, and has what is there.
    assert!(heard.stats.watch_events.read() > 0, "the bell rings");
    let late = two.commit(Revision(4), vec![write("key", "lost")]).await;
    assert_eq!(late, Err(StoreError::Conflict { now: Revision(5) }));
}

#[tokio::test]
async fn many_large_changes_are_whole_for_whoever_comes_late() {
    let server = Server::start();
    let (one, two) = (store(&server, "one").await, store(&server, "two").await);
    // More operations and more bytes than one request of etcd takes.
    let many = (0..3000).map(|number| write(&format!("key/{number}"), &"x".repeat(1000)));
    commit(&one, many.collect()).await;
    two.load().await.unwrap();
    for number in 0..layout::CHANGES_KEPT + 3 {
        commit(
            &one,
            vec![
                write("count", &number.to_string()),
                (format!("key/{number}"), None),
            ],
        )
        .await;
    }
    let now = one.load().await.unwrap();
    // One that knows an old state, and one that knows nothing.
    assert_eq!(two.load().await.unwrap(), now);
    assert_eq!(store(&server, "three").await.load().await.unwrap(), now);
    let mut client = server.client().await;
    let keys = etcd_client::GetOptions::new()
        .with_prefix()
        .with_keys_only();
    let kept = client.get("/test/", Some(keys)).await.unwrap().kvs().len();
    assert!(
        kept < 20,
        "a new base takes the place of what was before: {kept}"
    );
}

#[tokio::test]
async fn compaction_and_a_restart_of_etcd_are_no_more_than_a_pause() {
    let mut server = Server::start();
    let (one, two) = (store(&server, "one").await, store(&server, "two").await);
    let mut heard = two.follow().unwrap();
    commit(&one, vec![write("key", "1")]).await;
    until(&mut heard, |feed| feed.content.revision == Revision(1)).await;
    server.kill();
    until(&mut heard, |feed| matches!(feed.sight, Sight::Away(_))).await;
    assert_eq!(
        heard.feed.borrow().content.revision,
        Revision(1),
        "and it is kept"
    );
    let refused = one.commit(Revision(1), vec![write("key", "lost")]).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    server.start_again();
    store(&server, "three").await;
    let made = commit(&one, vec![write("key", "2")]).await;
    let mut client = server.client().await;
    let at = client.get("/test/head", None).await.unwrap();
    let at = at.header().unwrap().revision();
    client.compact(at, None).await.unwrap();
    commit(&one, vec![write("key", "3")]).await;
    let feed = until(&mut heard, |feed| feed.content.revision.0 == made.0 + 1).await;
    assert_eq!(feed.content.records["key"], b"3");
    assert_eq!(feed.sight, Sight::Current);
}

#[tokio::test]
async fn what_is_older_other_or_gone_is_not_followed() {
    let server = Server::start();
    let (one, two) = (store(&server, "one").await, store(&server, "two").await);
    commit(&one, vec![write("key", "1")]).await;
    let mut client = server.client().await;
    let head = async |client: &mut KvClient| {
        let answer = client.get("/test/head", None).await.unwrap();
        answer.kvs()[0].value().to_vec()
    };
    let first = head(&mut client).await;
    commit(&one, vec![write("key", "2")]).await;
    let second = head(&mut client).await;
    two.load().await.unwrap();
    let with = |key: &str| {
        let mut forged: serde_json::Value = serde_json::from_slice(&second).unwrap();
        forged[key] = 1.into();
        forged.to_string().into_bytes()
    };
    for (value, told) in [
        (first, "is at revision 1, and 2 is known"),
        (with("hash"), "revision 2 is another one"),
        (with("store"), "another store"),
    ] {
        client.put("/test/head", value, None).await.unwrap();
        let error = two.load().await.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        let refused = two.commit(Revision(2), vec![write("key", "3")]).await;
        assert!(refused.is_err(), "{refused:?}");
    }
    client.delete("/test/head", None).await.unwrap();
    let error = two.load().await.unwrap_err().to_string();
    assert!(error.contains("empty, and revision 2 is known"), "{error}");
    client.put("/test/head", second, None).await.unwrap();
    assert_eq!(two.load().await.unwrap().records["key"], b"2");
}

#[tokio::test]
async fn a_change_that_does_not_come_to_its_hash_is_not_believed() {
    let server = Server::start();
    let (one, two) = (store(&server, "one").await, store(&server, "two").await);
    commit(&one, vec![write("key", "1")]).await;
    two.load().await.unwrap();
    commit(&one, vec![write("key", "2")]).await;
    let mut client = server.client().await;
    let key = Keys("/test/".to_owned()).change(2);
    let answer = client.get(key.clone(), None).await.unwrap();
    let good = String::from_utf8(answer.kvs()[0].value().to_vec()).unwrap();
    client
        .put(key.clone(), good.replace("\"2\"", "\"3\""), None)
        .await
        .unwrap();
    let error = two.load().await.unwrap_err().to_string();
    assert!(error.contains("does not come to the hash"), "{error}");
    client.put(key, good, None).await.unwrap();
    assert_eq!(two.load().await.unwrap().records["key"], b"2");
}

/// Waits until the file has this revision.
async fn until_copied(path: &Path, revision: u64) {
    let deadline = Instant::now() + PATIENCE;
    while copy::read(path)
        .ok()
        .flatten()
        .is_none_or(|copied| copied.content.revision.0 != revision)
    {
        assert!(Instant::now() < deadline, "no copy of revision {revision}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Otherwise a node that is killed and starts while etcd is away goes back behind what it served.
#[tokio::test]
async fn nothing_is_told_that_the_own_copy_does_not_have() {
    let server = Server::start();
    let (one, two) = (store(&server, "one").await, store(&server, "two").await);
    let mut heard = two.follow().unwrap();
    let copied = |node: &str| {
        let copied = copy::read(&server.settings(node).copy).unwrap();
        copied.map(|copied| copied.content.revision)
    };
    for number in 1..=20 {
        let made = commit(&one, vec![write("key", &number.to_string())]).await;
        assert_eq!(copied("one"), Some(made), "before the commit is answered");
        until(&mut heard, |feed| feed.content.revision == made).await;
        assert_eq!(copied("two"), Some(made), "before others hear of it");
    }
}

#[tokio::test]
async fn a_copy_that_somebody_had_open_is_written_later() {
    let server = Server::start();
    let one = store(&server, "one").await;
    let heard = one.follow().unwrap();
    commit(&one, vec![write("key", "1")]).await;
    let path = server.settings("one").copy;
    until_copied(&path, 1).await;
    let open = loop {
        match Embedded::open(&path) {
            Ok(open) => break open,
            Err(error) => assert_eq!(error, StoreError::Busy),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    commit(&one, vec![write("key", "2")]).await;
    let deadline = Instant::now() + PATIENCE;
    while heard.stats.copy_failures.read() == 0 {
        assert!(Instant::now() < deadline, "nothing was tried");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(open);
    until_copied(&path, 2).await;
}

#[tokio::test]
async fn a_node_begins_with_its_copy_while_etcd_is_away() {
    let mut server = Server::start();
    let one = store(&server, "one").await;
    let mut heard = one.follow().unwrap();
    commit(&one, vec![write("key", "1")]).await;
    until(&mut heard, |feed| feed.content.revision == Revision(1)).await;
    until_copied(&server.settings("one").copy, 1).await;
    server.kill();
    let again = Etcd::new(&server.settings("one"));
    let content = again.begin().await.unwrap();
    assert_eq!(
        (content.revision, &*content.records["key"]),
        (Revision(1), &b"1"[..])
    );
    let none = Etcd::new(&server.settings("two")).begin().await;
    assert!(matches!(none, Err(StoreError::Failed(_))), "{none:?}");
    server.start_again();
    store(&server, "three").await;
    assert_eq!(commit(&again, vec![write("key", "2")]).await, Revision(2));
}
