//! Requests: what is forwarded, byte for byte, and what is refused with which status.

mod bodies;
mod mutation;
mod properties;
mod responses;
mod vectors;

use super::*;

const EDITS: RequestEdits<'_> = RequestEdits {
    forwarding: Forwarding::None,
    trust_forwarded: false,
    client: "192.0.2.1",
    proto: "http",
    via: None,
    request_id: None,
    trace: None,
};

const TRUSTED: RequestEdits<'_> = RequestEdits {
    trust_forwarded: true,
    ..EDITS
};

fn with_head<T>(bytes: &str, look: impl FnOnce(&RequestHead<'_, '_>) -> T) -> T {
    let mut storage = FieldStorage::new();
    match parse_request(bytes.as_bytes(), &HeadLimits::default(), &mut storage) {
        Parsed::Complete(head) => look(&head),
        other => panic!("{bytes:?} gives {other:?}"),
    }
}

fn forward(bytes: &str, edits: &RequestEdits<'_>) -> String {
    with_head(bytes, |head| {
        let mut out = Vec::new();
        write_request(&mut out, head, edits);
        String::from_utf8(out).unwrap()
    })
}

fn refusal(bytes: &str) -> Refusal {
    let mut storage = FieldStorage::new();
    match parse_request(bytes.as_bytes(), &HeadLimits::default(), &mut storage) {
        Parsed::Refused(refusal) => refusal,
        other => panic!("{bytes:?} gives {other:?}"),
    }
}

/// A GET of `/` with these further field lines, and what of them is forwarded.
#[track_caller]
fn check_fields(sent: &str, edits: &RequestEdits<'_>, forwarded: &str) {
    let lines = |fields: &str| fields.replace('\n', "\r\n");
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", lines(sent));
    let expected = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", lines(forwarded));
    assert_eq!(forward(&request, edits), expected);
}

#[test]
fn fields_pass_in_order_and_trimmed() {
    check_fields(
        "X:  y \nAccept:*/*\nE:\nB: 1\n",
        &EDITS,
        "X: y\nAccept: */*\nE: \nB: 1\n",
    );
    check_fields("X:\ty\nX: z\n", &EDITS, "X: y\nX: z\n");
}

#[test]
fn hop_by_hop_fields_stop_here() {
    check_fields(
        "Connection: close, X-A\nX-A: 1\nx-b: 2\n",
        &EDITS,
        "x-b: 2\n",
    );
    check_fields(
        "Keep-Alive: 5\nTE: trailers\nProxy-Connection: x\n",
        &EDITS,
        "",
    );
    check_fields("Proxy-Authorization: x\nProxy: x\nTrailer: y\n", &EDITS, "");
}

#[test]
fn a_nomination_cannot_remove_what_all_need() {
    check_fields(
        "Connection: Cookie, authorization, Host, Content-Length\nCookie: a\nAuthorization: b\n\
         Content-Length: 0\n",
        &EDITS,
        "Cookie: a\nAuthorization: b\nContent-Length: 0\n",
    );
}

#[test]
fn too_many_nominations_are_refused() {
    let options = "x,".repeat(33);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {options}\r\n\r\n");
    assert_eq!(refusal(&request).reason, "connection-options");
}

#[test]
fn underscore_twins_are_dropped() {
    check_fields(
        "Content_Length: 5\nX_Forwarded_For: 1\nx-forwarded_prefix: 1\nX_Request-Id: 1\nmy_x: 1\n",
        &TRUSTED,
        "my_x: 1\n",
    );
}

#[test]
fn forwarding_fields_of_strangers_are_replaced() {
    let sent = "X-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: https\nX-Real-IP: 6\n\
                X-Forwarded-Host: h\nForwarded: for=6\n";
    check_fields(sent, &EDITS, "");
    check_fields(
        sent,
        &RequestEdits {
            forwarding: Forwarding::XForwarded,
            ..EDITS
        },
        "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: http\n",
    );
    check_fields(
        sent,
        &RequestEdits {
            forwarding: Forwarding::Forwarded,
            client: "2001:db8::1",
            ..EDITS
        },
        "Forwarded: for=\"[2001:db8::1]\";proto=http\n",
    );
}

#[test]
fn forwarding_fields_of_our_proxies_are_extended() {
    let sent = "X-Forwarded-For: 1.1.1.1\nX-Forwarded-For: 2.2.2.2\nX-Forwarded-Proto: https\n\
                X-Real-IP: 1\nForwarded: for=1\n";
    check_fields(sent, &TRUSTED, sent);
    check_fields(
        sent,
        &RequestEdits {
            forwarding: Forwarding::XForwarded,
            ..TRUSTED
        },
        "X-Forwarded-Proto: https\nX-Real-IP: 1\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.1\n",
    );
    check_fields(
        sent,
        &RequestEdits {
            forwarding: Forwarding::Forwarded,
            ..TRUSTED
        },
        "Forwarded: for=1, for=192.0.2.1;proto=http\n",
    );
}

#[test]
fn request_id_and_via() {
    let ours = RequestEdits {
        request_id: Some(b"ours"),
        via: Some("weir"),
        ..EDITS
    };
    check_fields("X-Request-Id: x\n", &EDITS, "X-Request-Id: x\n");
    check_fields(
        "X-Request-Id: x\n",
        &ours,
        "Via: 1.1 weir\nX-Request-Id: ours\n",
    );
    let trusted = RequestEdits {
        trust_forwarded: true,
        ..ours
    };
    check_fields(
        "X-Request-Id: x\n",
        &trusted,
        "X-Request-Id: x\nVia: 1.1 weir\n",
    );
    check_fields("", &trusted, "Via: 1.1 weir\nX-Request-Id: ours\n");
    let broken = RequestEdits {
        request_id: Some(b"a\r\nX: y"),
        ..EDITS
    };
    check_fields("", &broken, "");
}

#[test]
fn upgrade_needs_the_pair_and_is_never_h2c() {
    let offer = "Connection: keep-alive, Upgrade\nUpgrade: websocket\n";
    check_fields(offer, &EDITS, "Connection: upgrade\nUpgrade: websocket\n");
    check_fields("Upgrade: websocket\n", &EDITS, "");
    check_fields("Connection: upgrade\n", &EDITS, "");
    for protocol in ["h2c", "H2C", "websocket, h2c", "h2", "xh2c", ""] {
        check_fields(
            &format!("Connection: upgrade\nUpgrade: {protocol}\n"),
            &EDITS,
            "",
        );
    }
    let old = "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(
        with_head(old, |head| head.upgrade().map(<[u8]>::to_vec)),
        None
    );
}

#[test]
fn target_forms() {
    let line = |request: &str| {
        forward(request, &EDITS)
            .split("\r\n")
            .take(2)
            .collect::<Vec<_>>()
            .join(" | ")
    };
    let absolute = |target: &str| line(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_eq!(
        absolute("http://a:81/x?y"),
        "GET /x?y HTTP/1.1 | Host: a:81"
    );
    assert_eq!(absolute("HTTP://a"), "GET / HTTP/1.1 | Host: a");
    assert_eq!(absolute("https://a:?q"), "GET /?q HTTP/1.1 | Host: a");
    assert_eq!(absolute("//x/y"), "GET //x/y HTTP/1.1 | Host: h");
    let options = |target: &str| line(&format!("OPTIONS {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_eq!(options("*"), "OPTIONS * HTTP/1.1 | Host: h");
    assert_eq!(options("http://a"), "OPTIONS * HTTP/1.1 | Host: a");
    for bad in [
        "*",
        "a",
        "@a/",
        "ftp://a/",
        "http:///",
        "http://u@a/",
        "/a#b",
        "/?a#b",
        "/\u{e9}",
    ] {
        assert_eq!(
            refusal(&format!("GET {bad} HTTP/1.1\r\nHost: a\r\n\r\n")).status,
            400
        );
    }
}

#[test]
fn path_and_host_are_what_routing_sees() {
    with_head(
        "GET http://B.example:8080?q=/ HTTP/1.1\r\nHost: a\r\n\r\n",
        |head| {
            assert_eq!((head.path(), head.target()), (&b"/"[..], &b"?q=/"[..]));
            assert_eq!(
                (head.host(), head.authority()),
                (&b"B.example"[..], &b"B.example:8080"[..])
            );
            assert_eq!(head.field("HOST"), Some(&b"a"[..]));
        },
    );
    with_head("GET /a/b?c HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", |head| {
        assert_eq!((head.path(), head.host()), (&b"/a/b"[..], &b"[::1]"[..]));
    });
}

#[test]
fn statuses_of_refusals() {
    let long = "a".repeat(9000);
    for (line, fields, status) in [
        ("GET / HTTP/1.1", "", 400),
        ("GET / HTTP/2.0", "Host: a\r\n", 505),
        ("GET / HTTP/1.2", "Host: a\r\n", 505),
        ("GET / http/1.1", "Host: a\r\n", 400),
        ("PRI * HTTP/2.0", "", 505),
        ("CONNECT a:1 HTTP/1.1", "Host: a\r\n", 501),
        ("TRACE / HTTP/1.1", "Host: a\r\nContent-Length: 1\r\n", 400),
        ("TRACE / HTTP/1.1", "Host: a\r\nMax-Forwards: 0\r\n", 405),
        ("OPTIONS / HTTP/1.1", "Host: a\r\nMax-Forwards: 0\r\n", 204),
        ("OPTIONS / HTTP/1.1", "Host: a\r\nMax-Forwards: x\r\n", 400),
        ("GET / HTTP/1.1", "Host: a\r\nExpect: 200-maybe\r\n", 417),
        (
            "POST / HTTP/1.1",
            "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
            501,
        ),
        (
            "POST / HTTP/1.1",
            "Host: a\r\nTransfer-Encoding: gzip\r\n",
            400,
        ),
        (&format!("GET /{long} HTTP/1.1"), "Host: a\r\n", 414),
        (&format!("GET /{long}{long} HTTP/1.1"), "Host: a\r\n", 414),
        (
            "GET / HTTP/1.1",
            &format!("Host: a\r\nX: {long}{long}\r\n"),
            431,
        ),
        ("GET / HTTP/1.1", &"A: b\r\n".repeat(101), 431),
    ] {
        assert_eq!(
            refusal(&format!("{line}\r\n{fields}\r\n")).status,
            status,
            "{line} {fields}"
        );
    }
    let fold = refusal("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n");
    assert_eq!(
        fold,
        Refusal {
            status: 400,
            reason: "obs-fold"
        }
    );
    assert_eq!(
        refusal("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n").reason,
        "bare-lf"
    );
}

#[test]
fn max_forwards_counts_down_for_options_only() {
    let sent = "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\n\r\n";
    assert!(forward(sent, &EDITS).contains("\r\nMax-Forwards: 6\r\n"));
    check_fields("Max-Forwards: 7\n", &EDITS, "Max-Forwards: 7\n");
}

#[test]
fn keeping_alive_and_expecting() {
    let head = |version: &str, fields: &str| {
        let text = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        with_head(&text, |head| (head.keeps_alive(), head.expects_continue()))
    };
    assert_eq!(head("1.1", ""), (true, false));
    assert_eq!(head("1.1", "Connection: x, Close\r\n"), (false, false));
    assert_eq!(head("1.0", ""), (false, false));
    assert_eq!(head("1.0", "Connection: Keep-Alive\r\n"), (true, false));
    assert_eq!(
        head("1.0", "Connection: keep-alive, close\r\n"),
        (false, false)
    );
    let expect = "Expect: 100-Continue\r\nContent-Length: 5\r\n";
    assert_eq!(head("1.1", expect), (true, true));
    assert_eq!(head("1.0", expect), (false, false));
    assert_eq!(
        head("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n"),
        (true, false)
    );
}

#[test]
fn http10_without_host_is_forwarded_with_an_empty_one() {
    let out = forward("GET / HTTP/1.0\r\n\r\n", &EDITS);
    assert_eq!(out, "GET / HTTP/1.1\r\nHost: \r\n\r\n");
}
