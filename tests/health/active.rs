//! Active checks against backends that die, lie and come back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use super::{becomes, thought_of};
use crate::support::{Answer, Settings, Upstream, eventually};

/// Two members, `one` and `two`, checked like this.
fn checked(one: &Upstream, two: &Upstream, check: &str) -> Settings {
    Settings::http_to(&[])
        .group_with("check", &format!("{{ {FAST}, {check} }}"))
        .member(one, "id = \"one\"")
        .member(two, "id = \"two\"")
}

const FAST: &str = "interval = \"200ms\", interval_down_max = \"400ms\"";

#[test]
fn a_backend_that_dies_is_out_in_time_and_back_after_rise() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let port = two.port();
    let proxy = checked(&one, &two, "kind = \"tcp\"").start();
    let checked_up = || thought_of(&proxy, "two")["sources"][4]["says"] == "up";
    eventually("the first check has passed", checked_up);
    assert_eq!(thought_of(&proxy, "two")["history"], serde_json::json!([]));
    drop(two);
    let died = Instant::now();
    becomes(&proxy, "two", "down");
    // Interval x fall + timeout; and what a busy machine takes to ask and to answer.
    let within = Duration::from_millis(200 * 3 + 200);
    assert!(died.elapsed() < within + Duration::from_secs(2));
    let thought = thought_of(&proxy, "two");
    assert_eq!(thought["source"], "check");
    assert_eq!(thought["reason"], "connection refused");
    for _ in 0..10 {
        assert_eq!(proxy.client().get("/").text(), "one");
    }
    let labels = [("backend", "two")];
    assert_eq!(proxy.metrics().sum("weir_backend_up", &labels), Some(0.0));
    let _two = Upstream::http_at(port, |_| Answer::text("two"));
    becomes(&proxy, "two", "up");
    let seen: BTreeSet<String> = (0..20).map(|_| proxy.client().get("/").text()).collect();
    assert_eq!(seen.len(), 2);
    let history = thought_of(&proxy, "two")["history"].clone();
    assert_eq!(
        (&history[0]["to"], &history[1]["to"]),
        (&"up".into(), &"down".into())
    );
    assert!(history[0]["at_ms"].as_u64() > history[1]["at_ms"].as_u64());
    let of_checks = [("source", "check")];
    let metrics = proxy.metrics();
    assert_eq!(
        metrics.sum("weir_backend_transitions_total", &of_checks),
        Some(2.0)
    );
    let log = proxy.stderr();
    assert!(log.contains("connection refused"), "{log}");
}

#[test]
fn an_http_check_looks_at_status_and_body_and_asks_what_it_was_told_to() {
    let status = Arc::new(AtomicU16::new(204));
    let said = Arc::clone(&status);
    let one = Upstream::named("one");
    let two = Upstream::http(move |request| match request.target() {
        "/up?full" => Answer::new(said.load(Ordering::Relaxed), "", b""),
        _ => Answer::text("two"),
    });
    let check = "kind = \"http\", path = \"/up?full\", host = \"a.org\", expect = [\"200-299\"]";
    let proxy = checked(&one, &two, check).start();
    eventually("it was asked", || two.request_count() > 1);
    let request = &two.requests()[0];
    assert_eq!(request.head.field("host"), Some("a.org"));
    assert_eq!(thought_of(&proxy, "two")["status"], "up");
    status.store(503, Ordering::Relaxed);
    becomes(&proxy, "two", "down");
    assert_eq!(thought_of(&proxy, "two")["reason"], "status 503");
    assert_eq!(proxy.client().get("/").text(), "one");
    status.store(200, Ordering::Relaxed);
    becomes(&proxy, "two", "up");
}

#[test]
fn a_body_that_does_not_match_and_no_answer_at_all_are_failures() {
    let one = Upstream::http(|_| Answer::text("all is well"));
    let two = Upstream::http(|_| Answer::text("all is lost"));
    let silent = Upstream::scripted(|mut connection| {
        let _ = connection.try_request();
        let _ = connection.read_to_end();
    });
    let check = "kind = \"http\", body = \"is w.ll\", timeout = \"100ms\"";
    let proxy = checked(&one, &two, check)
        .member(&silent, "id = \"silent\"")
        .start();
    becomes(&proxy, "two", "down");
    becomes(&proxy, "silent", "down");
    assert_eq!(
        thought_of(&proxy, "two")["reason"],
        "the body does not match"
    );
    assert_eq!(thought_of(&proxy, "silent")["reason"], "no answer in time");
    assert_eq!(thought_of(&proxy, "one")["status"], "up");
}

#[test]
fn a_reload_keeps_what_is_known_and_other_checks_begin_anew() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let settings = checked(&one, &two, "kind = \"tcp\"");
    let mut proxy = settings.clone().start();
    drop(two);
    becomes(&proxy, "two", "down");
    let since = thought_of(&proxy, "two")["since_ms"].clone();
    proxy.reload(settings.clone().group_with("retries", "1"));
    let thought = thought_of(&proxy, "two");
    assert_eq!(
        (&thought["status"], &thought["since_ms"]),
        (&"down".into(), &since)
    );
    // The same backends, and nobody asks them.
    let mut unchecked = settings;
    unchecked.groups[0].keys.retain(|(key, _)| key != "check");
    proxy.reload(unchecked);
    assert_eq!(
        thought_of(&proxy, "two")["status"],
        "up",
        "nobody says anything"
    );
}

#[test]
fn a_group_of_which_most_are_down_uses_all_of_them() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let third = Upstream::named("three");
    let check = "kind = \"http\", path = \"/\", expect = [\"299\"]";
    let proxy = checked(&one, &two, check)
        .member(&third, "id = \"three\"")
        .start();
    for id in ["one", "two", "three"] {
        becomes(&proxy, id, "down");
    }
    assert_eq!(thought_of(&proxy, "one")["group_panics"], true);
    let seen: BTreeSet<String> = (0..30).map(|_| proxy.client().get("/").text()).collect();
    assert_eq!(seen.len(), 3);
    let groups = proxy.api().get("/v1/status").expect(200)["groups"].clone();
    assert_eq!(groups[0]["panics"], true);
    assert_eq!(groups[0]["backends"][0]["health"]["source"], "check");
}
