//! Responses: framing by method and status, what the client is told, and our own answers.

use super::super::*;

const EDITS: ResponseEdits<'_> = ResponseEdits {
    own: &[],
    method: Method::Get,
    client: Version::Http11,
    close: false,
    output: Output::Raw,
    via: None,
    request_id: None,
    date: None,
    upgrade: false,
};

fn with_head<T>(lines: &str, look: impl FnOnce(&ResponseHead<'_, '_>) -> T) -> T {
    let bytes = format!("{}\r\n", lines.replace('\n', "\r\n"));
    let mut storage = FieldStorage::new();
    match parse_response(bytes.as_bytes(), &HeadLimits::default(), &mut storage) {
        Parsed::Complete(head) => look(&head),
        other => panic!("{bytes:?} gives {other:?}"),
    }
}

#[track_caller]
fn check(lines: &str, edits: &ResponseEdits<'_>, expected: &str) {
    let out = with_head(lines, |head| {
        let mut out = Vec::new();
        write_response(&mut out, head, edits);
        String::from_utf8(out).unwrap()
    });
    assert_eq!(out, format!("{}\r\n", expected.replace('\n', "\r\n")));
}

#[test]
fn length_is_kept_and_hop_by_hop_dropped() {
    check(
        "HTTP/1.0 200 Fine\nServer: s\nContent-Length: 005\nConnection: x-a\nX-A: 1\nTrailer: t\n",
        &EDITS,
        "HTTP/1.1 200 Fine\nServer: s\nContent-Length: 5\n",
    );
    let repeated = "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5, 5\n";
    check(repeated, &EDITS, "HTTP/1.1 200 OK\nContent-Length: 5\n");
}

#[test]
fn chunked_for_new_clients_and_close_for_old() {
    let head = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: t\n";
    let chunked = ResponseEdits {
        output: Output::Chunked,
        ..EDITS
    };
    check(
        head,
        &chunked,
        "HTTP/1.1 200 OK\nTrailer: t\nTransfer-Encoding: chunked\n",
    );
    let old = ResponseEdits {
        client: Version::Http10,
        ..EDITS
    };
    check(head, &old, "HTTP/1.1 200 OK\nConnection: close\n");
    check(
        "HTTP/1.1 200 OK\n",
        &EDITS,
        "HTTP/1.1 200 OK\nConnection: close\n",
    );
    check(
        "HTTP/1.1 200 OK\nContent-Length: 1\n",
        &old,
        "HTTP/1.1 200 OK\nContent-Length: 1\nConnection: keep-alive\n",
    );
}

#[test]
fn framing_by_method_and_status() {
    let framing = |lines: &str, method| with_head(lines, |head| head.framing(method));
    let chunked = "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n";
    assert_eq!(framing(chunked, Method::Get), Framing::Chunked);
    assert_eq!(framing(chunked, Method::Head), Framing::Empty);
    for status in [100, 101, 103, 204, 304] {
        let lines = format!("HTTP/1.1 {status} x\nContent-Length: 5\n");
        assert_eq!(framing(&lines, Method::Get), Framing::Empty);
    }
    assert_eq!(
        framing("HTTP/1.1 205 x\nContent-Length: 0\n", Method::Get),
        Framing::Length(0)
    );
    assert_eq!(framing("HTTP/1.1 200\n", Method::Post), Framing::UntilClose);
}

#[test]
fn bodiless_responses() {
    let head = ResponseEdits {
        method: Method::Head,
        ..EDITS
    };
    check(
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n",
        &head,
        "HTTP/1.1 200 OK\n",
    );
    let known = "HTTP/1.1 200 OK\nContent-Length: 5\n";
    check(known, &head, known);
    let unmodified = "HTTP/1.1 304 Not Modified\nContent-Length: 5\n";
    check(unmodified, &EDITS, unmodified);
    check(
        "HTTP/1.1 204 x\nContent-Length: 5\n",
        &EDITS,
        "HTTP/1.1 204 x\n",
    );
    assert!(!with_head("HTTP/1.1 204 x\nContent-Length: 5\n", |head| {
        head.keeps_alive()
    }));
    assert!(with_head("HTTP/1.1 204 x\nContent-Length: 0\n", |head| {
        head.keeps_alive()
    }));
    let close = ResponseEdits {
        close: true,
        ..EDITS
    };
    check(
        "HTTP/1.1 103 Early\nLink: x\n",
        &close,
        "HTTP/1.1 103 Early\nLink: x\n",
    );
}

#[test]
fn upgrades() {
    let switch = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n";
    assert!(with_head(switch, |head| head.upgrade().is_some()
        && !head.is_interim()));
    let agreed = ResponseEdits {
        upgrade: true,
        ..EDITS
    };
    check(
        switch,
        &agreed,
        "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: websocket\n",
    );
    let plain = "HTTP/1.1 200 OK\nUpgrade: websocket\nConnection: Upgrade\nContent-Length: 2\n";
    assert!(with_head(plain, |head| head.upgrade().is_none()));
    check(plain, &agreed, "HTTP/1.1 200 OK\nContent-Length: 2\n");
    let required = "HTTP/1.1 426 x\nUpgrade: TLS/1.2\nConnection: upgrade\nContent-Length: 0\n";
    check(
        required,
        &EDITS,
        "HTTP/1.1 426 x\nContent-Length: 0\nConnection: upgrade\nUpgrade: TLS/1.2\n",
    );
}

#[test]
fn additions() {
    let edits = ResponseEdits {
        via: Some("weir"),
        request_id: Some(b"ours"),
        date: Some(b"today"),
        close: true,
        ..EDITS
    };
    check(
        "HTTP/1.1 200\nContent-Length: 0\nX-Request-Id: theirs\n",
        &edits,
        "HTTP/1.1 200 OK\nContent-Length: 0\nConnection: close\nVia: 1.1 weir\n\
         X-Request-Id: ours\nDate: today\n",
    );
    let dated = "HTTP/1.1 200 OK\nDate: a\nDate: b\nContent-Length: 0\n";
    check(
        dated,
        &ResponseEdits {
            date: Some(b"today"),
            ..EDITS
        },
        dated,
    );
}

#[test]
fn refusals() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nX: y\r\n\r\n",
    ] {
        let mut storage = FieldStorage::new();
        let parsed = parse_response(bytes.as_bytes(), &HeadLimits::default(), &mut storage);
        assert!(
            matches!(parsed, Parsed::Refused(_)),
            "{bytes:?} gives {parsed:?}"
        );
    }
}

#[test]
fn answers_are_complete_responses() {
    let answer = Answer {
        own: &[],
        status: 405,
        detail: "no such method here",
        close: true,
        head_only: false,
        retry_after: Some(3),
        request_id: Some(b"id"),
        version: Version::Http11,
    };
    for (status, head_only, close) in [
        (405, false, true),
        (503, true, false),
        (204, false, false),
        (299, false, false),
    ] {
        let mut out = Vec::new();
        write_answer(
            &mut out,
            &Answer {
                status,
                head_only,
                close,
                ..answer
            },
            b"today",
        );
        let mut storage = FieldStorage::new();
        let parsed = parse_response(&out, &HeadLimits::default(), &mut storage);
        let Parsed::Complete(head) = parsed else {
            panic!("{parsed:?}")
        };
        let method = if head_only { Method::Head } else { Method::Get };
        let body = (out.len() - head.head_len()) as u64;
        match head.framing(method) {
            Framing::Length(length) => assert_eq!(length, body),
            Framing::Empty => assert_eq!(body, 0),
            other => panic!("{other:?}"),
        }
        assert_eq!(head.keeps_alive(), !close);
        assert_eq!(head.field("allow").is_some(), matches!(status, 204 | 405));
    }
    let mut out = Vec::new();
    let plain = Answer {
        detail: "",
        retry_after: None,
        request_id: None,
        ..answer
    };
    write_answer(
        &mut out,
        &Answer {
            status: 404,
            version: Version::Http10,
            close: false,
            ..plain
        },
        b"today",
    );
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "HTTP/1.1 404 Not Found\r\nDate: today\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: 14\r\nCache-Control: no-store\r\nConnection: keep-alive\r\n\r\n\
         404 Not Found\n"
    );
}
