//! Expect: 100-continue, with clients that wait and clients that do not.

use std::time::Duration;

use crate::support::{Settings, Upstream};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n\
                    Content-Length: 4\r\n\r\n";

/// A backend that says 100 first, then reads the body.
fn polite() -> Upstream {
    Upstream::scripted(|mut connection| {
        while let Ok(head) = connection.try_request_head() {
            if head.has("expect") {
                connection.send("HTTP/1.1 100 Continue\r\n\r\n");
            }
            assert_eq!(connection.read_exactly(4), b"body");
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
        }
    })
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let upstream = polite();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(HEAD);
        assert_eq!(client.read_head().unwrap().status(), 100);
        client.send("body");
        let answer = client.response();
        assert_eq!(answer.text(), "done");
        assert!(
            answer.interim.is_empty(),
            "a second interim response: {:?}",
            answer.interim
        );
    }
}

#[test]
fn a_client_that_does_not_wait_is_served_all_the_same() {
    let upstream = polite();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send(format!("{HEAD}body"));
    let answer = client.response();
    assert_eq!(answer.text(), "done");
    assert!(answer.interim.len() <= 1, "{:?}", answer.interim);
}

#[test]
fn a_final_answer_instead_of_100_ends_it() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request_head();
        connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        let (rest, _) = connection.read_to_end();
        assert!(
            rest.is_empty(),
            "a body or a second request on a half-sent connection: {rest:?}"
        );
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send(HEAD);
    let answer = client.response();
    assert_eq!((answer.status(), answer.text()), (403, "no".to_owned()));
    assert!(answer.interim.is_empty());
    // The client may send the body now or not; the only safe thing is to part.
    client.expect_closed();
    upstream.wait_until_idle();
}

#[test]
fn a_backend_that_just_waits_for_the_body_does_not_lock_up() {
    // RFC 9110 10.1.1: neither side may wait for ever; the client sends after a pause of its own.
    let upstream = Upstream::scripted(|mut connection| {
        assert_eq!(connection.request().body, b"body");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send(HEAD);
    let (early, closed) = client.read_until_quiet(Duration::from_millis(200));
    assert!(
        early.is_empty() || early == b"HTTP/1.1 100 Continue\r\n\r\n",
        "{early:?}"
    );
    assert!(!closed);
    client.send("body");
    assert_eq!(client.response().text(), "done");
}

#[test]
fn an_http_1_0_client_never_sees_an_interim_response() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        connection.send("HTTP/1.1 100 Continue\r\n\r\n");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let answer = proxy.client().ask("GET / HTTP/1.0\r\nHost: test\r\n\r\n");
    assert!(answer.interim.is_empty(), "{:?}", answer.interim);
    assert_eq!(answer.text(), "ok");
}

#[test]
fn early_hints_reach_an_http_1_1_client() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let answer = proxy.client().get("/");
    assert_eq!(answer.interim.len(), 1);
    assert_eq!(answer.interim[0].status(), 103);
    assert_eq!(answer.interim[0].field("link"), Some("</a>"));
}
