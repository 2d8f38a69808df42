//! The whole control plane with workers that serve nobody: start, reload, drain, death.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as Blocker, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::mpsc as channel;
use std::thread::JoinHandle as Thread;

use tokio::sync::mpsc;

use super::*;
use crate::control::core::{ControlSetup, run};
use crate::control::fake_worker::{self, Habit};
use crate::control::truth::Truth;
use crate::link::link;
use crate::link::worker_side::WorkerEnd;
use crate::runtime::kick::Kick;

const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    dir: tempfile::TempDir,
    admin: SocketAddr,
    orders: mpsc::Sender<Order>,
    ready: channel::Receiver<Ready>,
    control: Thread<io::Result<Outcome>>,
    workers: Vec<Thread<()>>,
}

/// A free port on a loopback address no other test has, so that none of them takes it meanwhile.
pub(super) fn free_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [process, _, _, _] = std::process::id().to_le_bytes();
    let ip = [127, 1, process, NEXT.fetch_add(1, Relaxed)];
    Blocker::bind((std::net::Ipv4Addr::from(ip), 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A configuration with these listeners (name and address), one group, and what else is given.
pub(super) fn text(admin: SocketAddr, listeners: &[(&str, SocketAddr)], more: &str) -> String {
    let mut text = format!(
        "{more}\n[admin]\naddress = \"{admin}\"\n[[group]]\nname = \"app\"\n\
         backends = [\"127.0.0.1:9\", \"localhost:9\"]\n"
    );
    for (name, address) in listeners {
        text.push_str(&format!(
            "[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\ngroup = \"app\"\n"
        ));
    }
    text
}

fn path(dir: &Path) -> PathBuf {
    dir.join("weir.toml")
}

/// What is true by this file.
fn truth(text: &str) -> Truth {
    let config = crate::config::load(text, "weir.toml").expect("a valid configuration");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime
        .block_on(crate::control::truth::establish(text, &config, Epoch(0)))
        .unwrap()
}

/// A setup with this file, and the workers that belong to it.
pub(super) fn setup(dir: &Path, text: &str, truth: Truth) -> (ControlSetup, Vec<WorkerEnd>) {
    std::fs::write(path(dir), text).unwrap();
    let kick = Kick::new().unwrap();
    let (ends, workers): (Vec<_>, Vec<_>) = (0..2).map(|_| link(&kick).unwrap()).unzip();
    let setup = ControlSetup {
        truth,
        config_path: path(dir),
        ends,
        kick,
        core_stats: (0..2).map(|_| Arc::default()).collect(),
        access_log: None,
        surveyors: Vec::new(),
        collecting: None,
        on_ready: None,
        claim: None,
        upgrades: false,
        signals: false,
        orders: None,
    };
    (setup, workers)
}

fn start(habit: Habit, admin: SocketAddr, text: &str) -> Node {
    let dir = tempfile::tempdir().unwrap();
    let (orders, receiver) = mpsc::channel(8);
    let (told, ready) = channel::channel();
    let (setup, workers) = setup(dir.path(), text, truth(text));
    // Made on the thread it runs on, because what is called when ready need not be `Send`.
    let ControlSetup {
        truth,
        config_path,
        ends,
        kick,
        core_stats,
        ..
    } = setup;
    let control = std::thread::spawn(move || {
        run(ControlSetup {
            truth,
            config_path,
            ends,
            kick,
            core_stats,
            access_log: None,
            surveyors: Vec::new(),
            collecting: None,
            on_ready: Some(Box::new(move |ready| told.send(ready).unwrap())),
            claim: None,
            upgrades: false,
            signals: false,
            orders: Some(receiver),
        })
    });
    let workers = fake_worker::start(workers, habit);
    Node {
        dir,
        admin,
        orders,
        ready,
        control,
        workers,
    }
}

impl Node {
    fn order(&self, order: Order) {
        self.orders.blocking_send(order).unwrap();
    }

    fn reload(&self, text: &str) {
        std::fs::write(path(self.dir.path()), text).unwrap();
        self.order(Order::Reload);
    }

    /// The page, as soon as the admin interface is there.
    fn page(&self, page: &str) -> String {
        let start = std::time::Instant::now();
        let mut stream = loop {
            match TcpStream::connect(self.admin) {
                Ok(stream) => break stream,
                Err(error) => assert!(start.elapsed() < PATIENCE, "no admin: {error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        write!(stream, "GET {page} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn json(&self, page: &str) -> serde_json::Value {
        serde_json::from_str(&self.page(page)).unwrap()
    }

    fn until(&self, what: &str, holds: impl Fn(&Node) -> bool) {
        let start = std::time::Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < PATIENCE, "not reached: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn until_adopted(&self, epoch: u64) {
        self.until("epoch", |node| {
            let page = node.json("/v1/epoch");
            page["published"] == epoch && page["stragglers"] == serde_json::json!([])
        });
    }

    fn until_refused(&self, times: u64) {
        let line = format!("weir_reloads_total{{result=\"refused\"}} {times}\n");
        self.until("refusal", |node| node.page("/metrics").contains(&line));
    }

    fn end(self) -> Outcome {
        let outcome = self.control.join().unwrap().unwrap();
        self.workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
        outcome
    }
}

#[test]
fn ready_is_told_with_addresses_and_a_drain_ends_well() {
    let (admin, web) = (free_address(), free_address());
    let node = start(Habit::Good, admin, &text(admin, &[("web", web)], ""));
    let ready = node.ready.recv_timeout(PATIENCE).unwrap();
    assert_eq!(ready.listeners, [("web".into(), web)]);
    assert_eq!(ready.admin, Some(admin));
    assert_eq!(node.page("/ready"), "ready\n");
    TcpStream::connect(web).unwrap();
    let status = node.json("/v1/status");
    assert_eq!(status["listeners"][0]["name"], "web");
    let backends = status["groups"][0]["backends"].as_array().unwrap();
    let of = |name: &str| backends.iter().filter(|b| b["name"] == name).count();
    assert_eq!(of("127.0.0.1:9"), 1);
    assert!(of("localhost:9") >= 1, "{backends:?}");
    let metrics = node.page("/metrics");
    assert!(metrics.contains(&format!("listener=\"web\",address=\"{web}\"")));
    node.order(Order::Drain);
    assert_eq!(node.end(), Outcome::Ended { cut: 0 });
    assert!(TcpStream::connect(web).is_err());
}

#[test]
fn a_reload_opens_and_closes_listeners_under_a_new_epoch() {
    let (admin, one, two) = (free_address(), free_address(), free_address());
    let node = start(Habit::Good, admin, &text(admin, &[("one", one)], ""));
    node.until_adopted(1);
    node.reload(&text(admin, &[("one", one), ("two", two)], "workers = 2"));
    node.until_adopted(2);
    TcpStream::connect(one).unwrap();
    TcpStream::connect(two).unwrap();
    node.reload(&text(admin, &[("two", two)], ""));
    node.until_adopted(3);
    assert!(TcpStream::connect(one).is_err());
    TcpStream::connect(two).unwrap();
    let listeners = node.json("/v1/status")["listeners"].clone();
    assert_eq!(
        (&listeners[0]["live"], &listeners[1]["live"]),
        (&false.into(), &true.into())
    );
    node.order(Order::Stop);
    assert!(node.end().is_success());
}

#[test]
fn a_refused_reload_changes_nothing_and_the_next_one_works() {
    let (admin, one, two) = (free_address(), free_address(), free_address());
    let node = start(Habit::Good, admin, &text(admin, &[("one", one)], ""));
    node.until_adopted(1);
    node.reload("this is not TOML");
    node.until_refused(1);
    let taken = Blocker::bind(two).unwrap();
    node.reload(&text(admin, &[("two", two)], ""));
    node.until_refused(2);
    assert_eq!(node.json("/v1/epoch")["published"], 1);
    TcpStream::connect(one).unwrap();
    drop(taken);
    node.reload(&text(admin, &[("two", two)], ""));
    node.until_adopted(2);
    TcpStream::connect(two).unwrap();
    node.order(Order::Stop);
    assert!(node.end().is_success());
}

#[test]
fn a_second_order_to_drain_cuts_what_is_left() {
    let (admin, web) = (free_address(), free_address());
    let node = start(Habit::NeverDrains, admin, &text(admin, &[("web", web)], ""));
    node.until_adopted(1);
    node.order(Order::Drain);
    node.until("draining", |node| node.page("/ready") == "draining\n");
    node.order(Order::Drain);
    assert_eq!(node.end(), Outcome::Ended { cut: 2 });
}

#[test]
fn a_drain_that_overruns_is_cut() {
    let (admin, web) = (free_address(), free_address());
    let more = "[shutdown]\ndrain_timeout = \"0s\"";
    let node = start(
        Habit::NeverDrains,
        admin,
        &text(admin, &[("web", web)], more),
    );
    node.until_adopted(1);
    node.order(Order::Drain);
    assert_eq!(node.end(), Outcome::Ended { cut: 2 });
}

#[test]
fn cores_that_die_end_the_process_with_a_failure() {
    let (admin, web) = (free_address(), free_address());
    let node = start(Habit::DiesAt(2), admin, &text(admin, &[("web", web)], ""));
    node.until_adopted(1);
    node.reload(&text(admin, &[("web", web)], "workers = 2"));
    let outcome = node.end();
    assert_eq!(outcome, Outcome::Died(vec![CoreId(0), CoreId(1)]));
    assert!(!outcome.is_success());
}

#[test]
fn an_address_that_is_taken_fails_the_start_and_ends_the_workers() {
    let (admin, web) = (free_address(), free_address());
    let taken = Blocker::bind(admin).unwrap();
    let node = start(Habit::Good, admin, &text(admin, &[("web", web)], ""));
    let error = node.control.join().unwrap().unwrap_err().to_string();
    assert!(
        error.contains(&format!("admin cannot listen on {admin}")),
        "{error}"
    );
    node.workers
        .into_iter()
        .for_each(|worker| worker.join().unwrap());
    drop(taken);
    let taken = Blocker::bind(web).unwrap();
    let node = start(Habit::Good, admin, &text(admin, &[("web", web)], ""));
    let error = node.control.join().unwrap().unwrap_err().to_string();
    assert!(
        error.contains("listener \"web\" cannot listen on"),
        "{error}"
    );
    node.workers
        .into_iter()
        .for_each(|worker| worker.join().unwrap());
    drop(taken);
}

/// A control loop of this file that a test takes step by step, and its workers.
async fn by_steps(dir: &Path, text: &str) -> (Control, Vec<WorkerEnd>) {
    let config = crate::config::load(text, "weir.toml").unwrap();
    let truth = crate::control::truth::establish(text, &config, Epoch(0));
    let (setup, workers) = setup(dir, text, truth.await.unwrap());
    (Control::start(setup).await.unwrap(), workers)
}

#[tokio::test]
async fn new_addresses_of_a_name_make_an_epoch_and_a_failure_to_resolve_does_not() {
    let (admin, web) = (free_address(), free_address());
    let dir = tempfile::tempdir().unwrap();
    let text = text(admin, &[("web", web)], "");
    let (mut control, _workers) = by_steps(dir.path(), &text).await;
    let localhost = || resolver::Question::Host("localhost".into(), 9);
    fn tell(control: &mut Control, round: resolver::Round) -> String {
        control.found(&round);
        control.publisher.watch().borrow().published.to_string()
    }
    let moved: SocketAddr = "10.9.8.7:9".parse().unwrap();
    let found = |address| resolver::Answer {
        found: resolver::Found::Addresses(vec![address]),
        ttl: None,
    };
    for (answer, epoch) in [
        (Err("no answer".to_owned()), "1"),
        (Ok(found(moved)), "1.1"),
        (Ok(found(moved)), "1.1"),
        (Err("no answer".to_owned()), "1.1"),
    ] {
        let round = resolver::Round::of(vec![(localhost(), answer)]);
        assert_eq!(tell(&mut control, round), epoch);
    }
    let table = control.publisher.table().load_full().unwrap();
    let addresses: Vec<_> = table.groups[0].backends.iter().map(|b| b.address).collect();
    assert_eq!(addresses, ["127.0.0.1:9".parse().unwrap(), moved]);
    assert_eq!(control.stats.resolve_failures.read(), 2);
    let snapshot = control.handle.snapshot();
    assert_eq!(snapshot.epoch, Epoch::of(1).next_found());
    let store = control.store.as_ref().unwrap();
    let stored = store.load().await.unwrap().revision;
    assert_eq!((stored, snapshot.revision), (Revision(1), Revision(1)));
}

/// The head and body of the answer to a change of the group.
fn change(admin: SocketAddr) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = "{\"retries\": 3}";
    write!(
        stream,
        "PATCH /v1/groups/app HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn a_change_that_comes_when_all_is_handed_over_is_told_to_ask_again() {
    let (admin, web) = (free_address(), free_address());
    let dir = tempfile::tempdir().unwrap();
    let text = text(admin, &[("web", web)], "");
    let (mut control, _workers) = by_steps(dir.path(), &text).await;
    let asking = tokio::task::spawn_blocking(move || change(admin));
    let start = Instant::now();
    while control.changes.is_empty() {
        assert!(start.elapsed() < PATIENCE, "the change has not come");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The loop that would have made it is not run any more.
    control.step_upgrade(Step::Given(Ok(1)));
    let outcome = control.end(Outcome::Ended { cut: 0 }).await;
    assert!(outcome.is_success());
    let answer = asking.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(
        answer.contains("another process takes over; ask again"),
        "{answer}"
    );
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}
