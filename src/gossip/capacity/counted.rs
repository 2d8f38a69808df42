//! A backend that counts what it has under way through one node, for the simulated worlds.

use super::Slots;
use crate::gossip::Moment;

/// What one backend has under way.
#[derive(Default)]
pub(crate) struct Backend {
    pub(crate) limit: u32,
    /// When each request ends, by the clock of the world.
    pub(crate) under_way: Vec<Moment>,
    /// A request found no slot.
    pub(crate) short: bool,
}

impl Slots for Backend {
    fn taken(&self, _: u64) -> u32 {
        self.under_way.len() as u32
    }

    fn was_short(&mut self, _: u64) -> bool {
        std::mem::take(&mut self.short)
    }

    fn set(&mut self, _: u64, limit: u32) {
        self.limit = limit;
    }

    fn lower(&mut self, key: u64, limit: u32) -> u32 {
        self.limit = limit.max(self.taken(key));
        self.limit
    }
}
