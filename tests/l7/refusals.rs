//! Requests that are refused, with which status, and whether the connection survives.

use std::time::{Duration, Instant};

use crate::support::{Message, Proxy, Settings, Upstream, closed_port, eventually_within, observe};

/// Asks on a fresh connection; returns the answer and whether the connection was closed after.
fn ask(proxy: &Proxy, request: impl AsRef<[u8]>) -> (Message, bool) {
    let mut client = proxy.client();
    let answer = client.ask(request);
    let closed = answer.connection("close");
    if closed {
        client.expect_closed();
    } else {
        client.send("GET /next HTTP/1.1\r\nHost: test\r\n\r\n");
        client.response();
    }
    (answer, closed)
}

#[test]
fn malformed_requests_are_400_and_close() {
    let upstream = Upstream::named("reached");
    let proxy = Settings::http_to(&[&upstream]).start();
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n",
        "hello there\r\n\r\n",
    ] {
        let (answer, closed) = ask(&proxy, request);
        assert_eq!(answer.status(), 400, "{request:?}");
        assert!(closed, "not closed after {request:?}");
    }
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn a_bad_chunk_is_never_taken_for_a_request() {
    let upstream = Upstream::scripted(|mut connection| {
        // Refused before anything was sent, or after the head.
        let _ = connection.try_request_head();
        let (_, _) = connection.read_to_end();
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    for body in [
        "zz\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "5 \nhello\r\n",
    ] {
        let mut client = proxy.client();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("{body}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = client.response();
        assert_eq!(answer.status(), 400, "{body:?}");
        client.expect_closed();
    }
    upstream.wait_until_idle();
}

#[test]
fn sizes_beyond_the_limits_are_refused_by_name() {
    let upstream = Upstream::named("reached");
    let proxy = Settings::http_to(&[&upstream])
        .limit("head_bytes", "\"8KiB\"")
        .limit("fields", "20")
        .limit("target_bytes", "\"1KiB\"")
        .limit("body_bytes", "\"1KiB\"")
        .start();
    let long = "x".repeat(2000);
    let huge = "x".repeat(9000);
    let many: String = (0..30).map(|number| format!("X-{number}: 1\r\n")).collect();
    let cases = [
        (414, format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (
            431,
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {huge}\r\n\r\n"),
        ),
        (431, format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")),
        (
            413,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n".to_owned(),
        ),
    ];
    for (status, request) in cases {
        let (answer, closed) = ask(&proxy, &request);
        assert_eq!(
            answer.status(),
            status,
            "{}",
            &request[..60.min(request.len())]
        );
        assert!(
            closed,
            "{status} must close: the rest of the request is unread"
        );
    }
    assert_eq!(upstream.request_count(), 0);
    let just = "y".repeat(1024);
    let fits = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\n\r\n{just}");
    assert_eq!(ask(&proxy, fits).0.status(), 200);
}

#[test]
fn a_chunked_body_beyond_the_limit_is_413_and_never_complete_upstream() {
    let upstream = Upstream::scripted(|mut connection| {
        // The proxy may see that the body is too long before it has sent anything.
        if connection.try_request_head().is_err() {
            return;
        }
        let (body, _) = connection.read_to_end();
        assert!(!body.ends_with(b"0\r\n\r\n"), "a refused body was ended");
    });
    let proxy = Settings::http_to(&[&upstream])
        .limit("body_bytes", "\"1KiB\"")
        .start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("200\r\n{}\r\n", "z".repeat(512));
    client.send(format!("{}0\r\n\r\n", chunk.repeat(4)));
    assert_eq!(client.response().status(), 413);
    client.expect_closed();
    upstream.wait_until_idle();
}

#[test]
fn methods_and_versions_we_do_not_speak_are_refused() {
    let upstream = Upstream::named("reached");
    let proxy = Settings::http_to(&[&upstream]).start();
    let cases: [(&[u16], &str); 3] = [
        (
            &[501, 405, 400],
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        ),
        (&[505, 400], "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        (&[505, 400], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ];
    for (statuses, request) in cases {
        let mut client = proxy.client();
        let answer = client.ask(request);
        assert!(
            statuses.contains(&answer.status()),
            "{request:?} gave {}",
            answer.start
        );
    }
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn an_unknown_expectation_or_coding_is_refused() {
    let upstream = Upstream::named("reached");
    let proxy = Settings::http_to(&[&upstream]).start();
    let (answer, _) = ask(
        &proxy,
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(answer.status(), 417);
    let (answer, closed) = ask(
        &proxy,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    );
    assert!([400, 501].contains(&answer.status()), "{}", answer.start);
    assert!(closed);
    assert_eq!(upstream.request_count(), 0);
}

/// Everything outside of `/api` has no route.
fn only_api(upstream: &Upstream) -> Settings {
    Settings::new()
        .listener("web", "http")
        .route("path_prefix = \"/api\"\ngroup = \"app\"")
        .group("app", &[upstream])
}

#[test]
fn no_route_is_404_and_keeps_the_connection() {
    let upstream = Upstream::named("reached");
    let proxy = only_api(&upstream).start();
    let mut client = proxy.client();
    for _ in 0..3 {
        let answer = client.get("/elsewhere");
        assert_eq!(answer.status(), 404);
        assert!(
            !answer.connection("close"),
            "a complete request leaves a clean connection"
        );
    }
    assert_eq!(client.get("/api/x").text(), "reached");
}

#[test]
fn a_404_with_an_unread_body_is_no_way_to_smuggle() {
    let upstream = Upstream::http(|request| crate::support::Answer::text(request.target()));
    let proxy = only_api(&upstream).start();
    let mut client = proxy.client();
    let inner = "GET /api/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = inner.len();
    client.send(format!(
        "POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{inner}\
         GET /api/honest HTTP/1.1\r\nHost: a\r\n\r\n"
    ));
    assert_eq!(client.response().status(), 404);
    if let Ok(next) = client.try_response() {
        assert_eq!(next.text(), "/api/honest");
    }
    let targets: Vec<_> = upstream
        .requests()
        .iter()
        .map(|r| r.target().to_owned())
        .collect();
    assert!(
        !targets.contains(&"/api/smuggled".to_owned()),
        "{targets:?}"
    );
}

#[test]
fn a_group_nobody_can_reach_is_502_and_keeps_the_connection() {
    let (one, two) = (closed_port(), closed_port());
    let proxy = Settings::http_to(&[&one, &two]).start();
    let mut client = proxy.client();
    for _ in 0..3 {
        let answer = client.get("/");
        assert!([502, 503].contains(&answer.status()), "{}", answer.start);
        assert!(!answer.connection("close"));
    }
}

#[test]
fn an_answer_of_ours_to_head_has_no_body() {
    let closed = closed_port();
    let proxy = Settings::http_to(&[&closed]).start();
    let mut client = proxy.client();
    for _ in 0..3 {
        let answer = client.ask("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
        assert!(answer.status() >= 500);
    }
}

#[test]
fn refusals_do_not_say_what_they_refused() {
    let upstream = Upstream::named("reached");
    let proxy = Settings::http_to(&[&upstream]).start();
    let (answer, _) = ask(
        &proxy,
        "GET /<script>secret HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    );
    assert_eq!(answer.status(), 400);
    assert!(!answer.text().contains("secret"), "{}", answer.text());
}

#[test]
fn who_never_stops_sending_is_closed_nevertheless() {
    let upstream = Upstream::named("reached");
    let proxy = Settings::http_to(&[&upstream])
        .limit("body_bytes", "\"1KiB\"")
        .start();
    let before = observe::descriptors(proxy.pid());
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000000\r\n\r\n");
    assert_eq!(client.response().status(), 413);
    let (start, block) = (Instant::now(), vec![b'x'; 256 << 10]);
    while client.try_send(&block) {
        let lasted = start.elapsed();
        assert!(
            lasted < Duration::from_secs(10),
            "still read after {lasted:?}"
        );
    }
    eventually_within(Duration::from_secs(5), "its descriptor is closed", || {
        observe::descriptors(proxy.pid()) <= before
    });
}
