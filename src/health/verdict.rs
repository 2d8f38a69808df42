//! What the sources say together, and what changed when and why.
//!
//! The operator's word is above all: what is in maintenance or draining stays so, however well it
//! is. Below that every source has an opinion of its own, and a backend is available only if none
//! of them says that it is down; a source that knows nothing says nothing. The agent of a backend
//! may also want it to drain or to rest. When several speak against it, the first in
//! [`Source::RANK`] is told as the reason. Rejected: the last word counts, because then a
//! passing check would undo what somebody outside has found, and a vote, because sources see
//! different things.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::Moment;

/// Where an opinion comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Its agent, by what it has said to whichever node asked it.
    Agent,
    /// Active checks of this node.
    Check,
    /// Traffic of this node: it is out for a while.
    Ejection,
    /// What it says of itself, or that it says nothing.
    Heartbeat,
    /// The configuration.
    Operator,
    /// Somebody outside, by `health_check_failed`.
    Verdict,
}

impl Source {
    /// All of them, the one whose word is told first in front.
    pub const RANK: [Source; 6] = [
        Source::Operator,
        Source::Verdict,
        Source::Heartbeat,
        Source::Agent,
        Source::Check,
        Source::Ejection,
    ];

    /// Its word in pages and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Source::Agent => "agent",
            Source::Check => "check",
            Source::Ejection => "ejection",
            Source::Heartbeat => "heartbeat",
            Source::Operator => "operator",
            Source::Verdict => "verdict",
        }
    }
}

/// What a backend is, all in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Some source says that it does not serve.
    Down,
    /// Its operator or its agent wants it to get nothing new.
    Drain,
    /// Its operator or its agent wants it to get nothing.
    Maint,
    /// Nobody says anything against it.
    Up,
}

impl Status {
    /// All of them.
    pub const ALL: [Status; 4] = [Status::Down, Status::Drain, Status::Maint, Status::Up];

    /// Its word in pages and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Status::Down => "down",
            Status::Drain => "drain",
            Status::Maint => "maint",
            Status::Up => "up",
        }
    }
}

/// Why: a word of ours, or what was found.
pub type Reason = Cow<'static, str>;

/// What one source says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Opinion {
    /// It does not serve, because of this.
    Down(Reason),
    /// Nothing.
    #[default]
    Unknown,
    /// It serves.
    Up,
}

/// What the operator says, and may be what the agent says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Nothing new; what runs goes on.
    Drain,
    /// Nothing at all.
    Maint,
    /// All that others allow.
    #[default]
    Ready,
}

/// What every source says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opinions {
    /// Its agent.
    pub agent: Opinion,
    /// What its agent wants.
    pub agent_wish: Wish,
    /// Active checks.
    pub check: Opinion,
    /// Ejection.
    pub ejection: Opinion,
    /// Heartbeats.
    pub heartbeat: Opinion,
    /// The configuration.
    pub operator: Wish,
    /// Somebody outside.
    pub verdict: Opinion,
}

/// What the sources come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What it is.
    pub status: Status,
    /// Who says so, if somebody says something against it.
    pub source: Option<Source>,
    /// Why.
    pub reason: Reason,
}

impl Opinions {
    /// What a source other than the operator says.
    #[must_use]
    pub fn of(&self, source: Source) -> &Opinion {
        match source {
            Source::Agent => &self.agent,
            Source::Check => &self.check,
            Source::Ejection => &self.ejection,
            Source::Heartbeat => &self.heartbeat,
            Source::Operator => &Opinion::Unknown,
            Source::Verdict => &self.verdict,
        }
    }

    /// What a source wants the backend to be given.
    #[must_use]
    pub fn wish_of(&self, source: Source) -> Wish {
        match source {
            Source::Agent => self.agent_wish,
            Source::Operator => self.operator,
            Source::Check | Source::Ejection | Source::Heartbeat | Source::Verdict => Wish::Ready,
        }
    }

    /// Whether nobody but the operator says that it is down.
    #[must_use]
    pub fn is_available(&self) -> bool {
        let is_down = |source: &Source| matches!(self.of(*source), Opinion::Down(_));
        !Source::RANK.iter().any(is_down)
    }

    /// What they come to.
    #[must_use]
    pub fn judge(&self) -> Judgement {
        let against = Source::RANK.into_iter().find_map(|source| {
            let (status, reason) = self.against(source)?;
            Some((status, source, reason))
        });
        match against {
            Some((status, source, reason)) => Judgement {
                status,
                source: Some(source),
                reason,
            },
            None => Judgement {
                status: Status::Up,
                source: None,
                reason: Reason::Borrowed(""),
            },
        }
    }

    /// What a source has to say against it: of several things the one that forbids most.
    fn against(&self, source: Source) -> Option<(Status, Reason)> {
        match (self.wish_of(source), self.of(source)) {
            (Wish::Maint, _) => Some((Status::Maint, "maintenance".into())),
            (_, Opinion::Down(why)) => Some((Status::Down, why.clone())),
            (Wish::Drain, _) => Some((Status::Drain, "draining".into())),
            (Wish::Ready, Opinion::Unknown | Opinion::Up) => None,
        }
    }
}

/// One change of what a backend is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Moment,
    /// What it was.
    pub from: Status,
    /// What it is since.
    pub to: Status,
    /// Whose word changed it.
    pub source: Source,
    /// Why.
    pub reason: Reason,
}

/// Transitions that are kept; older ones are forgotten.
pub const HISTORY_MAX: usize = 32;

/// What a backend is and was.
#[derive(Clone, Debug)]
pub struct Record {
    judgement: Judgement,
    since: Moment,
    history: VecDeque<Transition>,
}

impl Record {
    /// Of a backend that is first seen now.
    #[must_use]
    pub fn new(opinions: &Opinions, now: Moment) -> Record {
        Record {
            judgement: opinions.judge(),
            since: now,
            history: VecDeque::new(),
        }
    }

    /// Of a backend that another process knew: what it is by these opinions, since when, and what
    /// changed before.
    #[must_use]
    pub fn recalled(opinions: &Opinions, since: Moment, history: Vec<Transition>) -> Record {
        let forgotten = history.len().saturating_sub(HISTORY_MAX);
        Record {
            judgement: opinions.judge(),
            since,
            history: history.into_iter().skip(forgotten).collect(),
        }
    }

    /// What it is.
    #[must_use]
    pub fn judgement(&self) -> &Judgement {
        &self.judgement
    }

    /// Since when it is that.
    #[must_use]
    pub fn since(&self) -> Moment {
        self.since
    }

    /// What changed, the latest last.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &Transition> {
        self.history.iter()
    }

    /// Judges anew, because `source` has something to say; answers the transition if there is
    /// one. A new reason for the same status is none.
    pub fn update(
        &mut self,
        opinions: &Opinions,
        source: Source,
        why: &Reason,
        now: Moment,
    ) -> Option<&Transition> {
        let next = opinions.judge();
        let before = std::mem::replace(&mut self.judgement, next);
        if before.status == self.judgement.status {
            return None;
        }
        self.since = now;
        let reason = match self.judgement.status {
            Status::Up => why.clone(),
            _ => self.judgement.reason.clone(),
        };
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(Transition {
            at: now,
            from: before.status,
            to: self.judgement.status,
            source: self.judgement.source.unwrap_or(source),
            reason,
        });
        self.history.back()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn down(why: &'static str) -> Opinion {
        Opinion::Down(why.into())
    }

    #[test]
    fn the_operator_is_above_all_and_then_anybody_who_says_down() {
        let mut opinions = Opinions::default();
        assert_eq!(opinions.judge().status, Status::Up);
        opinions.check = Opinion::Up;
        opinions.ejection = down("ejected");
        assert_eq!(opinions.judge().source, Some(Source::Ejection));
        opinions.check = down("refused");
        assert_eq!(opinions.judge().source, Some(Source::Check));
        opinions.agent_wish = Wish::Drain;
        assert_eq!(opinions.judge().status, Status::Drain);
        opinions.agent = down("disk full");
        assert_eq!(opinions.judge().reason, "disk full");
        opinions.agent_wish = Wish::Maint;
        assert_eq!(opinions.judge().status, Status::Maint);
        opinions.heartbeat = down("silent");
        assert_eq!(opinions.judge().source, Some(Source::Heartbeat));
        opinions.verdict = down("failed");
        assert_eq!(opinions.judge().reason, "failed");
        opinions.operator = Wish::Drain;
        assert_eq!(opinions.judge().status, Status::Drain);
        opinions.operator = Wish::Maint;
        assert_eq!(opinions.judge().status, Status::Maint);
        assert!(!opinions.is_available());
    }

    #[test]
    fn history_tells_what_changed_who_and_why() {
        let mut opinions = Opinions::default();
        let mut record = Record::new(&opinions, Duration::ZERO);
        let at = Duration::from_secs;
        opinions.check = down("refused");
        record.update(&opinions, Source::Check, &"refused".into(), at(3));
        opinions.verdict = down("failed");
        let same = record.update(&opinions, Source::Verdict, &"failed".into(), at(4));
        assert_eq!(same, None, "down is down");
        assert_eq!(record.judgement().source, Some(Source::Verdict));
        assert_eq!(record.since(), at(3));
        opinions.check = Opinion::Up;
        record.update(&opinions, Source::Check, &"passed".into(), at(5));
        opinions.verdict = Opinion::Unknown;
        record.update(&opinions, Source::Verdict, &"passed".into(), at(6));
        let told: Vec<_> = record
            .history()
            .map(|was| (was.at.as_secs(), was.from, was.to, was.source))
            .collect();
        assert_eq!(
            told,
            [
                (3, Status::Up, Status::Down, Source::Check),
                (6, Status::Down, Status::Up, Source::Verdict)
            ]
        );
    }

    fn opinion() -> impl Strategy<Value = Opinion> {
        prop::sample::select(vec![down("x"), Opinion::Unknown, Opinion::Up])
    }

    fn opinions() -> impl Strategy<Value = Opinions> {
        let wish = || prop::sample::select(vec![Wish::Drain, Wish::Maint, Wish::Ready]);
        let others = (opinion(), opinion(), opinion(), opinion(), opinion());
        (wish(), wish(), others).prop_map(
            |(operator, agent_wish, (agent, check, ejection, heartbeat, verdict))| Opinions {
                agent,
                agent_wish,
                check,
                ejection,
                heartbeat,
                operator,
                verdict,
            },
        )
    }

    proptest! {
        #[test]
        fn up_is_what_nobody_speaks_against(opinions in opinions()) {
            let any_down = Source::RANK
                .into_iter()
                .any(|source| matches!(opinions.of(source), Opinion::Down(_)));
            prop_assert_eq!(opinions.is_available(), !any_down);
            let up = opinions.judge().status == Status::Up;
            let wanted = [opinions.operator, opinions.agent_wish] == [Wish::Ready; 2];
            prop_assert_eq!(up, wanted && !any_down);
        }

        #[test]
        fn history_is_a_chain_and_bounded(changes in prop::collection::vec(opinions(), 1..100)) {
            let mut record = Record::new(&Opinions::default(), Duration::ZERO);
            for (second, opinions) in (1..).zip(&changes) {
                let now = Duration::from_secs(second);
                record.update(opinions, Source::Check, &"x".into(), now);
            }
            let history: Vec<_> = record.history().collect();
            prop_assert!(history.len() <= HISTORY_MAX);
            for pair in history.windows(2) {
                prop_assert_eq!(pair[0].to, pair[1].from);
                prop_assert!(pair[0].at < pair[1].at);
            }
            let last = history.last().map_or(Status::Up, |last| last.to);
            prop_assert_eq!(last, record.judgement().status);
        }
    }
}
