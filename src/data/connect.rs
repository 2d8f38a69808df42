//! A connection to a backend, from the next of its group's own addresses that has a port left.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::routing::sources::Sources;
use crate::routing::table::Backend;
use crate::runtime::net;

/// Addresses that are tried for one connection. Whoever has more, and none of these has a port
/// left, is out of ports.
const TRIED_MAX: u32 = 16;

/// Starts a connection to `backend`; `turn` is whose turn it is of `sources`.
///
/// # Errors
/// As [`net::connect`]; `ADDRNOTAVAIL` when none of the addresses has a port left.
pub(super) fn connect(
    backend: &Backend,
    sources: &Sources,
    turn: &mut u32,
) -> Result<OwnedFd, Errno> {
    let is_v4 = backend.address.is_ipv4();
    for _ in 0..sources.count(is_v4).min(TRIED_MAX) {
        let source = sources.at(is_v4, *turn);
        *turn = turn.wrapping_add(1);
        match net::connect(&backend.address, source) {
            Err(Errno::ADDRNOTAVAIL) => {}
            outcome => return outcome,
        }
    }
    match sources.count(is_v4) {
        0 => net::connect(&backend.address, None),
        _ => Err(Errno::ADDRNOTAVAIL),
    }
}
