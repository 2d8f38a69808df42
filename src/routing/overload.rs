//! When the node runs out of something: how near it is, and what is done about it.
//!
//! Every core looks at the same few readings (client connections, descriptors, memory, time lost
//! waiting for memory), each against its limit, and the one nearest to its end decides. Three
//! actions follow each other: answers end their connections, idle connections are closed, new ones
//! are refused. An action ends some percent below its threshold, so that it does not flap. Each
//! core decides for itself and sheds its own part, so nothing is shared and nothing is locked.
//!
//! Seen: Envoy's overload manager (resource monitors, actions by threshold), HAProxy's `maxconn`
//! with its reserve, sozu's `max_connections` with its hysteresis. Pure: readings go in.

use std::time::Duration;

pub use crate::telemetry::overload::{Action, Resource};

/// What an operator says about it. Thresholds are thousandths; `None` never happens, and by default
/// nothing ever does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Client connections at one time, all cores together.
    pub connections_max: Option<u32>,
    /// Bytes of memory of the process.
    pub memory_max: Option<u64>,
    /// Thousandths of time in which something may wait for memory.
    pub stall_max: Option<u32>,
    /// When each action begins, in the order of [`Action`].
    pub thresholds: [Option<u32>; 3],
    /// So much below its threshold an action ends.
    pub hysteresis: u32,
    /// Who was heard less long ago is not idle.
    pub idle_min: Duration,
    /// Connections for HTTP are reset at once instead of being answered.
    pub resets: bool,
}

/// What was found, all cores together. A limit of zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Client connections.
    pub connections: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Descriptors that may be open.
    pub descriptors_max: u64,
    /// Bytes of memory the process has.
    pub memory: u64,
    /// Bytes of memory its cgroup has and cannot take back, and may have.
    pub cgroup: (u64, u64),
    /// Thousandths of the last ten seconds in which something waited for memory.
    pub stall: u32,
}

/// How near each resource is to its end, in thousandths; above 1000 it is beyond.
pub type Pressures = [u32; Resource::ALL.len()];

impl Terms {
    /// How near each resource is to its end.
    #[must_use]
    pub fn pressures(&self, reading: &Reading) -> Pressures {
        let connections_max = self.connections_max.map_or(0, u64::from);
        let own = part(reading.memory, self.memory_max.unwrap_or(0));
        let cgroup = part(reading.cgroup.0, reading.cgroup.1);
        let stall_max = self.stall_max.map_or(0, u64::from);
        [
            part(reading.connections, connections_max),
            part(reading.descriptors, reading.descriptors_max),
            own.max(cgroup),
            part(u64::from(reading.stall), stall_max),
        ]
    }

    /// How many more descriptors and connections there may be before new ones are treated worse
    /// than `now`.
    #[must_use]
    pub fn room(&self, reading: &Reading, now: Admission) -> u64 {
        let worse = match now {
            Admission::Admitted => self.threshold(Action::Refuse),
            Admission::Answered => self.beyond(),
            Admission::Reset => None,
        };
        let Some(worse) = worse else {
            return u64::MAX;
        };
        self.over_counted(reading, |used, most| {
            below(most, worse).saturating_sub(used)
        })
        .min()
        .unwrap_or(u64::MAX)
    }

    /// What must go until idle connections are not closed any more. Nobody knows how much memory a
    /// connection is worth.
    #[must_use]
    pub fn excess(&self, reading: &Reading) -> Excess {
        let Some(close) = self.threshold(Action::CloseIdle) else {
            return Excess::Nothing;
        };
        let end = close.saturating_sub(self.hysteresis);
        let over = |used: u64, most| used.saturating_sub(below(most, end));
        let counted = self.over_counted(reading, over).max().unwrap_or(0);
        let [_, _, memory, stall] = self.pressures(reading);
        match counted {
            0 if memory.max(stall) > end => Excess::Unknown,
            0 => Excess::Nothing,
            counted => Excess::Connections(counted),
        }
    }

    /// From here on even who would be answered is reset: half-way from refusing to the end.
    fn beyond(&self) -> Option<u32> {
        let refuse = self.threshold(Action::Refuse)?;
        Some((refuse + 1000) / 2)
    }

    fn threshold(&self, action: Action) -> Option<u32> {
        self.thresholds[action as usize]
    }

    /// `of(used, most)` for each resource that is counted in connections and has a limit.
    fn over_counted(
        &self,
        reading: &Reading,
        of: impl Fn(u64, u64) -> u64,
    ) -> impl Iterator<Item = u64> {
        let connections_max = self.connections_max.map_or(0, u64::from);
        let counted = [
            (reading.connections, connections_max),
            (reading.descriptors, reading.descriptors_max),
        ];
        let limited = counted.into_iter().filter(|(_, most)| *most > 0);
        limited.map(move |(used, most)| of(used, most))
    }
}

fn part(used: u64, most: u64) -> u32 {
    if most == 0 {
        return 0;
    }
    let thousandths = u128::from(used) * 1000 / u128::from(most);
    u32::try_from(thousandths).unwrap_or(u32::MAX)
}

/// So many thousandths of `most`.
fn below(most: u64, thousandths: u32) -> u64 {
    let part = u128::from(most) * u128::from(thousandths) / 1000;
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// How a new connection is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// As always.
    Admitted,
    /// Its first request is answered with 503 where it can be told.
    Answered,
    /// It is reset.
    Reset,
}

/// What one core does about it now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overload {
    on: [bool; Action::ALL.len()],
    beyond: bool,
    resets: bool,
}

impl Overload {
    /// Judges anew by what was found; tells which actions begin.
    pub fn judge(&mut self, terms: &Terms, pressures: &Pressures) -> [bool; Action::ALL.len()] {
        let pressure = pressures.iter().copied().max().unwrap_or(0);
        let holds = |on: bool, threshold: Option<u32>| {
            let wanted = threshold.map(|from| match on {
                // It ends where there is no excess any more.
                true => from.saturating_sub(terms.hysteresis) + 1,
                false => from,
            });
            wanted.is_some_and(|from| pressure >= from)
        };
        let before = self.on;
        for (on, threshold) in self.on.iter_mut().zip(terms.thresholds) {
            *on = holds(*on, threshold);
        }
        self.beyond = terms.beyond().is_some_and(|from| pressure >= from);
        self.resets = terms.resets;
        std::array::from_fn(|index| self.on[index] && !before[index])
    }

    /// Whether an action is taken now.
    #[inline]
    #[must_use]
    pub fn does(&self, action: Action) -> bool {
        self.on[action as usize]
    }

    /// How new connections are treated.
    #[inline]
    #[must_use]
    pub fn admission(&self) -> Admission {
        match self.does(Action::Refuse) {
            false => Admission::Admitted,
            true if self.beyond || self.resets => Admission::Reset,
            true => Admission::Answered,
        }
    }
}

/// What is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// So many connections, all cores together.
    Connections(u64),
    /// Nothing.
    Nothing,
    /// Something that is not counted in connections.
    Unknown,
}

impl Excess {
    /// How many of its own connections one of some cores closes until it looks again: its part,
    /// and a little where nobody knows how many it takes.
    #[must_use]
    pub fn share(self, cores: usize, own: usize) -> usize {
        /// One of so many, and not fewer than this, each time.
        const PART: usize = 32;
        let wanted = match self {
            Excess::Connections(count) => count.div_ceil(cores.max(1) as u64),
            Excess::Nothing => 0,
            Excess::Unknown => own.div_ceil(PART).max(PART) as u64,
        };
        usize::try_from(wanted).unwrap_or(usize::MAX).min(own)
    }
}

#[cfg(test)]
mod tests;
