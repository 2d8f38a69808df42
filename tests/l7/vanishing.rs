//! Clients that leave in the middle: their upstream connection is not used again, and nothing
//! stays counted.

use crate::support::metrics::Metrics;
use crate::support::{Answer, Proxy, Settings, Upstream, eventually};

fn all_quiet(proxy: &Proxy) {
    let zero = |metrics: &Metrics, name| metrics.count(name, &[]) == 0.0;
    eventually("no connection and no request is counted", || {
        let metrics = proxy.metrics();
        zero(&metrics, "weir_listener_connections") && zero(&metrics, "weir_backend_in_flight")
    });
}

/// Waits for the head of a request, then for the end of the connection.
fn waiting() -> Upstream {
    Upstream::scripted(|mut connection| {
        connection.request_head();
        let (rest, _) = connection.read_to_end();
        assert!(
            !rest.windows(4).any(|word| word == b"GET "),
            "reused: {rest:?}"
        );
    })
}

#[test]
fn while_the_response_is_awaited() {
    let upstream = waiting();
    let proxy = Settings::http_to(&[&upstream]).start();
    for by_reset in [true, false] {
        let expected = upstream.accepted() + 1;
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        eventually("the request is under way", || {
            upstream.accepted() >= expected
        });
        if by_reset {
            client.into_wire().reset();
        } else {
            // A FIN alone may be a client that still listens, so it proves nothing: then the
            // backend's answer has to end the exchange.
            drop(client);
            upstream.close_connections();
        }
        upstream.wait_until_idle();
    }
    all_quiet(&proxy);
}

#[test]
fn while_uploading() {
    let upstream = waiting();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nsome");
    eventually("the request is under way", || upstream.accepted() == 1);
    drop(client);
    upstream.wait_until_idle();
    all_quiet(&proxy);
}

#[test]
fn while_uploading_chunks() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request_head();
        let (rest, _) = connection.read_to_end();
        assert!(
            !rest.ends_with(b"0\r\n\r\n"),
            "a body the client never ended was ended: {rest:?}"
        );
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n");
    eventually("the request is under way", || upstream.accepted() == 1);
    drop(client);
    upstream.wait_until_idle();
    all_quiet(&proxy);
}

#[test]
fn while_the_response_is_sent() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while connection.try_send(vec![b'z'; 1 << 16]) {}
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    for _ in 0..5 {
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(client.read_head().unwrap().status(), 200);
        client.read_exactly(100_000);
        drop(client);
        upstream.wait_until_idle();
    }
    all_quiet(&proxy);
}

#[test]
fn in_the_middle_of_a_head() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    for cut in [
        "",
        "G",
        "GET / HTTP/1.1\r\nHo",
        "GET / HTTP/1.1\r\nHost: test\r\n\r",
    ] {
        let mut client = proxy.client();
        client.send(cut);
        drop(client);
    }
    all_quiet(&proxy);
    assert_eq!(proxy.client().get("/").text(), "ok");
    assert_eq!(upstream.request_count(), 1);
}

#[test]
fn with_requests_queued_behind() {
    let upstream =
        Upstream::http(|_| Answer::text("slow").after(std::time::Duration::from_millis(20)));
    let proxy = Settings::http_to(&[&upstream]).start();
    for _ in 0..10 {
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(10));
        assert_eq!(client.response().status(), 200);
        client.into_wire().reset();
    }
    all_quiet(&proxy);
    assert_eq!(proxy.client().get("/").text(), "slow");
}

/// A transfer cut off by its client once left bytes in a pipe that the next transfer used.
#[test]
fn during_a_bulk_transfer_leaves_nothing_to_the_next_client() {
    const LARGE: usize = 2_000_000;
    let upstream = Upstream::http(|request| {
        let letter = request.target().as_bytes()[1];
        Answer::new(200, "", &vec![letter; LARGE])
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    for cut in 0..20 {
        let mut leaving = proxy.client();
        leaving.send("GET /a HTTP/1.1\r\nHost: test\r\n\r\n");
        leaving.read_exactly(150_000 + cut * 10_000);
        leaving.into_wire().reset();
        let mut next = proxy.client();
        let answer = next.get("/b");
        assert_eq!(answer.body.len(), LARGE, "after cut {cut}");
        assert!(
            answer.body.iter().all(|&byte| byte == b'b'),
            "after cut {cut}"
        );
    }
    all_quiet(&proxy);
}
