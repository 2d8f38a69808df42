//! Follows the names of backends: asks the system's resolver for all of them, off the hot path.
//!
//! One round asks for every name, a bounded number at a time and each for a bounded time. A name
//! that fails keeps the addresses it had, because a broken DNS server is no reason to take
//! backends away; a name that never resolved has none. Answers are sorted, because servers
//! rotate them and a rotation is not a change.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::Config;
use crate::engine::planner::Resolved;

/// Names asked for at the same time; each takes a thread of the runtime's blocking pool.
pub const LOOKUPS_MAX: usize = 8;

/// How long one answer may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a round may take; the start of the node waits for one. Names without an answer by
/// then have failed.
const ROUND_TIMEOUT: Duration = Duration::from_secs(10);

/// A host and a port.
pub type Name = (Arc<str>, u16);

/// What one round of questions found.
#[derive(Debug)]
pub struct Round {
    answers: Vec<(Name, Result<Vec<SocketAddr>, String>)>,
}

impl Round {
    #[cfg(test)]
    pub(super) fn of(answers: Vec<(Name, Result<Vec<SocketAddr>, String>)>) -> Self {
        Round { answers }
    }

    /// What is known after this round, given what was known before it: names that failed keep
    /// what they had, names not asked for are forgotten.
    #[must_use]
    pub fn merged(&self, before: &Resolved) -> Resolved {
        let mut merged = Resolved::default();
        for ((host, port), answer) in &self.answers {
            let addresses = match answer {
                Ok(addresses) => addresses.clone(),
                Err(_) => before.addresses(host, *port).to_vec(),
            };
            merged.insert(host, *port, addresses);
        }
        merged
    }

    /// What is known with this round, everything known before included.
    #[must_use]
    pub fn added_to(&self, before: &Resolved) -> Resolved {
        let mut known = before.clone();
        for ((host, port), answer) in &self.answers {
            match answer {
                Ok(addresses) => known.insert(host, *port, addresses.clone()),
                Err(_) if known.knows(host, *port) => {}
                Err(_) => known.insert(host, *port, Vec::new()),
            }
        }
        known
    }

    /// The names that failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&Name, &str)> {
        self.answers
            .iter()
            .filter_map(|(name, answer)| Some((name, &**answer.as_ref().err()?)))
    }
}

/// The names a configuration needs.
#[must_use]
pub fn names(config: &Config) -> Vec<Name> {
    config
        .backend_names()
        .map(|(host, port)| (Arc::from(host), port))
        .collect()
}

/// Asks for every name once.
pub async fn resolve(names: Vec<Name>) -> Round {
    resolve_within(names, ROUND_TIMEOUT).await
}

async fn resolve_within(names: Vec<Name>, within: Duration) -> Round {
    let deadline = Instant::now() + within;
    let late = |name| {
        (
            name,
            Err(format!("no answer before the round ended ({within:?})")),
        )
    };
    let mut answers: Vec<_> = names.into_iter().map(late).collect();
    let mut waiting = 0..answers.len();
    let mut running = JoinSet::new();
    while Instant::now() < deadline {
        while running.len() < LOOKUPS_MAX
            && let Some(index) = waiting.next()
        {
            let name = answers[index].0.clone();
            running.spawn(async move { (index, ask(&name).await) });
        }
        match timeout_at(deadline, running.join_next()).await {
            Ok(Some(Ok((index, answer)))) => answers[index].1 = answer,
            Ok(Some(Err(error))) => tracing::error!(%error, "lookup ended early"),
            Ok(None) | Err(_) => break,
        }
    }
    Round { answers }
}

async fn ask((host, port): &Name) -> Result<Vec<SocketAddr>, String> {
    match timeout(LOOKUP_TIMEOUT, lookup_host((&**host, *port))).await {
        Ok(Ok(addresses)) => {
            let mut addresses: Vec<_> = addresses.collect();
            addresses.sort_unstable();
            addresses.dedup();
            if addresses.is_empty() {
                Err("no address".into())
            } else {
                Ok(addresses)
            }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> Name {
        (host.into(), 80)
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn local_names_resolve_and_impossible_ones_fail_by_themselves() {
        let names = (0..2 * LOOKUPS_MAX).map(|_| name("localhost"));
        let names = names.chain([name("no-such-name.invalid")]).collect();
        let round = resolve(names).await;
        let resolved = round.merged(&Resolved::default());
        assert!(
            resolved
                .addresses("localhost", 80)
                .contains(&address("127.0.0.1:80"))
        );
        assert!(resolved.addresses("no-such-name.invalid", 80).is_empty());
        let failed: Vec<_> = round.failures().map(|((host, _), _)| &**host).collect();
        assert_eq!(failed, ["no-such-name.invalid"]);
    }

    #[tokio::test]
    async fn a_round_ends_in_time_with_what_it_has() {
        let round = resolve_within(vec![name("localhost"); 3], Duration::ZERO).await;
        assert_eq!(round.failures().count(), 3);
    }

    #[test]
    fn a_name_that_fails_keeps_its_addresses_and_a_forgotten_one_does_not() {
        let mut before = Resolved::default();
        before.insert("a", 80, vec![address("10.0.0.1:80")]);
        before.insert("b", 80, vec![address("10.0.0.2:80")]);
        before.insert("c", 80, vec![address("10.0.0.3:80")]);
        let round = Round::of(vec![
            (name("a"), Err("timeout".into())),
            (name("b"), Ok(vec![address("10.0.0.9:80")])),
        ]);
        let merged = round.merged(&before);
        assert_eq!(merged.addresses("a", 80), [address("10.0.0.1:80")]);
        assert_eq!(merged.addresses("b", 80), [address("10.0.0.9:80")]);
        assert!(merged.addresses("c", 80).is_empty());
    }
}
