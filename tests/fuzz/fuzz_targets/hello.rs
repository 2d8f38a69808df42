//! libFuzzer target: see `weir::routing::fuzz` for the invariants.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir::routing::fuzz::fuzz_hello(data));
