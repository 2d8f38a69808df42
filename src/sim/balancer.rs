//! One view of the fleet: a table, its loads and standings, and the cores that pick by it.
//!
//! All of it is the product's: the configuration is checked and planned as on a node, each core
//! has its own state between picks and its own budget of retries, and a pick is the pick of the
//! data plane. Usually a view is a node. What others have under way, when it is known here, is
//! counted as one more core of the load board that no pick runs on.

use std::sync::Arc;

use super::keeper::Keeper;
use super::rivals::Rival;
use super::scenario::{Chooser, Entrant, View};
use crate::base::epoch::Epoch;
use crate::base::id::{BackendIndex, CoreId};
use crate::config::Config;
use crate::engine::planner::{Resolved, plan};
use crate::engine::registry::Registry;
use crate::routing::policy::PickState;
use crate::routing::retry::Budget;
use crate::routing::table::{Group, Table};

/// One view.
pub(super) struct Balancer {
    table: Arc<Table>,
    pub(super) cores: Vec<Core>,
    pub(super) keeper: Keeper,
    pub(super) rival: Option<Rival>,
    /// The core whose load is what others have under way.
    others: Option<CoreId>,
    /// Requests of its own under way, by backend.
    own: Vec<u32>,
    /// Its own requests count in its own picks.
    counts_own: bool,
    /// Somebody reads what is counted of backends.
    pub(super) counts: bool,
}

/// A core.
pub(super) struct Core {
    pub(super) picks: PickState,
    pub(super) budget: Budget,
}

impl Balancer {
    pub(super) fn new(
        config: &Config,
        entrant: &Entrant,
        cores: usize,
        seed: u64,
        number: usize,
    ) -> Balancer {
        let is_snapshot = matches!(entrant.nodes.view, View::Snapshot { .. });
        let hears = is_snapshot || entrant.nodes.mesh.is_some();
        let mut registry = Registry::new(cores + usize::from(hears));
        let planned = plan(config, &Resolved::default(), Epoch(1), &mut registry);
        let group = &planned.table.groups[0];
        let seed = seed ^ (number as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let core = |at: usize| Core {
            picks: PickState::new(seed, CoreId(at as u16), group.slot),
            budget: Budget::default(),
        };
        let keeper = Keeper::new(group, &config.groups[0]);
        Balancer {
            cores: (0..cores).map(core).collect(),
            counts: keeper.counts(group),
            keeper,
            rival: match entrant.chooser {
                Chooser::Rival(kind) => Some(Rival::new(kind, group, number)),
                Chooser::Weir => None,
            },
            others: hears.then_some(CoreId(cores as u16)),
            own: vec![0; group.backends.len()],
            counts_own: !is_snapshot,
            table: planned.table,
        }
    }

    pub(super) fn group(&self) -> &Group {
        &self.table.groups[0]
    }

    /// The table, to hold its group while something else of this changes.
    pub(super) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table)
    }

    /// A request goes to a backend.
    pub(super) fn enter(&mut self, index: BackendIndex, core: u16) {
        self.own[index.index()] += 1;
        if self.counts_own {
            self.group().enter(index, CoreId(core));
        }
    }

    /// It has left.
    pub(super) fn leave(&mut self, index: BackendIndex, core: u16) {
        self.own[index.index()] -= 1;
        if self.counts_own {
            self.group().leave(index, CoreId(core));
        }
    }

    /// What its own requests are.
    pub(super) fn own(&self) -> &[u32] {
        &self.own
    }

    /// Others have that much under way.
    pub(super) fn hear(&self, others: impl Iterator<Item = u32>) {
        let Some(core) = self.others else { return };
        for (backend, count) in self.group().backends.iter().zip(others) {
            backend.load.set(core, count);
        }
    }
}
