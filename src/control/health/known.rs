//! What a process that takes over is told of backends, so that it sends nothing to one that is
//! known to be dead, believes no heartbeat twice, and can tell what happened before its time.
//!
//! Moments are those of the old process' clock, which the new one goes on with. What is not here
//! is found out anew at once or soon: rows of failures, times of answers, slow starts.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::gossip::Observing;
use crate::control::health::agents::Asked;
use crate::control::health::keeper::Keeper;
use crate::control::health::member::{Member, Scene};
use crate::control::health::rules::Rules;
use crate::engine::judging::Opened;
use crate::gossip::observers::{Finding, Word};
use crate::health::Moment;
use crate::health::breaker::Breaker;
use crate::health::heartbeat::{Heard, Heartbeat, Report};
use crate::health::probe::Probe;
use crate::health::rotation::Rotation;
use crate::health::verdict::{Opinion, Record, Source, Status, Transition};

/// One backend of which there is something to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    group: String,
    id: String,
    address: SocketAddr,
    /// Why its checks say that it is down, if they do.
    check: Option<String>,
    ejection: Option<Ejected>,
    heartbeat: Option<Spoken>,
    #[serde(default)]
    agent: Option<AgentSaid>,
    /// Since when its operator has it drained, after 1970.
    #[serde(default)]
    drained_since: Option<Duration>,
    /// Since when it is what it is.
    since: Moment,
    history: Vec<Changed>,
}

/// That it was ejected; until when, if it still is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ejected {
    times: u32,
    until: Option<Moment>,
    cause: String,
    opened: Opened,
}

/// What the agent at a port has said, and not taken back: of each topic its count and its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct AgentSaid {
    port: u16,
    topics: Vec<(u64, String)>,
}

/// The last heartbeat that was believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Spoken {
    incarnation: u64,
    sequence: u64,
    active: f64,
    capacity: Option<f64>,
    latency_ms: Option<f64>,
    cpu: Option<f64>,
    memory: Option<f64>,
    sent: Option<Duration>,
    healthy: bool,
    at: Moment,
    sender: Option<IpAddr>,
    discounted: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Changed {
    at: Moment,
    from: String,
    to: String,
    source: String,
    reason: String,
}

impl Keeper {
    /// Every backend of which there is something to say.
    pub(super) fn known(&self) -> Vec<Known> {
        let members = self.members.values();
        let known = members.filter_map(|member| member.known(self.observing.as_ref()));
        known.collect()
    }

    /// Goes by what another process knew of the backends that are still there.
    pub(super) fn recall(&mut self, known: &[Known], now: Moment) {
        let keyed = known
            .iter()
            .map(|known| ((&*known.group, &*known.id, known.address), known));
        let keyed: BTreeMap<_, _> = keyed.collect();
        let mut found = Vec::new();
        for (slot, member) in &self.members {
            let key = (&*member.group_name, &*member.id, member.address);
            found.extend(keyed.get(&key).map(|known| (*slot, *known)));
        }
        for (slot, known) in found {
            self.with(slot, now, |member, rules, scene| {
                member.recall(known, rules, scene);
            });
            let seat = self.members.get(&slot).and_then(|member| member.seat);
            if let (Some(observing), Some(seat), Some(why)) = (&self.observing, seat, &known.check)
            {
                observing.recall(seat.key, Finding::Down((&**why).into()));
            }
            if let (Some(observing), Some(asked)) = (&self.observing, self.agent_of(slot))
                && let (Some(seat), Some(word)) = (asked.seat, known.word_of(asked.port))
            {
                observing.recall(seat.key, Finding::Said(Arc::new(word)));
            }
        }
        self.follow_observers(now);
        self.queue_checks();
        self.judge_panic();
    }
}

impl Known {
    /// What the agent at this port has said.
    fn word_of(&self, port: u16) -> Option<Word> {
        let said = self.agent.as_ref().filter(|said| said.port == port)?;
        let topics = said.topics.iter();
        Some(Word::of(topics.map(|(count, text)| (*count, &**text))))
    }
}

impl AgentSaid {
    fn of(asked: &Asked, observing: Option<&Observing>) -> Option<AgentSaid> {
        let word = asked.word(observing);
        let topics = word.topics().map(|(count, text)| (count, text.to_owned()));
        (*word != Word::default()).then(|| AgentSaid {
            port: asked.port,
            topics: topics.collect(),
        })
    }
}

impl Member {
    fn known(&self, observing: Option<&Observing>) -> Option<Known> {
        let reason = |opinion: &Opinion| match opinion {
            Opinion::Down(reason) => Some(reason.clone().into_owned()),
            Opinion::Unknown | Opinion::Up => None,
        };
        let ejection = (self.rotation.ejection().times() > 0).then(|| Ejected {
            times: self.rotation.ejection().times(),
            // One whose trials are under way is given new ones.
            until: match self.rotation.breaker() {
                Breaker::Closed => None,
                Breaker::HalfOpen { .. } => Some(Moment::ZERO),
                Breaker::Open => self.rotation.ejection().until(),
            },
            cause: reason(&self.opinions.ejection).unwrap_or_default(),
            opened: self.opened,
        });
        let known = Known {
            group: self.group_name.to_string(),
            id: self.id.to_string(),
            address: self.address,
            check: reason(&self.opinions.check),
            ejection,
            heartbeat: self.heartbeat.heard().map(Spoken::of),
            agent: self
                .agent
                .as_ref()
                .and_then(|asked| AgentSaid::of(asked, observing)),
            drained_since: self.drains.operator.map(|drain| drain.since),
            since: self.record.since(),
            history: self.record.history().map(Changed::of).collect(),
        };
        let says_something = known.check.is_some()
            || known.ejection.is_some()
            || known.heartbeat.is_some()
            || known.agent.is_some()
            || known.drained_since.is_some()
            || !known.history.is_empty();
        says_something.then_some(known)
    }

    fn recall(&mut self, known: &Known, rules: &Rules, scene: Scene<'_>) {
        if let Some(reason) = &known.check
            && self.probe.is_some()
        {
            self.probe = Some(Probe::of_one_down(
                self.identity ^ rules.salt,
                &rules.pace,
                scene.now,
            ));
            self.opinions.check = Opinion::Down(reason.clone().into());
        }
        if let Some(ejected) = &known.ejection {
            self.rotation = Rotation::after(ejected.times, ejected.until, scene.now);
            if ejected.until.is_some() {
                self.opened = ejected.opened;
                self.opinions.ejection = Opinion::Down(ejected.cause.clone().into());
                self.standing.suspend();
            }
        }
        if let Some(spoken) = &known.heartbeat {
            self.heartbeat = Heartbeat::after(spoken.heard());
        }
        let port = self.agent.as_ref().map(|asked| asked.port);
        if let Some(word) = port.and_then(|port| known.word_of(port)) {
            self.recall_agent(&word);
        }
        self.listen(rules, scene);
        let history = known.history.iter().filter_map(Changed::transition);
        self.record = Record::recalled(&self.opinions, known.since, history.collect());
        if let Some(since) = known.drained_since {
            self.recall_drain(since, rules, scene);
        }
        self.tell(rules, scene);
    }
}

impl Spoken {
    fn of(heard: &Heard) -> Spoken {
        let report = &heard.report;
        Spoken {
            incarnation: report.incarnation,
            sequence: report.sequence,
            active: report.active,
            capacity: report.capacity,
            latency_ms: report.latency_ms,
            cpu: report.cpu,
            memory: report.memory,
            sent: report.sent,
            healthy: report.healthy,
            at: heard.at,
            sender: heard.sender,
            discounted: heard.discounted,
        }
    }

    fn heard(&self) -> Heard {
        Heard {
            report: Report {
                incarnation: self.incarnation,
                sequence: self.sequence,
                active: self.active,
                capacity: self.capacity,
                latency_ms: self.latency_ms,
                cpu: self.cpu,
                memory: self.memory,
                sent: self.sent,
                healthy: self.healthy,
            },
            at: self.at,
            sender: self.sender,
            discounted: self.discounted,
        }
    }
}

impl Changed {
    fn of(was: &Transition) -> Changed {
        Changed {
            at: was.at,
            from: was.from.name().to_owned(),
            to: was.to.name().to_owned(),
            source: was.source.name().to_owned(),
            reason: was.reason.clone().into_owned(),
        }
    }

    /// None of a word this version does not know.
    fn transition(&self) -> Option<Transition> {
        let status = |name: &str| Status::ALL.into_iter().find(|status| status.name() == name);
        let mut sources = Source::RANK.into_iter();
        Some(Transition {
            at: self.at,
            from: status(&self.from)?,
            to: status(&self.to)?,
            source: sources.find(|source| source.name() == self.source)?,
            reason: self.reason.clone().into(),
        })
    }
}
