//! From records to lines: `combined`, `httplog` or JSON.
//!
//! This runs once for every request on the log thread, so it is part of the CPU each request
//! costs: pieces are copied into room that is large enough for any line of these texts, names were
//! escaped when they were made known, and nothing is allocated. A field that has no value is left
//! out of the JSON object and is `-` in the combined format.

use std::net::SocketAddr;

use crate::base::epoch::Epoch;
use crate::base::hex;
use crate::telemetry::access_log::batch::Batch;
use crate::telemetry::access_log::frame::Texts;
use crate::telemetry::access_log::names::LogNames;
use crate::telemetry::access_log::room::{Put, Room, put_ip};
use crate::telemetry::access_log::stamp::Stamp;
use crate::telemetry::access_log::{AccessRecord, escape, httplog};

/// Everything of a line but names and texts: keys, numbers, times, and an address.
const FIXED_BYTES_MAX: usize = 640;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// The combined format of Apache and nginx.
    Combined,
    /// What HAProxy writes with `option httplog`.
    Httplog,
    /// One JSON object per line.
    Json,
}

/// Writes lines of one format.
pub struct LineWriter {
    format: LineFormat,
    stamp: Stamp,
}

impl LineWriter {
    /// A writer of `format`.
    #[must_use]
    pub fn new(format: LineFormat) -> Self {
        LineWriter {
            format,
            stamp: Stamp::default(),
        }
    }

    /// Appends one line.
    #[inline]
    pub fn write(
        &mut self,
        out: &mut Batch,
        names: &LogNames,
        record: &AccessRecord,
        texts: &Texts<'_>,
    ) {
        let most = line_bytes_max(names, record, texts);
        out.add(most, |out| match self.format {
            LineFormat::Combined => self.combined(out, record, texts),
            LineFormat::Httplog => httplog::write(out, &mut self.stamp, names, record, texts),
            LineFormat::Json => self.json(out, names, record, texts),
        });
    }

    fn combined(&mut self, out: &mut Room<'_>, record: &AccessRecord, texts: &Texts<'_>) {
        put_ip(out, record.client.ip());
        out.put(b" - - [");
        out.put(self.stamp.combined(record.ended_unix_micros));
        out.put(b"] \"");
        request_line(out, record, texts, b"-");
        out.put(b"\" ");
        if record.status == 0 {
            out.put(b"-");
        } else {
            number(out, u64::from(record.status));
        }
        out.put(b" ");
        number(out, record.body_bytes_sent);
        combined_quoted(out, texts.referer);
        combined_quoted(out, texts.user_agent);
        out.put(b"\n");
    }

    fn json(
        &mut self,
        out: &mut Room<'_>,
        names: &LogNames,
        record: &AccessRecord,
        texts: &Texts<'_>,
    ) {
        out.put(b"{\"time\":\"");
        out.put(self.stamp.rfc3339(record.ended_unix_micros));
        out.put(b".");
        padded(out, record.ended_unix_micros % 1_000_000 / 1000);
        out.put(b"Z\"");
        out.put(names.listener_json(record.listener));
        json_text(out, b",\"route\":\"", texts.route);
        json_text(out, b",\"shard\":\"", texts.shard);
        out.put(b",\"client\":\"");
        address(out, record.client);
        out.put(b"\"");
        json_text(out, b",\"method\":\"", texts.method);
        json_text(out, b",\"target\":\"", texts.target);
        json_text(out, b",\"host\":\"", texts.host);
        if record.status != 0 {
            json_number(out, b",\"status\":", u64::from(record.status));
        }
        json_number(out, b",\"bytes_received\":", record.bytes_received);
        json_number(out, b",\"bytes_sent\":", record.bytes_sent);
        out.put(b",\"duration_ms\":");
        millis(out, record.duration_micros);
        if let Some(backend) = record.backend {
            out.put(b",\"upstream_ms\":");
            millis(out, record.upstream_micros);
            out.put(names.backend_json(backend));
        }
        let epoch = Epoch(record.epoch);
        json_number(out, b",\"epoch\":", epoch.revision());
        if epoch.found() > 0 {
            json_number(out, b",\"found\":", epoch.found());
        }
        json_number(out, b",\"retries\":", u64::from(record.retries));
        if let Some(fault) = record.fault {
            json_text(out, b",\"fault\":\"", fault.name().as_bytes());
        }
        if record.request_number != 0 {
            json_text(
                out,
                b",\"request_id\":\"",
                &hex::digits(record.request_number),
            );
        }
        json_text(out, b",\"user_agent\":\"", texts.user_agent);
        json_text(out, b",\"referer\":\"", texts.referer);
        out.put(b"}\n");
    }
}

/// The first line of the request, or `absent` where it has not come or was none.
pub(super) fn request_line(
    out: &mut Room<'_>,
    record: &AccessRecord,
    texts: &Texts<'_>,
    absent: &[u8],
) {
    if texts.method.is_empty() {
        return out.put(absent);
    }
    escape::combined(out, texts.method);
    out.put(b" ");
    escape::combined(out, texts.target);
    let version: &[u8] = if record.http10 {
        b" HTTP/1.0"
    } else {
        b" HTTP/1.1"
    };
    out.put(version);
}

fn combined_quoted(out: &mut Room<'_>, text: &[u8]) {
    if text.is_empty() {
        out.put(b" \"-\"");
        return;
    }
    out.put(b" \"");
    escape::combined(out, text);
    out.put(b"\"");
}

/// Bytes of a line, at most: as JSON, whose escapes are the longest, with the name of the listener
/// twice, as `httplog` may have it.
#[inline]
fn line_bytes_max(names: &LogNames, record: &AccessRecord, texts: &Texts<'_>) -> usize {
    let backend = record
        .backend
        .map_or(&b""[..], |slot| names.backend_json(slot));
    let names = 2 * names.listener_json(record.listener).len() + backend.len();
    let texts: usize = texts.all().iter().map(|text| text.len()).sum();
    FIXED_BYTES_MAX + names + escape::JSON_BYTES_PER_BYTE_MAX * texts
}

fn json_text(out: &mut Room<'_>, key: &[u8], text: &[u8]) {
    if !text.is_empty() {
        out.put(key);
        escape::json(out, text);
        out.put(b"\"");
    }
}

fn json_number(out: &mut Room<'_>, key: &[u8], value: u64) {
    out.put(key);
    number(out, value);
}

pub(super) fn number(out: &mut Room<'_>, value: u64) {
    out.put_number(value);
}

/// Three digits with leading zeros, of a value below 1000.
pub(super) fn padded(out: &mut Room<'_>, value: u64) {
    let digit = |weight: u64| b'0' + (value / weight % 10) as u8;
    out.put(&[digit(100), digit(10), digit(1)]);
}

fn millis(out: &mut Room<'_>, micros: u64) {
    number(out, micros / 1000);
    out.put(b".");
    padded(out, micros % 1000);
}

pub(super) fn address(out: &mut Room<'_>, address: SocketAddr) {
    if address.is_ipv6() {
        out.put(b"[");
        put_ip(out, address.ip());
        out.put(b"]:");
    } else {
        put_ip(out, address.ip());
        out.put(b":");
    }
    number(out, u64::from(address.port()));
}
