//! Slow clients and slow backends.

use std::time::{Duration, Instant};

use crate::support::{Answer, Settings, Upstream, full_backlog};

#[test]
fn a_slow_head_is_408_and_close() {
    let upstream = Upstream::named("reached");
    let proxy = Settings::http_to(&[&upstream])
        .timeout("head", "600ms")
        .start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: te");
    assert_eq!(client.response().status(), 408);
    client.expect_closed();
    assert_eq!(upstream.accepted(), 0);
}

#[test]
fn dripping_bytes_do_not_extend_the_time_for_a_head() {
    let upstream = Upstream::named("reached");
    let proxy = Settings::http_to(&[&upstream])
        .timeout("head", "600ms")
        .start();
    let mut client = proxy.client();
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nX: ");
    while start.elapsed() < Duration::from_secs(10) {
        if !client.try_send("x") || client.closes_within(Duration::from_millis(50)) {
            return;
        }
    }
    panic!("a head may take {:?}", start.elapsed());
}

#[test]
fn a_connection_that_never_asks_is_closed() {
    let upstream = Upstream::named("reached");
    let settings = Settings::http_to(&[&upstream]).timeout("head", "400ms");
    let proxy = settings.timeout("idle", "400ms").start();
    let mut client = proxy.client();
    let (bytes, end) = client.read_to_end();
    assert!(end.is_ok(), "{end:?}");
    assert!(
        bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 408 "),
        "{bytes:?}"
    );
}

#[test]
fn an_idle_kept_alive_connection_is_closed_without_a_word() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream])
        .timeout("idle", "500ms")
        .start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").status(), 200);
    // A 408 here would be taken for the answer to the next request.
    client.expect_closed();
}

#[test]
fn a_body_that_stops_is_408_and_nothing_complete_goes_upstream() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request_head();
        let (body, _) = connection.read_to_end();
        assert!(body.len() <= 5, "{body:?}");
    });
    let proxy = Settings::http_to(&[&upstream])
        .timeout("body", "500ms")
        .start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello");
    let answer = client.response();
    assert_eq!(answer.status(), 408);
    client.expect_closed();
    upstream.wait_until_idle();
}

#[test]
fn a_body_that_trickles_is_in_time() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream])
        .timeout("body", "1500ms")
        .start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 30\r\n\r\n");
    for _ in 0..30 {
        client.send("x");
        std::thread::sleep(Duration::from_millis(70));
    }
    assert_eq!(client.response().status(), 200);
}

#[test]
fn a_backend_that_does_not_answer_is_504() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        let _ = connection.read_to_end();
    });
    let proxy = Settings::http_to(&[&upstream])
        .group_timeout("response", "500ms")
        .start();
    let mut client = proxy.client();
    let start = Instant::now();
    assert_eq!(client.get("/").status(), 504);
    assert!(
        start.elapsed() >= Duration::from_millis(400),
        "{:?}",
        start.elapsed()
    );
    upstream.wait_until_idle();
    // Nothing is wrong with the client's connection.
    assert_eq!(client.get("/").status(), 504);
    assert_eq!(
        upstream.request_count(),
        2,
        "a request that was sent is not sent again"
    );
}

#[test]
fn a_backend_that_cannot_be_connected_in_time_is_504() {
    let full = full_backlog();
    let settings = Settings::http_to(&[&full]).group_with("retries", "0");
    let proxy = settings.group_timeout("connect", "300ms").start();
    let answer = proxy.client().get("/");
    assert!([503, 504].contains(&answer.status()), "{}", answer.start);
}

#[test]
fn a_response_that_stops_is_cut_not_completed() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
        let _ = connection.read_to_end();
    });
    let proxy = Settings::http_to(&[&upstream])
        .group_timeout("response", "500ms")
        .start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let broken = client.try_response().unwrap_err();
    let cut = matches!(
        broken,
        crate::support::Broken::Truncated(4) | crate::support::Broken::Reset
    );
    assert!(cut, "{broken:?}");
    upstream.wait_until_idle();
}

#[test]
fn slow_but_steady_backends_are_in_time() {
    let upstream = Upstream::http(|_| Answer::text("late").after(Duration::from_millis(700)));
    let proxy = Settings::http_to(&[&upstream])
        .group_timeout("response", "20s")
        .start();
    assert_eq!(proxy.client().get("/").text(), "late");
}
