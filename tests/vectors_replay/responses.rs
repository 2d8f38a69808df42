//! What broken and hostile backends send. Each case is the answer to one request; then a second
//! request follows, on the same client connection if it is still open, and must get the answer
//! that was made for it: nothing the backend said before may be taken for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::{bytes, load, text};
use crate::support::message::latin1;
use crate::support::{Broken, Client, Framing, Message, Proxy, Settings, Upstream};

const LANES: usize = 6;
/// How long the backend keeps the connection open after its bytes.
const LINGER: Duration = Duration::from_millis(400);

/// What happened to one case.
struct Outcome {
    first: Result<Message, Broken>,
    second: String,
    /// The second request came over the connection of the first.
    reused: bool,
}

#[test]
fn whatever_a_backend_says_the_client_sees_something_well_formed() {
    let cases = load("weir-response-vectors.jsonl");
    assert_eq!(cases.len(), 39);
    let (next, findings) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = replay(case);
                    if let Err(why) = judge(case, &outcome) {
                        let (id, first) = (text(case, "id"), &outcome.first);
                        let finding = format!("{id}: {why}; first {first:?}");
                        findings.lock().unwrap().push(finding);
                    }
                }
            });
        }
    });
    let findings = findings.into_inner().unwrap();
    assert!(
        findings.is_empty(),
        "{} of 39:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

fn replay(case: &Value) -> Outcome {
    let (require, said) = (
        text(case, "require").to_owned(),
        bytes(&case["backend_b64"]),
    );
    let reused = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&reused);
    let upstream = Upstream::scripted(move |mut connection| {
        let mut requests = 0;
        while let Ok(head) = connection.try_request_head() {
            requests += 1;
            if head.target() == "/second" {
                if requests > 1 {
                    seen.fetch_add(1, Ordering::Relaxed);
                }
                connection.try_send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSECOND");
                continue;
            }
            if require == "idle_close" {
                connection.try_send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nFIRST");
                std::thread::sleep(Duration::from_millis(100));
            }
            connection.try_send(&said);
            // An honest backend would now wait for the next request; a broken one ends.
            if !matches!(
                &*require,
                "idle_close" | "ok_not_tunnel" | "ok_strip" | "ok_drop_trailers"
            ) {
                connection.patient_for(LINGER);
            }
        }
    });
    let settings = Settings::http_to(&[&upstream]).timeout("body", "5s");
    let proxy = settings.group_timeout("response", "2s").start();
    let mut client = proxy.client();
    client.send(question(case));
    let first = client.read_response(method(case));
    let second = second(&proxy, client, first.is_ok(), text(case, "require"));
    Outcome {
        first,
        second,
        reused: reused.load(Ordering::Relaxed) > 0,
    }
}

fn method(case: &Value) -> &'static str {
    match text(case, "id") {
        id if id.starts_with("r-head-") => "HEAD",
        id if id.starts_with("r-early-") => "POST",
        _ => "GET",
    }
}

fn question(case: &Value) -> String {
    let method = method(case);
    match method {
        // The rest of this body never comes: the answer is early.
        "POST" => format!("{method} / HTTP/1.1\r\nHost: test\r\nContent-Length: 5000\r\n\r\npart"),
        _ => format!("{method} / HTTP/1.1\r\nHost: test\r\n\r\n"),
    }
}

/// Asks again: on the same connection if that can work, else on a new one.
fn second(proxy: &Proxy, mut client: Client, ok: bool, require: &str) -> String {
    const AGAIN: &str = "GET /second HTTP/1.1\r\nHost: test\r\n\r\n";
    if require == "idle_close" {
        std::thread::sleep(Duration::from_millis(300));
    }
    if ok && require != "early" && client.try_send(AGAIN) {
        match client.try_response() {
            Ok(answer) => return answer.text(),
            Err(Broken::Closed | Broken::Reset) => {}
            Err(broken) => return format!("{broken:?}"),
        }
    }
    let mut fresh = proxy.client();
    fresh.send(AGAIN);
    fresh
        .try_response()
        .map_or_else(|broken| format!("{broken:?}"), |answer| answer.text())
}

fn judge(case: &Value, outcome: &Outcome) -> Result<(), String> {
    if outcome.second != "SECOND" {
        return Err(format!("the next request got {:?}", outcome.second));
    }
    let status = outcome.first.as_ref().map_or(0, |answer| answer.status());
    let refused = status == 502;
    let cut = matches!(
        outcome.first,
        Err(Broken::Truncated(_) | Broken::Reset | Broken::Closed)
    );
    let expect = |good: bool| {
        good.then_some(())
            .ok_or_else(|| text(case, "require").to_owned())
    };
    let no_reuse = if outcome.reused {
        Err("reused".to_owned())
    } else {
        Ok(())
    };
    match text(case, "require") {
        "502" => expect(refused),
        "502_timeout" => expect(refused || status == 504),
        "502_or_te_only_close" | "502_or_close" => expect(refused || status == 200).and(no_reuse),
        "close_delimited_or_502" => expect(refused || is_ok(outcome, "xx")).and(no_reuse),
        "truncate_abort" => expect(cut || refused).and(no_reuse),
        "ok_no_reuse" => expect(is_ok(outcome, "hello")).and(no_reuse),
        "idle_close" => expect(is_ok(outcome, "FIRST")).and(no_reuse),
        "no_body" => expect(is_empty(outcome)),
        "no_body_no_reuse" => expect(is_empty(outcome)).and(no_reuse),
        "bounded" => expect(refused || cut || interim_count(outcome) < 100),
        "ok" => expect(is_ok(outcome, "ok") || is_ok(outcome, "hello")),
        "ok_not_tunnel" => expect(is_ok(outcome, "ok")),
        "502_or_sp" | "502_or_canon" | "strip_or_502" => expect(refused || is_clean(outcome)),
        "ok_drop_trailers" => expect(is_ok(outcome, "ok") && trailers_are_harmless(outcome)),
        "ok_strip" => expect(is_ok(outcome, "ok") && lacks(outcome, &["x-foo", "keep-alive"])),
        "early" => expect(status == 413 || is_ok(outcome, "ok")).and(no_reuse),
        other => panic!("unknown requirement {other}"),
    }
}

fn is_ok(outcome: &Outcome, body: &str) -> bool {
    outcome
        .first
        .as_ref()
        .is_ok_and(|answer| answer.status() == 200 && answer.text() == body)
}

fn is_empty(outcome: &Outcome) -> bool {
    outcome
        .first
        .as_ref()
        .is_ok_and(|a| a.framing == Framing::None && a.body.is_empty())
}

fn interim_count(outcome: &Outcome) -> usize {
    outcome
        .first
        .as_ref()
        .map_or(0, |answer| answer.interim.len())
}

/// A 200 whose head has no byte a second reader could take for a line end.
fn is_clean(outcome: &Outcome) -> bool {
    outcome.first.as_ref().is_ok_and(|answer| {
        let lines = latin1(&answer.head.raw).replace("\r\n", "");
        answer.status() == 200 && !lines.contains(['\r', '\n', '\0'])
    })
}

fn trailers_are_harmless(outcome: &Outcome) -> bool {
    let answer = outcome.first.as_ref().unwrap();
    answer.trailer("content-length").is_none() && answer.trailer("set-cookie").is_none()
}

fn lacks(outcome: &Outcome, names: &[&str]) -> bool {
    let answer = outcome.first.as_ref().unwrap();
    names.iter().all(|name| !answer.has(name))
}
