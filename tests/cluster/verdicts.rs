//! Verdicts of a monitor go to etcd together: how often nodes write does not follow how much they
//! are told, and what was acknowledged is served by all.

use std::fmt::Write as _;
use std::thread::scope;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Etcd, Nodes, PATIENCE, Proxy, Settings, eventually_within};

const BACKENDS: usize = 40;
const LASTS: Duration = Duration::from_secs(6);

/// Says it until it is acknowledged, as monitors do: with 503 the store had no answer in time,
/// which says nothing of whether it was stored. Answers how often it was said.
fn tell(node: &Proxy, call: &str, backend: usize) -> usize {
    let body = json!({"group": "app", "server_id": format!("b{backend}")});
    for said in 1..=20 {
        let reply = node.api().post(&format!("/v1/rpc/{call}"), body.clone());
        if reply.status() != 503 {
            reply.expect(200);
            return said;
        }
    }
    panic!("the store does not answer")
}

#[test]
fn what_flaps_is_written_a_few_times_a_second_and_nothing_acknowledged_is_lost() {
    let etcd = Etcd::start(1);
    let nodes = Nodes::new(3);
    let mut settings = Settings::http_to(&[]).section(&etcd.section());
    for backend in 0..BACKENDS {
        let mut body = format!("id = \"b{backend}\"\n");
        let _ = write!(body, "address = \"127.0.0.1:{}\"", 2000 + backend);
        settings = settings.backend(&body);
    }
    let started: Vec<Proxy> = (0..3).map(|node| nodes.start(node, &settings)).collect();
    eventually_within(2 * PATIENCE, "all know each other", || {
        started.iter().all(|node| node.nodes("alive") == 2)
    });
    let writes = || -> f64 {
        let each = started.iter();
        each.map(|node| node.metrics().count("weir_store_writes_total", &[]))
            .sum()
    };
    let (begun, before) = (Instant::now(), writes());
    // A monitor at each node sees a part of the backends fail and come back, as fast as it is
    // answered, several at one time.
    let told: usize = scope(|scope| {
        let monitors = (0..12).map(|monitor| {
            let node = &started[monitor % 3];
            scope.spawn(move || {
                let (mut told, mut failed) = (0, false);
                while begun.elapsed() < LASTS || failed {
                    failed = !failed;
                    let call = if failed {
                        "health_check_failed"
                    } else {
                        "health_check_passed"
                    };
                    told += tell(node, call, monitor);
                }
                // The last word of each.
                told + tell(node, "health_check_failed", 20 + monitor)
            })
        });
        let monitors: Vec<_> = monitors.collect();
        monitors
            .into_iter()
            .map(|monitor| monitor.join().unwrap())
            .sum()
    });
    let (time, made) = (begun.elapsed().as_secs_f64(), writes() - before);
    eprintln!("{told} verdicts at 3 nodes: {made} transactions in {time:.1} s");
    // Eight a second of all nodes, one more at once of each, and those that came second again.
    assert!(made <= 2.0 * (8.0 * time + 3.0), "{made} in {time} s");
    eventually_within(2 * PATIENCE, "all nodes have the last word", || {
        started.iter().all(|node| {
            let listed = node.api().get("/v1/backends?group=app").expect(200);
            let items = listed["items"].as_array().unwrap();
            let down = items.iter().filter(|item| item["source"] == "verdict");
            down.count() == 12
        })
    });
}
