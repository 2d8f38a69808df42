//! What one node is told another serves, and what a node does without etcd.

use serde_json::json;

use crate::support::{Client, Etcd, Proxy, Settings, Upstream, Wire, eventually};

fn settings(etcd: &Etcd, upstream: &Upstream) -> Settings {
    Settings::http_to(&[upstream]).section(&etcd.section())
}

/// A second node of the same configuration: it has the same listeners and an admin of its own.
fn beside(settings: &Settings) -> Settings {
    Settings {
        admin: Settings::new().admin,
        ..settings.clone()
    }
}

fn sight(node: &Proxy) -> String {
    let status = node.api().get("/v1/status").json();
    let sight = status["store"]["sight"].as_str();
    sight.unwrap_or_else(|| panic!("{status}")).to_owned()
}

/// The hash of the configuration a node serves.
fn hash(node: &Proxy) -> serde_json::Value {
    node.epochs()["configuration"]["hash"].clone()
}

#[test]
fn nodes_take_changes_at_any_of_them_and_number_them_alike() {
    let etcd = Etcd::start(1);
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let settings = settings(&etcd, &one);
    let (first, second) = (settings.start(), beside(&settings).start());
    assert_eq!((first.epoch(), second.epoch()), (Some(1), Some(1)));
    assert_eq!(
        hash(&first),
        hash(&second),
        "one of them has filled the store"
    );
    let address = two.address().to_string();
    let done = second
        .api()
        .put("/v1/groups/app/backends/b", json!({"address": address}));
    done.expect(201);
    assert_eq!(done.epoch(), 2);
    eventually("the other one serves it", || first.epoch() == Some(2));
    assert_eq!(hash(&first), hash(&second));
    // A condition holds at any node, whoever made the epoch.
    let late = first.api().with("If-Match", "\"1\"");
    late.patch("/v1/groups/app", json!({"retries": 1}))
        .refused(412);
    let fresh = first.api().with("If-Match", "\"2\"");
    fresh
        .patch("/v1/groups/app", json!({"retries": 1}))
        .expect(200);
    // Both at once: each is made, whoever is first.
    std::thread::scope(|scope| {
        for (node, key) in [(&first, "x"), (&second, "y")] {
            scope.spawn(move || {
                for number in 0..10 {
                    let path = format!("/v1/groups/{key}{number}");
                    let backend = json!({"backends": ["127.0.0.1:9"]});
                    node.api().put(&path, backend).expect(201);
                }
            });
        }
    });
    eventually("all changes are at both", || {
        first.epoch() == Some(23) && second.epoch() == Some(23)
    });
    assert_eq!(hash(&first), hash(&second));
    let groups = second.api().get("/v1/groups").expect(200);
    assert_eq!(groups["items"].as_array().unwrap().len(), 21);
    assert!(second.metrics().count("weir_store_writes_total", &[]) >= 11.0);
}

#[test]
fn a_node_serves_and_starts_without_etcd_and_catches_up() {
    let mut etcd = Etcd::start(1);
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let settings = settings(&etcd, &one);
    let (first, mut second) = (settings.start(), beside(&settings).start());
    let backends = json!({"backends": [two.address().to_string()]});
    first.api().put("/v1/groups/app", backends).expect(200);
    eventually("the other one serves it", || second.epoch() == Some(2));
    let copy = second.directory().join("copy.redb");
    eventually("it has copied it", || {
        let said = std::process::Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["export", "--store"])
            .arg(&copy)
            .output()
            .unwrap();
        String::from_utf8_lossy(&said.stdout).contains(&two.address().to_string())
    });
    etcd.kill(0);
    eventually("it is missed", || sight(&second) == "away");
    let refused = second.api().patch("/v1/groups/app", json!({"retries": 1}));
    refused.refused(503);
    assert!(
        refused.text.contains("the store is away"),
        "{}",
        refused.text
    );
    drop(first);
    second.kill_and_start();
    // Both listened at one address: the kernel may still have a socket of the one that is gone.
    eventually("it serves what it has copied", || {
        let Ok(wire) = Wire::try_connect(second.address()) else {
            return false;
        };
        let mut client = Client::on(wire);
        client.try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            && client
                .try_response()
                .is_ok_and(|answer| answer.text() == "two")
    });
    assert_eq!(second.epoch(), Some(2));
    second
        .api()
        .patch("/v1/groups/app", json!({"retries": 1}))
        .refused(503);
    etcd.run(0);
    eventually("it is found again", || sight(&second) == "current");
    assert_eq!(second.epoch(), Some(2));
    second
        .api()
        .patch("/v1/groups/app", json!({"retries": 1}))
        .expect(200);
    let age = second.metrics().sum("weir_store_age_seconds", &[]);
    assert!(age.is_some_and(|age| age < 60.0), "{age:?}");
}
