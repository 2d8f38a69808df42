//! How an exchange ended, in the four letters of HAProxy: who ended it, how far it had come, and
//! what became of the cookie by which the client stays with a backend.

use crate::base::fault::Fault;
use crate::telemetry::access_log::{AccessRecord, Reached};

/// The letters; a `tcp` line has the first two.
#[must_use]
pub fn letters(record: &AccessRecord) -> [u8; 4] {
    let [named, set] = cookie(record);
    [who(record), state(record), named, set]
}

/// `-` for a good end; capitals for who broke off, small letters for whose time ran out.
fn who(record: &AccessRecord) -> u8 {
    match record.fault {
        None => b'-',
        Some(Fault::ClientAborted) => b'C',
        Some(Fault::ClientTimeout) => b'c',
        Some(Fault::ClientBadRequest | Fault::NoRoute | Fault::UpstreamBadResponse) => b'P',
        Some(Fault::NoBackend | Fault::ConnectFailed | Fault::UpstreamAborted) => b'S',
        Some(Fault::ConnectTimeout | Fault::UpstreamTimeout | Fault::GroupFull) => b's',
        Some(Fault::BreakerOpen | Fault::BreakerOverflow | Fault::Overload) => b'R',
        Some(Fault::Shutdown) => b'K',
    }
}

/// What was waited for: the request, the queue, a connection, the answer's head, or its body.
fn state(record: &AccessRecord) -> u8 {
    match (record.reached, record.fault) {
        (Reached::End, _) => b'-',
        (_, Some(Fault::GroupFull)) | (Reached::Queue, _) => b'Q',
        (_, Some(Fault::NoBackend | Fault::BreakerOpen | Fault::BreakerOverflow)) => b'C',
        (Reached::Head, _) => b'R',
        (Reached::Connect, _) => b'C',
        (Reached::Answer, _) => b'H',
        (Reached::Body, _) => b'D',
    }
}

/// What the client named (`N` nothing, `V` who served it, `D` somebody else), and whether it was
/// told another (`I`, or `N`).
fn cookie(record: &AccessRecord) -> [u8; 2] {
    let stickiness = record.stickiness;
    match (stickiness.looked, stickiness.named, stickiness.moved) {
        (false, ..) => *b"--",
        (true, false, _) => *b"NI",
        (true, true, true) => *b"DI",
        (true, true, false) => *b"VN",
    }
}
