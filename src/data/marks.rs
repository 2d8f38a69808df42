//! What weir writes on a response of its own accord: which epoch and which backend served it, and
//! the cookie by which a client stays with that backend.
//!
//! With epoch and backend anybody can check from outside that a request was served by a backend
//! its own epoch's table allows, also while tables change. Off by default: the outside need not
//! know. The cookie is set where the client did not come with it.

use crate::base::epoch::{Epoch, TEXT_BYTES_MAX};
use crate::data::exchange::Exchange;
use crate::http::OwnField;

const EPOCH: &[u8] = b"X-Weir-Epoch";
const BACKEND: &[u8] = b"X-Weir-Backend";
const SET_COOKIE: &[u8] = b"Set-Cookie";

/// The texts of the fields, for as long as they are written.
pub(super) struct Marks<'a> {
    epoch: [u8; TEXT_BYTES_MAX],
    /// Epoch and backend, where they are to be shown.
    shown: Option<(Epoch, Option<&'a str>)>,
    cookie: Option<&'a [u8]>,
}

/// Fields at most.
const FIELDS: usize = 3;

impl<'a> Marks<'a> {
    /// The marks of the response to `exchange`.
    pub(super) fn of(exchange: &'a Exchange) -> Marks<'a> {
        let wanted = exchange
            .listener()
            .is_some_and(|listener| listener.http.decision_headers);
        let backend = || exchange.backend().map(|backend| &*backend.id);
        Marks {
            epoch: [0; TEXT_BYTES_MAX],
            shown: wanted.then(|| (exchange.table.epoch, backend())),
            cookie: None,
        }
    }

    /// The same with the cookie that makes the client stay, if it has none that says so.
    pub(super) fn with_cookie(self, exchange: &'a Exchange) -> Marks<'a> {
        let moved = exchange
            .backend
            .filter(|_| exchange.backend != exchange.affinity.preferred);
        let sticky = exchange.group().and_then(|group| group.sticky.as_ref());
        let cookie = moved.and_then(|backend| sticky?.set_cookie(backend));
        Marks { cookie, ..self }
    }

    /// Puts the fields into `room`; answers those in use.
    pub(super) fn fields<'r>(&'r mut self, room: &'r mut Room<'r>) -> &'r [OwnField<'r>] {
        let mut count = 0;
        let mut put = |field| {
            room[count] = field;
            count += 1;
        };
        if let Some(value) = self.cookie {
            put(OwnField {
                replaces: false,
                ..own(SET_COOKIE, value)
            });
        }
        if let Some((epoch, backend)) = self.shown {
            put(own(EPOCH, epoch.text(&mut self.epoch)));
            if let Some(backend) = backend {
                put(own(BACKEND, backend.as_bytes()));
            }
        }
        &room[..count]
    }
}

/// Room for [`Marks::fields`].
pub(super) type Room<'a> = [OwnField<'a>; FIELDS];

/// An empty one.
pub(super) fn room<'a>() -> Room<'a> {
    [own(b"", b""); FIELDS]
}

fn own<'a>(name: &'a [u8], value: &'a [u8]) -> OwnField<'a> {
    OwnField {
        name,
        value,
        replaces: true,
    }
}
