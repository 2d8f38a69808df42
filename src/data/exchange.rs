//! One request from its first byte to the last of its response: what is remembered about it.

use crate::base::decision::Reason;
use crate::base::fault::Fault;
use crate::base::id::{BackendIndex, CoreId, GroupIndex, ListenerSlot};
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::former::Former;
use crate::data::hedge::Rival;
use crate::data::place::Affinity;
use crate::data::queue::Waiting;
use crate::http::{Body, BodyLimits, Framing, Method, Output, Version};
use crate::routing::breaker::Rights;
use crate::routing::limit::Permit;
use crate::routing::policy::Tried;
use crate::routing::table::{Backend, Group, Listener};
use crate::runtime::buffers::Segment;
use crate::telemetry::access_log::draft::Draft;

/// Bytes of a trailer section; more is refused.
const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// How far the response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// Nothing of the final response has been given to the client.
    NotYet,
    /// The head has been queued for the client.
    Partly,
    /// All of it has been queued.
    Wholly,
}

/// One request and its response.
pub(super) struct Exchange {
    /// The table it was routed with, kept to its end.
    pub(super) table: Pinned,
    pub(super) listener: ListenerSlot,
    /// Position of the route that took it.
    pub(super) route: Option<usize>,
    pub(super) group: Option<GroupIndex>,
    /// Who had its key before, while that is its second choice.
    pub(super) former: Option<Box<Former>>,
    pub(super) backend: Option<BackendIndex>,
    /// Its place in the queue of its group, while every backend is at a limit.
    pub(super) waiting: Option<Box<Waiting>>,
    /// Where in its group it belongs.
    pub(super) affinity: Affinity,
    /// The connection that serves it.
    pub(super) upstream: Option<Key>,
    /// When a second copy of it is to be sent, in microseconds; 0 for not at all.
    pub(super) hedge_due: u64,
    /// The other copy of it, while two are under way.
    pub(super) rival: Option<Box<Rival>>,
    /// What it faces is the second copy.
    pub(super) second: bool,
    /// The right to one request at the backend, where requests are limited.
    pub(super) permit: Option<Permit>,
    /// What it holds of its group.
    pub(super) rights: Rights,
    pub(super) tried: Tried,
    pub(super) retries: u8,
    /// It goes as a trial of a backend that is suspended.
    pub(super) trial: bool,
    /// The crowd at its backend it has come into.
    pub(super) crowd: u8,
    /// Interim responses so far.
    pub(super) interims: u8,
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) wants_upgrade: bool,
    pub(super) wants_continue: bool,
    pub(super) request: Body,
    pub(super) response: Body,
    pub(super) answered: Answered,
    /// The client's connection ends with this exchange.
    pub(super) close: bool,
    /// The end of the response is shown only by closing.
    pub(super) until_close: bool,
    /// What the client still sends of the body is thrown away: the backend takes no more.
    pub(super) discard: bool,
    /// The whole request as sent, while it could be sent again: it went over a connection that
    /// had been idle, which may have died just then, or its group tries failures again.
    pub(super) replay: Option<Segment>,
    pub(super) status: u16,
    pub(super) fault: Option<Fault>,
    pub(super) started_micros: u64,
    /// From its first byte to the end of its head.
    pub(super) head_micros: u64,
    /// What it has waited for room at a backend.
    pub(super) queue_micros: u64,
    /// From the hand-over to the connection that took it; none while there is none.
    pub(super) connect_micros: Option<u64>,
    pub(super) handed_micros: u64,
    pub(super) answered_micros: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) number: u64,
    /// What chose its backend.
    pub(super) reason: Reason,
    /// The collector of traces is told of it.
    pub(super) traced: bool,
    /// Its record for the access log: texts are there once the head was read.
    pub(super) draft: Draft,
}

impl Exchange {
    /// One that holds nothing, of a table of nothing: see [`Exchange::begin`].
    pub(super) fn blank(nothing: Pinned) -> Exchange {
        Exchange {
            table: nothing,
            listener: ListenerSlot(0),
            route: None,
            group: None,
            former: None,
            backend: None,
            waiting: None,
            affinity: Affinity::default(),
            upstream: None,
            hedge_due: 0,
            rival: None,
            second: false,
            permit: None,
            rights: Rights::default(),
            tried: Tried::default(),
            retries: 0,
            trial: false,
            crowd: 0,
            interims: 0,
            method: Method::Other,
            version: Version::Http11,
            wants_upgrade: false,
            wants_continue: false,
            request: empty_body(),
            response: empty_body(),
            answered: Answered::NotYet,
            close: false,
            until_close: false,
            discard: false,
            replay: None,
            status: 0,
            fault: None,
            started_micros: 0,
            head_micros: 0,
            queue_micros: 0,
            connect_micros: None,
            handed_micros: 0,
            answered_micros: 0,
            bytes_received: 0,
            bytes_sent: 0,
            number: 0,
            reason: Reason::Nobody,
            traced: false,
            draft: Draft::default(),
        }
    }

    /// Begins one that holds nothing: its head is complete now and began to come in some time ago;
    /// nothing is known of its request yet.
    pub(super) fn begin(
        &mut self,
        table: Pinned,
        listener: ListenerSlot,
        (began_micros, now_micros): (u64, u64),
    ) {
        self.table = table;
        self.listener = listener;
        self.started_micros = began_micros;
        self.head_micros = now_micros.saturating_sub(began_micros);
        self.handed_micros = now_micros;
    }

    pub(super) fn listener(&self) -> Option<&Listener> {
        self.table
            .listener(self.listener)
            .map(|listener| &**listener)
    }

    pub(super) fn group(&self) -> Option<&Group> {
        self.group.map(|index| self.table.group(index))
    }

    pub(super) fn backend(&self) -> Option<&Backend> {
        self.group()?.backends.get(self.backend?.index())
    }

    /// The backend has no more to do for this exchange.
    pub(super) fn leave_backend(&mut self, core: CoreId) {
        if let (Some(group), Some(backend)) = (self.group(), self.backend) {
            group.leave(backend, core);
        }
        self.permit = None;
        if std::mem::take(&mut self.trial)
            && let Some(backend) = self.backend()
        {
            backend.standing.give_back_trial();
        }
    }

    /// It waits no more for room at a backend.
    pub(super) fn leave_queue(&mut self, now_micros: u64) -> Option<Box<Waiting>> {
        let waiting = self.waiting.take()?;
        self.queue_micros += now_micros.saturating_sub(waiting.since_micros);
        Some(waiting)
    }

    /// Everything of the request has been received.
    pub(super) fn has_request(&self) -> bool {
        self.request.is_done()
    }
}

/// Limits of a request body.
pub(super) fn request_limits(body_bytes: u64) -> BodyLimits {
    BodyLimits {
        body_bytes,
        trailer_bytes: TRAILER_BYTES_MAX,
    }
}

/// Limits of a response body: as long as the backend likes, because it is streamed.
pub(super) fn response_limits() -> BodyLimits {
    BodyLimits {
        body_bytes: u64::MAX,
        trailer_bytes: TRAILER_BYTES_MAX,
    }
}

fn empty_body() -> Body {
    Body::new(Framing::Empty, Output::Raw, response_limits())
}
