//! What is to be asked next: of backends by checks, of their agents.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::id::BackendSlot;
use crate::control::health::checks::Ask;
use crate::control::health::keeper::Keeper;
use crate::control::health::member::Member;
use crate::health::Moment;

/// A check to be made, or an agent to be asked.
pub(super) struct Due {
    pub(super) slot: BackendSlot,
    /// Whom: the slot may have changed hands when the result comes.
    pub(super) address: SocketAddr,
    /// Where it is asked.
    pub(super) asked: SocketAddr,
    pub(super) what: What,
    pub(super) timeout: Duration,
}

/// What is asked.
pub(super) enum What {
    /// The agent, after this was sent.
    Agent(Option<Arc<str>>),
    /// The backend itself.
    Check(Arc<Ask>),
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whom {
    Agent(BackendSlot),
    Backend(BackendSlot),
}

impl Keeper {
    /// Queues all that is to be asked.
    pub(super) fn queue_checks(&mut self) {
        let members = self.members.values();
        let due = members.flat_map(|member| [member.check_due(), member.agent_due()]);
        self.due = due.flatten().collect();
    }

    /// Queues the next question to an agent that is not being asked.
    pub(super) fn queue_question(&mut self, slot: BackendSlot) {
        let member = self.members.get(&slot);
        self.due.extend(member.and_then(Member::agent_due));
    }

    pub(super) fn queue_check(&mut self, slot: BackendSlot) {
        let member = self.members.get(&slot);
        self.due.extend(member.and_then(Member::check_due));
    }

    /// Takes what is queued of a backend, or of its agent, out: its due time changes.
    pub(super) fn unqueue(&mut self, whom: Whom) {
        let (Whom::Agent(slot) | Whom::Backend(slot)) = whom;
        let member = self.members.get(&slot);
        let due = member.and_then(|member| match whom {
            Whom::Agent(_) => Some(member.agent.as_ref()?.machine.due()),
            Whom::Backend(_) => Some(member.probe.as_ref()?.due()),
        });
        if let Some(due) = due {
            self.due.remove(&(due, whom));
        }
    }
}

impl Member {
    /// When it is asked next here, and as whom.
    fn check_due(&self) -> Option<(Moment, Whom)> {
        let waits = !self.checking && self.is_checked_here();
        let probe = self.probe.as_ref().filter(|_| waits)?;
        Some((probe.due(), Whom::Backend(self.slot)))
    }

    /// As [`Member::check_due`], of its agent.
    fn agent_due(&self) -> Option<(Moment, Whom)> {
        Some((self.question_due()?, Whom::Agent(self.slot)))
    }
}
