//! The five calls of the specification.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Api, Settings, Upstream};

fn rpc(api: &Api, name: &str, body: Value) -> crate::support::Reply {
    api.post(&format!("/v1/rpc/{name}?wait=node"), body)
}

/// `get_next_server` takes nothing to wait for.
fn next(api: &Api, body: Value) -> crate::support::Reply {
    api.post("/v1/rpc/get_next_server", body)
}

#[test]
fn servers_come_and_go_by_name() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one]).start();
    let api = proxy.api();
    let server = json!({"server_id": "s2", "address": two.address().to_string(), "weight": 3});
    let added = rpc(&api, "add_server", server.clone());
    assert_eq!(added.expect(200)["value"]["weight"], 3);
    let again = rpc(&api, "add_server", server);
    again.expect(200);
    assert_eq!(again.epoch(), added.epoch(), "the same server is no change");
    let other = json!({"server_id": "s2", "address": "127.0.0.1:9"});
    rpc(&api, "add_server", other).refused(409);
    let mut client = proxy.client();
    let seen: BTreeSet<String> = (0..20).map(|_| client.get("/").text()).collect();
    assert_eq!(seen, BTreeSet::from(["one".to_owned(), "two".to_owned()]));
    let first = json!({"server_id": one.address().to_string()});
    rpc(&api, "remove_server", first.clone()).expect(200);
    let seen: BTreeSet<String> = (0..10).map(|_| proxy.client().get("/").text()).collect();
    assert_eq!(seen, BTreeSet::from(["two".to_owned()]));
    rpc(&api, "remove_server", first).refused(404);
    rpc(&api, "remove_server", json!({"server_id": "s2"})).refused(409);
}

#[test]
fn a_verdict_takes_a_server_out_and_puts_it_back_as_it_was() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one, &two]).start();
    let api = proxy.api();
    let server = json!({"server_id": one.address().to_string()});
    let failed = rpc(&api, "health_check_failed", server.clone());
    assert_eq!(failed.expect(200)["value"]["health"], "failed");
    let seen: BTreeSet<String> = (0..20).map(|_| proxy.client().get("/").text()).collect();
    assert_eq!(seen, BTreeSet::from(["two".to_owned()]));
    for _ in 0..4 {
        assert_eq!(
            next(&api, json!({})).expect(200)["address"],
            two.address().to_string()
        );
    }
    assert!(
        !api.get("/v1/export").text.contains("health"),
        "a verdict is no configuration"
    );
    let passed = rpc(&api, "health_check_passed", server.clone());
    assert_eq!(passed.expect(200)["value"]["health"], json!(null));
    let again = rpc(&api, "health_check_passed", server);
    assert_eq!(again.epoch(), passed.epoch());
    let mut client = proxy.client();
    let seen: BTreeSet<String> = (0..20).map(|_| client.get("/").text()).collect();
    assert_eq!(seen.len(), 2);
    rpc(&api, "health_check_failed", json!({"server_id": "none"})).refused(404);
}

#[test]
fn asking_for_a_server_sends_it_nothing() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one, &two]).start();
    let api = proxy.api();
    let asked: Vec<Value> = (0..10)
        .map(|_| next(&api, json!({})).expect(200)["server_id"].clone())
        .collect();
    for upstream in [&one, &two] {
        let count = asked
            .iter()
            .filter(|id| **id == upstream.address().to_string())
            .count();
        assert_eq!(count, 5, "they take turns: {asked:?}");
        assert_eq!(upstream.accepted(), 0);
    }
    next(&api, json!({"key": "tenant-7"})).expect(200);
    next(&api, json!({"group": "none"})).refused(404);
    for id in [&one, &two] {
        let body = json!({"server_id": id.address().to_string()});
        rpc(&api, "health_check_failed", body).expect(200);
    }
    next(&api, json!({})).refused(409);
}

#[test]
fn with_several_groups_one_must_be_named() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one]).group("b", &[&two]).start();
    let api = proxy.api();
    assert_eq!(next(&api, json!({})).refused(422), ["- group"]);
    let server = next(&api, json!({"group": "b"})).expect(200);
    assert_eq!(server["address"], two.address().to_string());
    let server = json!({"server_id": "s", "address": "127.0.0.1:9"});
    assert_eq!(rpc(&api, "add_server", server).refused(422), ["- group"]);
    let unknown = json!({"server": "s"});
    assert_eq!(
        rpc(&api, "remove_server", unknown).refused(422),
        ["- server"]
    );
}
