//! Reading answers as they come, in whatever pieces: HTTP/1.1 responses, or so many bytes.
//!
//! HTTP is judged by weir's own parser: what that refuses counts as a bad answer.

use crate::http::{
    Body, BodyLimits, FieldStorage, HeadLimits, Method, Output, Parsed, parse_response,
};

/// What is expected.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// So many bytes.
    Bytes(usize),
    /// A response to a request of this method.
    Response(Method),
}

/// What came of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Nothing that was expected.
    Bad,
    /// The whole answer: its status (0 where there is none), and whether the connection stays.
    Done(u16, bool),
    /// A part of it.
    Part,
}

/// The answer to one request, as far as it has come. An idle one owns no memory.
#[derive(Default)]
pub(super) struct Answer {
    /// Bytes so far, where bytes are expected.
    count: usize,
    /// A head that has not come wholly.
    stash: Vec<u8>,
    body: Option<Box<Rest>>,
}

struct Rest {
    body: Body,
    status: u16,
    stays: bool,
}

const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 64 * 1024,
    fields: 100,
    target_bytes: 1,
};

impl Answer {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8], expected: Expected) -> Came {
        match expected {
            Expected::Bytes(wanted) => {
                self.count += bytes.len();
                match self.count.cmp(&wanted) {
                    std::cmp::Ordering::Less => Came::Part,
                    std::cmp::Ordering::Equal => self.done(0, true),
                    std::cmp::Ordering::Greater => Came::Bad,
                }
            }
            Expected::Response(_) if self.body.is_some() => self.feed_body(bytes),
            Expected::Response(method) => {
                if self.stash.is_empty() {
                    return self.feed_head(bytes, method);
                }
                let mut whole = std::mem::take(&mut self.stash);
                whole.extend_from_slice(bytes);
                self.feed_head(&whole, method)
            }
        }
    }

    /// The other side has closed.
    pub(super) fn end(&mut self) -> Came {
        let Some(mut rest) = self.body.take() else {
            return Came::Bad;
        };
        match rest.body.finish_at_eof(&mut Vec::new()) {
            Ok(()) => Came::Done(rest.status, false),
            Err(_) => Came::Bad,
        }
    }

    fn feed_head(&mut self, bytes: &[u8], method: Method) -> Came {
        let mut storage = FieldStorage::new();
        let (head_len, rest) = match parse_response(bytes, &LIMITS, &mut storage) {
            Parsed::Refused(_) => return Came::Bad,
            Parsed::Partial => {
                self.stash = bytes.to_vec();
                return Came::Part;
            }
            Parsed::Complete(head) => {
                let limits = BodyLimits {
                    body_bytes: u64::MAX,
                    trailer_bytes: 64 * 1024,
                };
                let rest = Rest {
                    body: Body::new(head.framing(method), Output::Raw, limits),
                    status: head.status(),
                    stays: head.keeps_alive(),
                };
                (head.head_len(), (!head.is_interim()).then_some(rest))
            }
        };
        let after = &bytes[head_len..];
        match rest {
            // What is only on its way (1xx) is followed by the answer.
            None if after.is_empty() => Came::Part,
            None => self.feed_head(after, method),
            Some(rest) => {
                self.body = Some(Box::new(rest));
                self.feed_body(after)
            }
        }
    }

    fn feed_body(&mut self, bytes: &[u8]) -> Came {
        let Some(rest) = &mut self.body else {
            return Came::Bad;
        };
        let used = if rest.body.is_verbatim() {
            rest.body.take_verbatim(bytes.len())
        } else {
            match rest.body.transcode(bytes, &mut Vec::new()) {
                Ok(used) => used,
                Err(_) => return Came::Bad,
            }
        };
        match rest.body.is_done() {
            // Only one answer was asked for.
            true if used < bytes.len() => Came::Bad,
            true => {
                let (status, stays) = (rest.status, rest.stays);
                self.done(status, stays)
            }
            false => Came::Part,
        }
    }

    fn done(&mut self, status: u16, stays: bool) -> Came {
        *self = Answer::default();
        Came::Done(status, stays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Expected = Expected::Response(Method::Get);

    /// What came at last, fed in pieces of so many bytes.
    fn fed(text: &str, piece: usize, expected: Expected) -> Came {
        let mut answer = Answer::default();
        let mut last = Came::Part;
        for bytes in text.as_bytes().chunks(piece) {
            assert_eq!(last, Came::Part, "{text:?} in pieces of {piece}");
            last = answer.feed(bytes, expected);
        }
        last
    }

    #[test]
    fn answers_are_whole_in_whatever_pieces_they_come() {
        let answers = [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                200,
                true,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, true),
            (
                "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                503,
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                200,
                true,
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nx",
                201,
                true,
            ),
        ];
        for (text, status, stays) in answers {
            for piece in [1, 2, 7, 1000] {
                assert_eq!(fed(text, piece, GET), Came::Done(status, stays), "{text:?}");
            }
        }
        let head = Expected::Response(Method::Head);
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(fed(text, 9, head), Came::Done(200, true));
        assert_eq!(fed("abcdef", 4, Expected::Bytes(6)), Came::Done(0, true));
    }

    #[test]
    fn what_was_not_asked_for_is_bad() {
        assert_eq!(fed("nonsense\r\n\r\n", 100, GET), Came::Bad);
        let two = "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 204 No\r\n\r\n";
        assert_eq!(fed(two, 1000, GET), Came::Bad);
        assert_eq!(fed("abc", 3, Expected::Bytes(2)), Came::Bad);
    }

    #[test]
    fn an_end_is_an_answer_only_where_it_can_be() {
        let mut answer = Answer::default();
        assert_eq!(answer.end(), Came::Bad);
        let text = b"HTTP/1.0 200 OK\r\n\r\nuntil the end";
        assert_eq!(answer.feed(text, GET), Came::Part);
        assert_eq!(answer.end(), Came::Done(200, false));
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel";
        assert_eq!(answer.feed(text, GET), Came::Part);
        assert_eq!(answer.end(), Came::Bad);
    }
}
