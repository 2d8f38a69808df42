//! A change that was waited for is served by every node, and who is missing is named.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Etcd, Nodes, PATIENCE, Proxy, Settings, Upstream, eventually, eventually_within, from_env,
};

/// So many nodes that share an etcd and know each other.
fn cluster(etcd: &Etcd, nodes: &Nodes, count: usize, settings: &Settings) -> Vec<Proxy> {
    let settings = settings.clone().section(&etcd.section());
    let started: Vec<Proxy> = (0..count)
        .map(|node| nodes.start(node, &settings))
        .collect();
    eventually("all know each other", || {
        started
            .iter()
            .all(|node| node.nodes("alive") as usize == count - 1)
    });
    started
}

fn names(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item["node"].as_str().unwrap()).collect()
}

#[test]
fn a_change_is_served_by_all_once_it_was_waited_for() {
    let etcd = Etcd::start(1);
    let upstream = Upstream::named("one");
    let nodes = Nodes::new(3);
    let cluster = cluster(&etcd, &nodes, 3, &Settings::http_to(&[&upstream]));
    for (retries, node) in (2..8).zip(cluster.iter().cycle()) {
        let made = node
            .api()
            .patch("/v1/groups/app?wait=cluster", json!({"retries": retries}));
        made.expect(200);
        for other in &cluster {
            assert!(other.epoch() >= Some(made.epoch()));
        }
    }
    // The last was waited for at another node: what this one knows of them comes by a datagram of
    // its own.
    eventually("a node knows that all serve it", || {
        let seen = cluster[1].api().get("/v1/nodes").expect(200);
        assert_eq!(names(&seen["items"]), ["n0", "n1", "n2"]);
        let mut items = seen["items"].as_array().unwrap().iter();
        items.all(|item| {
            assert_eq!(item["this"], item["node"] == "n1");
            let same = item["hash"] == seen["items"][0]["hash"];
            same && item["epoch"] == 7 && item["standing"] == "alive"
        })
    });
    let epochs = cluster[2].epochs();
    let of_all = &epochs["cluster"];
    assert_eq!(names(&of_all["nodes"]), ["n2", "n0", "n1"]);
    assert_eq!(of_all["newest"], 7);
    assert_eq!(
        (&of_all["stragglers"], &of_all["mismatches"]),
        (&json!([]), &json!([]))
    );
    let listed = cluster[0].ctl().run("node list");
    assert!(listed.contains("n0 *") && listed.contains("n2"), "{listed}");
}

#[test]
fn who_does_not_serve_by_it_in_time_is_named() {
    let etcd = Etcd::start(1);
    let upstream = Upstream::named("one");
    let nodes = Nodes::new(2);
    let cluster = cluster(&etcd, &nodes, 2, &Settings::http_to(&[&upstream]));
    let change = |retries: u64, timeout: u64| {
        let target = format!("/v1/groups/app?wait=cluster&timeout={timeout}");
        let body = json!({"retries": retries});
        cluster[0].api().patch(&target, body)
    };
    // One that is stopped is missing for a few seconds, and then dead, and nobody waits for the
    // dead: where a machine was too slow to see it in time, it is stopped once more.
    let mut tries = 0;
    eventually_within(4 * PATIENCE, "it is named", || {
        tries += 1;
        cluster[1].signal(Signal::STOP);
        let late = change(tries % 7, 1);
        let stragglers = cluster[0].epochs()["cluster"]["stragglers"].clone();
        let metrics = cluster[0].metrics();
        cluster[1].signal(Signal::CONT);
        if metrics.count("weir_cluster_nodes", &[("standing", "dead")]) > 0.0 {
            eventually("it is back", || {
                cluster[0].nodes("alive") == 1 && cluster[1].epoch() == cluster[0].epoch()
            });
            return false;
        }
        late.refused(504);
        let missing = &late.json()["missing"];
        assert_eq!(names(missing), ["n1"], "{}", late.text);
        assert_eq!(missing[0]["epoch"].as_u64(), Some(tries));
        assert_eq!(stragglers, json!(["n1"]));
        assert_eq!(metrics.count("weir_cluster_nodes_behind", &[]), 1.0);
        true
    });
    eventually("it goes on", || cluster[0].nodes("alive") == 1);
    let made = change(9, 60);
    made.expect(200);
    eventually("it serves it", || cluster[1].epoch() == Some(made.epoch()));
}

#[test]
fn without_others_there_is_nobody_to_wait_for_but_oneself() {
    let upstream = Upstream::named("one");
    let node = Settings::http_to(&[&upstream]).start();
    let refused = node
        .api()
        .patch("/v1/groups/app?wait=cluster", json!({"retries": 1}));
    refused.refused(400);
    assert_eq!(node.epoch(), Some(1), "nothing was changed");
    let seen = node.api().get("/v1/nodes").expect(200);
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
    assert_eq!(seen["items"][0]["this"], true);
    assert_eq!(seen["items"][0]["epoch"], 1);
}

/// `WEIR_TEST_CHANGES=300 cargo test --release --test main five_nodes -- --nocapture` measures.
#[test]
fn five_nodes_serve_by_a_change_soon() {
    let etcd = Etcd::start(1);
    let upstream = Upstream::named("one");
    let nodes = Nodes::new(5);
    let cluster = cluster(&etcd, &nodes, 5, &Settings::http_to(&[&upstream]));
    let mut times: Vec<Duration> = Vec::new();
    for change in 0..from_env("WEIR_TEST_CHANGES", 20) {
        let node = &cluster[change as usize % 5];
        let begun = Instant::now();
        let body = json!({"retries": 1 + change % 9});
        node.api()
            .patch("/v1/groups/app?wait=cluster", body)
            .expect(200);
        times.push(begun.elapsed());
        // One node may write so often for long; what it has saved up is not what is measured.
        std::thread::sleep(Duration::from_millis(10));
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    eprintln!("wait=cluster: p50 {:?}, p99 {:?}", at(0.5), at(0.99));
    assert!(at(0.5) < Duration::from_secs(2), "{times:?}");
}
