//! When a request may be sent again, and when it must not.

use crate::support::{Answer, Settings, Upstream, closed_port, eventually};

#[test]
fn a_refused_connection_is_tried_on_another_backend() {
    let (closed, upstream) = (closed_port(), Upstream::named("here"));
    let proxy = Settings::http_to(&[&closed, &upstream]).start();
    let mut client = proxy.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "here");
        // Nothing was sent yet, so even a POST may go elsewhere.
        assert_eq!(client.post("/", b"body").text(), "here");
    }
    assert!(
        upstream
            .requests()
            .iter()
            .all(|r| r.method() == "GET" || r.body == b"body")
    );
}

/// A backend that serves one request on each connection well, and on the next one closes
/// without a word, as a backend does that timed the connection out while the request was under
/// way.
fn stale_after_one() -> Upstream {
    Upstream::scripted(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfresh");
        let _ = connection.try_request();
    })
}

#[test]
fn a_get_on_a_stale_connection_is_sent_again_on_a_fresh_one() {
    let upstream = stale_after_one();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for _ in 0..6 {
        assert_eq!(client.get("/").text(), "fresh");
    }
}

#[test]
fn a_post_is_not_sent_again_once_bytes_went_out() {
    let upstream = stale_after_one();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").text(), "fresh");
    let answer = client.post("/pay", b"once");
    let posts = upstream
        .requests()
        .iter()
        .filter(|r| r.method() == "POST")
        .count();
    assert_eq!(posts, 1, "answered {}", answer.start);
    assert_eq!(answer.status(), 502);
}

#[test]
fn connections_the_backend_closed_while_idle_cost_no_request() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for _ in 0..5 {
        assert_eq!(client.post("/", b"body").status(), 200);
        upstream.close_connections();
        upstream.wait_until_idle();
        // The proxy learns of the close when it next looks at the connection.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_fresh_connection_that_dies_is_a_bad_gateway() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        connection.into_wire().reset();
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    assert_eq!(client.post("/", b"body").status(), 502);
    assert_eq!(upstream.request_count(), 1);
}

#[test]
fn a_response_that_began_is_never_sent_again() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Le");
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    assert_eq!(proxy.client().get("/").status(), 502);
    assert_eq!(upstream.request_count(), 1);
}

#[test]
fn a_backend_that_comes_back_is_used_again() {
    let upstream = Upstream::named("before");
    let port = upstream.port();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").text(), "before");
    drop(upstream);
    assert!(client.get("/").status() >= 500);
    let _back = Upstream::http_at(port, |_| Answer::text("after"));
    eventually("the backend is used again", || {
        client.get("/").text() == "after"
    });
}
