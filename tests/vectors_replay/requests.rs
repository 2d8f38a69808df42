//! Hostile and odd requests. The backend is lenient on purpose and records every byte; the oracle
//! of src/http/canon.rs then says whether two backends could read those bytes differently.
//!
//! A port of h1probe.py and h1score.py of the vector set. HAProxy 2.6 lets 33 of the 216 through
//! in non-canonical form and nginx 1.22 thirteen; that this port finds the same is how it was
//! validated.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::{bytes, load, text};
use crate::support::wire::find;
use crate::support::{Settings, Upstream, Wire, canon};

/// Proxies side by side: most of the time of a case is waiting for silence.
const LANES: usize = 8;
/// Silence after which a side is taken to have said all it will.
const IDLE: Duration = Duration::from_millis(250);
/// The same for a second look at a case that failed, so that a busy machine is not a finding.
const IDLE_PATIENT: Duration = Duration::from_secs(3);

/// Bytes received by connection since the last case began.
type Captured = Arc<Mutex<BTreeMap<usize, Vec<u8>>>>;

#[derive(Debug)]
struct Outcome {
    statuses: Vec<u16>,
    closed: bool,
    /// The backend got a complete request.
    forwarded: bool,
    forwarded_body: bool,
    violations: Vec<String>,
}

#[test]
fn no_request_reaches_a_backend_in_a_form_two_parsers_read_differently() {
    let cases = load("weir-request-vectors.jsonl");
    assert_eq!(cases.len(), 216);
    let (next, findings) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let captured = Captured::default();
                let upstream = lenient_origin(Arc::clone(&captured));
                let settings = Settings::http_to(&[&upstream]);
                let proxy = settings.with("forwarded", "\"none\"").start();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut outcome = replay(&proxy, &captured, case, IDLE);
                    let mut verdict = judge(case, &outcome);
                    if verdict.is_err() && is_perhaps_haste(&outcome) {
                        outcome = replay(&proxy, &captured, case, IDLE_PATIENT);
                        verdict = judge(case, &outcome);
                    }
                    if let Err(why) = verdict {
                        let id = text(case, "id");
                        findings
                            .lock()
                            .unwrap()
                            .push(format!("{id}: {why}; {outcome:?}"));
                    }
                }
            });
        }
    });
    let findings = findings.into_inner().unwrap();
    let non_canonical = findings
        .iter()
        .filter(|finding| finding.contains(NON_CANONICAL))
        .count();
    assert!(
        findings.is_empty(),
        "{} of 216, of them {non_canonical} non-canonical:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

/// Whether more patience could change the verdict: bytes that are wrong stay wrong, but a message
/// that is cut may only not have been complete yet.
fn is_perhaps_haste(outcome: &Outcome) -> bool {
    outcome
        .violations
        .iter()
        .all(|violation| violation.starts_with("unparsed tail"))
}

const NON_CANONICAL: &str = "non-canonical bytes reached the backend";

fn replay(
    proxy: &crate::support::Proxy,
    captured: &Captured,
    case: &Value,
    idle: Duration,
) -> Outcome {
    captured.lock().unwrap().clear();
    let steps: Vec<_> = case["steps_b64"]
        .as_array()
        .unwrap()
        .iter()
        .map(bytes)
        .collect();
    let mut client = Wire::connect(proxy.address());
    let (mut seen, mut closed) = (Vec::new(), false);
    for step in &steps {
        if closed {
            break;
        }
        client.try_send(step);
        let (more, ended) = client.read_until_quiet(idle);
        seen.extend_from_slice(&more);
        closed = ended;
    }
    drop(client);
    std::thread::sleep(Duration::from_millis(10));
    let method = steps[0]
        .split(|&byte| byte == b' ')
        .next()
        .unwrap_or_default();
    let mut outcome = Outcome {
        statuses: statuses(&seen, method == b"HEAD"),
        closed,
        forwarded: false,
        forwarded_body: false,
        violations: Vec::new(),
    };
    for stream in captured.lock().unwrap().values() {
        let verdict = canon::judge(stream);
        let mut messages = verdict.messages.iter();
        outcome.forwarded_body |= messages.clone().any(|message| !message.body.is_empty());
        outcome.forwarded |= messages.any(|message| message.is_complete);
        outcome.violations.extend(verdict.violations);
        if !verdict.tail.is_empty() {
            let tail = String::from_utf8_lossy(&verdict.tail).into_owned();
            outcome
                .violations
                .push(format!("unparsed tail {:.40}", tail));
        }
    }
    outcome
}

/// h1score.py: what each `require` asks for. Anything non-canonical fails whatever it asks.
fn judge(case: &Value, outcome: &Outcome) -> Result<(), String> {
    if !outcome.violations.is_empty() {
        return Err(NON_CANONICAL.to_owned());
    }
    let first = outcome.statuses.first().copied();
    let rejected = first.map_or(outcome.closed, |status| status >= 400);
    let hangs = first.is_none() && !outcome.closed;
    let allowed = |status: u16| case["status"].as_array().unwrap().contains(&status.into());
    match text(case, "require") {
        "reject" if !rejected => Err("accepted".to_owned()),
        "reject" if outcome.forwarded => Err("rejected, but forwarded".to_owned()),
        "reject" if !outcome.closed => Err("rejected, but not closed".to_owned()),
        "reject_body" if first.is_some_and(|s| s < 300) && outcome.forwarded_body => {
            Err("accepted".to_owned())
        }
        "canon" if rejected => Err(format!("a valid request was refused with {first:?}")),
        "two" if outcome.statuses.len() < 2 && !outcome.closed => {
            Err("neither two answers nor a close".to_owned())
        }
        "local" if !first.is_some_and(allowed) => Err(format!("answered {first:?}")),
        "canon" | "local" if hangs => Err("no answer and no close".to_owned()),
        _ => Ok(()),
    }
}

/// Answers as soon as anything looks like a request, and keeps all bytes.
fn lenient_origin(captured: Captured) -> Upstream {
    Upstream::scripted(move |mut connection| {
        connection.patient_for(Duration::from_secs(300));
        let mut buffer = Vec::new();
        while let Ok(more) = connection.read_some() {
            if more.is_empty() {
                return;
            }
            let number = connection.number;
            captured
                .lock()
                .unwrap()
                .entry(number)
                .or_default()
                .extend_from_slice(&more);
            buffer.extend_from_slice(&more);
            while let Some(length) = lenient_request(&buffer) {
                let head = buffer.starts_with(b"HEAD ");
                buffer.drain(..length);
                let body = if head { "" } else { "ORIGIN-OK" };
                connection.try_send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX-Origin: 1\r\n\r\n{body}"
                ));
            }
        }
    })
}

/// Length of the first request in `buffer` for a reader that takes anything.
fn lenient_request(buffer: &[u8]) -> Option<usize> {
    let head_end = blank_line(buffer, 0)?;
    let head = buffer[..head_end].to_ascii_lowercase();
    let lines: Vec<_> = head.split(|&byte| byte == b'\n').collect();
    let value_of = |name: &[u8]| {
        lines
            .iter()
            .skip(1)
            .find_map(|line| line.strip_prefix(name))
    };
    let chunked = lines
        .iter()
        .any(|line| line.starts_with(b"transfer-encoding:") && find(line, b"chunked").is_some());
    if chunked {
        return chunked_end(buffer, head_end);
    }
    let digits: Vec<u8> = value_of(b"content-length:")
        .unwrap_or_default()
        .iter()
        .copied()
        .skip_while(u8::is_ascii_whitespace)
        .take_while(u8::is_ascii_digit)
        .collect();
    let length: usize = String::from_utf8(digits).unwrap().parse().unwrap_or(0);
    let end = head_end.saturating_add(length);
    (buffer.len() >= end).then_some(end)
}

/// End of the first empty line at or after `from`, whatever its line ends.
fn blank_line(buffer: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(newline) = find(&buffer[at..], b"\n") {
        at += newline + 1;
        match buffer[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// End of a chunked body: a line that begins with a zero, then lines until an empty one.
fn chunked_end(buffer: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let line = &buffer[at..];
        if line.starts_with(b"0") {
            return blank_line(buffer, at);
        }
        at += find(line, b"\n")? + 1;
    }
}

/// Status codes of the final responses in what a client saw.
fn statuses(seen: &[u8], first_is_head: bool) -> Vec<u16> {
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(status) = status_at(&seen[at..]) {
        let Some(end) = find(&seen[at..], b"\r\n\r\n") else {
            out.push(status);
            break;
        };
        let head = seen[at..at + end].to_ascii_lowercase();
        at += end + 4;
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let bodiless = out.is_empty() && first_is_head;
        out.push(status);
        if status == 204 || status == 304 || bodiless {
            continue;
        }
        if find(&head, b"transfer-encoding: chunked").is_some() {
            let Some(last) = find(&seen[at..], b"0\r\n\r\n") else {
                break;
            };
            at += last + 5;
            continue;
        }
        let Some(field) = find(&head, b"content-length: ") else {
            break;
        };
        let digits = head[field + 16..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        let length = digits.fold(0_usize, |sum, digit| sum * 10 + usize::from(digit - b'0'));
        at = (at + length).min(seen.len());
    }
    out
}

fn status_at(seen: &[u8]) -> Option<u16> {
    let rest = seen
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| seen.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}
