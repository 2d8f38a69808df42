//! Every request and response vector through the pure layer, scored as h1score.py does.

use base64::Engine;

use super::super::drive::{carry, relay};
use super::super::{Method, Version, canon};

struct Case {
    id: String,
    require: String,
    statuses: Vec<u64>,
    forwarded: Option<String>,
    bytes: Vec<u8>,
}

pub(super) fn text_of(file: &str) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let places = [
        std::env::var("WEIR_VECTORS").unwrap_or_default(),
        format!("{root}/tests/vectors"),
        format!("{root}/../shared/vectors"),
    ];
    places
        .iter()
        .find_map(|place| std::fs::read_to_string(format!("{place}/{file}")).ok())
        .unwrap_or_else(|| panic!("{file} in none of {places:?}"))
}

fn cases(file: &str, bytes_key: &str) -> Vec<Case> {
    let decode = |text: &serde_json::Value| {
        let text = text.as_str().expect("base64 text");
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .expect("base64")
    };
    let case = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
        let bytes = match &value[bytes_key] {
            serde_json::Value::Array(steps) => steps.iter().flat_map(decode).collect(),
            one => decode(one),
        };
        let statuses = value["status"].as_array().into_iter().flatten();
        Case {
            id: value["id"].as_str().unwrap_or_default().into(),
            require: value["require"].as_str().unwrap_or_default().into(),
            statuses: statuses.filter_map(serde_json::Value::as_u64).collect(),
            forwarded: value["fwd"].as_str().map(Into::into),
            bytes,
        }
    };
    text_of(file).lines().map(case).collect()
}

/// The bytes of all vectors of both kinds, as seeds for mutation.
pub(super) fn corpus(file: &str, bytes_key: &str) -> Vec<Vec<u8>> {
    cases(file, bytes_key)
        .into_iter()
        .map(|case| case.bytes)
        .collect()
}

pub(super) const REQUESTS: (&str, &str) = ("weir-request-vectors.jsonl", "steps_b64");
pub(super) const RESPONSES: (&str, &str) = ("weir-response-vectors.jsonl", "backend_b64");

#[test]
fn request_vectors() {
    let mut failures = Vec::new();
    let cases = cases(REQUESTS.0, REQUESTS.1);
    assert!(cases.len() >= 216, "vectors are missing");
    for case in &cases {
        for piece in [usize::MAX, 1] {
            if let Some(failure) = score_request(case, piece) {
                failures.push(format!("{} ({}): {failure}", case.id, case.require));
            }
        }
    }
    report(&failures);
}

fn report(failures: &[String]) {
    let list = failures.join("\n");
    assert!(failures.is_empty(), "{} failures\n{list}", failures.len());
}

fn score_request(case: &Case, piece: usize) -> Option<String> {
    let carried = carry(&case.bytes, piece);
    let verdict = canon::judge(&carried.stream());
    let refused_at_once = carried.refused.is_some()
        && carried.requests.len() <= 1
        && carried.requests.first().is_none_or(|(_, done)| !done);
    let first_done = carried.requests.first().is_some_and(|(_, done)| *done);
    let status = carried
        .refused
        .map_or(0, |refusal| u64::from(refusal.status));
    let allowed = case.statuses.contains(&status) || status == 400;
    let fwd = case
        .forwarded
        .as_deref()
        .map(|pattern| pattern.trim_start_matches("(?i)"));
    let stream = String::from_utf8_lossy(&carried.stream()).to_lowercase();
    let met = match case.require.as_str() {
        "reject" => carried.requests.is_empty() && refused_at_once && allowed,
        "reject_body" => !first_done,
        "reject_or_canon" => refused_at_once || verdict.violations.is_empty(),
        "canon" => {
            first_done
                && !refused_at_once
                && fwd.is_none_or(|any| any.split('|').any(|one| stream.contains(one)))
        }
        "two" => carried.requests.len() >= 2 || carried.is_closed,
        "local" => carried.requests.is_empty() && case.statuses.contains(&status),
        _ => false,
    };
    let is_clean = verdict.violations.is_empty();
    (!met || !is_clean).then(|| format!("{carried:?} {:?}", verdict.violations))
}

#[test]
fn response_vectors() {
    let mut failures = Vec::new();
    let cases = cases(RESPONSES.0, RESPONSES.1);
    assert!(cases.len() >= 39, "vectors are missing");
    for case in &cases {
        for client in [Version::Http11, Version::Http10] {
            if let Some(failure) = score_response(case, client) {
                failures.push(format!("{} ({}): {failure}", case.id, case.require));
            }
        }
    }
    report(&failures);
}

fn score_response(case: &Case, client: Version) -> Option<String> {
    let method = if case.id.starts_with("r-head") {
        Method::Head
    } else {
        Method::Get
    };
    let relayed = relay(&case.bytes, method, client, 3);
    let head = String::from_utf8_lossy(&relayed.out).to_lowercase();
    let is_502 = relayed.refused.is_some() && relayed.status.is_none();
    let ended = relayed.out.ends_with(b"0\r\n\r\n");
    let no_body = relayed.is_done
        && relayed.content_bytes == 0
        && relayed.out.ends_with(b"\r\n\r\n")
        && !ended;
    let met = match case.require.as_str() {
        "502"
        | "502_or_te_only_close"
        | "close_delimited_or_502"
        | "502_or_close"
        | "502_or_sp"
        | "502_or_canon"
        | "strip_or_502"
        | "502_timeout"
        | "bounded" => is_502,
        "truncate_abort" => relayed.refused.is_some() && relayed.status.is_some() && !ended,
        "ok" | "idle_close" | "early" => relayed.is_done,
        "ok_no_reuse" => relayed.is_done && !relayed.is_reusable,
        "no_body_no_reuse" => no_body && !relayed.is_reusable,
        "no_body" => no_body,
        "ok_not_tunnel" => relayed.is_done && !head.contains("upgrade"),
        "ok_drop_trailers" => relayed.is_done && !head.contains("set-cookie"),
        "ok_strip" => relayed.is_done && !head.contains("x-foo") && !head.contains("timeout"),
        _ => false,
    };
    (!met).then(|| format!("{client:?} {relayed:?}"))
}
