//! libFuzzer target: see `weir::http::fuzz` for the invariants.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir::http::fuzz::fuzz_request(data));
