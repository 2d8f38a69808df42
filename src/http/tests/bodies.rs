//! Bodies: limits, ends, and what the other side gets.

use super::super::drive::feed;
use super::super::*;

const FREE: BodyLimits = BodyLimits {
    body_bytes: u64::MAX,
    trailer_bytes: 100,
};

fn run(
    input: &str,
    framing: Framing,
    output: Output,
    limits: BodyLimits,
) -> (Result<usize, Refusal>, String, bool) {
    let mut body = Body::new(framing, output, limits);
    let mut out = Vec::new();
    let result = feed(&mut body, input.as_bytes(), 4, &mut out);
    (result, String::from_utf8(out).unwrap(), body.is_done())
}

#[test]
fn chunked_to_chunked() {
    let input = "5;a=\"b\\\"c\" ; d\r\nhello\r\n0\r\nX-T:  1 \r\nSet-Cookie: x\r\n\r\nGET";
    let mut body = Body::new(Framing::Chunked, Output::Chunked, FREE);
    let mut out = Vec::new();
    let taken = body.transcode(input.as_bytes(), &mut out).unwrap();
    assert_eq!(&input[taken..], "GET");
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
    );
    assert_eq!(
        (body.is_done(), body.bytes(), body.remaining()),
        (true, 5, None)
    );
}

#[test]
fn chunked_to_raw_and_back() {
    let (_, out, done) = run(
        "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
        Framing::Chunked,
        Output::Raw,
        FREE,
    );
    assert_eq!((out.as_str(), done), ("abcd", true));
    let (taken, out, done) = run("abcdefGET", Framing::Length(6), Output::Chunked, FREE);
    assert_eq!(
        (taken, out.as_str()),
        (Ok(6), "4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n")
    );
    assert!(done);
}

#[test]
fn verbatim_stops_at_the_end() {
    let mut body = Body::new(Framing::Length(5), Output::Raw, FREE);
    assert!(body.is_verbatim() && !body.is_done());
    assert_eq!((body.take_verbatim(3), body.remaining()), (3, Some(2)));
    assert_eq!(body.take_verbatim(9), 2);
    assert_eq!(
        (body.take_verbatim(9), body.is_done(), body.bytes()),
        (0, true, 5)
    );
    assert!(Body::new(Framing::Length(0), Output::Raw, FREE).is_done());
    assert!(Body::new(Framing::Empty, Output::Raw, FREE).is_done());
}

#[test]
fn until_close_ends_at_eof_only() {
    let mut out = Vec::new();
    let mut body = Body::new(Framing::UntilClose, Output::Chunked, FREE);
    assert_eq!(body.transcode(b"abc", &mut out), Ok(3));
    assert!(!body.is_done());
    assert_eq!(body.finish_at_eof(&mut out), Ok(()));
    assert_eq!(out, b"3\r\nabc\r\n0\r\n\r\n");
    assert!(body.is_done());
}

#[test]
fn eof_elsewhere_is_truncation() {
    for (framing, input) in [
        (Framing::Length(5), "abc"),
        (Framing::Chunked, ""),
        (Framing::Chunked, "5\r\nabc"),
        (Framing::Chunked, "0\r\n"),
        (Framing::Chunked, "0\r\nX: y\r\n"),
    ] {
        let mut out = Vec::new();
        let mut body = Body::new(framing, Output::Chunked, FREE);
        assert_eq!(body.transcode(input.as_bytes(), &mut out), Ok(input.len()));
        assert_eq!(
            body.finish_at_eof(&mut out).unwrap_err().reason,
            "body-truncated"
        );
        assert!(!body.is_done() && !out.ends_with(b"0\r\n\r\n"));
    }
    let mut empty = Body::new(Framing::Length(0), Output::Chunked, FREE);
    let mut out = Vec::new();
    assert_eq!(
        (empty.finish_at_eof(&mut out), out.as_slice()),
        (Ok(()), &b"0\r\n\r\n"[..])
    );
}

#[test]
fn limits() {
    let small = BodyLimits {
        body_bytes: 4,
        trailer_bytes: 10,
    };
    let status = |input: &str, framing| {
        run(input, framing, Output::Chunked, small)
            .0
            .map_err(|refusal| refusal.status)
    };
    assert_eq!(status("4\r\nabcd\r\n0\r\n\r\n", Framing::Chunked), Ok(14));
    assert_eq!(status("5\r\nabcde\r\n", Framing::Chunked), Err(413));
    assert_eq!(status("3\r\nabc\r\n2\r\n", Framing::Chunked), Err(413));
    assert_eq!(status("abcde", Framing::Length(5)), Err(413));
    assert_eq!(status("abcde", Framing::UntilClose), Err(413));
    assert_eq!(
        status("0\r\nX: yyyyyyyyyyyyyyy\r\n\r\n", Framing::Chunked),
        Err(431)
    );
    assert!(Body::new(Framing::Length(5), Output::Raw, small).is_oversized());
    let mut open = Body::new(Framing::UntilClose, Output::Raw, small);
    open.take_verbatim(4);
    assert!(!open.is_oversized());
    open.take_verbatim(1);
    assert!(open.is_oversized());
}

#[test]
fn extensions_must_be_earned() {
    let chunk = format!("1;{}\r\nx\r\n", "a".repeat(100));
    let (result, ..) = run(&chunk.repeat(100), Framing::Chunked, Output::Raw, FREE);
    assert_eq!(result.unwrap_err().reason, "chunk-overhead");
    let tiny = format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(10_000));
    assert!(run(&tiny, Framing::Chunked, Output::Raw, FREE).0.is_ok());
}

#[test]
fn a_refused_body_stays_refused() {
    let mut body = Body::new(Framing::Chunked, Output::Raw, FREE);
    let mut out = Vec::new();
    assert!(body.transcode(b"zz\r\n", &mut out).is_err());
    assert!(body.transcode(b"0\r\n\r\n", &mut out).is_err());
    assert!(body.finish_at_eof(&mut out).is_err() && !body.is_done());
}
