//! What a node measures, for the policies and the monitoring of all nodes: of itself, and of the
//! backends as it sees them.
//!
//! A message is a few entries and means the same whatever came before it or is lost: the newest
//! word about each backend counts. So nothing is put together, nothing is acknowledged, and a node
//! whose messages do not arrive is only known less of. Figures that are not known have a value of
//! their own, because none and zero are not the same.

use super::wire::{Malformed, Reader};

/// Backends in one message: at most 25 bytes each, and what is around them fits as well.
pub const BACKENDS_MAX: usize = 48;

/// A node, as it finds itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeFigures {
    /// How much of the processors it may use is in use, in thousandths.
    pub cpu_permille: Option<u16>,
    /// How much of the memory of its machine it holds, in thousandths.
    pub memory_permille: Option<u16>,
    /// Connections of clients.
    pub connections: u32,
    /// Requests and connections under way to backends.
    pub in_flight: u32,
    /// Connections of clients it takes at most.
    pub capacity: u32,
    /// Answers in the last second.
    pub answers: u32,
    /// What an answer took in the last second, in the mean, in microseconds; 0 without any.
    pub latency_micros: u32,
}

/// What a backend says of itself, by a heartbeat, an agent or its metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// Requests it has under way.
    pub active: Option<u16>,
    /// Requests it can have under way.
    pub capacity: Option<u16>,
    /// How much of its processors is in use, in percent.
    pub cpu_percent: Option<u8>,
    /// How much of its memory is in use, in percent.
    pub memory_percent: Option<u8>,
    /// How much memory it holds, in MiB.
    pub memory_mib: Option<u16>,
}

/// A backend, as a node sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendFigures {
    /// Which: the same number on every node.
    pub key: u64,
    /// What this node has under way there.
    pub in_flight: u16,
    /// Answers in the last second.
    pub answers: u16,
    /// What they took in the mean, in microseconds; 0 without any.
    pub latency_micros: u32,
    /// What the backend told this node of itself.
    pub claimed: Option<Claimed>,
}

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The node, in some messages.
    pub node: Option<NodeFigures>,
    /// Some of its backends, at most [`BACKENDS_MAX`].
    pub backends: Vec<BackendFigures>,
}

const UNKNOWN: u16 = u16::MAX;

impl Figures {
    pub(super) fn put(&self, to: &mut Vec<u8>) {
        to.push(u8::from(self.node.is_some()));
        if let Some(node) = &self.node {
            for share in [node.cpu_permille, node.memory_permille] {
                to.extend_from_slice(&share.unwrap_or(UNKNOWN).to_be_bytes());
            }
            for number in [
                node.connections,
                node.in_flight,
                node.capacity,
                node.answers,
                node.latency_micros,
            ] {
                to.extend_from_slice(&number.to_be_bytes());
            }
        }
        for backend in self.backends.iter().take(BACKENDS_MAX) {
            to.push(u8::from(backend.claimed.is_some()));
            to.extend_from_slice(&backend.key.to_be_bytes());
            for number in [backend.in_flight, backend.answers] {
                to.extend_from_slice(&number.to_be_bytes());
            }
            to.extend_from_slice(&backend.latency_micros.to_be_bytes());
            if let Some(claimed) = &backend.claimed {
                for number in [claimed.active, claimed.capacity, claimed.memory_mib] {
                    to.extend_from_slice(&number.unwrap_or(UNKNOWN).to_be_bytes());
                }
                for percent in [claimed.cpu_percent, claimed.memory_percent] {
                    to.push(percent.unwrap_or(u8::MAX));
                }
            }
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Figures, Malformed> {
        let known = |number: u16| (number != UNKNOWN).then_some(number);
        let node = match flag(from)? {
            false => None,
            true => Some(NodeFigures {
                cpu_permille: known(from.u16()?),
                memory_permille: known(from.u16()?),
                connections: from.u32()?,
                in_flight: from.u32()?,
                capacity: from.u32()?,
                answers: from.u32()?,
                latency_micros: from.u32()?,
            }),
        };
        let mut backends = Vec::new();
        while from.end().is_err() {
            if backends.len() == BACKENDS_MAX {
                return Err(Malformed);
            }
            let claims = flag(from)?;
            let mut backend = BackendFigures {
                key: from.u64()?,
                in_flight: from.u16()?,
                answers: from.u16()?,
                latency_micros: from.u32()?,
                claimed: None,
            };
            if claims {
                let percent = |number: u8| (number != u8::MAX).then_some(number);
                backend.claimed = Some(Claimed {
                    active: known(from.u16()?),
                    capacity: known(from.u16()?),
                    memory_mib: known(from.u16()?),
                    cpu_percent: percent(from.u8()?),
                    memory_percent: percent(from.u8()?),
                });
            }
            backends.push(backend);
        }
        Ok(Figures { node, backends })
    }
}

fn flag(from: &mut Reader<'_>) -> Result<bool, Malformed> {
    match from.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(figures: &Figures) -> Vec<u8> {
        let mut bytes = Vec::new();
        figures.put(&mut bytes);
        bytes
    }

    prop_compose! {
        fn any_backend()(
            key: u64, in_flight: u16, answers: u16, latency_micros: u32,
            claims: bool, active in 0..UNKNOWN, cpu in 0..u8::MAX, some: bool,
        ) -> BackendFigures {
            let claimed = Claimed {
                active: some.then_some(active),
                capacity: (!some).then_some(active),
                cpu_percent: some.then_some(cpu),
                memory_percent: (!some).then_some(cpu),
                memory_mib: some.then_some(active),
            };
            BackendFigures {
                key, in_flight, answers, latency_micros,
                claimed: claims.then_some(claimed),
            }
        }
    }

    proptest! {
        #[test]
        fn figures_come_over(
            backends in proptest::collection::vec(any_backend(), 0..=BACKENDS_MAX),
            node: Option<(u32, u32)>,
        ) {
            let node = node.map(|(connections, latency_micros)| NodeFigures {
                connections,
                latency_micros,
                cpu_permille: Some(5),
                ..NodeFigures::default()
            });
            let figures = Figures { node, backends };
            let bytes = bytes_of(&figures);
            prop_assert!(bytes.len() <= 1 + 24 + 25 * BACKENDS_MAX);
            prop_assert_eq!(Figures::read(&mut Reader(&bytes)), Ok(figures));
        }

        #[test]
        fn hostile_bytes_are_refused_or_read(bytes: Vec<u8>) {
            if let Ok(figures) = Figures::read(&mut Reader(&bytes)) {
                prop_assert_eq!(bytes_of(&figures), bytes);
            }
        }
    }
}
