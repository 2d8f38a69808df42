//! Spans of a request as OTLP in JSON: what a collector takes at `/v1/traces`.
//!
//! A request is a server span, and below it what its time went to: `client wait` (a head that came
//! in pieces), `queue`, `connect`, `upstream` (hand-over to the answer's head: the parent of what
//! the backend says of it) and `relay` (the rest). What took no time has no span. The span that
//! backends know is our own number; those of the others are made of it, so nothing but one number
//! has to be carried through the request.

use crate::base::epoch::Epoch;
use crate::base::hex;
use crate::base::trace::{self, TraceContext, mixed};
use crate::telemetry::access_log::frame::Texts;
use crate::telemetry::access_log::names::LogNames;
use crate::telemetry::access_log::{AccessRecord, Reached, escape};

/// Kinds of spans (`opentelemetry.proto.trace.v1.Span.SpanKind`).
const INTERNAL: &str = "1";
const SERVER: &str = "2";
const CLIENT: &str = "3";

/// How a batch begins for `service`; spans with a comma between them follow.
#[must_use]
pub fn begin(service: &str, version: &str) -> Vec<u8> {
    let mut out = b"{\"resourceSpans\":[{\"resource\":{\"attributes\":[".to_vec();
    text_attribute(&mut out, "service.name", service.as_bytes());
    out.extend_from_slice(b"]},\"scopeSpans\":[{\"scope\":{\"name\":\"weir\",\"version\":\"");
    escape::json(&mut out, version.as_bytes());
    out.extend_from_slice(b"\"},\"spans\":[");
    out
}

/// How a batch ends.
pub const END: &[u8] = b"]}]}]}";

/// One span of a request.
struct Span<'a> {
    number: u64,
    parent: u64,
    name: &'a str,
    kind: &'static str,
    /// Microseconds since the request began.
    from: u64,
    to: u64,
}

/// Appends the spans of one request with a comma behind each; answers how many.
pub fn write(out: &mut Vec<u8>, names: &LogNames, record: &AccessRecord, texts: &Texts<'_>) -> u64 {
    let Some(context) = TraceContext::from_raw(texts.trace) else {
        return 0;
    };
    let began = record
        .ended_unix_micros
        .saturating_sub(record.duration_micros);
    let server = derived(&context, 1);
    let mut name = String::from_utf8_lossy(texts.method).into_owned();
    if !texts.route.is_empty() {
        name.push(' ');
        name.push_str(&String::from_utf8_lossy(texts.route));
    }
    let whole = Span {
        number: server,
        parent: context.parent,
        name: &name,
        kind: SERVER,
        from: 0,
        to: record.duration_micros,
    };
    whole.open(out, &context, began);
    attributes(out, names, record, texts);
    let mut count = 1;
    for part in parts(&context, server, record) {
        part.open(out, &context, began);
        out.extend_from_slice(b"},");
        count += 1;
    }
    count
}

/// What the time of the request went to.
fn parts(
    context: &TraceContext,
    server: u64,
    record: &AccessRecord,
) -> impl Iterator<Item = Span<'static>> {
    let handed = record.handed_micros;
    let has_backend = record.backend.is_some();
    let has_head = matches!(record.reached, Reached::Body | Reached::End) && has_backend;
    let answered = match has_head {
        true => handed + record.upstream_micros,
        false => record.duration_micros,
    };
    let queued = record.head_micros;
    let connect = record.connect_micros.unwrap_or(0);
    let part = |place, name, kind, from, to| Span {
        number: derived(context, place),
        parent: server,
        name,
        kind,
        from,
        to,
    };
    let upstream = Span {
        number: context.span,
        ..part(0, "upstream", CLIENT, handed, answered)
    };
    [
        (record.head_micros > 0).then(|| part(2, "client wait", INTERNAL, 0, record.head_micros)),
        (record.queue_micros > 0)
            .then(|| part(3, "queue", INTERNAL, queued, queued + record.queue_micros)),
        (connect > 0).then(|| part(4, "connect", INTERNAL, handed, handed + connect)),
        has_backend.then_some(upstream),
        has_head.then(|| part(5, "relay", INTERNAL, answered, record.duration_micros)),
    ]
    .into_iter()
    .flatten()
}

/// The number of another span of the same request.
fn derived(context: &TraceContext, place: u64) -> u64 {
    mixed(context.span.wrapping_add(place)).max(1)
}

impl Span<'_> {
    /// All but its attributes and its end.
    fn open(&self, out: &mut Vec<u8>, context: &TraceContext, began_unix_micros: u64) {
        out.extend_from_slice(b"{\"traceId\":\"");
        out.extend_from_slice(&trace::digits(context.trace));
        out.extend_from_slice(b"\",\"spanId\":\"");
        out.extend_from_slice(&hex::digits(self.number));
        if self.parent != 0 {
            out.extend_from_slice(b"\",\"parentSpanId\":\"");
            out.extend_from_slice(&hex::digits(self.parent));
        }
        out.extend_from_slice(b"\",\"name\":\"");
        escape::json(out, self.name.as_bytes());
        out.extend_from_slice(b"\",\"kind\":");
        out.extend_from_slice(self.kind.as_bytes());
        for (key, micros) in [
            ("startTimeUnixNano", self.from),
            ("endTimeUnixNano", self.to.max(self.from)),
        ] {
            let nanos = began_unix_micros
                .saturating_add(micros)
                .saturating_mul(1000);
            let mut number = itoa::Buffer::new();
            for piece in [",\"", key, "\":\"", number.format(nanos), "\""] {
                out.extend_from_slice(piece.as_bytes());
            }
        }
    }
}

/// Attributes and state of the server span, and its end. Names are those of OpenTelemetry where it
/// has one.
fn attributes(out: &mut Vec<u8>, names: &LogNames, record: &AccessRecord, texts: &Texts<'_>) {
    out.extend_from_slice(b",\"attributes\":[");
    let (path, query) = match memchr::memchr(b'?', texts.target) {
        Some(at) => (&texts.target[..at], &texts.target[at + 1..]),
        None => (texts.target, &b""[..]),
    };
    let id = hex::digits(record.request_number);
    let fault = record.fault.map_or("", |fault| fault.name());
    let client = record.client.ip().to_string();
    let listener = names.listener(record.listener).unwrap_or(b"");
    let backend = record.backend.and_then(|slot| names.backend(slot));
    let texts = [
        ("http.request.method", texts.method),
        ("url.path", path),
        ("url.query", query),
        ("server.address", texts.host),
        ("client.address", client.as_bytes()),
        ("user_agent.original", texts.user_agent),
        ("error.type", fault.as_bytes()),
        ("weir.listener", listener),
        ("weir.route", texts.route),
        ("weir.shard", texts.shard),
        ("weir.backend", backend.unwrap_or(b"")),
        ("weir.reason", record.choice.reason.name().as_bytes()),
        ("weir.request_id", &id),
    ];
    for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        text_attribute(out, key, text);
        out.push(b',');
    }
    for (key, number) in [
        ("http.response.status_code", u64::from(record.status)),
        ("weir.retries", u64::from(record.retries)),
        ("weir.epoch", Epoch(record.epoch).revision()),
    ] {
        let mut digits = itoa::Buffer::new();
        let number = digits.format(number);
        for piece in [
            "{\"key\":\"",
            key,
            "\",\"value\":{\"intValue\":\"",
            number,
            "\"}},",
        ] {
            out.extend_from_slice(piece.as_bytes());
        }
    }
    // The last comma.
    out.pop();
    out.push(b']');
    if record.status >= 500 {
        out.extend_from_slice(b",\"status\":{\"code\":2}");
    }
    out.extend_from_slice(b"},");
}

fn text_attribute(out: &mut Vec<u8>, key: &str, text: &[u8]) {
    for piece in ["{\"key\":\"", key, "\",\"value\":{\"stringValue\":\""] {
        out.extend_from_slice(piece.as_bytes());
    }
    escape::json(out, text);
    out.extend_from_slice(b"\"}}");
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::base::fault::Fault;
    use crate::telemetry::access_log::tests::record;

    fn spans(record: &AccessRecord, trace: &[u8]) -> Vec<Value> {
        let names = LogNames::new(["web"].into_iter(), [("a", "x"), ("app", "b2")].into_iter());
        let texts = Texts {
            method: b"GET",
            target: b"/a?b=\"c\"",
            route: b"api",
            trace,
            ..Texts::default()
        };
        let mut out = begin("edge", "1.2.3");
        let count = write(&mut out, &names, record, &texts);
        if count > 0 {
            out.pop();
        }
        out.extend_from_slice(END);
        let whole: Value = serde_json::from_slice(&out).unwrap();
        let resource = &whole["resourceSpans"][0];
        let service = &resource["resource"]["attributes"][0]["value"]["stringValue"];
        assert_eq!(service, "edge");
        let spans = resource["scopeSpans"][0]["spans"]
            .as_array()
            .unwrap()
            .clone();
        assert_eq!(spans.len() as u64, count);
        spans
    }

    fn attribute(span: &Value, key: &str) -> Value {
        let all = span["attributes"].as_array().unwrap();
        let found = all.iter().find(|one| one["key"] == key);
        found.map_or(Value::Null, |one| one["value"].clone())
    }

    #[test]
    fn a_request_is_a_span_with_its_parts_below() {
        let field = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = TraceContext::continued(field, 0x1234).unwrap();
        let record = AccessRecord {
            handed_micros: 3_000,
            upstream_micros: 8_000,
            ..record()
        };
        let spans = spans(&record, &context.to_raw());
        let names: Vec<&str> = spans
            .iter()
            .map(|span| span["name"].as_str().unwrap())
            .collect();
        let wanted = [
            "GET api",
            "client wait",
            "queue",
            "connect",
            "upstream",
            "relay",
        ];
        assert_eq!(names, wanted);
        assert_eq!(spans[0]["parentSpanId"], "b7ad6b7169203331");
        assert_eq!(spans[0]["kind"], 2);
        for span in &spans[1..] {
            assert_eq!(span["parentSpanId"], spans[0]["spanId"]);
        }
        for span in &spans {
            assert_eq!(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
        }
        assert_eq!(
            spans[4]["spanId"], "0000000000001234",
            "what the backend was told"
        );
        assert_eq!(spans[4]["kind"], 3);
        let began = record.ended_unix_micros - record.duration_micros;
        let at = |micros: u64| Value::from(((began + micros) * 1000).to_string());
        assert_eq!(spans[4]["startTimeUnixNano"], at(3_000));
        assert_eq!(spans[4]["endTimeUnixNano"], at(11_000));
        assert_eq!(spans[5]["endTimeUnixNano"], at(record.duration_micros));
        assert_eq!(attribute(&spans[0], "url.path")["stringValue"], "/a");
        assert_eq!(attribute(&spans[0], "url.query")["stringValue"], "b=\"c\"");
        assert_eq!(
            attribute(&spans[0], "weir.backend")["stringValue"],
            "app/b2"
        );
        assert_eq!(
            attribute(&spans[0], "http.response.status_code")["intValue"],
            "200"
        );
        assert!(spans[0].get("status").is_none());
    }

    #[test]
    fn what_did_not_happen_has_no_span() {
        let context = TraceContext::begun(5, 6, true);
        let refused = AccessRecord {
            backend: None,
            head_micros: 0,
            queue_micros: 0,
            connect_micros: None,
            status: 503,
            fault: Some(Fault::NoBackend),
            reached: Reached::Head,
            ..record()
        };
        let spans = spans(&refused, &context.to_raw());
        assert_eq!(spans.len(), 1);
        assert!(spans[0].get("parentSpanId").is_none());
        assert_eq!(spans[0]["status"]["code"], 2);
        assert_eq!(
            attribute(&spans[0], "error.type")["stringValue"],
            "no_backend"
        );
        assert_eq!(attribute(&spans[0], "weir.backend"), Value::Null);
    }

    #[test]
    fn without_a_trace_there_is_none() {
        assert!(spans(&record(), b"").is_empty());
    }
}
