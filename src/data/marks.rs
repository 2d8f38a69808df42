//! What weir writes on a response of its own accord: which epoch and which backend served it.
//!
//! With both anybody can check from outside that a request was served by a backend its own
//! epoch's table allows, also while tables change. Off by default: the outside need not know.

use crate::data::exchange::Exchange;
use crate::http::OwnField;

const EPOCH: &[u8] = b"X-Weir-Epoch";
const BACKEND: &[u8] = b"X-Weir-Backend";

/// The texts of the fields, for as long as they are written.
pub(super) struct Marks<'a> {
    epoch: itoa::Buffer,
    /// Epoch and backend, where they are to be shown.
    shown: Option<(u64, Option<&'a str>)>,
}

impl<'a> Marks<'a> {
    /// The marks of the response to `exchange`.
    pub(super) fn of(exchange: &'a Exchange) -> Marks<'a> {
        let wanted = exchange
            .listener()
            .is_some_and(|listener| listener.http.decision_headers);
        let backend = || exchange.backend().map(|backend| &*backend.id);
        Marks {
            epoch: itoa::Buffer::new(),
            shown: wanted.then(|| (exchange.table.epoch.0, backend())),
        }
    }

    /// Puts the fields into `room`; answers those in use.
    pub(super) fn fields<'r>(&'r mut self, room: &'r mut [OwnField<'r>; 2]) -> &'r [OwnField<'r>] {
        let Some((epoch, backend)) = self.shown else {
            return &[];
        };
        room[0] = own(EPOCH, self.epoch.format(epoch).as_bytes());
        let Some(backend) = backend else {
            return &room[..1];
        };
        room[1] = own(BACKEND, backend.as_bytes());
        &room[..]
    }
}

/// Room for [`Marks::fields`].
pub(super) fn room<'a>() -> [OwnField<'a>; 2] {
    [own(EPOCH, b""), own(BACKEND, b"")]
}

fn own<'a>(name: &'a [u8], value: &'a [u8]) -> OwnField<'a> {
    OwnField {
        name,
        value,
        replaces: true,
    }
}
