//! The monitoring service: every node knows what all of them and their backends are like, policies
//! learn from it what their own node cannot see, and without it they go on by that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Nodes, PATIENCE, Proxy, Settings, Upstream, eventually_within};

/// Backends that serve and export what they do, with so much under way as they are told to say.
fn exporting(name: &'static str, says: &Arc<AtomicUsize>) -> Upstream {
    let (says, cpu) = (Arc::clone(says), AtomicUsize::new(0));
    Upstream::http(move |request| match request.target() {
        "/metrics" => {
            let seconds = cpu.fetch_add(1, Ordering::Relaxed);
            Answer::text(format!(
                "# TYPE http_in_flight gauge\nhttp_in_flight{{path=\"/a/{{id}}\"}} {}\n\
                 workers 40\nprocess_cpu_seconds_total {seconds}\n\
                 process_resident_memory_bytes 104857600\n",
                says.load(Ordering::Relaxed)
            ))
        }
        _ => Answer::text(name).after(Duration::from_millis(20)),
    })
}

fn settings(upstreams: [&Upstream; 2]) -> Settings {
    Settings::http_to(&[])
        .member(upstreams[0], "id = \"one\"")
        .member(upstreams[1], "id = \"two\"")
        .group_with("policy", "\"adaptive\"")
        .group_with(
            "scrape",
            "{ interval = \"200ms\", active = \"http_in_flight\", capacity = \"workers\" }",
        )
}

fn monitor(proxy: &Proxy) -> Value {
    proxy.api().get("/v1/monitor").expect(200)
}

fn of<'v>(page: &'v Value, list: &str, key: &str, name: &str) -> &'v Value {
    let items = page[list].as_array().unwrap();
    let found = items.iter().find(|item| item[key] == name);
    found.unwrap_or(&Value::Null)
}

/// Requests until it is dropped.
fn busy(proxy: &Proxy, requests: usize) {
    let mut client = proxy.client();
    for _ in 0..requests {
        assert_eq!(client.get("/").status(), 200);
    }
}

#[test]
fn any_node_tells_of_all_and_keeps_what_was() {
    let says = Arc::new(AtomicUsize::new(7));
    let (one, two) = (exporting("one", &says), exporting("two", &says));
    let nodes = Nodes::new(2);
    // Each listens at an address of its own: who asks is answered by that one, and by no socket of
    // a node that is gone which the kernel has not taken down yet.
    let start = |node| nodes.start(node, &settings([&one, &two]));
    let mut started: Vec<Proxy> = (0..2).map(start).collect();
    eventually_within(2 * PATIENCE, "each knows of both", || {
        busy(&started[1], 10);
        started.iter().all(|node| {
            let page = monitor(node);
            let seen = |name: &str| of(&page, "nodes", "node", name)["cpu"].is_number();
            let first = of(&page, "backends", "id", "one");
            // What the second node asks is known to both, and what the backends export.
            seen("n0")
                && seen("n1")
                && first["answers_per_second"].as_u64() > Some(0)
                && first["latency_ms"].as_f64() >= Some(15.0)
                && (&first["active"], &first["capacity"]) == (&json!(7), &json!(40))
                && first["memory_mib"] == 100
                && first["cpu"].is_number()
        })
    });
    let page = monitor(&started[0]);
    assert_eq!(page["node"], "n0");
    assert_eq!(of(&page, "nodes", "node", "n0")["this"], true);
    assert_eq!(of(&page, "nodes", "node", "n1")["this"], false);
    // What is exported counts as what a heartbeat says: for the capacity. The page above may have
    // it from the other node, and on a machine that is late it lapses between two readings.
    eventually_within(2 * PATIENCE, "this node has read it itself", || {
        let thought = started[0].api().get("/v1/backends/one").expect(200);
        thought["items"][0]["metrics"]["capacity"] == 40.0
    });
    eventually_within(2 * PATIENCE, "there is a past", || {
        let page = monitor(&started[0]);
        let samples = |item: &Value| item["history"]["samples"].as_array().map_or(0, Vec::len);
        samples(of(&page, "nodes", "node", "n1")) >= 2
            && samples(of(&page, "backends", "id", "two")) >= 2
    });
    let part = started[0]
        .api()
        .get("/v1/monitor?seconds=0&backend=two&node=n1")
        .expect(200);
    let count = |list: &str| part[list].as_array().map(Vec::len);
    assert_eq!((count("nodes"), count("backends")), (Some(1), Some(1)));
    assert_eq!(part["nodes"][0]["history"]["at"], json!([]));
    assert_eq!(started[0].api().get("/v1/monitor?since=1").status(), 400);

    // Losing it takes nothing but what it told: the one that is left serves, and knows its own.
    drop(started.pop());
    eventually_within(2 * PATIENCE, "the other is not heard any more", || {
        busy(&started[0], 20);
        let page = monitor(&started[0]);
        let silent = of(&page, "nodes", "node", "n1")["heard_ms"].as_u64();
        let first = of(&page, "backends", "id", "one");
        silent > Some(3000) && first["answers_per_second"].as_u64() > Some(0)
    });
}

#[test]
fn a_backend_that_exports_nothing_is_served_all_the_same() {
    let says = Arc::new(AtomicUsize::new(0));
    let (one, two) = (exporting("one", &says), Upstream::named("two"));
    let proxy = settings([&one, &two]).start();
    eventually_within(PATIENCE, "both were read", || {
        let metrics = proxy.metrics();
        let count = |result| metrics.count("weir_scrapes_total", &[("result", result)]);
        // The second answers with something that is no page of metrics, which says nothing.
        count("read") >= 4.0
    });
    busy(&proxy, 20);
    eventually_within(PATIENCE, "it was measured since", || {
        let page = monitor(&proxy);
        let capacity = |id: &str| of(&page, "backends", "id", id)["capacity"].clone();
        (capacity("one"), capacity("two")) == (json!(40), Value::Null)
    });
}
