//! A connection to a backend, from the next of its group's own addresses that has a port left.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::base::fault::Fault;
use crate::base::id::CoreId;
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

/// Counts that this node could not open a connection to `backend`, which is no fault of that one.
///
/// # Errors
/// What was lacking is needed for every other, too: ports are of each, the rest is of all.
pub(super) fn note_lack(backend: &Backend, core: CoreId, error: Errno) -> Result<(), Fault> {
    tracing::debug!(%error, backend = %backend.id, "not connected");
    backend.stats.of(core).connect_failures.inc();
    match error {
        Errno::ADDRNOTAVAIL => Ok(()),
        _ => Err(Fault::Overload),
    }
}
