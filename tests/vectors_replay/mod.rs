//! The byte vectors of tests/vectors, replayed through the proxy: what reaches a backend is
//! canonical, what a client sees is well-formed, and nobody waits for ever.

mod requests;
mod responses;

use base64::Engine as _;

/// The cases of one file.
fn load(file: &str) -> Vec<serde_json::Value> {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Bytes of a case.
fn bytes(value: &serde_json::Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD
        .decode(value.as_str().unwrap())
        .unwrap()
}

fn text<'a>(case: &'a serde_json::Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_default()
}
