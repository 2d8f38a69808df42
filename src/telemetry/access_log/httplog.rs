//! Lines as HAProxy writes them (`option httplog`, and `option tcplog` for relays), for the tools
//! that read those.
//!
//! `client [time] listener group/backend TR/Tw/Tc/Tr/Ta status bytes - - ending
//! actconn/feconn/beconn/srv_conn/retries srv_queue/backend_queue "request"`. Times are in
//! milliseconds, -1 for what was not reached; the time is when the request began, in UTC. Counters
//! are read when the line is written, which is up to 50 ms after the request ended.

use crate::telemetry::access_log::ending::letters;
use crate::telemetry::access_log::format::{address, number, padded, request_line};
use crate::telemetry::access_log::frame::Texts;
use crate::telemetry::access_log::names::LogNames;
use crate::telemetry::access_log::room::{Put, Room};
use crate::telemetry::access_log::stamp::Stamp;
use crate::telemetry::access_log::{AccessRecord, Reached};

pub(super) fn write(
    out: &mut Room<'_>,
    stamp: &mut Stamp,
    names: &LogNames,
    record: &AccessRecord,
    texts: &Texts<'_>,
) {
    let is_http = record.status != 0;
    address(out, record.client);
    out.put(b" [");
    let began = record
        .ended_unix_micros
        .saturating_sub(record.duration_micros);
    // Without the zone, which HAProxy has not either.
    out.put(&stamp.combined(began)[..20]);
    out.put(b".");
    padded(out, began % 1_000_000 / 1000);
    out.put(b"] ");
    let listener = names.listener(record.listener).unwrap_or(b"-");
    out.put(listener);
    out.put(b" ");
    match record.backend.and_then(|slot| names.backend(slot)) {
        Some(name) => out.put(name),
        None => {
            out.put(listener);
            out.put(b"/<NOSRV>");
        }
    }
    out.put(b" ");
    times(out, record, texts, is_http);
    if is_http {
        out.put(b" ");
        number(out, u64::from(record.status));
    }
    out.put(b" ");
    number(out, record.bytes_sent);
    let letters = letters(record);
    if is_http {
        out.put(b" - - ");
        out.put(&letters);
    } else {
        out.put(b" ");
        out.put(&letters[..2]);
    }
    counters(out, names, record);
    if is_http {
        request(out, record, texts);
    }
    out.put(b"\n");
}

fn times(out: &mut Room<'_>, record: &AccessRecord, texts: &Texts<'_>, is_http: bool) {
    let reached = |holds: bool, micros: u64| holds.then_some(micros / 1000);
    let connect = record.connect_micros;
    if is_http {
        millis(out, reached(!texts.method.is_empty(), record.head_micros));
        out.put(b"/");
    }
    millis(out, reached(record.backend.is_some(), record.queue_micros));
    out.put(b"/");
    millis(out, connect.map(|micros| micros / 1000));
    out.put(b"/");
    if is_http {
        let has_head = matches!(record.reached, Reached::Body | Reached::End);
        let waited = record.upstream_micros.saturating_sub(connect.unwrap_or(0));
        millis(out, reached(has_head && record.backend.is_some(), waited));
        out.put(b"/");
    }
    number(out, record.duration_micros / 1000);
}

fn millis(out: &mut Room<'_>, value: Option<u64>) {
    match value {
        Some(value) => number(out, value),
        None => out.put(b"-1"),
    }
}

fn counters(out: &mut Room<'_>, names: &LogNames, record: &AccessRecord) {
    let figures = names.figures(record.listener, record.backend);
    let before = [b" ", b"/", b"/", b"/"];
    let values = [
        figures.connections,
        figures.of_listener,
        figures.of_group,
        figures.of_backend,
    ];
    for (separator, value) in before.into_iter().zip(values) {
        out.put(separator);
        number(out, value);
    }
    out.put(b"/");
    if record.retries > 0 {
        // A retry goes to another backend.
        out.put(b"+");
    }
    number(out, u64::from(record.retries));
    // Nobody waits for one backend: the queue is the group's.
    out.put(b" 0/");
    number(out, figures.waiting);
}

fn request(out: &mut Room<'_>, record: &AccessRecord, texts: &Texts<'_>) {
    out.put(b" \"");
    request_line(out, record, texts, b"<BADREQ>");
    out.put(b"\"");
}
