//! Bodies of every framing, both ways.

use crate::support::{Answer, Framing, Settings, Upstream};

#[test]
fn a_body_with_a_length_arrives_with_that_length() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    proxy.client().post("/", b"twelve bytes");
    let request = upstream.only_request();
    assert_eq!(request.framing, Framing::Length(12));
    assert_eq!(request.body, b"twelve bytes");
}

#[test]
fn an_empty_post_says_so() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    assert_eq!(proxy.client().post("/", b"").status(), 200);
    assert_eq!(upstream.only_request().field("content-length"), Some("0"));
}

#[test]
fn a_chunked_body_arrives_whole_with_its_trailers() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    proxy.client().ask(
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         5;ext=1\r\nhello\r\n06\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n",
    );
    let request = upstream.only_request();
    assert_eq!(request.framing, Framing::Chunked);
    assert_eq!(request.body, b"hello world");
    assert_eq!(request.trailer("x-sum"), Some("11"));
}

#[test]
fn trailers_that_could_change_the_message_are_dropped_or_refused() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    for name in [
        "Content-Length",
        "Transfer-Encoding",
        "Host",
        "Authorization",
        "X-Forwarded-For",
    ] {
        let mut client = proxy.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\n{name}: 5\r\n\r\n"
        ));
        let _ = client.try_response();
    }
    for request in upstream.requests() {
        assert!(request.trailers.is_empty(), "{:?}", request.trailers);
    }
}

#[test]
fn a_response_with_a_length_arrives_with_that_length() {
    let upstream = Upstream::http(|_| Answer::new(200, "ETag: \"x\"\r\n", &[b'x'; 100_000]));
    let proxy = Settings::http_to(&[&upstream]).start();
    let answer = proxy.client().get("/");
    assert_eq!(answer.framing, Framing::Length(100_000));
    assert_eq!(answer.body, [b'x'; 100_000]);
    assert_eq!(answer.field("etag"), Some("\"x\""));
}

#[test]
fn a_chunked_response_arrives_whole_with_its_trailers() {
    let upstream = Upstream::http(|_| {
        Answer::raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             5;ext\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n",
        )
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!(answer.framing, Framing::Chunked);
        assert_eq!(answer.body, b"hello world");
        assert_eq!(answer.trailer("x-sum"), Some("11"));
    }
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn a_chunked_response_is_unchunked_for_http_1_0() {
    let upstream = Upstream::http(|_| {
        Answer::raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n\
             0\r\n\r\n",
        )
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let answer = proxy
        .client()
        .ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(answer.framing, Framing::UntilClose);
    assert_eq!(answer.body, b"hello world");
    assert!(!answer.connection("keep-alive"), "{answer:?}");
}

#[test]
fn a_response_until_close_is_chunked_for_http_1_1() {
    let upstream =
        Upstream::http(|_| Answer::raw("HTTP/1.1 200 OK\r\n\r\nuntil I close").then_close());
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!(answer.framing, Framing::Chunked);
        assert_eq!(answer.body, b"until I close");
    }
}

#[test]
fn a_response_until_close_stays_so_for_http_1_0() {
    let upstream =
        Upstream::http(|_| Answer::raw("HTTP/1.0 200 OK\r\n\r\nuntil I close").then_close());
    let proxy = Settings::http_to(&[&upstream]).start();
    let answer = proxy.client().ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(answer.framing, Framing::UntilClose);
    assert_eq!(answer.body, b"until I close");
}

#[test]
fn responses_without_a_body_by_rule_have_none() {
    let upstream = Upstream::http(|request| match request.target() {
        "/204" => Answer::raw("HTTP/1.1 204 No Content\r\n\r\n"),
        "/304" => Answer::raw("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
        "/304-with-length" => Answer::raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
        _ => Answer::text("body"),
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for (target, status) in [("/204", 204), ("/304", 304), ("/304-with-length", 304)] {
        assert_eq!(client.get(target).status(), status, "{target}");
        assert_eq!(client.get("/after").text(), "body", "after {target}");
    }
}

#[test]
fn a_response_to_head_keeps_its_length_and_has_no_body() {
    let upstream = Upstream::http(|_| Answer::text("nine bytes"));
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for _ in 0..3 {
        let answer = client.ask("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.field("content-length"), Some("10"));
        assert_eq!(client.get("/").text(), "nine bytes");
    }
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn a_chunked_head_response_does_not_confuse() {
    let upstream = Upstream::http(|request| match request.method() {
        "HEAD" => Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        _ => Answer::text("body"),
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(
            client.ask("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").status(),
            200
        );
        assert_eq!(client.get("/").text(), "body");
    }
}

#[test]
fn a_get_with_a_body_is_carried_whole() {
    let upstream = Upstream::http(|request| Answer::text(request.text()));
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    let get = "GET / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nquery";
    for _ in 0..2 {
        assert_eq!(client.ask(get).text(), "query");
    }
}

#[test]
fn pieces_of_a_response_are_passed_on_as_they_come() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let upstream = Upstream::scripted(move |mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        gone.lock().unwrap().recv().unwrap();
        connection.send("6\r\nsecond\r\n0\r\n\r\n");
        let _ = connection.read_to_end();
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let head = client.read_head().unwrap();
    let framing = head.response_framing("GET").unwrap();
    let mut body = Vec::new();
    client
        .read_body(framing, |bytes| {
            body.extend_from_slice(bytes);
            if body == b"first" {
                go.send(()).unwrap();
            }
        })
        .unwrap();
    assert_eq!(body, b"firstsecond");
}

/// Around the sizes where a proxy changes its way of moving bytes.
const SIZES: [usize; 11] = [
    1, 15_000, 70_000, 140_000, 200_000, 250_000, 300_000, 350_000, 450_000, 600_000, 2_000_000,
];

#[test]
fn responses_of_every_size_follow_each_other_on_one_connection() {
    for size in SIZES {
        // A fresh proxy for each: what the kernel learned of a connection changes how bytes come.
        let upstream = Upstream::http(move |_| Answer::new(200, "", &vec![b's'; size]));
        let proxy = Settings::http_to(&[&upstream]).start();
        let mut client = proxy.client();
        for round in 0..20 {
            client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
            let got = client.try_response().map(|answer| answer.body.len());
            assert_eq!(got, Ok(size), "{size} bytes, round {round}");
        }
        assert_eq!(upstream.accepted(), 1);
    }
}

#[test]
fn uploads_of_every_size_follow_each_other_on_one_connection() {
    for size in SIZES {
        let upstream = Upstream::http(|request| Answer::text(request.body.len().to_string()));
        let proxy = Settings::http_to(&[&upstream]).start();
        let mut client = proxy.client();
        for round in 0..20 {
            client.send(format!(
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
            ));
            client.send(vec![b'u'; size]);
            let got = client.try_response().map(|answer| answer.text());
            assert_eq!(got, Ok(size.to_string()), "{size} bytes, round {round}");
        }
        assert_eq!(upstream.accepted(), 1);
    }
}
