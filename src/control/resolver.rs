//! What backends given by name stand for: questions, answers, and what is known after them.
//!
//! A question that fails keeps what was known, because a broken DNS server is no reason to take
//! backends away; one that never had an answer has none. `asker` asks, `schedule` says when,
//! `follower` does both while the node runs. Here is the round: many questions at once, a bounded
//! number at a time, each for a bounded time, for the start of the node and for changes that
//! bring new names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::config::Config;
use crate::engine::facts::{Resolved, Target};

mod asker;
mod follower;
mod schedule;
mod system;
#[cfg(test)]
mod tests;

pub use asker::Asker;
pub use follower::Follower;

/// Questions under way at the same time; with the system's resolver each takes a thread of the
/// runtime's blocking pool.
pub const LOOKUPS_MAX: usize = 8;

/// How long one answer may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a round may take; the start of the node waits for one. Questions without an answer by
/// then have failed.
const ROUND_TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// The addresses of a host, for a port.
    Host(Arc<str>, u16),
    /// The SRV records of a name, and the addresses of their targets.
    Service(Arc<str>),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Of a host: sorted, because servers rotate them and a rotation is not a change.
    Addresses(Vec<SocketAddr>),
    /// Of a service: sorted.
    Targets(Vec<Target>),
}

/// An answer and how long it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was found.
    pub found: Found,
    /// How long it holds, if that was said.
    pub ttl: Option<Duration>,
}

/// A question with its answer, or why there is none.
type Answered = (Question, Result<Answer, String>);

/// What some questions found.
#[derive(Debug, Default)]
pub struct Round {
    answers: Vec<Answered>,
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Question::Host(host, port) => write!(f, "{host}:{port}"),
            Question::Service(name) => write!(f, "SRV {name}"),
        }
    }
}

impl Question {
    fn is_known(&self, resolved: &Resolved) -> bool {
        match self {
            Question::Host(host, port) => resolved.knows(host, *port),
            Question::Service(name) => resolved.knows_service(name),
        }
    }

    /// Notes what is known of it, by `answer` or else by `before`.
    fn note(&self, answer: Option<&Answer>, before: &Resolved, known: &mut Resolved) {
        match (self, answer.map(|answer| &answer.found)) {
            (Question::Host(host, port), Some(Found::Addresses(addresses))) => {
                known.insert(host, *port, addresses.clone());
            }
            (Question::Host(host, port), _) => {
                known.insert(host, *port, before.addresses(host, *port).to_vec());
            }
            (Question::Service(name), Some(Found::Targets(targets))) => {
                known.insert_service(name, targets.clone());
            }
            (Question::Service(name), _) => {
                known.insert_service(name, before.service(name).to_vec());
            }
        }
    }
}

impl Round {
    /// A round of these answers.
    #[must_use]
    pub fn of(answers: Vec<Answered>) -> Self {
        Round { answers }
    }

    /// What is known with this round, everything known before included.
    #[must_use]
    pub fn added_to(&self, before: &Resolved) -> Resolved {
        let mut known = before.clone();
        for (question, answer) in &self.answers {
            question.note(answer.as_ref().ok(), before, &mut known);
        }
        known
    }

    /// The questions that failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&Question, &str)> {
        self.answers
            .iter()
            .filter_map(|(question, answer)| Some((question, &**answer.as_ref().err()?)))
    }
}

/// What is known of the names of `config` only; the others are forgotten.
#[must_use]
pub fn retained(config: &Config, known: &Resolved) -> Resolved {
    let mut retained = Resolved::default();
    for question in questions(config) {
        if question.is_known(known) {
            question.note(None, known, &mut retained);
        }
    }
    retained
}

/// The questions a configuration asks.
#[must_use]
pub fn questions(config: &Config) -> Vec<Question> {
    let hosts = config.backend_names();
    let hosts = hosts.map(|(host, port)| Question::Host(Arc::from(host), port));
    let services = config.service_names().map(Arc::from).map(Question::Service);
    hosts.chain(services).collect()
}

/// The questions a configuration asks that `known` has no answer to.
#[must_use]
pub fn unknown(config: &Config, known: &Resolved) -> Vec<Question> {
    let mut unknown = questions(config);
    unknown.retain(|question| !question.is_known(known));
    unknown
}

/// Asks every question once.
pub async fn resolve(asker: Asker, questions: Vec<Question>, before: Resolved) -> Round {
    resolve_within(asker, questions, before, ROUND_TIMEOUT).await
}

async fn resolve_within(
    asker: Asker,
    questions: Vec<Question>,
    before: Resolved,
    within: Duration,
) -> Round {
    let deadline = Instant::now() + within;
    let late = |question| {
        let why = format!("no answer before the round ended ({within:?})");
        (question, Err(why))
    };
    let mut answers: Vec<Answered> = questions.into_iter().map(late).collect();
    let mut waiting = 0..answers.len();
    let mut running = JoinSet::new();
    while Instant::now() < deadline {
        while running.len() < LOOKUPS_MAX
            && let Some(index) = waiting.next()
        {
            let asking = asker.ask(&answers[index].0, &before);
            running.spawn(async move { (index, asking.await) });
        }
        match timeout_at(deadline, running.join_next()).await {
            Ok(Some(Ok((index, answer)))) => answers[index].1 = answer,
            Ok(Some(Err(error))) => tracing::error!(%error, "lookup ended early"),
            Ok(None) | Err(_) => break,
        }
    }
    Round { answers }
}
