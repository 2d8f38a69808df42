//! The access log: a worker writes compact records into its own ring, a log thread formats them.
//!
//! The worker's share is kept to two copies: the numbers, packed, and the texts, encoded when the
//! head was parsed. Names of listeners and backends travel as slots and are looked up by the log
//! thread; those of routes and shard rules have no slots and travel as they are. A record that does
//! not fit is dropped whole and counted: serving goes before logging.
//! Records of one core stay in order; between cores lines may be out of order by one poll.

pub mod escape;
pub mod format;
pub mod frame;
pub mod stamp;

use std::net::SocketAddr;

use rtrb::Producer;

use crate::base::fault::Fault;
use crate::base::id::{BackendSlot, ListenerSlot};
use crate::base::limits::LOG_TEXT_BYTES_MAX;
use crate::telemetry::access_log::frame::{HEADER_BYTES, Texts, encode_header};

/// The numbers of one finished exchange (or one finished TCP connection: status 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
/// once at parse time, because the request's bytes are gone when its response ends. Each text is
/// cut at [`LOG_TEXT_BYTES_MAX`].
#[inline]
pub fn encode_texts(out: &mut Vec<u8>, texts: &Texts<'_>) {
    let Texts {
        method,
        target,
        host,
        user_agent,
        referer,
        route,
        shard,
    } = *texts;
    for text in [method, target, host, user_agent, referer, route, shard] {
        let length = text.len().min(LOG_TEXT_BYTES_MAX);
        // LOG_TEXT_BYTES_MAX fits, which frame.rs asserts.
        out.extend_from_slice(&(length as u16).to_le_bytes());
        out.extend_from_slice(&text[..length]);
    }
}

/// The `X-Request-Id` of a request, and what the log shows for it: its number in hexadecimal.
#[must_use]
pub fn request_id(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|position| DIGITS[(number >> (60 - 4 * position) & 0xf) as usize])
}

/// A worker's end of the log.
pub struct AccessLogSender {
    ring: Producer<u8>,
    sample: u32,
    /// Records of good ends until the next one that is kept.
    until_next: u32,
}

/// Whether a record is kept whatever the sample: nobody looks for what went well.
fn is_failure(record: &AccessRecord) -> bool {
    record.fault.is_some() || record.status >= 500
}

impl AccessLogSender {
    /// A sender into `ring` that keeps one of `sample` records, and all that tell of a failure.
    #[must_use]
    pub fn new(ring: Producer<u8>, sample: u32) -> Self {
        AccessLogSender {
            ring,
            sample,
            until_next: 1,
        }
    }

    /// Queues one record with its texts (see [`encode_texts`]; empty if there are none), unless the
    /// sample leaves it out. Returns false, and queues nothing, when the ring is full: the caller
    /// counts the drop.
    #[must_use]
    #[inline]
    pub fn push(&mut self, record: &AccessRecord, texts: &[u8]) -> bool {
        if self.sample > 1 && !is_failure(record) {
            self.until_next -= 1;
            if self.until_next > 0 {
                return true;
            }
            self.until_next = self.sample;
        }
        let total = HEADER_BYTES + texts.len();
        // The cached figure spares the reader's cache line; it can only be too low.
        if self.ring.cached_slots() < total && self.ring.slots() < total {
            return false;
        }
        let Ok(total) = u32::try_from(total) else {
            return false;
        };
        // Room for both was just seen and only this end takes room away, so neither part fails;
        // a reader that sees the first part waits for the number of bytes it announces.
        let header = encode_header(record, total);
        self.ring.push_entire_slice(&header).is_ok() && self.ring.push_entire_slice(texts).is_ok()
    }
}

#[cfg(test)]
pub(super) mod tests;
