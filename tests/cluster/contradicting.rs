//! One of several nodes that check a backend has no answer in time where the others have theirs:
//! they are believed, on that node as well, and every node shows who it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, Nodes, PATIENCE, Proxy, Settings, Upstream, eventually_within};

/// How long the last node waits for an answer to a check, what one takes while the way is slow, and
/// how long the others wait.
const WAITS: Duration = Duration::from_millis(500);
const SLOW: Duration = Duration::from_millis(1000);
const OTHERS_WAIT: Duration = Duration::from_millis(4000);

/// A backend that answers everybody, and checks only after a while when it is told to.
fn backend(slow: &Arc<AtomicBool>) -> Upstream {
    let slow = Arc::clone(slow);
    Upstream::http(move |request| {
        let late = request.target() == "/health" && slow.load(Ordering::SeqCst);
        let answer = Answer::text("well");
        if late { answer.after(SLOW) } else { answer }
    })
}

fn start(nodes: &Nodes, node: usize, upstream: &Upstream) -> Proxy {
    let timeout = if node == 2 { WAITS } else { OTHERS_WAIT };
    let check = format!(
        "{{ kind = \"http\", path = \"/health\", interval = \"200ms\", fall = 2, rise = 2, \
         interval_fast = \"100ms\", timeout = \"{}ms\" }}",
        timeout.as_millis()
    );
    let settings = Settings::http_to(&[upstream]).group_with("check", &check);
    let section = format!("{}\nobservers = 3", nodes.section(node));
    settings.section(&section).start()
}

/// What a node says of the backend.
fn seen(node: &Proxy, upstream: &Upstream) -> Value {
    let target = format!("/v1/backends/{}", upstream.address());
    node.api().get(&target).expect(200)["items"][0].clone()
}

/// Whether a node shows that all three check it, and the last one finds this of it while the others
/// find that it is up.
fn shows(seen: &Value, last: &str) -> bool {
    let seats = seen["observers"]["items"].as_array().unwrap();
    let mut found = seats.iter().map(|seat| {
        let (says, against) = match seat["node"] == "n2" {
            true => (last, last != "up"),
            false => ("up", false),
        };
        seat["says"] == says && seat["contradicts"] == against
    });
    seats.len() == 3 && found.all(|as_it_is| as_it_is)
}

#[test]
fn who_cannot_reach_what_others_reach_is_flagged_on_all_nodes_and_takes_nobody_out() {
    let slow = Arc::new(AtomicBool::new(false));
    let upstream = backend(&slow);
    let nodes = Nodes::new(3);
    let start = |node| start(&nodes, node, &upstream);
    let started: Vec<Proxy> = (0..3).map(start).collect();
    let flagged = |node: &Proxy| {
        let labels = [("node", "n2")];
        let name = "weir_cluster_observers_contradicting";
        node.metrics().count(name, &labels)
    };
    let all = |last: &str, flags: f64| {
        let mut all = started.iter();
        all.all(|node| shows(&seen(node, &upstream), last) && flagged(node) == flags)
    };
    eventually_within(2 * PATIENCE, "three check it", || all("up", 0.0));
    slow.store(true, Ordering::SeqCst);
    eventually_within(2 * PATIENCE, "one is alone with what it finds", || {
        for node in &started {
            assert_eq!(seen(node, &upstream)["status"], "up", "two of three say so");
        }
        all("down", 1.0)
    });
    let told = seen(&started[0], &upstream)["observers"]["items"].clone();
    let alone = told.as_array().unwrap().iter();
    let alone = alone.filter(|seat| seat["contradicts"] == true);
    let alone: Vec<&Value> = alone.collect();
    assert_eq!(alone.len(), 1, "{told}");
    let reason = alone[0]["reason"].as_str().unwrap();
    assert!(reason.contains("no answer in time"), "{told}");
    // It serves what comes to it all the same.
    assert_eq!(started[2].client().get("/").text(), "well");
    slow.store(false, Ordering::SeqCst);
    eventually_within(2 * PATIENCE, "all agree again", || all("up", 0.0));
}
