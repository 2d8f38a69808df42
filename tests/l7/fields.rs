//! Which fields pass, which end here.

use crate::support::{Answer, Settings, Upstream};

#[test]
fn end_to_end_fields_pass_in_order_and_unchanged() {
    let upstream = Upstream::http(|_| {
        let fields = "Set-Cookie: a=1; Path=/\r\nX-Mixed-Case: Kept As Is\r\nSet-Cookie: b=2\r\n";
        Answer::new(200, fields, b"")
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let answer = proxy.client().ask(
        "GET /a%2Fb/../c?q=%20&x=/ HTTP/1.1\r\nHost: Example.ORG:8080\r\nCookie: s=1\r\n\
         X-One: 1\r\nAccept: */*\r\nX-One: 2\r\nX-Latin: caf\u{e9}\r\nX-Empty:\r\n\r\n",
    );
    assert_eq!(answer.all("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert_eq!(answer.field("x-mixed-case"), Some("Kept As Is"));
    let request = upstream.only_request();
    assert_eq!(request.target(), "/a%2Fb/../c?q=%20&x=/");
    assert_eq!(request.field("host"), Some("Example.ORG:8080"));
    assert_eq!(request.all("x-one"), ["1", "2"]);
    assert_eq!(request.field("cookie"), Some("s=1"));
    assert_eq!(request.field("x-latin").unwrap().chars().count(), 5);
    assert_eq!(request.field("x-empty"), Some(""));
}

#[test]
fn hop_by_hop_request_fields_end_here() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    proxy.client().ask(
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, X-Private, TE\r\n\
         X-Private: secret\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
         Proxy-Authorization: Basic eA==\r\nTE: trailers\r\nX-Public: stays\r\n\r\n",
    );
    let request = upstream.only_request();
    for name in [
        "x-private",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
    ] {
        assert!(!request.has(name), "{name} in {request:?}");
    }
    assert!(!request.connection("x-private"));
    assert_eq!(request.field("x-public"), Some("stays"));
}

#[test]
fn connection_cannot_remove_what_the_message_needs() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: test\r\nConnection: Host, Content-Length\r\n\
         Content-Length: 4\r\n\r\nbody",
    );
    if client.response().status() == 200 {
        let request = upstream.only_request();
        assert_eq!(request.field("host"), Some("test"));
        assert_eq!(request.body, b"body");
    } else {
        assert_eq!(upstream.request_count(), 0);
    }
}

#[test]
fn hop_by_hop_response_fields_end_here() {
    let upstream = Upstream::http(|_| {
        let fields = "Connection: X-Private\r\nX-Private: secret\r\nKeep-Alive: timeout=5\r\n\
                      Proxy-Authenticate: Basic\r\nX-Public: stays\r\n";
        Answer::new(200, fields, b"ok")
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let answer = proxy.client().get("/");
    for name in ["x-private", "keep-alive"] {
        assert!(!answer.has(name), "{name} in {answer:?}");
    }
    assert_eq!(answer.field("x-public"), Some("stays"));
}

#[test]
fn underscore_twins_of_framing_fields_do_not_pass() {
    // A backend that folds `_` to `-` (CGI, WSGI) would believe them.
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: test\r\nContent_Length: 99\r\nTransfer_Encoding: chunked\r\n\
         X_Forwarded_For: 1.2.3.4\r\nContent-Length: 2\r\n\r\nhi",
    );
    client.response();
    for request in upstream.requests() {
        for name in ["content_length", "transfer_encoding", "x_forwarded_for"] {
            assert!(!request.has(name), "{name} in {request:?}");
        }
    }
}

#[test]
fn h2c_is_never_forwarded() {
    let upstream = Upstream::named("plain");
    let proxy = Settings::http_to(&[&upstream]).start();
    let answer = proxy.client().ask(
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    );
    assert_eq!((answer.status(), answer.text()), (200, "plain".to_owned()));
    let request = upstream.only_request();
    for name in ["upgrade", "http2-settings"] {
        assert!(!request.has(name), "{name} in {request:?}");
    }
}

#[test]
fn an_absolute_target_decides_the_host() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    let answer = proxy
        .client()
        .ask("GET http://a.example/path?q HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(answer.status(), 200);
    let request = upstream.only_request();
    assert_eq!(
        (request.target(), request.field("host")),
        ("/path?q", Some("a.example"))
    );
}

#[test]
fn a_response_without_date_gets_one() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    let answer = proxy.client().get("/");
    let date = answer
        .field("date")
        .expect("RFC 9110 6.6.1: a proxy with a clock adds it");
    assert!(date.ends_with(" GMT"), "{date:?}");
}
