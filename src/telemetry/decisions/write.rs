//! From records to frames of decisions. It runs once for each request on the log thread, so names
//! are written once and numbers go out as bytes.

use std::collections::HashMap;

use super::{FLAG_KEY, KIND_ANEW, KIND_DECISION, KIND_NAME, MAGIC, NO_FAULT};
use crate::base::limits::DECISION_NAMES_MAX;
use crate::telemetry::access_log::AccessRecord;
use crate::telemetry::access_log::frame::Texts;
use crate::telemetry::access_log::names::LogNames;
use crate::telemetry::access_log::room::{Put, Room};

/// Bytes of a number, at most.
const VARINT_BYTES_MAX: usize = 10;

/// Bytes of a decision without its frame, at most: a flag, three words, five bytes, and numbers.
const DECISION_BYTES_MAX: usize = 1 + 3 * 8 + 5 + 11 * VARINT_BYTES_MAX;

/// Writes one file.
#[derive(Default)]
pub struct DecisionWriter {
    names: HashMap<Box<[u8]>, u64>,
    /// Numbers of names of listeners and backends by slot; 0 where it is not known.
    listeners: Vec<u64>,
    backends: Vec<u64>,
    /// The route and the rule of the last decision: many follow each other that have the same.
    last: [(Vec<u8>, u64); 2],
}

impl DecisionWriter {
    /// Begins a file: what was known of names is not in it.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        *self = DecisionWriter::default();
        out.extend_from_slice(MAGIC);
    }

    /// Goes on in a file of which something may be lost, or `from_scratch` in an empty one.
    pub fn begin_again(&mut self, out: &mut Vec<u8>, from_scratch: bool) {
        self.begin(out);
        if !from_scratch {
            out.clear();
            frame(out, KIND_ANEW, |_| ());
        }
    }

    /// Slots may have other names now.
    pub fn forget_slots(&mut self) {
        self.listeners.clear();
        self.backends.clear();
    }

    /// How many names the file has at present.
    #[must_use]
    pub fn names(&self) -> usize {
        self.names.len()
    }

    /// Appends a decision, and the names it is the first to use.
    pub fn write(
        &mut self,
        out: &mut Vec<u8>,
        names: &LogNames,
        record: &AccessRecord,
        texts: &Texts<'_>,
    ) {
        // One decision has four names at most.
        if self.names.len() + 4 > DECISION_NAMES_MAX {
            self.names.clear();
            self.last = Default::default();
            self.forget_slots();
            frame(out, KIND_ANEW, |_| ());
        }
        let listener = match known(&self.listeners, record.listener.index()) {
            Some(number) => number,
            None => {
                let number = self.number(out, names.listener(record.listener).unwrap_or(b""));
                place(&mut self.listeners, record.listener.index(), number);
                number
            }
        };
        let backend = match record.backend {
            None => 0,
            Some(slot) => match known(&self.backends, slot.index()) {
                Some(number) => number,
                None => {
                    let number = self.number(out, names.backend(slot).unwrap_or(b""));
                    place(&mut self.backends, slot.index(), number);
                    number
                }
            },
        };
        let route = self.repeated(0, out, texts.route);
        let shard = self.repeated(1, out, texts.shard);
        frame(out, KIND_DECISION, |out| {
            decision(out, record, [listener, route, shard, backend]);
        });
    }

    /// The number of a name that is often the same as the last one of its kind.
    fn repeated(&mut self, kind: usize, out: &mut Vec<u8>, name: &[u8]) -> u64 {
        // Beside being quick: where both are empty, comparing them costs 100 ns, because memcmp
        // with AVX-512 masks loads from an address that is none.
        if name.is_empty() {
            return 0;
        }
        if self.last[kind].0 != name {
            let number = self.number(out, name);
            let last = &mut self.last[kind];
            last.0.clear();
            last.0.extend_from_slice(name);
            last.1 = number;
        }
        self.last[kind].1
    }

    /// The number of a name, told if it is new; 0 for an empty one.
    fn number(&mut self, out: &mut Vec<u8>, name: &[u8]) -> u64 {
        if name.is_empty() {
            return 0;
        }
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = self.names.len() as u64 + 1;
        self.names.insert(name.into(), number);
        frame(out, KIND_NAME, |out| {
            varint(out, number);
            out.extend_from_slice(name);
        });
        number
    }
}

fn known(numbers: &[u64], slot: usize) -> Option<u64> {
    numbers.get(slot).copied().filter(|number| *number > 0)
}

fn place(numbers: &mut Vec<u64>, slot: usize, number: u64) {
    if numbers.len() <= slot {
        numbers.resize(slot + 1, 0);
    }
    numbers[slot] = number;
}

fn decision(to: &mut Vec<u8>, record: &AccessRecord, names: [u64; 4]) {
    let mut bytes = [0; DECISION_BYTES_MAX];
    let out = &mut Room::new(&mut bytes);
    let choice = &record.choice;
    out.put(&[if choice.key.is_some() { FLAG_KEY } else { 0 }]);
    out.put(&record.ended_unix_micros.to_le_bytes());
    out.put(&record.request_number.to_le_bytes());
    if let Some(key) = choice.key {
        out.put(&key.to_le_bytes());
    }
    let fault = record.fault.map_or(NO_FAULT, |fault| fault as u8);
    out.put(&[
        choice.reason as u8,
        choice.policy,
        fault,
        record.retries,
        choice.tried,
    ]);
    varint(out, record.epoch);
    for name in names {
        varint(out, name);
    }
    varint(out, u64::from(choice.candidates));
    varint(out, u64::from(record.status));
    varint(out, record.duration_micros);
    varint(out, record.upstream_micros);
    varint(out, record.queue_micros);
    let connect = record.connect_micros;
    varint(out, connect.map_or(0, |micros| micros.saturating_add(1)));
    to.extend_from_slice(out.filled());
}

/// A frame with what `fill` appends, cut where its length would not fit.
fn frame(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0, 0, kind]);
    fill(out);
    out.truncate(begin + 2 + usize::from(u16::MAX));
    let length = (out.len() - begin - 2) as u16;
    out[begin..begin + 2].copy_from_slice(&length.to_le_bytes());
}

#[inline]
fn varint<O: Put>(out: &mut O, mut number: u64) {
    // Most numbers are small, and a piece of a known length is no call.
    if number < 0x80 {
        return out.put(&[number as u8]);
    }
    if number < 0x4000 {
        return out.put(&[number as u8 | 0x80, (number >> 7) as u8]);
    }
    let mut bytes = [0; VARINT_BYTES_MAX];
    let mut length = 0;
    while number >= 0x80 {
        bytes[length] = number as u8 | 0x80;
        number >>= 7;
        length += 1;
    }
    bytes[length] = number as u8;
    out.put(&bytes[..=length]);
}
