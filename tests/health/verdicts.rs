//! Who is right when several say something: the order is visible, and holds.

use serde_json::{Value, json};

use super::{becomes, thought_of};
use crate::support::{Answer, Settings, Upstream, eventually};

#[test]
fn the_operator_is_above_the_verdict_which_is_above_what_weir_finds() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let check = "{ kind = \"http\", interval = \"100ms\", expect = [\"299\"], \
                 heartbeat_timeout = \"300ms\" }";
    let proxy = Settings::http_to(&[])
        .group_with("check", check)
        .group_with("outlier", "{ panic_threshold = 0 }")
        .member(&one, "id = \"one\"")
        .member(&two, "id = \"two\"")
        .start();
    let api = proxy.api();
    let source = || thought_of(&proxy, "one")["source"].clone();
    becomes(&proxy, "one", "down");
    assert_eq!(source(), "check");
    let beat = json!({"server_id": "one", "incarnation": 1, "sequence": 1, "active": 0});
    api.post("/v1/heartbeat", beat).expect(200);
    eventually("its silence is told first", || source() == "heartbeat");
    let named = json!({"server_id": "one"});
    let verdict = |name: &str| api.post(&format!("/v1/rpc/{name}?wait=node"), named.clone());
    verdict("health_check_failed").expect(200);
    assert_eq!(source(), "verdict");
    let state = |state: &str| {
        let path = format!("/v1/groups/app/backends/one/{state}?wait=node");
        api.ask("POST", &path, None).expect(200);
        thought_of(&proxy, "one")
    };
    for (word, status) in [("drain", "drain"), ("maint", "maint"), ("ready", "down")] {
        assert_eq!(state(word)["status"], status);
    }
    assert_eq!(source(), "verdict");
    verdict("health_check_passed").expect(200);
    assert_eq!(source(), "heartbeat", "a verdict takes back only itself");
    let thought = thought_of(&proxy, "one");
    let sources = thought["sources"].as_array().unwrap();
    let order: Vec<&Value> = sources.iter().map(|said| &said["source"]).collect();
    assert_eq!(
        order,
        [
            "operator",
            "verdict",
            "heartbeat",
            "agent",
            "check",
            "ejection"
        ]
    );
    let history = thought["history"].as_array().unwrap();
    let told: Vec<&Value> = history.iter().rev().map(|was| &was["to"]).collect();
    assert_eq!(told, ["down", "drain", "maint", "down"]);
    proxy.api().get("/v1/backends/none").refused(404);
    proxy.api().get("/v1/backends?group=none").refused(404);
}

#[test]
fn a_verdict_that_passes_forgives_what_traffic_showed() {
    let ill = Upstream::http(|_| Answer::new(500, "", b"ill"));
    let one = Upstream::named("one");
    // Judged once an interval, by what both have answered in it.
    let outlier = "{ failure_percentage = 50, failure_percentage_minimum_hosts = 2, \
                   failure_percentage_request_volume = 5, interval = \"1s\", \
                   consecutive_5xx = 0, ejected_max_percent = 50, base_ejection = \"1h\", \
                   ejection_max = \"1h\" }";
    let proxy = Settings::http_to(&[])
        .group_with("outlier", outlier)
        .member(&one, "id = \"one\"")
        .member(&ill, "id = \"ill\"")
        .start();
    eventually("it is ejected", || {
        proxy.client().get("/");
        thought_of(&proxy, "ill")["status"] == "down"
    });
    let thought = thought_of(&proxy, "ill");
    assert_eq!(thought["source"], "ejection");
    assert_eq!(thought["reason"], "failure_percentage");
    assert_eq!(thought["ejection"]["breaker"], "open");
    for _ in 0..6 {
        assert_eq!(proxy.client().get("/").text(), "one");
    }
    let listed = proxy.ctl().run("backend list app");
    assert!(
        listed.contains("down, ejection: failure_percentage"),
        "{listed}"
    );
    let passed = proxy.ctl().run("rpc health_check_passed server_id=ill");
    assert!(!passed.is_empty());
    becomes(&proxy, "ill", "up");
    let labels = [("cause", "failure_percentage")];
    let metrics = proxy.metrics();
    assert_eq!(
        metrics.sum("weir_backend_ejections_total", &labels),
        Some(1.0)
    );
}
