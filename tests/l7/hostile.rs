//! Backends that die or lie in the middle of a response.

use crate::support::{Answer, Broken, Settings, Upstream};

/// What the client sees of one response made of `bytes`, after which the backend closes.
fn seen(bytes: &'static str) -> Result<crate::support::Message, Broken> {
    let upstream = Upstream::http(move |_| Answer::raw(bytes).then_close());
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    client.try_response()
}

fn is_cut(broken: &Broken) -> bool {
    matches!(
        broken,
        Broken::Truncated(_) | Broken::Reset | Broken::Closed
    )
}

#[test]
fn a_backend_that_dies_inside_a_length_is_seen_as_truncation() {
    let broken = seen("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this").unwrap_err();
    assert!(is_cut(&broken), "{broken:?}");
}

#[test]
fn a_backend_that_dies_inside_chunks_is_seen_as_truncation() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let broken = seen(chunks).unwrap_err();
    assert!(is_cut(&broken), "{broken:?}");
}

#[test]
fn a_backend_that_resets_inside_chunks_is_seen_as_truncation() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let broken = seen_before_reset(chunks);
    assert!(is_cut(&broken), "{broken:?}");
}

/// What a client sees of a backend that sends this and then resets its connection.
fn seen_before_reset(response: &'static str) -> Broken {
    let upstream = Upstream::scripted(move |mut connection| {
        connection.request();
        connection.send(response);
        // The client has all of it before the reset destroys anything.
        std::thread::sleep(std::time::Duration::from_millis(100));
        connection.into_wire().reset();
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    client.try_response().unwrap_err()
}

#[test]
fn a_backend_that_dies_anywhere_in_a_large_body_is_seen_as_truncation() {
    for (sent, by_reset) in [
        10_000, 130_000, 140_000, 190_000, 200_000, 230_000, 270_000, 299_999, 1_000_000,
    ]
    .into_iter()
    .flat_map(|sent| [(sent, false), (sent, true)])
    {
        let upstream = Upstream::scripted(move |mut connection| {
            connection.request();
            let total = 300_000.max(sent + 1);
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n"
            ));
            connection.send(vec![b'd'; sent]);
            if by_reset {
                connection.into_wire().reset();
            }
        });
        let proxy = Settings::http_to(&[&upstream]).start();
        for round in 0..10 {
            let mut client = proxy.client();
            client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
            let broken = match client.try_response() {
                // A reset can destroy even the head.
                Ok(answer) if by_reset && answer.status() == 502 => continue,
                other => other.unwrap_err(),
            };
            assert!(
                is_cut(&broken),
                "{sent} bytes, reset {by_reset}, round {round}: {broken:?}"
            );
        }
    }
}

#[test]
fn a_reset_at_the_end_of_an_until_close_body_is_not_a_clean_end() {
    let broken = seen_before_reset("HTTP/1.1 200 OK\r\n\r\nhello");
    assert!(is_cut(&broken), "{broken:?}");
}

#[test]
fn a_truncated_response_does_not_end_the_http_1_0_client_cleanly_with_a_length() {
    let upstream = Upstream::http(|_| {
        Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort").then_close()
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let broken = client.try_response().unwrap_err();
    assert!(is_cut(&broken), "{broken:?}");
}

#[test]
fn responses_that_are_none_are_bad_gateways() {
    for bytes in [
        "",
        "hello world",
        "HTTP/1.1 abc X\r\n\r\n",
        "HTTP/1.1 99 X\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/2.0 200 OK\r\n\r\n",
    ] {
        let answer = seen(bytes).unwrap_or_else(|broken| panic!("{bytes:?} gave {broken:?}"));
        assert_eq!(answer.status(), 502, "{bytes:?}");
    }
}

#[test]
fn a_response_cannot_be_split() {
    // Bare CR, NUL and bare LF in values: a proxy that passes them on lets a second reader find
    // fields, or whole responses, that the first did not see.
    for bytes in [
        "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n Set-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let upstream = Upstream::http(move |_| Answer::raw(bytes).then_close());
        let proxy = Settings::http_to(&[&upstream]).start();
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        let (raw, _) = client.read_to_end();
        // Bodies of our own answers have lines; heads must have none but their own.
        let text = crate::support::message::latin1(&raw);
        let text = text.split("\r\n\r\n").next().unwrap_or_default();
        let lines: Vec<_> = text.split("\r\n").collect();
        for line in &lines {
            assert!(
                !line.contains(['\r', '\n', '\0']),
                "{bytes:?} gave {text:?}"
            );
            assert!(!line.starts_with([' ', '\t']), "{bytes:?} gave {text:?}");
        }
        let split = lines.iter().any(|line| line.starts_with("Set-Cookie:"));
        assert!(!split, "{bytes:?} gave {text:?}");
    }
}

#[test]
fn an_endless_head_is_a_bad_gateway() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nX: ");
        while connection.try_send([b'x'; 4096]) {}
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    assert_eq!(proxy.client().get("/").status(), 502);
}

#[test]
fn a_flood_of_interim_responses_is_bounded() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        while connection.try_send("HTTP/1.1 102 Processing\r\n\r\n".repeat(100)) {}
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    match client.try_response() {
        Ok(answer) => assert_eq!(answer.status(), 502),
        Err(broken) => assert!(is_cut(&broken), "{broken:?}"),
    }
    upstream.wait_until_idle();
}

#[test]
fn a_request_cannot_be_split_by_its_values() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    for value in ["a\rX-Evil: 1", "a\nX-Evil: 1", "a\0b", "a\r\n X-Evil: 1"] {
        let mut client = proxy.client();
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: test\r\nX: {value}\r\n\r\n"
        ));
        client.response();
    }
    assert!(
        upstream
            .requests()
            .iter()
            .all(|request| !request.has("x-evil"))
    );
}
