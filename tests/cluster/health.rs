//! Nodes check backends together: a backend is asked by as many nodes however many there are, and
//! the checks of a node that dies are taken over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Answer, Nodes, PATIENCE, Proxy, Settings, Upstream, eventually_within};

const OBSERVERS: usize = 2;

/// A backend that counts the checks made of it and fails them when it is told to.
struct Checked {
    upstream: Upstream,
    count: Arc<AtomicU64>,
    ill: Arc<AtomicBool>,
}

fn checked() -> Checked {
    let (count, ill) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let (counts, is_ill) = (Arc::clone(&count), Arc::clone(&ill));
    let upstream = Upstream::http(move |request| {
        if request.target() == "/health" {
            counts.fetch_add(1, Ordering::SeqCst);
            if is_ill.load(Ordering::SeqCst) {
                return Answer::new(500, "", b"");
            }
        }
        Answer::text("well")
    });
    Checked {
        upstream,
        count,
        ill,
    }
}

fn start(nodes: &Nodes, count: usize, backend: &Checked) -> Vec<Proxy> {
    let check = "{ kind = \"http\", path = \"/health\", interval = \"200ms\", \
                 interval_fast = \"100ms\", fall = 2, rise = 2 }";
    let settings = Settings::http_to(&[&backend.upstream]).group_with("check", check);
    let started = (0..count).map(|node| {
        let section = format!("{}\nobservers = {OBSERVERS}", nodes.section(node));
        Nodes::beside(&settings).section(&section).start()
    });
    let started: Vec<Proxy> = started.collect();
    eventually_within(2 * PATIENCE, "all know each other", || {
        started
            .iter()
            .all(|node| node.nodes("alive") as usize == count - 1)
    });
    started
}

/// What a node says of the backend.
fn seen(node: &Proxy, backend: &Checked) -> Value {
    let target = format!("/v1/backends/{}", backend.upstream.address());
    node.api().get(&target).expect(200)["items"][0].clone()
}

/// Who checks it, as a node sees it.
fn observers(node: &Proxy, backend: &Checked) -> Vec<String> {
    let seen = seen(node, backend);
    let seats = seen["observers"]["items"].as_array().unwrap().iter();
    let mut names: Vec<String> = seats
        .map(|seat| seat["node"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn agree(nodes: &[&Proxy], backend: &Checked) -> bool {
    let first = observers(nodes[0], backend);
    let spoken = |node: &&&Proxy| {
        let seen = seen(node, backend);
        let mut seats = seen["observers"]["items"].as_array().unwrap().iter();
        seats.all(|seat| seat["says"] != "unknown")
    };
    first.len() == OBSERVERS.min(nodes.len())
        && nodes.iter().all(|node| observers(node, backend) == first)
        && nodes.iter().filter(spoken).count() == nodes.len()
}

/// Checks in a second.
fn pace(backend: &Checked) -> f64 {
    let (begun, before) = (Instant::now(), backend.count.load(Ordering::SeqCst));
    sleep(Duration::from_secs(4));
    let made = backend.count.load(Ordering::SeqCst) - before;
    made as f64 / begun.elapsed().as_secs_f64()
}

#[test]
fn check_traffic_does_not_grow_with_nodes_and_is_taken_over() {
    let backend = checked();
    let nodes = Nodes::new(5);
    let mut started = start(&nodes, 5, &backend);
    let all: Vec<&Proxy> = started.iter().collect();
    eventually_within(2 * PATIENCE, "all agree on who checks", || {
        agree(&all, &backend)
    });
    // Two nodes that ask five times a second each; five nodes would come to 25. An answer that was
    // late makes both ask sooner for a moment, and a busy machine has late answers.
    eventually_within(2 * PATIENCE, "two ask, and no more", || {
        let pace = pace(&backend);
        eprintln!("{pace:.1} checks a second by 5 nodes");
        (1.0..13.0).contains(&pace)
    });
    let held = |node: &Proxy| node.metrics().count("weir_cluster_backends_checked", &[]);
    eventually_within(PATIENCE, "two seats are taken", || {
        all.iter().map(|node| held(node)).sum::<f64>() == 2.0
    });
    // All come to know that it is ill, although three have never asked it.
    backend.ill.store(true, Ordering::SeqCst);
    let is = |node: &Proxy, status: &str| seen(node, &backend)["status"] == status;
    eventually_within(2 * PATIENCE, "all know that it is ill", || {
        all.iter().all(|node| is(node, "down"))
    });
    eventually_within(PATIENCE, "the reason tells who says so", || {
        let reason = seen(all[0], &backend)["reason"].to_string();
        reason.contains("status 500 (2 of 2 observers)")
    });
    // One of those who ask dies: another takes its place, and the verdict stays.
    let asked = observers(&started[0], &backend);
    let dies = (0..5).find(|node| format!("n{node}") == asked[0]).unwrap();
    started[dies].signal(Signal::KILL);
    let died = Instant::now();
    let left: Vec<&Proxy> = (0..5)
        .filter(|node| *node != dies)
        .map(|node| &started[node])
        .collect();
    eventually_within(2 * PATIENCE, "its checks are taken over", || {
        assert!(
            left.iter().all(|node| is(node, "down")),
            "the verdict stays"
        );
        let seats = observers(left[0], &backend);
        !seats.contains(&asked[0]) && agree(&left, &backend)
    });
    eprintln!("taken over and first checked after {:?}", died.elapsed());
    backend.ill.store(false, Ordering::SeqCst);
    eventually_within(4 * PATIENCE, "all know that it is well", || {
        left.iter().all(|node| is(node, "up"))
    });
    drop(left);
    started[dies].kill_and_start();
    let all: Vec<&Proxy> = started.iter().collect();
    eventually_within(2 * PATIENCE, "who is back checks again", || {
        agree(&all, &backend) && observers(all[0], &backend) == asked
    });
}
