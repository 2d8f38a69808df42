//! What exchanges teach the policies of their group: the one that chooses and the one in its
//! shadow.
//!
//! Each is told what it asks for and nothing else, so a group whose policy asks for no times pays
//! for none.

use crate::base::id::{BackendIndex, CoreId};
use crate::routing::latency::crowd;
use crate::routing::policy::{Adaptive, Policy, PolicyKind, crowd_at, estimate};
use crate::routing::standing::Outcome;
use crate::routing::table::{Backend, Group};

/// What an answer showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// From handing the request over to the head of the response.
    pub micros: u64,
    /// The crowd the request came into: see [`Group::crowd_at`].
    pub crowd: u8,
    /// Its status.
    pub status: u16,
}

/// What a backend says of itself when it is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Requests it has under way.
    pub in_flight: u32,
    /// What one more would take, as far as it knows.
    pub latency_micros: Option<u64>,
}

impl Outcome {
    /// What the status of an answer shows.
    #[must_use]
    pub fn of_status(status: u16) -> Outcome {
        match status {
            502..=504 => Outcome::GatewayFailed,
            500.. => Outcome::ServerFailed,
            _ => Outcome::Answered,
        }
    }
}

/// Too much to do (RFC 6585), and said fast.
const TOO_MANY_REQUESTS: u16 = 429;

impl Group {
    /// Whether an exchange may go to `backend`, and whether it takes a trial of it with that. In
    /// panic all may be used; who is half-open is tried by that, or a panic of all of them would
    /// never end.
    #[must_use]
    pub fn may_enter(&self, backend: &Backend) -> Option<bool> {
        if !backend.standing.word().is_suspended() {
            return Some(false);
        }
        match backend.standing.take_trial() {
            true => Some(true),
            false => self.standing.is_panicking().then_some(false),
        }
    }

    /// The policy, and the one in its shadow.
    pub(super) fn policies(&self) -> impl Iterator<Item = &Policy> {
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.policy);
        [Some(&self.policy), shadow].into_iter().flatten()
    }

    /// Whether one of them places by a key.
    #[inline]
    #[must_use]
    pub fn needs_key(&self) -> bool {
        self.policies().any(|policy| policy.kind().needs_key())
    }

    /// How its times are judged, if one of them is adaptive.
    #[inline]
    #[must_use]
    pub fn adaptive(&self) -> Option<Adaptive> {
        self.policies().find_map(|policy| match policy.kind() {
            PolicyKind::Adaptive(adaptive) => Some(adaptive),
            _ => None,
        })
    }

    /// The crowd a request has come into that was handed to `backend` just now; 0 where it does
    /// not matter.
    #[inline]
    #[must_use]
    pub fn crowd_at(&self, backend: BackendIndex, now_micros: u64) -> u8 {
        crowd_at(self, backend, now_micros)
    }

    /// Notes what an answer took, for the policies that ask. One that says the backend has too
    /// much to do (429) is a failure to them; others that fail are noted by [`Group::failed`]. Only
    /// `core` itself may call it.
    #[inline]
    pub fn answered(&self, index: BackendIndex, core: CoreId, answer: Answer, now_micros: u64) {
        let Some(backend) = self.backends.get(index.index()) else {
            return;
        };
        let is_peak = |policy: &Policy| policy.kind() == PolicyKind::PeakEwma;
        if self.policies().any(is_peak) {
            backend.load.observe(core, answer.micros, now_micros);
        }
        if answer.status == TOO_MANY_REQUESTS {
            self.failed(index, now_micros);
        } else if answer.status < 500
            && let Some(adaptive) = self.adaptive()
        {
            let (took, crowd) = (answer.micros.max(1) as f32, usize::from(answer.crowd));
            if self.norm.observe(core, crowd, took) {
                let (count, under_way) = (self.backends.len(), self.load.in_flight());
                self.norm.look(core, count, under_way, now_micros);
            }
            if let Some(usual) = self.norm.usual(core) {
                let fading = adaptive.fading(now_micros, self.norm.traffic(core));
                backend.load.latency().observe(crowd, took, &usual, fading);
            }
        }
    }

    /// Notes that an exchange failed at `backend`, for the policies that ask.
    pub fn failed(&self, backend: BackendIndex, now_micros: u64) {
        if let (Some(backend), Some(adaptive)) =
            (self.backends.get(backend.index()), self.adaptive())
        {
            // Any core's will do.
            let usual = self.norm.usual(CoreId(0));
            let fading = adaptive.fading(now_micros, self.norm.traffic(CoreId(0)));
            let penalty = f32::from(adaptive.failure_penalty);
            backend
                .load
                .latency()
                .observe_failure(penalty, usual.as_ref(), fading);
        }
    }

    /// Notes what a backend that was probed says of itself. Only the control thread may call it.
    pub fn told(&self, index: BackendIndex, said: Said, now_micros: u64) {
        let Some(backend) = self.backends.get(index.index()) else {
            return;
        };
        let others = said.in_flight.saturating_sub(backend.load.in_flight());
        self.hear(index, others, true, now_micros);
        let core = CoreId(0);
        let (Some(adaptive), Some(micros)) = (self.adaptive(), said.latency_micros) else {
            return;
        };
        // Who sees many answers knows better than what a backend says of those it remembers.
        let traffic = self.norm.traffic(core);
        if let (true, Some(usual)) = (adaptive.is_seldom(traffic), self.norm.usual(core)) {
            let crowd = crowd(said.in_flight.saturating_add(1));
            let (fading, took) = (adaptive.fading(now_micros, traffic), micros.max(1) as f32);
            backend.load.latency().observe(crowd, took, &usual, fading);
        }
    }

    /// Notes what others than this node have under way at a backend, as other nodes say. Only the
    /// control thread may call it.
    pub fn heard(&self, index: BackendIndex, others: u32, now_micros: u64) {
        self.hear(index, others, false, now_micros);
    }

    fn hear(&self, index: BackendIndex, others: u32, probed: bool, now_micros: u64) {
        if let Some(backend) = self.backends.get(index.index()) {
            backend.load.others().tell(others, now_micros);
            let under_way = (backend.load.in_flight(), others);
            let policies = self.policies();
            policies.for_each(|policy| policy.told(index, under_way, probed, now_micros));
        }
    }

    /// Counts what the policy in the shadow would have done instead of what was done.
    pub fn compare(
        &self,
        core: CoreId,
        served: BackendIndex,
        chosen: Option<BackendIndex>,
        now_micros: u64,
    ) {
        let stats = self.backends[served.index()].stats.of(core);
        stats.shadow_compared.inc();
        if chosen != Some(served) {
            stats.shadow_differed.inc();
        }
        if let Some(chosen) = chosen {
            let stats = self.backends[chosen.index()].stats.of(core);
            stats.shadow_chosen.inc();
            let expected = estimate(self, chosen, core, now_micros);
            let micros = expected.map_or(0, |estimate| estimate.latency_micros as u64);
            stats.shadow_busy_micros.add(micros);
        }
    }
}
