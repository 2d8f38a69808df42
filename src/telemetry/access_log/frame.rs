//! The binary form of a record in its ring: a header of fixed size, then the texts.
//!
//! It never leaves the process, so it has no version and no checksum; little-endian only so that
//! the same bytes mean the same in every test. The first four bytes are the length of the whole
//! record, which is how a reader knows whether all of it has arrived.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rtrb::Consumer;

use crate::base::decision::Reason;
use crate::base::fault::Fault;
use crate::base::id::{BackendSlot, ListenerSlot};
use crate::base::limits::LOG_TEXT_BYTES_MAX;
use crate::telemetry::access_log::{AccessRecord, Choice, Reached, Readers, Stickiness};

/// Bytes of the numbers of a record.
pub const HEADER_BYTES: usize = 144;

const _: () = assert!(LOG_TEXT_BYTES_MAX <= u16::MAX as usize);

const NO_BACKEND: u32 = u32::MAX;
const NO_FAULT: u8 = u8::MAX;
const NO_TIME: u64 = u64::MAX;
const FLAG_HTTP10: u8 = 1;
const FLAG_IPV6: u8 = 2;
const FLAG_STICKY: u8 = 4;
const FLAG_NAMED: u8 = 8;
const FLAG_MOVED: u8 = 16;
const FLAG_KEY: u8 = 32;
const READS_LINE: u8 = 1;
const READS_DECISION: u8 = 2;
const READS_SPANS: u8 = 4;

/// How many texts a record has.
pub(super) const TEXTS: usize = 8;

/// The texts of a record; empty where the request had none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Texts<'a> {
    /// Request method; empty for TCP.
    pub method: &'a [u8],
    /// Request target as received.
    pub target: &'a [u8],
    /// Host as received.
    pub host: &'a [u8],
    /// `User-Agent`.
    pub user_agent: &'a [u8],
    /// `Referer`.
    pub referer: &'a [u8],
    /// Name of the route that took it.
    pub route: &'a [u8],
    /// Name of the shard rule that placed it, or refused to.
    pub shard: &'a [u8],
    /// The raw context of its trace, if it has one that is recorded.
    pub trace: &'a [u8],
}

impl<'a> Texts<'a> {
    /// All of them in the order in which a record has them.
    #[inline]
    pub(super) fn all(mut self) -> [&'a [u8]; TEXTS] {
        self.all_mut().map(|text| *text)
    }

    /// The same, to be filled.
    #[inline]
    fn all_mut(&mut self) -> [&mut &'a [u8]; TEXTS] {
        let Texts {
            method,
            target,
            host,
            user_agent,
            referer,
            route,
            shard,
            trace,
        } = self;
        [
            method, target, host, user_agent, referer, route, shard, trace,
        ]
    }
}

/// Writes the numbers of a record whose whole length is `total`, and of which `readers` are told.
#[inline]
pub(super) fn encode_header(
    out: &mut [u8; HEADER_BYTES],
    (record, readers): (&AccessRecord, Readers),
    total: u32,
) {
    let flags = flags_of(record);
    let (ip, flags) = match record.client.ip() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), flags),
        IpAddr::V6(v6) => (v6.to_bits(), flags | FLAG_IPV6),
    };
    out[0..4].copy_from_slice(&total.to_le_bytes());
    out[4..8].copy_from_slice(&record.listener.0.to_le_bytes());
    out[8..12].copy_from_slice(
        &record
            .backend
            .map_or(NO_BACKEND, |slot| slot.0)
            .to_le_bytes(),
    );
    out[12..14].copy_from_slice(&record.status.to_le_bytes());
    out[14..16].copy_from_slice(&record.client.port().to_le_bytes());
    out[16] = flags;
    out[17] = record.retries;
    out[18] = record.fault.map_or(NO_FAULT, |fault| fault as u8);
    out[19] = record.reached as u8;
    out[20] = record.choice.reason as u8;
    out[21] = record.choice.policy;
    out[22] = record.choice.tried;
    out[23] = readers_of(readers);
    out[24..40].copy_from_slice(&ip.to_le_bytes());
    out[40..48].copy_from_slice(&record.ended_unix_micros.to_le_bytes());
    out[48..56].copy_from_slice(&record.bytes_received.to_le_bytes());
    out[56..64].copy_from_slice(&record.bytes_sent.to_le_bytes());
    out[64..72].copy_from_slice(&record.body_bytes_sent.to_le_bytes());
    out[72..80].copy_from_slice(&record.duration_micros.to_le_bytes());
    out[80..88].copy_from_slice(&record.upstream_micros.to_le_bytes());
    out[88..96].copy_from_slice(&record.epoch.to_le_bytes());
    out[96..104].copy_from_slice(&record.request_number.to_le_bytes());
    out[104..112].copy_from_slice(&record.head_micros.to_le_bytes());
    out[112..120].copy_from_slice(&record.queue_micros.to_le_bytes());
    let connect = record.connect_micros.unwrap_or(NO_TIME);
    out[120..128].copy_from_slice(&connect.to_le_bytes());
    out[128..136].copy_from_slice(&record.choice.key.unwrap_or(0).to_le_bytes());
    out[136..140].copy_from_slice(&record.choice.candidates.to_le_bytes());
    // What is more than an hour counts as that.
    let handed = u32::try_from(record.handed_micros).unwrap_or(u32::MAX);
    out[140..144].copy_from_slice(&handed.to_le_bytes());
}

#[inline]
fn readers_of(readers: Readers) -> u8 {
    let flag = |holds, flag| if holds { flag } else { 0 };
    flag(readers.line, READS_LINE)
        | flag(readers.decision, READS_DECISION)
        | flag(readers.spans, READS_SPANS)
}

#[inline]
fn flags_of(record: &AccessRecord) -> u8 {
    let flag = |holds, flag| if holds { flag } else { 0 };
    flag(record.http10, FLAG_HTTP10)
        | flag(record.stickiness.looked, FLAG_STICKY)
        | flag(record.stickiness.named, FLAG_NAMED)
        | flag(record.stickiness.moved, FLAG_MOVED)
        | flag(record.choice.key.is_some(), FLAG_KEY)
}

/// The record in `bytes`, which must be exactly one; `None` if it is not one of ours.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<(AccessRecord, Texts<'_>)> {
    let (h, texts) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let ip = u128::from_le_bytes(array(h, 24));
    let ip = if h[16] & FLAG_IPV6 == 0 {
        IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(ip).ok()?))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(ip))
    };
    let backend = u32::from_le_bytes(array(h, 8));
    let connect = u64::from_le_bytes(array(h, 120));
    let record = AccessRecord {
        ended_unix_micros: u64::from_le_bytes(array(h, 40)),
        listener: ListenerSlot(u32::from_le_bytes(array(h, 4))),
        client: SocketAddr::new(ip, u16::from_le_bytes(array(h, 14))),
        backend: (backend != NO_BACKEND).then_some(BackendSlot(backend)),
        status: u16::from_le_bytes(array(h, 12)),
        http10: h[16] & FLAG_HTTP10 != 0,
        retries: h[17],
        bytes_received: u64::from_le_bytes(array(h, 48)),
        bytes_sent: u64::from_le_bytes(array(h, 56)),
        body_bytes_sent: u64::from_le_bytes(array(h, 64)),
        duration_micros: u64::from_le_bytes(array(h, 72)),
        upstream_micros: u64::from_le_bytes(array(h, 80)),
        epoch: u64::from_le_bytes(array(h, 88)),
        fault: Fault::ALL.get(usize::from(h[18])).copied(),
        request_number: u64::from_le_bytes(array(h, 96)),
        head_micros: u64::from_le_bytes(array(h, 104)),
        queue_micros: u64::from_le_bytes(array(h, 112)),
        connect_micros: (connect != NO_TIME).then_some(connect),
        handed_micros: u64::from(u32::from_le_bytes(array(h, 140))),
        reached: *Reached::ALL.get(usize::from(h[19]))?,
        choice: Choice {
            key: (h[16] & FLAG_KEY != 0).then(|| u64::from_le_bytes(array(h, 128))),
            reason: *Reason::ALL.get(usize::from(h[20]))?,
            policy: h[21],
            candidates: u32::from_le_bytes(array(h, 136)),
            tried: h[22],
        },
        readers: Readers {
            line: h[23] & READS_LINE != 0,
            decision: h[23] & READS_DECISION != 0,
            spans: h[23] & READS_SPANS != 0,
        },
        stickiness: Stickiness {
            looked: h[16] & FLAG_STICKY != 0,
            named: h[16] & FLAG_NAMED != 0,
            moved: h[16] & FLAG_MOVED != 0,
        },
    };
    Some((record, decode_texts(texts)?))
}

fn decode_texts(bytes: &[u8]) -> Option<Texts<'_>> {
    let mut texts = Texts::default();
    if bytes.is_empty() {
        return Some(texts);
    }
    let (lengths, mut rest) = bytes.split_first_chunk::<{ 2 * TEXTS }>()?;
    for (text, length) in texts.all_mut().into_iter().zip(lengths.as_chunks().0) {
        let length = usize::from(u16::from_le_bytes(*length));
        (*text, rest) = rest.split_at_checked(length)?;
    }
    rest.is_empty().then_some(texts)
}

fn array<const N: usize>(header: &[u8; HEADER_BYTES], from: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&header[from..from + N]);
    out
}

/// The log thread's end of one core's ring.
pub struct RecordReader {
    ring: Consumer<u8>,
    /// Holds a record that lies across the end of the ring.
    joined: Vec<u8>,
}

impl RecordReader {
    /// A reader of `ring`.
    #[must_use]
    pub fn new(ring: Consumer<u8>) -> Self {
        RecordReader {
            ring,
            joined: Vec::new(),
        }
    }

    /// Bytes that wait, and bytes that could.
    #[must_use]
    pub fn fill(&self) -> (usize, usize) {
        (self.ring.slots(), self.ring.buffer().capacity())
    }

    /// Takes out whole records, oldest first, until there are none or `each` answers false (that
    /// one still counts as taken). Returns how many were unreadable, which only a defect makes.
    pub fn drain(&mut self, mut each: impl FnMut(&AccessRecord, &Texts<'_>) -> bool) -> usize {
        let mut unreadable = 0;
        let Ok(chunk) = self.ring.read_chunk(self.ring.slots()) else {
            return unreadable;
        };
        let whole = chunk.as_slices();
        let mut taken = 0;
        loop {
            let left = chunk.len() - taken;
            if left < HEADER_BYTES {
                break;
            }
            let mut length = [0; 4];
            length.copy_from_slice(part(whole, taken, 4, &mut self.joined));
            let length = u32::from_le_bytes(length) as usize;
            if left < length {
                break;
            }
            if length < HEADER_BYTES {
                // Framing is lost: nothing that follows can be trusted.
                unreadable += 1;
                taken += left;
                break;
            }
            let record = decode(part(whole, taken, length, &mut self.joined));
            taken += length;
            match record {
                Some((record, texts)) => {
                    if !each(&record, &texts) {
                        break;
                    }
                }
                None => unreadable += 1,
            }
        }
        chunk.commit(taken);
        unreadable
    }
}

/// `length` bytes from `at` on of two slices that follow each other.
fn part<'a>(
    (first, second): (&'a [u8], &'a [u8]),
    at: usize,
    length: usize,
    joined: &'a mut Vec<u8>,
) -> &'a [u8] {
    if at >= first.len() {
        return &second[at - first.len()..][..length];
    }
    if at + length <= first.len() {
        return &first[at..][..length];
    }
    joined.clear();
    joined.extend_from_slice(&first[at..]);
    joined.extend_from_slice(&second[..length - (first.len() - at)]);
    joined
}
