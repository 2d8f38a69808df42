//! From records to lines: `combined`, `httplog` or JSON.
//!
//! This runs once for every request on the log thread, so it is part of the CPU each request
//! costs: pieces are copied into one buffer, numbers go through `itoa`, names were escaped when
//! they were made known, and nothing is allocated. A field that has no value is left out of the
//! JSON object and is `-` in the combined format.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use crate::base::epoch::Epoch;
use crate::telemetry::access_log::frame::Texts;
use crate::telemetry::access_log::names::LogNames;
use crate::telemetry::access_log::stamp::Stamp;
use crate::telemetry::access_log::{AccessRecord, escape, httplog, request_id};

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
        out: &mut Vec<u8>,
        names: &LogNames,
        record: &AccessRecord,
        texts: &Texts<'_>,
    ) {
        match self.format {
            LineFormat::Combined => self.combined(out, record, texts),
            LineFormat::Httplog => httplog::write(out, &mut self.stamp, names, record, texts),
            LineFormat::Json => self.json(out, names, record, texts),
        }
    }

    fn combined(&mut self, out: &mut Vec<u8>, record: &AccessRecord, texts: &Texts<'_>) {
        ip(out, record.client.ip());
        out.extend_from_slice(b" - - [");
        out.extend_from_slice(self.stamp.combined(record.ended_unix_micros));
        out.extend_from_slice(b"] \"");
        request_line(out, record, texts, b"-");
        out.extend_from_slice(b"\" ");
        if record.status == 0 {
            out.push(b'-');
        } else {
            number(out, u64::from(record.status));
        }
        out.push(b' ');
        number(out, record.body_bytes_sent);
        combined_quoted(out, texts.referer);
        combined_quoted(out, texts.user_agent);
        out.push(b'\n');
    }

    fn json(
        &mut self,
        out: &mut Vec<u8>,
        names: &LogNames,
        record: &AccessRecord,
        texts: &Texts<'_>,
    ) {
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(self.stamp.rfc3339(record.ended_unix_micros));
        out.push(b'.');
        padded(out, record.ended_unix_micros % 1_000_000 / 1000);
        out.extend_from_slice(b"Z\"");
        out.extend_from_slice(names.listener_json(record.listener));
        json_text(out, b",\"route\":\"", texts.route);
        json_text(out, b",\"shard\":\"", texts.shard);
        out.extend_from_slice(b",\"client\":\"");
        address(out, record.client);
        out.push(b'"');
        json_text(out, b",\"method\":\"", texts.method);
        json_text(out, b",\"target\":\"", texts.target);
        json_text(out, b",\"host\":\"", texts.host);
        if record.status != 0 {
            json_number(out, b",\"status\":", u64::from(record.status));
        }
        json_number(out, b",\"bytes_received\":", record.bytes_received);
        json_number(out, b",\"bytes_sent\":", record.bytes_sent);
        out.extend_from_slice(b",\"duration_ms\":");
        millis(out, record.duration_micros);
        if let Some(backend) = record.backend {
            out.extend_from_slice(b",\"upstream_ms\":");
            millis(out, record.upstream_micros);
            out.extend_from_slice(names.backend_json(backend));
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
                &request_id(record.request_number),
            );
        }
        json_text(out, b",\"user_agent\":\"", texts.user_agent);
        json_text(out, b",\"referer\":\"", texts.referer);
        out.extend_from_slice(b"}\n");
    }
}

/// The first line of the request, or `absent` where it has not come or was none.
pub(super) fn request_line(
    out: &mut Vec<u8>,
    record: &AccessRecord,
    texts: &Texts<'_>,
    absent: &[u8],
) {
    if texts.method.is_empty() {
        return out.extend_from_slice(absent);
    }
    escape::combined(out, texts.method);
    out.push(b' ');
    escape::combined(out, texts.target);
    let version: &[u8] = if record.http10 {
        b" HTTP/1.0"
    } else {
        b" HTTP/1.1"
    };
    out.extend_from_slice(version);
}

fn combined_quoted(out: &mut Vec<u8>, text: &[u8]) {
    if text.is_empty() {
        out.extend_from_slice(b" \"-\"");
        return;
    }
    out.extend_from_slice(b" \"");
    escape::combined(out, text);
    out.push(b'"');
}

fn json_text(out: &mut Vec<u8>, key: &[u8], text: &[u8]) {
    if !text.is_empty() {
        out.extend_from_slice(key);
        escape::json(out, text);
        out.push(b'"');
    }
}

fn json_number(out: &mut Vec<u8>, key: &[u8], value: u64) {
    out.extend_from_slice(key);
    number(out, value);
}

pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Three digits with leading zeros, of a value below 1000.
pub(super) fn padded(out: &mut Vec<u8>, value: u64) {
    let digit = |weight: u64| b'0' + (value / weight % 10) as u8;
    out.extend_from_slice(&[digit(100), digit(10), digit(1)]);
}

fn millis(out: &mut Vec<u8>, micros: u64) {
    number(out, micros / 1000);
    out.push(b'.');
    padded(out, micros % 1000);
}

pub(super) fn address(out: &mut Vec<u8>, address: SocketAddr) {
    if address.is_ipv6() {
        out.push(b'[');
        ip(out, address.ip());
        out.extend_from_slice(b"]:");
    } else {
        ip(out, address.ip());
        out.push(b':');
    }
    number(out, u64::from(address.port()));
}

fn ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            number(out, u64::from(a));
            for octet in [b, c, d] {
                out.push(b'.');
                number(out, u64::from(octet));
            }
        }
        // A Vec takes every write.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}
