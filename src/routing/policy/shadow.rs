//! A policy that picks beside the one that serves, without effect: what would change is known
//! before anything does.
//!
//! It sees what the serving policy sees, at the same moment, and keeps turns of its own. It never
//! learns what would have become of its picks: they differ one by one from those that were served,
//! under the load those made.

use super::{Ask, Policy, pick_by};
use crate::base::id::{BackendIndex, CoreId, GroupSlot};
use crate::routing::table::Group;

use super::PickState;

/// The policy in the shadow of a group's own.
pub struct Shadow {
    /// Which one.
    pub policy: Policy,
    /// One of so many picks is repeated, at least 1.
    pub every: u32,
}

/// What a core remembers of a group's shadow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShadowState {
    picks: PickState,
    /// Picks until the next is repeated.
    left: u32,
}

impl ShadowState {
    /// The state a core begins with; its places are other ones than those of the policy beside it.
    #[must_use]
    pub fn new(seed: u64, core: CoreId, group: GroupSlot) -> ShadowState {
        ShadowState {
            picks: PickState::new(!seed, core, group),
            left: 0,
        }
    }

    /// Whether the pick that comes is one of those that are repeated.
    #[inline]
    pub fn is_due(&mut self, shadow: &Shadow) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.left = shadow.every.saturating_sub(1);
        true
    }

    /// Whom the shadow would choose.
    pub fn pick(&mut self, group: &Group, shadow: &Shadow, ask: &Ask<'_>) -> Option<BackendIndex> {
        let quiet = Ask {
            key: ask.key,
            tried: ask.tried,
            now_micros: ask.now_micros,
            // To ask for a connection would make the cores give some back.
            has_idle: &|_| true,
        };
        pick_by(group, &shadow.policy, &mut self.picks, &quiet).ok()
    }
}
