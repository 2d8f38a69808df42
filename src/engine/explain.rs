//! What becomes of a request: every step from its listener to its backend, with the reasons, by
//! the code that serves requests and without sending one.
//!
//! The pick is that of a core that has not picked yet. It changes nothing any core sees: the
//! state is its own, and a limit on connections counts as met by an idle one, because asking for
//! one would make the cores give some back.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::id::{BackendIndex, CoreId, GroupIndex};
use crate::routing::matcher::Destination;
use crate::routing::policy::{Ask, Estimate, NoPick, PickState, Tried, estimate, may_stay, pick};
use crate::routing::shard::json::{Scan, Scanner};
use crate::routing::shard::key::{Extracted, JsonKey, KeyRoom, KeySource, RequestView};
use crate::routing::shard::{Decision, Reject, Rule};
use crate::routing::table::{Backend, BackendState, Group, Listener, Protocol, Table};

#[cfg(test)]
mod tests;

/// A request nobody sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    /// Its method.
    pub method: String,
    /// Its host, with or without port.
    pub host: String,
    /// Its path and query.
    pub target: String,
    /// Its header fields in order, cookies included.
    pub fields: Vec<(String, String)>,
    /// Who sends it.
    pub client: Option<IpAddr>,
    /// Its body as its framing is taken off.
    pub body: Vec<u8>,
    /// The name in a TLS hello, for connections.
    pub server_name: Option<String>,
}

impl RequestView for Sketch {
    fn client(&self) -> Option<IpAddr> {
        self.client
    }

    fn fields_named<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        let named = self.fields.iter();
        let named = named.filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        let values: Vec<&[u8]> = named.map(|(_, value)| value.as_bytes()).collect();
        values.into_iter()
    }

    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }

    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn path(&self) -> &[u8] {
        let end = self.target.find(['?', '#']);
        &self.target.as_bytes()[..end.unwrap_or(self.target.len())]
    }

    fn target(&self) -> &[u8] {
        self.target.as_bytes()
    }
}

/// What becomes of a request on a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Position of the route that takes it; `None` for where everything else goes.
    pub route: Option<usize>,
    /// What the shard rule says, if one is asked.
    pub ruling: Option<Ruling>,
    /// Where it goes.
    pub outcome: Outcome,
    /// Who of the group gets it.
    pub choice: Option<Choice>,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To this group.
    Group(GroupIndex),
    /// No route takes it.
    NoRoute,
    /// The shard rule refuses it.
    Rejected(Reject),
}

/// What a shard rule says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Its name.
    pub rule: Arc<str>,
    /// What came of looking for the key.
    pub key: KeyFound,
    /// The hash that places the key, where one does.
    pub hash: Option<u64>,
    /// What the rule decides.
    pub decision: Decision,
}

/// What came of looking for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFound {
    /// It is in a body with a content coding.
    Compressed,
    /// This one.
    Key(Vec<u8>),
    /// It is ambiguous or cannot be decoded.
    Malformed,
    /// There is none.
    Missing,
    /// It is too long, or too far into the body.
    Oversized,
}

/// Who of a group gets a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The hash of what it is placed by, if the policy places and the request says.
    pub hash: Option<u64>,
    /// The backend its client sticks to.
    pub preferred: Option<BackendIndex>,
    /// Every backend in the order of the table.
    pub candidates: Vec<Standing>,
    /// The one.
    pub pick: Result<BackendIndex, NoPick>,
}

/// How one backend stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Requests under way, all cores together.
    pub in_flight: u32,
    /// What the adaptive policy thinks of it, if there is one and has seen anything.
    pub estimate: Option<Estimate>,
    /// Whether it can be chosen, or why not.
    pub can: Can,
}

/// Whether a backend can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Can {
    /// It drains.
    Drain,
    /// It has as much under way as it may have.
    Full,
    /// It is in maintenance.
    Maint,
    /// It failed under traffic, and a core has suspended it.
    Suspended,
    /// This node takes it to have failed.
    Unavailable,
    /// Its weight is 0.
    Weightless,
    /// It can.
    Yes,
}

impl Can {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Can::Drain => "drain",
            Can::Full => "full",
            Can::Maint => "maint",
            Can::Suspended => "suspended",
            Can::Unavailable => "unavailable",
            Can::Weightless => "weight 0",
            Can::Yes => "yes",
        }
    }
}

/// Explains what becomes of a request on `listener` at a time.
#[must_use]
pub fn explain(
    table: &Table,
    listener: &Listener,
    sketch: &Sketch,
    now_micros: u64,
) -> Explanation {
    let (route, destination) = match listener.protocol {
        Protocol::Http => listener.routes.choose(sketch),
        Protocol::Tcp => (None, listener.routes.default),
    };
    let (ruling, outcome) = match destination {
        None => (None, Outcome::NoRoute),
        Some(Destination::Group(group)) => (None, Outcome::Group(group)),
        Some(Destination::Shard(shard)) => {
            let ruling = ruling(table, table.shard(shard), listener.protocol, sketch);
            let outcome = match ruling.decision {
                Decision::Group(group) => Outcome::Group(group),
                // As in the data plane: a body that was read and still leaves it open has no key.
                Decision::NeedsBody => Outcome::Rejected(Reject::Missing),
                Decision::Reject(reject) => Outcome::Rejected(reject),
            };
            (Some(ruling), outcome)
        }
    };
    let choice = match outcome {
        Outcome::Group(group) => {
            let group = table.group(group);
            Some(choice(group, listener.protocol, sketch, now_micros))
        }
        Outcome::NoRoute | Outcome::Rejected(_) => None,
    };
    Explanation {
        route,
        ruling,
        outcome,
        choice,
    }
}

fn ruling(table: &Table, rule: &Rule, protocol: Protocol, sketch: &Sketch) -> Ruling {
    let mut room = KeyRoom::default();
    let mut scanner = Scanner::new(rule.key_bytes_max);
    let name = sketch.server_name.as_deref();
    let extracted = match (protocol, &rule.source) {
        (Protocol::Tcp, KeySource::Sni) => match name {
            Some(name) => Extracted::Key(name.as_bytes()),
            None => Extracted::Missing,
        },
        _ => rule.source.extract(sketch, rule.key_bytes_max, &mut room),
    };
    let extracted = match (extracted, &rule.source) {
        (Extracted::NeedsBody, KeySource::Json(key)) => in_body(key, &sketch.body, &mut scanner),
        (extracted, _) => extracted,
    };
    let hash = match extracted {
        Extracted::Key(key) => rule.function.hash_of(key),
        _ => None,
    };
    Ruling {
        rule: Arc::clone(&rule.name),
        hash,
        decision: rule.decide_by(extracted, |group| table.load(group)),
        key: match extracted {
            Extracted::Compressed => KeyFound::Compressed,
            Extracted::Key(key) => KeyFound::Key(key.to_vec()),
            Extracted::Malformed => KeyFound::Malformed,
            Extracted::Missing | Extracted::NeedsBody => KeyFound::Missing,
            Extracted::Oversized => KeyFound::Oversized,
        },
    }
}

/// The key in a body that is there as a whole; looked for as far as the rule allows.
fn in_body<'k>(key: &JsonKey, body: &[u8], scanner: &'k mut Scanner) -> Extracted<'k> {
    let piece = &body[..body.len().min(key.body_bytes_max)];
    if scanner.feed(&key.pointer, piece) == Scan::More && piece.len() == body.len() {
        scanner.finish(&key.pointer);
    }
    match scanner.key() {
        Extracted::NeedsBody => Extracted::Oversized,
        found => found,
    }
}

fn choice(group: &Group, protocol: Protocol, sketch: &Sketch, now_micros: u64) -> Choice {
    // Of a connection nothing but its address counts.
    let (place, preferred) = match protocol {
        Protocol::Http => (
            group.place_of_request(sketch),
            group.sticky.as_ref().and_then(|by| by.preferred(sketch)),
        ),
        Protocol::Tcp => {
            let sticky = group.sticky.as_ref();
            let place = |client| group.place_of_client(client);
            (
                sketch.client.map(place),
                sticky.and_then(|by| by.preferred_by_address(sketch.client?)),
            )
        }
    };
    let hash = place.filter(|_| group.policy.kind().needs_key());
    let ask = Ask {
        key: hash,
        has_idle: &|_| true,
        ..Ask::new(&Tried::NONE, now_micros)
    };
    let mut state = PickState::new(0, CoreId(0), group.slot);
    Choice {
        hash,
        preferred,
        candidates: group
            .backends
            .iter()
            .enumerate()
            .map(|(at, backend)| Standing {
                estimate: estimate(group, BackendIndex(at as u32), CoreId(0), now_micros),
                ..standing(group, backend)
            })
            .collect(),
        pick: match preferred {
            Some(index) if may_stay(group, index, &ask) => Ok(index),
            _ => pick(group, &mut state, &ask),
        },
    }
}

fn standing(group: &Group, backend: &Backend) -> Standing {
    let word = backend.standing.word();
    let panics = group.standing.is_panicking();
    Standing {
        in_flight: backend.load.in_flight(),
        estimate: None,
        can: match (backend.state, word.state()) {
            (BackendState::Maint, _) | (_, BackendState::Maint) => Can::Maint,
            (BackendState::Drain, _) | (_, BackendState::Drain) => Can::Drain,
            _ if backend.weight == 0 => Can::Weightless,
            _ if !panics && !word.standing().available => Can::Unavailable,
            _ if !panics && word.is_suspended() => Can::Suspended,
            _ if backend.is_full(&|_| true) => Can::Full,
            _ => Can::Yes,
        },
    }
}
