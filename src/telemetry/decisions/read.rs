//! Reading a file of decisions. Its bytes are somebody's file and may be anything: what cannot be
//! read is told and passed over, and nothing is believed that does not fit.

use super::{FLAG_KEY, KIND_ANEW, KIND_DECISION, KIND_NAME, MAGIC};
use crate::base::decision::{POLICIES, Reason};
use crate::base::fault::Fault;
use crate::base::limits::DECISION_NAMES_MAX;

/// Where one request went, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Wall clock at its end, microseconds since 1970.
    pub ended_unix_micros: u64,
    /// Its number, as in `X-Request-Id`.
    pub request_number: u64,
    /// The hash of the key it was placed by.
    pub key: Option<u64>,
    /// What chose its backend.
    pub reason: Reason,
    /// The policy of its group.
    pub policy: Option<&'static str>,
    /// What went wrong.
    pub fault: Option<Fault>,
    /// Backends tried beyond the first.
    pub retries: u8,
    /// Backends tried, the last one included.
    pub tried: u8,
    /// The epoch it was routed with, as a number.
    pub epoch: u64,
    /// Where it came in.
    pub listener: String,
    /// The route that took it; empty if none did.
    pub route: String,
    /// The shard rule that placed it; empty if none did.
    pub shard: String,
    /// Group and backend it was with last.
    pub backend: Option<(String, String)>,
    /// Backends of the group.
    pub candidates: u32,
    /// What the client got.
    pub status: u16,
    /// From first byte received to last byte sent.
    pub duration_micros: u64,
    /// From hand-over to the head of the answer.
    pub upstream_micros: u64,
    /// What it waited for room at a backend.
    pub queue_micros: u64,
    /// From hand-over to the connection that took it; none if none did.
    pub connect_micros: Option<u64>,
}

/// A frame that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// The decisions of a file, in its order.
pub struct Decisions<'b> {
    rest: &'b [u8],
    names: Vec<&'b str>,
}

impl<'b> Decisions<'b> {
    /// Those in `bytes`; none if these are no file of decisions of this version.
    #[must_use]
    pub fn of(bytes: &'b [u8]) -> Option<Decisions<'b>> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let names = Vec::new();
        Some(Decisions { rest, names })
    }

    /// Learns a name. Numbers come in order, so that none can make room for many.
    fn learn(&mut self, frame: &'b [u8]) -> Option<()> {
        let mut frame = Frame(frame);
        let number = frame.varint()?;
        let text = std::str::from_utf8(frame.0).ok()?;
        let next = self.names.len() as u64 + 1;
        (number == next && self.names.len() < DECISION_NAMES_MAX).then(|| self.names.push(text))
    }

    fn name(&self, number: u64) -> Option<&'b str> {
        match usize::try_from(number).ok()? {
            0 => Some(""),
            number => self.names.get(number - 1).copied(),
        }
    }

    fn decision(&self, frame: &[u8]) -> Option<Decision> {
        let mut frame = Frame(frame);
        let [flags] = frame.take()?;
        let ended_unix_micros = u64::from_le_bytes(frame.take()?);
        let request_number = u64::from_le_bytes(frame.take()?);
        let key = match flags & FLAG_KEY {
            0 => None,
            _ => Some(u64::from_le_bytes(frame.take()?)),
        };
        let [reason, policy, fault, retries, tried] = frame.take()?;
        let epoch = frame.varint()?;
        let listener = self.name(frame.varint()?)?.to_owned();
        let route = self.name(frame.varint()?)?.to_owned();
        let shard = self.name(frame.varint()?)?.to_owned();
        let backend = self.name(frame.varint()?)?.split_once('/');
        let candidates = u32::try_from(frame.varint()?).ok()?;
        let status = u16::try_from(frame.varint()?).ok()?;
        Some(Decision {
            ended_unix_micros,
            request_number,
            key,
            reason: *Reason::ALL.get(usize::from(reason))?,
            policy: POLICIES.get(usize::from(policy)).copied(),
            fault: Fault::ALL.get(usize::from(fault)).copied(),
            retries,
            tried,
            epoch,
            listener,
            route,
            shard,
            backend: backend.map(|(group, backend)| (group.to_owned(), backend.to_owned())),
            candidates,
            status,
            duration_micros: frame.varint()?,
            upstream_micros: frame.varint()?,
            queue_micros: frame.varint()?,
            connect_micros: frame.varint()?.checked_sub(1),
        })
    }
}

impl Iterator for Decisions<'_> {
    type Item = Result<Decision, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let torn = || Some(Err(Unreadable));
            let Some((length, rest)) = self.rest.split_first_chunk::<2>() else {
                self.rest = &[];
                return torn();
            };
            let length = usize::from(u16::from_le_bytes(*length));
            let Some((frame, rest)) = rest.split_at_checked(length) else {
                self.rest = &[];
                return torn();
            };
            self.rest = rest;
            match frame.split_first() {
                Some((&KIND_NAME, frame)) => {
                    if self.learn(frame).is_none() {
                        return torn();
                    }
                }
                Some((&KIND_DECISION, frame)) => {
                    return Some(self.decision(frame).ok_or(Unreadable));
                }
                Some((&KIND_ANEW, _)) => self.names.clear(),
                Some(_) => {}
                None => return torn(),
            }
        }
        None
    }
}

/// What is left of a frame.
struct Frame<'b>(&'b [u8]);

impl Frame<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}
