//! Metrics against what the test did, exactly.

use crate::support::{Answer, Settings, Upstream, closed_port};

#[test]
fn requests_are_counted_by_status_on_both_sides() {
    let upstream = Upstream::http(|request| match request.target() {
        "/missing" => Answer::new(404, "", b"no"),
        "/broken" => Answer::new(500, "", b"oh"),
        _ => Answer::text("ok"),
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for (target, times) in [("/", 7), ("/missing", 5), ("/broken", 3)] {
        for _ in 0..times {
            client.get(target);
        }
    }
    for (code, times) in [("200", 7.0), ("404", 5.0), ("500", 3.0)] {
        let labels = [("code", code)];
        proxy.wait_for_metric("weir_listener_requests_total", &labels, times);
        proxy.wait_for_metric("weir_backend_requests_total", &labels, times);
    }
    let metrics = proxy.metrics();
    assert_eq!(metrics.sum("weir_listener_accepts_total", &[]), Some(1.0));
    assert_eq!(
        metrics.sum("weir_listener_connections", &[("listener", "web")]),
        Some(1.0)
    );
    assert_eq!(metrics.sum("weir_backend_connects_total", &[]), Some(1.0));
    assert_eq!(metrics.sum("weir_backend_reuses_total", &[]), Some(14.0));
    assert_eq!(metrics.sum("weir_backend_in_flight", &[]), Some(0.0));
    proxy.wait_for_metric("weir_backend_idle_connections", &[("group", "app")], 1.0);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let published = metrics.sum("weir_epoch_published_timestamp_seconds", &[]);
    assert!(
        published.is_some_and(|at| at <= now && at > now - 300.0),
        "{published:?}"
    );
    let count = "weir_listener_request_duration_seconds_count";
    assert_eq!(metrics.sum(count, &[]), Some(15.0));
    drop(client);
    proxy.wait_for_metric("weir_listener_connections", &[], 0.0);
}

#[test]
fn bytes_are_counted_as_they_were_on_the_wire() {
    let upstream = Upstream::http(|_| Answer::new(200, "Date: x\r\n", &[b'b'; 1000]));
    let proxy = Settings::http_to(&[&upstream])
        .with("request_id", "false")
        .start();
    let mut client = proxy.client();
    let request = "POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 300\r\n\r\n";
    let (mut sent, mut received) = (0, 0);
    for _ in 0..4 {
        client.send(request).send([b'a'; 300]);
        sent += request.len() + 300;
        let answer = client.response();
        received += answer.head.raw.len() + answer.body.len();
    }
    let arrived: usize = upstream
        .requests()
        .iter()
        .map(|r| r.head.raw.len() + r.body.len())
        .sum();
    proxy.wait_for_metric("weir_listener_received_bytes_total", &[], sent as f64);
    proxy.wait_for_metric("weir_listener_sent_bytes_total", &[], received as f64);
    proxy.wait_for_metric("weir_backend_sent_bytes_total", &[], arrived as f64);
    let said = "HTTP/1.1 200 Any\r\nContent-Length: 1000\r\nDate: x\r\n\r\n".len() + 1000;
    proxy.wait_for_metric("weir_backend_received_bytes_total", &[], 4.0 * said as f64);
}

#[test]
fn relayed_bytes_and_connections_are_counted() {
    let upstream = Upstream::scripted(|mut connection| {
        assert_eq!(connection.read_exactly(10_000).len(), 10_000);
        connection.send([b'r'; 2500]);
    });
    let proxy = Settings::tcp_to(&[&upstream]).start();
    for _ in 0..3 {
        let mut client = proxy.connect();
        client.send([b's'; 10_000]);
        assert_eq!(client.read_exactly(2500).len(), 2500);
        client.expect_closed();
    }
    proxy.wait_for_metric("weir_listener_accepts_total", &[("listener", "relay")], 3.0);
    proxy.wait_for_metric("weir_listener_connections", &[], 0.0);
    proxy.wait_for_metric("weir_listener_received_bytes_total", &[], 30_000.0);
    proxy.wait_for_metric("weir_listener_sent_bytes_total", &[], 7500.0);
    proxy.wait_for_metric("weir_backend_connects_total", &[], 3.0);
    proxy.wait_for_metric("weir_backend_in_flight", &[], 0.0);
    proxy.wait_for_metric("weir_backend_connections", &[], 0.0);
}

#[test]
fn faults_are_counted_by_name() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        connection.send("this is no response\r\n\r\n");
    });
    let closed = closed_port();
    let settings = Settings::new()
        .listener("web", "http")
        .route("path_prefix = \"/bad\"\ngroup = \"bad\"")
        .route("path_prefix = \"/closed\"\ngroup = \"closed\"")
        .group("bad", &[&upstream])
        .group("closed", &[&closed]);
    let proxy = settings.start();
    for _ in 0..2 {
        proxy.client().get("/nowhere");
    }
    for _ in 0..3 {
        proxy.client().get("/bad");
    }
    for _ in 0..4 {
        proxy.client().get("/closed");
    }
    for _ in 0..5 {
        proxy.client().ask("BAD\r\n\r\n");
    }
    let named = [
        ("no_route", 2.0),
        ("upstream_bad_response", 3.0),
        ("connect_failed", 4.0),
        ("client_bad_request", 5.0),
    ];
    for (fault, times) in named {
        proxy.wait_for_metric("weir_listener_faults_total", &[("fault", fault)], times);
    }
    let listener = |code: &str, times| {
        proxy.wait_for_metric("weir_listener_requests_total", &[("code", code)], times);
    };
    listener("404", 2.0);
    listener("502", 7.0);
    listener("400", 5.0);
    let metrics = proxy.metrics();
    assert!(metrics.count("weir_backend_connect_failures_total", &[]) >= 4.0);
}

#[test]
fn every_core_counts_and_the_page_adds_up() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).workers("2").start();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let mut client = proxy.client();
                    for _ in 0..10 {
                        client.get("/");
                    }
                }
            });
        }
    });
    proxy.wait_for_metric("weir_listener_requests_total", &[("code", "200")], 800.0);
    proxy.wait_for_metric("weir_backend_requests_total", &[("code", "200")], 800.0);
    proxy.wait_for_metric("weir_listener_accepts_total", &[], 80.0);
    proxy.wait_for_metric("weir_listener_connections", &[], 0.0);
    assert_eq!(upstream.request_count(), 800);
    let metrics = proxy.metrics();
    let connects = metrics.count("weir_backend_connects_total", &[]);
    let reuses = metrics.count("weir_backend_reuses_total", &[]);
    assert_eq!(connects, upstream.accepted() as f64);
    assert_eq!(connects + reuses, 800.0);
}

#[test]
fn every_sample_belongs_to_a_declared_family() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).access_log("json").start();
    proxy.client().get("/");
    let text = proxy.metrics().text().to_owned();
    let declared: Vec<_> = text
        .lines()
        .filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let name = line.split(['{', ' ']).next().unwrap();
        let stems = ["_bucket", "_sum", "_count"].map(|end| name.strip_suffix(end));
        let known =
            declared.contains(&name) || stems.iter().flatten().any(|stem| declared.contains(stem));
        assert!(known, "{line}");
    }
    let mut unique = declared.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), declared.len(), "a family is declared once");
}
