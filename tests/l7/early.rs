//! Backends that answer before they have the whole request.

use crate::support::{Settings, Upstream};

const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000000\r\n\r\n";

#[test]
fn an_answer_during_the_upload_reaches_the_client() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request_head();
        connection.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
        // Whatever comes now is the rest of this body, never another request.
        let (rest, _) = connection.read_to_end();
        assert!(
            !rest.windows(4).any(|word| word == b"GET "),
            "a half-sent connection was reused"
        );
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send(UPLOAD).send(vec![b'u'; 10_000]);
    let answer = client.response();
    assert_eq!((answer.status(), answer.text()), (413, "big".to_owned()));
}

#[test]
fn an_answer_reaches_a_client_that_goes_on_uploading() {
    // RFC 9112 9.6: closing with unread bytes makes the kernel send RST, which can destroy the
    // answer before the client reads it. The proxy has to keep reading for a while.
    let upstream = Upstream::scripted(|mut connection| {
        connection.request_head();
        connection.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    for _ in 0..10 {
        let mut client = proxy.client();
        client.send(UPLOAD);
        // Writes on, blind, as a simple client does; then looks.
        for _ in 0..50 {
            if !client.try_send(vec![b'u'; 20_000]) {
                break;
            }
        }
        assert_eq!(client.response().status(), 403);
    }
}

#[test]
fn the_next_request_after_an_early_answer_is_not_poisoned() {
    let upstream = Upstream::scripted(|mut connection| {
        while let Ok(head) = connection.try_request_head() {
            if head.method() == "POST" {
                connection.send("HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\nno");
                let _ = connection.read_to_end();
                return;
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
        }
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    for _ in 0..5 {
        let mut client = proxy.client();
        client
            .send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 50\r\n\r\nGET /evil HTTP/1.1");
        assert_eq!(client.response().status(), 400);
        assert_eq!(proxy.client().get("/").text(), "good");
    }
}

#[test]
fn an_early_answer_to_a_request_that_completes_is_fine() {
    let upstream = Upstream::scripted(|mut connection| {
        while connection.try_request_head().is_ok() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
            connection.read_exactly(4);
        }
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    for _ in 0..3 {
        let mut client = proxy.client();
        // In one packet: an answer that overtakes the body may end both connections.
        let request = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(client.ask(request).text(), "early");
    }
}
