//! What backends say of themselves, over the API and as datagrams.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};

use super::{becomes, thought_of};
use crate::support::{Answer, Api, Proxy, Reply, Settings, Upstream, eventually};

fn settings(one: &Upstream, two: &Upstream, check: &str) -> Settings {
    Settings::http_to(&[])
        .group_with("check", &format!("{{ {check} }}"))
        .member(one, "id = \"one\"")
        .member(two, "id = \"two\"")
}

/// A heartbeat of `one` with some members changed.
fn claim(sequence: u64, changes: Value) -> Value {
    let mut claim = json!({
        "server_id": "one", "incarnation": 7, "sequence": sequence, "active": 2, "capacity": 10,
        "latency_ms": 1.5, "cpu": 0.5, "memory": 0.25,
    });
    for (key, value) in changes.as_object().unwrap() {
        claim[key] = value.clone();
    }
    claim
}

fn beat(api: &Api, claim: Value) -> Reply {
    api.post("/v1/heartbeat", claim)
}

/// Heartbeats refused for this reason.
fn rejected(proxy: &Proxy, reason: &str) -> f64 {
    proxy
        .metrics()
        .count("weir_heartbeats_rejected_total", &[("reason", reason)])
}

#[test]
fn a_backend_that_falls_silent_is_out_until_it_speaks_again() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = settings(&one, &two, "heartbeat_timeout = \"600ms\"").start();
    let api = proxy.api();
    let epoch = api.get("/v1/epoch").json()["published"].clone();
    let answer = beat(&api, claim(1, json!({}))).expect(200);
    assert_eq!(
        (&answer["backends"], &answer["discounted"]),
        (&json!(1), &json!(false))
    );
    let thought = thought_of(&proxy, "one");
    assert_eq!(thought["heartbeat"]["capacity"], 10.0);
    assert_eq!(thought["sources"][2]["says"], "up");
    becomes(&proxy, "one", "down");
    let thought = thought_of(&proxy, "one");
    assert_eq!(
        (&thought["source"], &thought["reason"]),
        (&json!("heartbeat"), &json!("no heartbeat in time"))
    );
    for _ in 0..6 {
        assert_eq!(proxy.client().get("/").text(), "two", "it never spoke");
    }
    beat(&api, claim(2, json!({"healthy": false}))).expect(200);
    assert_eq!(
        thought_of(&proxy, "one")["reason"],
        "it says that it is not well"
    );
    beat(&api, claim(3, json!({}))).expect(200);
    assert_eq!(thought_of(&proxy, "one")["status"], "up");
    let now = api.get("/v1/epoch").json()["published"].clone();
    assert_eq!(now, epoch, "no table is made for it");
}

#[test]
fn what_is_not_believed_is_refused_with_its_reason_and_counted() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = settings(&one, &two, "heartbeat_timeout = \"1h\"").start();
    let api = proxy.api();
    beat(&api, claim(10, json!({}))).expect(200);
    for (sequence, changes, status, reason) in [
        (10, json!({}), 409, "replayed"),
        (9, json!({}), 409, "out_of_order"),
        (9, json!({"incarnation": 6}), 409, "stale"),
        (11, json!({"active": 11}), 422, "impossible"),
        (11, json!({"active": -1}), 422, "impossible"),
        (11, json!({"cpu": 1.5}), 422, "impossible"),
        (11, json!({"sent_ms": 9_000_000_000_000_u64}), 422, "future"),
        (11, json!({"sent_ms": 1}), 409, "stale"),
        (11, json!({"address": "127.0.0.1:9"}), 409, "contradictory"),
        (11, json!({"server_id": "none"}), 404, "unknown"),
        (11, json!({"group": "none"}), 404, "unknown"),
    ] {
        let before = rejected(&proxy, reason);
        let answer = beat(&api, claim(sequence, changes.clone()));
        assert_eq!(answer.refused(status), Vec::<String>::new(), "{changes}");
        assert_eq!(answer.json()["reason"], reason, "{changes}");
        assert_eq!(rejected(&proxy, reason), before + 1.0, "{changes}");
    }
    for body in [
        "{\"server_id\": \"one\", \"cpu\": NaN}",
        "{\"cpu\": 1e999}",
        "nonsense",
    ] {
        api.ask("POST", "/v1/heartbeat", Some(body.into()))
            .refused(400);
    }
    beat(&api, json!({"server_id": "one"})).refused(422);
    assert_eq!(rejected(&proxy, "malformed"), 4.0);
    let thought = thought_of(&proxy, "one");
    assert_eq!(
        thought["heartbeat"]["sequence"], 10,
        "nothing else was believed"
    );
}

#[test]
fn a_capacity_of_nothing_gets_nothing() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = settings(&one, &two, "heartbeat_timeout = \"1h\"").start();
    let full = claim(1, json!({"active": 0, "capacity": 0}));
    beat(&proxy.api(), full).expect(200);
    for _ in 0..10 {
        assert_eq!(proxy.client().get("/").text(), "two");
    }
    beat(&proxy.api(), claim(2, json!({}))).expect(200);
    let seen: BTreeSet<String> = (0..20).map(|_| proxy.client().get("/").text()).collect();
    assert_eq!(seen.len(), 2);
}

#[test]
fn datagrams_say_the_same_and_need_the_token() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let door = held.local_addr().unwrap();
    drop(held);
    let token = "0123456789abcdef";
    let proxy = settings(
        &one,
        &two,
        "heartbeat_required = true, heartbeat_timeout = \"2s\"",
    )
    .section(&format!("[heartbeat]\nudp = \"{door}\"\ntoken = {token:?}"))
    .start();
    becomes(&proxy, "two", "down");
    assert_eq!(thought_of(&proxy, "two")["reason"], "no heartbeat yet");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |claim: Value| socket.send_to(claim.to_string().as_bytes(), door).unwrap();
    send(claim(1, json!({})));
    send(claim(1, json!({"token": "other"})));
    socket.send_to(b"nonsense", door).unwrap();
    eventually("three are refused", || {
        rejected(&proxy, "unauthorized") == 2.0 && rejected(&proxy, "malformed") == 1.0
    });
    assert_eq!(thought_of(&proxy, "one")["status"], "down");
    send(claim(1, json!({"token": token})));
    becomes(&proxy, "one", "up");
    let other = UdpSocket::bind("127.0.0.2:0").unwrap();
    let from_elsewhere = claim(2, json!({"token": token})).to_string();
    other.send_to(from_elsewhere.as_bytes(), door).unwrap();
    eventually("two addresses speak for it", || {
        rejected(&proxy, "contradictory") == 1.0
    });
}

#[test]
fn a_claim_at_odds_with_what_is_measured_is_a_sign_of_life_and_no_more() {
    let hold = Arc::new(AtomicBool::new(true));
    let held = Arc::clone(&hold);
    let one = Upstream::http(move |_| {
        while held.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Answer::text("one")
    });
    let proxy = Settings::http_to(&[])
        .group_with("check", "{ heartbeat_timeout = \"1h\" }")
        .member(&one, "id = \"one\"")
        .start();
    let api = proxy.api();
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| drop(proxy.client().get("/")));
        }
        one.wait_for_requests(24);
        // Far less than half of what this node alone has there; a capacity it would keep to.
        let idle = |sequence| claim(sequence, json!({"active": 1, "capacity": 2}));
        let discounted: Vec<Value> = (1..=3)
            .map(|sequence| beat(&api, idle(sequence)).expect(200)["discounted"].clone())
            .collect();
        assert_eq!(discounted, [json!(false), json!(false), json!(true)]);
        let thought = thought_of(&proxy, "one");
        assert_eq!(thought["heartbeat"]["discounted"], true);
        assert_eq!(thought["status"], "up", "it lives");
        let counted = [("result", "discounted")];
        let metrics = proxy.metrics();
        assert_eq!(metrics.count("weir_heartbeats_total", &counted), 1.0);
        hold.store(false, Relaxed);
    });
    let honest = claim(4, json!({"active": 0}));
    assert_eq!(beat(&api, honest).expect(200)["discounted"], false);
}

#[test]
fn an_id_that_stands_for_two_addresses_must_say_which_one_speaks() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[])
        .group_with("check", "{ heartbeat_timeout = \"1h\" }")
        .member(&one, "id = \"one\"")
        .group("other", &[])
        .member(&two, "id = \"one\"")
        .start();
    let api = proxy.api();
    // In two groups it is one server, and speaks for both.
    assert_eq!(beat(&api, claim(1, json!({}))).expect(200)["backends"], 2);
    let at = json!({"address": one.address().to_string()});
    assert_eq!(beat(&api, claim(2, at)).expect(200)["backends"], 1);
    let nowhere = json!({"address": "127.0.0.1:1"});
    beat(&api, claim(3, nowhere)).refused(409);
    assert_eq!(rejected(&proxy, "contradictory"), 1.0);
}
