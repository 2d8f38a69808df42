//! Tests over the whole layer.

mod mutation;
mod vectors;

use super::*;

const EDITS: RequestEdits<'_> = RequestEdits {
    forwarding: Forwarding::XForwarded,
    trust_forwarded: false,
    client: "192.0.2.1",
    proto: "http",
    via: None,
    request_id: None,
};

fn forward(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut storage = FieldStorage::new();
    match parse_request(bytes, &HeadLimits::default(), &mut storage) {
        Parsed::Complete(head) => {
            let mut out = Vec::new();
            write_request(&mut out, &head, &EDITS);
            Ok(out)
        }
        Parsed::Partial => Err(Refusal {
            status: 0,
            reason: "partial",
        }),
        Parsed::Refused(refusal) => Err(refusal),
    }
}

#[test]
fn forwards_a_plain_request() {
    let out = forward(b"GET /a?b HTTP/1.1\r\nHost: a\r\nX:  y \r\nAccept: */*\r\n\r\n").unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\nAccept: */*\r\n\
         X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\r\n"
    );
}
