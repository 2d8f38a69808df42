//! What slots are called, and what is under way there, for whoever writes lines.

use std::fmt;

use crate::base::id::{BackendSlot, ListenerSlot};
use crate::telemetry::access_log::escape;

/// What is under way while a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections of clients to all listeners.
    pub connections: u64,
    /// Those to the listener.
    pub of_listener: u64,
    /// Requests at all backends of the group.
    pub of_group: u64,
    /// Requests at the backend.
    pub of_backend: u64,
    /// Requests that wait for room in the group.
    pub waiting: u64,
}

/// Reads figures of a listener and a backend.
pub type Gauges = Box<dyn Fn(ListenerSlot, Option<BackendSlot>) -> Figures + Send + Sync>;

/// What slots are called, as pieces ready to be copied into a line.
#[derive(Default)]
pub struct LogNames {
    listeners: Vec<Name>,
    backends: Vec<Name>,
    gauges: Option<Gauges>,
}

/// A name in the words of JSON, and by itself.
#[derive(Default)]
struct Name {
    json: Box<[u8]>,
    plain: Box<[u8]>,
}

impl fmt::Debug for LogNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (listeners, backends) = (self.listeners.len(), self.backends.len());
        write!(f, "LogNames({listeners} listeners, {backends} backends)")
    }
}

impl LogNames {
    /// Names by slot: of listeners, and of groups with their backends.
    #[must_use]
    pub fn new<'a>(
        listeners: impl Iterator<Item = &'a str>,
        backends: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let listener = |name: &str| Name {
            json: json_of(&[(",\"listener\":\"", name)]),
            plain: plain_of(&[name]),
        };
        let backend = |(group, backend): (&str, &str)| Name {
            json: json_of(&[(",\"group\":\"", group), (",\"backend\":\"", backend)]),
            plain: plain_of(&[group, backend]),
        };
        LogNames {
            listeners: listeners.map(listener).collect(),
            backends: backends.map(backend).collect(),
            gauges: None,
        }
    }

    /// The same with what is under way.
    #[must_use]
    pub fn with_gauges(self, gauges: Gauges) -> Self {
        LogNames {
            gauges: Some(gauges),
            ..self
        }
    }

    /// Of a listener, as members of a JSON object. A record can be older than the newest names and
    /// its slot out of use: then it names nothing.
    pub(super) fn listener_json(&self, slot: ListenerSlot) -> &[u8] {
        let name = self.listeners.get(slot.index());
        name.map_or(b"", |name| &name.json)
    }

    /// Of a backend and its group, as members of a JSON object.
    pub(super) fn backend_json(&self, slot: BackendSlot) -> &[u8] {
        let name = self.backends.get(slot.index());
        name.map_or(b"", |name| &name.json)
    }

    /// Of a listener, by itself.
    #[must_use]
    pub fn listener(&self, slot: ListenerSlot) -> Option<&[u8]> {
        let name = self.listeners.get(slot.index())?;
        (!name.plain.is_empty()).then_some(&*name.plain)
    }

    /// Of a backend behind that of its group, as `group/backend`.
    #[must_use]
    pub fn backend(&self, slot: BackendSlot) -> Option<&[u8]> {
        let name = self.backends.get(slot.index())?;
        (name.plain.len() > 1).then_some(&*name.plain)
    }

    /// What is under way now; nothing where it is not known.
    pub(super) fn figures(&self, listener: ListenerSlot, backend: Option<BackendSlot>) -> Figures {
        let gauges = self.gauges.as_ref();
        gauges.map_or_else(Figures::default, |gauges| gauges(listener, backend))
    }
}

/// Texts as members of a JSON object; an empty one is left out.
fn json_of(members: &[(&str, &str)]) -> Box<[u8]> {
    let mut out = Vec::new();
    for (key, text) in members.iter().filter(|(_, text)| !text.is_empty()) {
        out.extend_from_slice(key.as_bytes());
        escape::json(&mut out, text.as_bytes());
        out.push(b'"');
    }
    out.into()
}

/// Texts with a slash between them.
fn plain_of(parts: &[&str]) -> Box<[u8]> {
    let mut out = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            out.push(b'/');
        }
        escape::combined(&mut out, part.as_bytes());
    }
    out.into()
}
