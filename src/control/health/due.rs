//! What is to be asked next: of backends by checks, of their agents.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::id::BackendSlot;
use crate::control::health::checks::Ask;
use crate::control::health::keeper::Keeper;
use crate::control::health::member::Member;

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
        self.due.clear();
        let slots: Vec<BackendSlot> = self.members.keys().copied().collect();
        for slot in slots {
            self.queue_check(slot);
            self.queue_question(slot);
        }
    }

    /// Queues the next question to an agent that is not being asked.
    pub(super) fn queue_question(&mut self, slot: BackendSlot) {
        let member = self.members.get(&slot);
        if let Some(due) = member.and_then(Member::question_due) {
            self.due.insert((due, Whom::Agent(slot)));
        }
    }

    pub(super) fn queue_check(&mut self, slot: BackendSlot) {
        let here = |member: &&Member| !member.checking && member.is_checked_here();
        let waiting = self.members.get(&slot).filter(here);
        if let Some(probe) = waiting.and_then(|member| member.probe.as_ref()) {
            self.due.insert((probe.due(), Whom::Backend(slot)));
        }
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
