//! The access log: a worker writes compact records into its own ring, a log thread formats them.
//! The decision log and the spans of traces are made of the same records.
//!
//! The worker's share is kept to few copies: the texts, put together when the head was parsed, and
//! all of it, with the numbers before them, into the ring. Names of listeners and backends travel
//! as slots and are looked up by the log thread; those of routes and shard rules have no slots and
//! travel as they are. A record that does not fit is dropped whole and counted: serving goes before
//! logging.
//! Records of one core stay in order; between cores lines may be out of order by one poll.

pub mod batch;
pub mod draft;
pub mod ending;
pub mod escape;
pub mod format;
pub mod frame;
mod httplog;
pub mod names;
pub mod room;
pub mod stamp;

use std::net::SocketAddr;

use rtrb::Producer;

use crate::base::decision::Reason;
use crate::base::fault::Fault;
use crate::base::id::{BackendSlot, ListenerSlot};
use crate::telemetry::access_log::draft::Draft;
use crate::telemetry::access_log::frame::encode_header;

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
    /// From its first byte to the end of its head.
    pub head_micros: u64,
    /// What it waited for room at a backend.
    pub queue_micros: u64,
    /// From hand-over to the connection that took it; none if none did.
    pub connect_micros: Option<u64>,
    /// From its first byte to its hand-over to the backend it was with last.
    pub handed_micros: u64,
    /// How far it came.
    pub reached: Reached,
    /// How its backend was chosen.
    pub choice: Choice,
    /// Who is to be told of it.
    pub readers: Readers,
    /// What became of the cookie by which clients stay with a backend.
    pub stickiness: Stickiness,
    /// Epoch the request was routed with.
    pub epoch: u64,
    /// What went wrong, if something did.
    pub fault: Option<Fault>,
    /// Number of the request on this node, the same as in `X-Request-Id`; 0 if none was given.
    pub request_number: u64,
}

/// How far an exchange came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reached {
    /// Its head was read, as far as it could be.
    Head,
    /// It waited for room at a backend.
    Queue,
    /// It had a backend, and no connection to it.
    Connect,
    /// It was with its backend, which had not answered.
    Answer,
    /// The answer had begun.
    Body,
    /// All of it, or all of our own answer.
    End,
}

impl Reached {
    /// All of them, in the order of their numbers.
    pub const ALL: [Reached; 6] = [
        Reached::Head,
        Reached::Queue,
        Reached::Connect,
        Reached::Answer,
        Reached::Body,
        Reached::End,
    ];
}

/// How a backend was chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Hash of the key it was placed by.
    pub key: Option<u64>,
    /// What chose.
    pub reason: Reason,
    /// Number of the policy.
    pub policy: u8,
    /// Backends of the group.
    pub candidates: u32,
    /// Backends tried, the last one included.
    pub tried: u8,
}

/// Who is to be told of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readers {
    /// The access log.
    pub line: bool,
    /// The decision log.
    pub decision: bool,
    /// The collector of traces: its context stands among the texts.
    pub spans: bool,
}

impl Readers {
    fn any(self) -> bool {
        self.line || self.decision || self.spans
    }
}

/// What became of the cookie by which clients stay with a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stickiness {
    /// The group looks at one.
    pub looked: bool,
    /// The client named a backend.
    pub named: bool,
    /// It was served by another than that.
    pub moved: bool,
}

/// What a worker tells the log thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// One of so many records for the access log, and all that tell of a failure; none if there
    /// is no access log.
    pub lines: Option<u32>,
    /// Every record for the decision log.
    pub decisions: bool,
}

/// A worker's end of the log.
pub struct AccessLogSender {
    ring: Producer<u8>,
    telling: Telling,
    /// Records of good ends until the next one the access log keeps.
    until_next: u32,
}

/// Whether a record is kept whatever the sample: nobody looks for what went well.
fn is_failure(record: &AccessRecord) -> bool {
    record.fault.is_some() || record.status >= 500
}

impl AccessLogSender {
    /// A sender into `ring`.
    #[must_use]
    pub fn new(ring: Producer<u8>, telling: Telling) -> Self {
        AccessLogSender {
            ring,
            telling,
            until_next: 1,
        }
    }

    /// Whether every record is a decision somebody reads.
    #[must_use]
    pub fn tells_decisions(&self) -> bool {
        self.telling.decisions
    }

    /// Whether anything may be told of a request whose trace is recorded or not. That a sample of
    /// the access log leaves it out is known at its end only, because failures are kept.
    #[inline]
    #[must_use]
    pub fn may_tell(&self, traced: bool) -> bool {
        traced || self.telling.decisions || self.telling.lines.is_some()
    }

    /// Whether the access log has this one.
    #[inline]
    fn has_line(&mut self, record: &AccessRecord) -> bool {
        match self.telling.lines {
            None => false,
            Some(sample) if sample > 1 && !is_failure(record) => {
                self.until_next -= 1;
                if self.until_next > 0 {
                    return false;
                }
                self.until_next = sample;
                true
            }
            Some(_) => true,
        }
    }

    /// Queues one record with the texts in `draft`, unless nobody is to be told of it; its
    /// `readers` say whether the collector of traces is. Returns false, and queues nothing, when
    /// the ring is full: the caller counts the drop.
    #[must_use]
    #[inline]
    pub fn push(&mut self, record: &AccessRecord, draft: &mut Draft) -> bool {
        let readers = Readers {
            line: self.has_line(record),
            decision: self.telling.decisions && record.status != 0,
            spans: record.readers.spans,
        };
        if !readers.any() {
            return true;
        }
        let Ok(total) = u32::try_from(draft.len()) else {
            return false;
        };
        let whole = draft.finish(|numbers| encode_header(numbers, (record, readers), total));
        self.ring.push_entire_slice(whole).is_ok()
    }
}

#[cfg(test)]
pub(crate) mod tests;
