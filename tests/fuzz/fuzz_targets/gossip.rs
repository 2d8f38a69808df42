//! libFuzzer target: see `weir::gossip::fuzz` for the invariants.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir::gossip::fuzz::fuzz_datagram(data));
