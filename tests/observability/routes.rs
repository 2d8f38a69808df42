//! Who answered which route with what, which request stands for a bucket of latency, and where time
//! went.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, Client, Settings, Upstream, closed_port, eventually};

#[test]
fn requests_are_counted_by_route_and_backend_and_code() {
    let upstream = Upstream::http(|request| match request.target() {
        "/api/broken" => Answer::new(500, "", b"oh"),
        _ => Answer::text("ok"),
    });
    let closed = closed_port();
    let proxy = Settings::new()
        .listener("web", "http")
        .to("app")
        .route("name = \"api\"\npath_prefix = \"/api\"\ngroup = \"app\"")
        .route("path_prefix = \"/gone\"\ngroup = \"gone\"")
        .group("app", &[&upstream])
        .group("gone", &[&closed])
        .ejecting_nobody()
        .start();
    let mut client = proxy.client();
    for (target, times) in [("/api/x", 7), ("/api/broken", 3), ("/", 5), ("/gone", 2)] {
        for _ in 0..times {
            client.get(target);
        }
    }
    client.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let name = "weir_requests_total";
    proxy.wait_for_metric(name, &[("listener", "web")], 18.0);
    for (labels, count) in [
        (
            vec![("route", "api"), ("group", "app"), ("code", "200")],
            7.0,
        ),
        (
            vec![("route", "api"), ("group", "app"), ("code", "500")],
            3.0,
        ),
        (
            vec![("route", "route-2"), ("group", "gone"), ("code", "502")],
            2.0,
        ),
        (vec![("group", "app")], 15.0),
        (vec![("code", "400")], 1.0),
        (vec![("route", "api")], 10.0),
    ] {
        assert_eq!(proxy.metrics().count(name, &labels), count, "{labels:?}");
    }
}

#[test]
fn what_stands_for_a_bucket_is_in_the_access_log() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).access_log("json").start();
    proxy.client().get("/one");
    let line: Value = serde_json::from_str(&proxy.wait_for_log_lines(1)[0]).unwrap();
    let id = line["request_id"].as_str().unwrap();
    // The line is written before its request is made known as an exemplar.
    let exemplar = format!("# {{request_id=\"{id}\"}} ");
    eventually("an exemplar", || {
        let page = Client::connect(proxy.admin_address()).ask(
            "GET /metrics HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\
             Accept: application/openmetrics-text\r\n\r\n",
        );
        page.text().lines().any(|line| line.contains(&exemplar))
    });
    assert!(
        !proxy.metrics().text().contains(id),
        "the text format has no exemplars"
    );
}

#[test]
fn a_profile_says_where_time_went() {
    let upstream = Upstream::http(|_| Answer::text("ok").after(Duration::from_millis(100)));
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for _ in 0..5 {
        client.get("/");
    }
    client.send("GET / HTTP/1.1\r\n");
    std::thread::sleep(Duration::from_millis(300));
    client.send("Host: test\r\n\r\n");
    client.response();
    proxy.wait_for_metric("weir_listener_requests_total", &[], 6.0);
    let profile: Value = serde_json::from_str(&proxy.admin("/v1/debug/profile").text()).unwrap();
    assert_eq!(profile["requests"], 6);
    let parts = profile["parts"].as_array().unwrap();
    let mean = |name: &str| {
        let part = parts.iter().find(|part| part["part"] == name).unwrap();
        part["mean_ms"].as_f64().unwrap()
    };
    assert!(mean("upstream") >= 90.0, "{profile}");
    assert!(
        mean("client_wait") >= 40.0,
        "300 ms of one of six: {profile}"
    );
    assert_eq!(mean("queue"), 0.0);
    let sum: f64 = parts
        .iter()
        .map(|part| part["share"].as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 0.01, "{profile}");
}

#[test]
fn connections_are_told_by_core() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[])
        .member(&upstream, "id = \"first\"")
        .start();
    let mut client = proxy.client();
    client.get("/");
    client.get("/");
    let page: Value = serde_json::from_str(&proxy.admin("/v1/debug/connections").text()).unwrap();
    let core = &page["cores"][0];
    assert_eq!(
        (&core["answered"], &core["total"]),
        (&Value::from(true), &Value::from(2))
    );
    let rows = core["connections"].as_array().unwrap();
    let of = |role: &str| rows.iter().find(|row| row["role"] == role).unwrap();
    let (down, up) = (of("client"), of("upstream"));
    let me = client.stream().local_addr().unwrap().to_string();
    assert_eq!(
        (&down["listener"], &down["address"]),
        (&Value::from("web"), &Value::from(me))
    );
    assert_eq!(
        (&down["state"], &down["requests"]),
        (&Value::from("idle"), &Value::from(2))
    );
    assert_eq!(
        (&up["group"], &up["backend"]),
        (&Value::from("app"), &Value::from("first"))
    );
    assert_eq!(up["state"], "idle");
    assert_eq!(up["address"], upstream.address().to_string());
}
