//! What a node says of itself: what it serves by, core by core, and how much it has to do.
//!
//! It always fits one datagram, so there is nothing to put together: cores that serve by the same
//! epoch are one entry, and of more entries than fit the cores behind count as not serving yet.

use super::wire::{Malformed, Reader};
use crate::base::epoch::Epoch;

/// Entries of cores: a publication makes two, so this many are already strange.
const RUNS_MAX: usize = 32;

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It takes nothing new.
    Draining,
    /// It has ended, on purpose.
    Left,
    /// It serves.
    Serving,
    /// It does not serve yet.
    #[default]
    Starting,
}

/// What a node has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Connections of clients.
    pub connections: u32,
    /// Requests and connections under way to backends.
    pub in_flight: u32,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Where it is in its life.
    pub phase: Phase,
    /// The newest epoch it has published to its cores.
    pub epoch: Epoch,
    /// The hash of the configuration of that epoch.
    pub hash: u64,
    /// The hash of the backends in its table, which has what this node found.
    pub backends_hash: u64,
    /// By which epoch each core serves, core by core.
    pub cores: Vec<Epoch>,
    /// What it has to do.
    pub load: Load,
    /// The newest version of what it found of backends.
    pub findings: u64,
}

impl State {
    /// The oldest epoch a core serves by.
    #[must_use]
    pub fn adopted(&self) -> Epoch {
        self.cores.iter().min().copied().unwrap_or_default()
    }

    /// Whether somebody who waits would want to know of the difference at once.
    pub(super) fn is_news(&self, before: &State) -> bool {
        let quiet = |state: &State| State {
            load: Load::default(),
            findings: 0,
            ..state.clone()
        };
        quiet(self) != quiet(before)
    }

    pub(super) fn put(&self, to: &mut Vec<u8>) {
        to.push(match self.phase {
            Phase::Draining => 0,
            Phase::Left => 1,
            Phase::Serving => 2,
            Phase::Starting => 3,
        });
        for number in [self.epoch.0, self.hash, self.backends_hash, self.findings] {
            to.extend_from_slice(&number.to_be_bytes());
        }
        for number in [self.load.connections, self.load.in_flight] {
            to.extend_from_slice(&number.to_be_bytes());
        }
        let mut runs = self.cores.chunk_by(PartialEq::eq);
        let mut entries: Vec<(usize, Epoch)> = runs
            .by_ref()
            .take(RUNS_MAX - 1)
            .map(|run| (run.len(), run[0]))
            .collect();
        let rest: usize = runs.map(<[Epoch]>::len).sum();
        if rest > 0 {
            entries.push((rest, Epoch(0)));
        }
        to.push(u8::try_from(entries.len()).unwrap_or(u8::MAX));
        for (cores, epoch) in entries {
            let cores = u16::try_from(cores).unwrap_or(u16::MAX);
            to.extend_from_slice(&cores.to_be_bytes());
            to.extend_from_slice(&epoch.0.to_be_bytes());
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<State, Malformed> {
        let phase = match from.u8()? {
            0 => Phase::Draining,
            1 => Phase::Left,
            2 => Phase::Serving,
            3 => Phase::Starting,
            _ => return Err(Malformed),
        };
        let (epoch, hash, backends_hash) = (Epoch(from.u64()?), from.u64()?, from.u64()?);
        let findings = from.u64()?;
        let load = Load {
            connections: from.u32()?,
            in_flight: from.u32()?,
        };
        let entries = usize::from(from.u8()?);
        let mut cores = Vec::new();
        for _ in 0..entries {
            let (count, epoch) = (usize::from(from.u16()?), Epoch(from.u64()?));
            if entries > RUNS_MAX || cores.len() + count > crate::base::limits::CORES_MAX {
                return Err(Malformed);
            }
            cores.resize(cores.len() + count, epoch);
        }
        Ok(State {
            phase,
            epoch,
            hash,
            backends_hash,
            cores,
            load,
            findings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(state: &State) -> State {
        let mut bytes = Vec::new();
        state.put(&mut bytes);
        assert!(bytes.len() < 512, "{}", bytes.len());
        let mut reader = Reader(&bytes);
        let read = State::read(&mut reader).unwrap();
        assert!(reader.end().is_ok());
        read
    }

    #[test]
    fn a_state_comes_over_and_too_many_runs_become_cores_that_are_behind() {
        let mut state = State {
            phase: Phase::Serving,
            epoch: Epoch::of(7),
            hash: 1,
            backends_hash: u64::MAX,
            cores: vec![Epoch::of(7), Epoch::of(7), Epoch::of(6)],
            load: Load {
                connections: 3,
                in_flight: 2,
            },
            findings: 9,
        };
        assert_eq!(round(&state), state);
        assert_eq!(state.adopted(), Epoch::of(6));
        state.cores = (0..256).map(|core| Epoch::of(6 + core % 2)).collect();
        let read = round(&state);
        assert_eq!(read.cores.len(), 256);
        assert_eq!(read.cores[..31], state.cores[..31]);
        assert!(read.cores[31..].iter().all(|epoch| *epoch == Epoch(0)));
    }

    #[test]
    fn load_alone_is_no_news() {
        let before = State::default();
        let mut after = before.clone();
        after.load.in_flight = 9;
        after.findings = 3;
        assert!(!after.is_news(&before));
        after.epoch = Epoch::of(1);
        assert!(after.is_news(&before));
    }
}
