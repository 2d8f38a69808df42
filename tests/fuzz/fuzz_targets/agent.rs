//! libFuzzer target: see `weir::health::fuzz` for the invariants.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir::health::fuzz::fuzz_agent(data));
