//! Who answered which route with what, and which request stands for a bucket of latency.

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
