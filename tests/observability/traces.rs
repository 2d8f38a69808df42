//! Traces: whose part a request is, what backends are told of it, and what the collector gets.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::{Answer, Message, Settings, Upstream, closed_port, eventually};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn collector() -> Upstream {
    Upstream::http(|_| Answer::new(200, "Content-Type: application/json\r\n", b"{}"))
}

fn tracing_to(collector: &Upstream, sample: u32) -> String {
    let address = collector.address();
    format!(
        "[tracing]\notlp = \"http://{address}/v1/traces\"\nsample = {sample}\nservice = \"edge\""
    )
}

/// Every span the collector has got.
fn spans(collector: &Upstream) -> Vec<Value> {
    let mut all = Vec::new();
    for request in collector.requests() {
        assert_eq!(request.target(), "/v1/traces");
        assert_eq!(request.field("content-type"), Some("application/json"));
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let of = &body["resourceSpans"][0];
        assert_eq!(
            of["resource"]["attributes"][0]["value"]["stringValue"],
            "edge"
        );
        all.extend(of["scopeSpans"][0]["spans"].as_array().unwrap().clone());
    }
    all
}

/// Waits until the collector has a span of this name of so many traces; answers all spans by name,
/// of the last trace.
fn wait_for(collector: &Upstream, name: &str, count: usize) -> HashMap<String, Value> {
    let named = || {
        spans(collector)
            .into_iter()
            .filter(|span| span["name"] == name)
    };
    eventually(&format!("{count} spans {name}"), || {
        named().count() >= count
    });
    let trace = named().next_back().unwrap()["traceId"].clone();
    let of_trace = spans(collector)
        .into_iter()
        .filter(|span| span["traceId"] == trace);
    of_trace
        .map(|span| (span["name"].as_str().unwrap().to_owned(), span))
        .collect()
}

fn traceparent(request: &Message) -> Vec<String> {
    let field = request.field("traceparent").expect("a traceparent");
    field.split('-').map(str::to_owned).collect()
}

fn ask(proxy: &crate::support::Proxy, fields: &str) {
    let answer = proxy
        .client()
        .ask(format!("GET /a?b HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
    assert_eq!(answer.status(), 200);
}

#[test]
fn a_trace_begins_here_and_its_spans_reach_the_collector() {
    let (collector, upstream) = (collector(), Upstream::named("ok"));
    let proxy = Settings::http_to(&[&upstream])
        .route("name = \"api\"\npath_prefix = \"/a\"\ngroup = \"app\"")
        .section(&tracing_to(&collector, 1))
        .start();
    ask(&proxy, "");
    let told = traceparent(&upstream.requests()[0]);
    assert_eq!(
        (&*told[0], told[1].len(), told[2].len(), &*told[3]),
        ("00", 32, 16, "03")
    );
    let spans = wait_for(&collector, "GET api", 1);
    let whole = &spans["GET api"];
    assert_eq!(whole["traceId"], *told[1]);
    assert!(whole.get("parentSpanId").is_none(), "{whole}");
    assert_eq!(
        spans["upstream"]["spanId"], *told[2],
        "the parent of the backend's span"
    );
    assert_eq!(spans["upstream"]["parentSpanId"], whole["spanId"]);
    assert_eq!(spans["relay"]["parentSpanId"], whole["spanId"]);
    let at = |span: &Value, key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    for span in spans.values() {
        assert!(
            at(span, "startTimeUnixNano") >= at(whole, "startTimeUnixNano"),
            "{span}"
        );
        assert!(
            at(span, "endTimeUnixNano") <= at(whole, "endTimeUnixNano"),
            "{span}"
        );
    }
    eventually("the count of spans", || {
        proxy
            .metrics()
            .count("weir_trace_spans_exported_total", &[])
            >= 3.0
    });
}

#[test]
fn a_trace_that_is_valid_is_continued_with_its_state() {
    let (collector, upstream) = (collector(), Upstream::named("ok"));
    // Of traces that begin here the first is recorded, and then none in this test.
    let section = tracing_to(&collector, 1_000_000);
    let proxy = Settings::http_to(&[&upstream]).section(&section).start();
    ask(
        &proxy,
        &format!("traceparent: {PARENT}\r\ntracestate: a=1\r\nTraceState: b=2\r\n"),
    );
    ask(
        &proxy,
        &format!("TraceParent: {}00\r\n", PARENT.strip_suffix("01").unwrap()),
    );
    let requests = upstream.requests();
    let told = traceparent(&requests[0]);
    assert_eq!(
        (&*told[1], &*told[3]),
        ("0af7651916cd43dd8448eb211c80319c", "01")
    );
    assert_ne!(told[2], "b7ad6b7169203331", "our own span");
    assert_eq!(requests[0].all("tracestate"), ["a=1", "b=2"]);
    let unsampled = traceparent(&requests[1]);
    assert_eq!((&unsampled[1], &*unsampled[3]), (&told[1], "00"));
    let spans = wait_for(&collector, "GET", 1);
    assert_eq!(spans["GET"]["parentSpanId"], "b7ad6b7169203331");
    assert_eq!(spans["upstream"]["spanId"], *told[2]);
    proxy.wait_for_metric("weir_listener_requests_total", &[("code", "200")], 2.0);
    let of_other = spans
        .values()
        .filter(|span| span["spanId"] == *unsampled[2]);
    assert_eq!(
        of_other.count(),
        0,
        "who began it decided that it is not recorded"
    );
}

#[test]
fn a_trace_that_is_not_valid_is_replaced_and_its_state_dropped() {
    let (collector, upstream) = (collector(), Upstream::named("ok"));
    let section = tracing_to(&collector, 1_000_000);
    let proxy = Settings::http_to(&[&upstream]).section(&section).start();
    let wrong = [
        format!("traceparent: {}\r\n", PARENT.to_uppercase()),
        format!("traceparent: ff{}\r\n", &PARENT[2..]),
        format!("traceparent: {PARENT}-more\r\n"),
        format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\n"),
        "traceparent: \r\n".to_owned(),
        "X-Other: 1\r\n".to_owned(),
    ];
    for fields in &wrong {
        ask(&proxy, &format!("{fields}tracestate: a=1\r\n"));
    }
    for (request, fields) in upstream.requests().iter().zip(&wrong) {
        let told = traceparent(request);
        assert_ne!(told[1], "0af7651916cd43dd8448eb211c80319c", "{fields}");
        assert!(request.all("tracestate").is_empty(), "{fields}");
    }
}

#[test]
fn without_tracing_the_field_passes_as_it_is() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).start();
    ask(
        &proxy,
        &format!("traceparent: {PARENT}\r\ntracestate: a=1\r\n"),
    );
    ask(&proxy, "");
    let requests = upstream.requests();
    assert_eq!(requests[0].field("traceparent"), Some(PARENT));
    assert_eq!(requests[0].field("tracestate"), Some("a=1"));
    assert_eq!(requests[1].field("traceparent"), None);
}

#[test]
fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let (closed, upstream) = (closed_port(), Upstream::named("ok"));
    let address = closed.address();
    let section = format!("[tracing]\notlp = \"http://{address}/v1/traces\"\nsample = 1");
    let proxy = Settings::http_to(&[&upstream]).section(&section).start();
    for _ in 0..10 {
        ask(&proxy, "");
    }
    eventually("spans are counted as refused", || {
        proxy.metrics().count("weir_trace_spans_refused_total", &[]) >= 30.0
    });
    assert_eq!(upstream.request_count(), 10);
}
