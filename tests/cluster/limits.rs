//! A hard limit of a backend holds over all nodes, counted by the backend itself.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Scope, scope, sleep};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Answer, Nodes, PATIENCE, Proxy, Settings, Upstream, eventually_within};

/// What the backend may have, and a node's own part of it.
const MAX: usize = 12;
const PART: usize = MAX / 3;

/// How long a request takes at the backend: less than a node takes to start again.
const TAKES: Duration = Duration::from_millis(20);

/// What a backend has under way now, and the most it had since that was last asked.
#[derive(Default)]
struct Count {
    now: AtomicUsize,
    most: AtomicUsize,
}

fn counting(count: &Arc<Count>) -> Upstream {
    let count = Arc::clone(count);
    Upstream::http(move |_| {
        let now = count.now.fetch_add(1, Ordering::SeqCst) + 1;
        count.most.fetch_max(now, Ordering::SeqCst);
        sleep(TAKES);
        count.now.fetch_sub(1, Ordering::SeqCst);
        Answer::text("done")
    })
}

/// More clients than the backend may have, which ask again and again; that requests are refused
/// and connections end is what it is about.
fn load<'s>(scope: &'s Scope<'s, '_>, proxy: SocketAddr, stop: &'s AtomicBool) {
    for _ in 0..MAX + 2 {
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if ask(proxy).is_err() {
                    sleep(TAKES);
                }
            }
        });
    }
}

fn ask(proxy: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}

/// Ends the load, also when the test fails.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn slots(node: &Proxy, which: &str) -> f64 {
    let labels = [("which", which)];
    node.metrics().count("weir_cluster_slots", &labels)
}

fn held(node: &Proxy) -> f64 {
    slots(node, "held")
}

/// A node, of which the first three own the slots.
fn start(nodes: &Nodes, node: usize, upstream: &Upstream) -> Proxy {
    let settings = Settings::http_to(&[])
        .workers("2")
        .member(upstream, &format!("requests_max = {MAX}"))
        .ejecting_nobody();
    let section = nodes.section(node) + "\nlimit_owners = [\"n0\", \"n1\", \"n2\"]";
    settings.section(&section).start()
}

#[test]
fn a_backend_never_has_more_than_its_maximum_of_all_nodes_and_slots_go_where_they_are_needed() {
    let count = Arc::new(Count::default());
    let upstream = counting(&count);
    let nodes = Nodes::new(4);
    let start = |node| start(&nodes, node, &upstream);
    let mut started: Vec<Proxy> = (0..3).map(start).collect();
    let addresses: Vec<SocketAddr> = started.iter().map(Proxy::address).collect();
    eventually_within(2 * PATIENCE, "all know each other", || {
        started.iter().all(|node| node.nodes("alive") == 2)
    });
    let stop = AtomicBool::new(false);
    scope(|scope| {
        let _end = Stop(&stop);
        load(scope, addresses[0], &stop);
        // Nothing is lent before it is sure that no earlier life has lent it.
        eventually_within(4 * PATIENCE, "slots have come", || held(&started[0]) >= 3.0);
        assert!(count.most.swap(0, Ordering::SeqCst) <= MAX);
        eventually_within(PATIENCE, "they are used", || {
            count.most.load(Ordering::SeqCst) > PART
        });
        load(scope, addresses[1], &stop);
        load(scope, addresses[2], &stop);
        eventually_within(4 * PATIENCE, "owners have their own back", || {
            held(&started[0]) <= 1.0
        });
        started[1].kill_and_start();
        started[2].kill_and_start();
        eventually_within(2 * PATIENCE, "all are back", || {
            started.iter().all(|node| node.nodes("alive") == 2)
        });
        // One that owns nothing joins while all others need what they have, and dies.
        let mut further = start(3);
        load(scope, further.address(), &stop);
        let is_there = || started.iter().all(|node| node.nodes("alive") == 3);
        eventually_within(2 * PATIENCE, "it is there", is_there);
        further.kill_and_start();
        eventually_within(2 * PATIENCE, "it is back", is_there);
    });
    let most = count.most.load(Ordering::SeqCst);
    assert!((PART + 1..=MAX).contains(&most), "{most} at one time");
}

#[test]
fn slots_of_a_node_that_is_gone_are_used_by_others_until_it_is_back() {
    let count = Arc::new(Count::default());
    let upstream = counting(&count);
    let nodes = Nodes::new(3);
    let mut started: Vec<Proxy> = (0..3).map(|node| start(&nodes, node, &upstream)).collect();
    eventually_within(2 * PATIENCE, "all know each other", || {
        started.iter().all(|node| node.nodes("alive") == 2)
    });
    started[2].signal(Signal::KILL);
    let stop = AtomicBool::new(false);
    scope(|scope| {
        let _end = Stop(&stop);
        // Who begins promises nothing for 30 s; then the two that are left agree.
        let taken = || slots(&started[0], "taken_over");
        eventually_within(4 * PATIENCE, "half of its part is taken over", || {
            taken() == PART as f64 / 2.0
        });
        assert_eq!(slots(&started[1], "taken_over"), 0.0, "by one");
        load(scope, started[0].address(), &stop);
        load(scope, started[1].address(), &stop);
        // Two parts and a half, which is more than two nodes own.
        eventually_within(2 * PATIENCE, "it is used", || {
            count.most.load(Ordering::SeqCst) > 2 * PART
        });
        started[2].kill_and_start();
        load(scope, started[2].address(), &stop);
        let given_back = || slots(&started[0], "taken_over") == 0.0;
        eventually_within(2 * PATIENCE, "it is back", given_back);
        eventually_within(2 * PATIENCE, "all know each other again", || {
            started.iter().all(|node| node.nodes("alive") == 2)
        });
    });
    let most = count.most.load(Ordering::SeqCst);
    assert!((2 * PART + 1..=MAX).contains(&most), "{most} at one time");
}
