//! Agents: asks them, as HAProxy does, and keeps what they say for their backends.
//!
//! Nodes ask an agent together, as they check a backend: who has a seat asks, and each answer goes
//! into the word that all nodes go by (`crate::gossip::observers`).
//!
//! A connection, what is to be sent, one line back. That an agent cannot be reached, or is not
//! understood, is counted and shown and changes nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::base::id::BackendSlot;
use crate::control::gossip::Observing;
use crate::control::health::checks::not_connected;
use crate::control::health::due::{Due, What};
use crate::control::health::keeper::Keeper;
use crate::control::health::member::{Member, Scene};
use crate::control::health::observed::Seat;
use crate::control::health::rules::Rules;
use crate::gossip::observers::{Case, Finding, Word};
use crate::health::Moment;
use crate::health::agent::{Agent, LINE_BYTES_MAX, Line, Said, parse};
use crate::health::verdict::{Opinion, Reason, Source, Wish};
use crate::routing::table::{Backend, BackendState};

/// What came from an agent, or why nothing did.
pub(super) type Answer = Result<Vec<u8>, Reason>;

/// Asks the agent at `address`.
pub(super) async fn ask(address: SocketAddr, send: Option<&str>, within: Duration) -> Answer {
    let answer = timeout(within, converse(address, send)).await;
    answer.unwrap_or_else(|_| Err("no answer in time".into()))
}

async fn converse(address: SocketAddr, send: Option<&str>) -> Answer {
    let broken = |error: std::io::Error| Reason::from(format!("broken off: {}", error.kind()));
    let mut stream = TcpStream::connect(address).await.map_err(not_connected)?;
    if let Some(send) = send {
        stream.write_all(send.as_bytes()).await.map_err(broken)?;
    }
    let mut answer = Vec::with_capacity(LINE_BYTES_MAX);
    let is_line = |answer: &[u8]| answer.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
    while answer.len() < LINE_BYTES_MAX && !is_line(&answer) {
        if stream.read_buf(&mut answer).await.map_err(broken)? == 0 {
            break;
        }
    }
    Ok(answer)
}

/// The agent of a backend that has one.
pub(super) struct Asked {
    pub(super) port: u16,
    pub(super) machine: Agent,
    /// It is being asked.
    pub(super) asking: bool,
    /// Its place among those that nodes ask together.
    pub(super) seat: Option<Seat>,
    /// What was known of what it has said when the last question was sent.
    known: Arc<Word>,
}

impl Asked {
    pub(super) fn of(backend: &Backend, rules: &Rules, now: Moment) -> Option<Asked> {
        Some(Asked {
            port: backend.agent_port.or(rules.agent.port)?,
            machine: Agent::new(backend.identity ^ rules.salt, rules.agent.interval, now),
            asking: false,
            seat: None,
            known: Arc::default(),
        })
    }

    /// Whether this node asks it.
    pub(super) fn is_asked_here(&self) -> bool {
        self.seat.is_none_or(|seat| seat.mine)
    }

    /// What it has said, as nodes tell each other.
    pub(super) fn word(&self, observing: Option<&Observing>) -> Arc<Word> {
        match (observing, self.seat) {
            (Some(observing), Some(seat)) => observing.word(seat.key),
            _ => Arc::new(word_of(self.machine.said())),
        }
    }
}

impl Member {
    /// When its agent is to be asked next, if it has one that is not being asked.
    pub(super) fn question_due(&self) -> Option<Moment> {
        let asked = self.agent.as_ref().filter(|asked| !asked.asking)?;
        asked.is_asked_here().then(|| asked.machine.due())
    }

    /// Another table has it: its agent may listen elsewhere, which makes it another agent.
    pub(super) fn carry_agent_over(
        &mut self,
        backend: &Backend,
        (before, rules): (Option<&Rules>, &Rules),
        now: Moment,
    ) {
        let port = backend.agent_port.or(rules.agent.port);
        match &mut self.agent {
            Some(asked) if Some(asked.port) == port => {
                let interval = rules.agent.interval;
                if before.is_some_and(|before| before.agent.interval != interval) {
                    asked.machine.change_interval(interval, now);
                }
            }
            _ => {
                self.agent = Asked::of(backend, rules, now);
                self.opinions.agent = Opinion::Unknown;
                self.opinions.agent_wish = Wish::Ready;
            }
        }
    }

    /// How much of its share its agent wants it to get, in percent.
    pub(super) fn agent_percent(&self) -> u8 {
        let agent = self.agent.as_ref();
        agent.map_or(100, |asked| asked.machine.said().percent(self.weight))
    }

    /// What its agent wants it to be given.
    pub(super) fn agent_state(&self) -> BackendState {
        match self.opinions.agent_wish {
            Wish::Drain => BackendState::Drain,
            Wish::Maint => BackendState::Maint,
            Wish::Ready => BackendState::Ready,
        }
    }

    /// How many requests its agent wants it to have at most.
    pub(super) fn agent_capacity(&self) -> Option<u32> {
        self.agent.as_ref()?.machine.said().capacity
    }

    /// A question has come to an end; answers the line, if there is one.
    fn answered(&mut self, answer: Answer, rules: &Rules, scene: Scene<'_>) -> Option<Line> {
        let asked = self.agent.as_mut()?;
        asked.asking = false;
        let (result, read): (_, Result<Line, Reason>) = match answer {
            Err(why) => ("unreachable", Err(why)),
            Ok(bytes) => match parse(&bytes) {
                Ok(line) => ("answered", Ok(line)),
                Err(_) => ("not_understood", Err("not understood".into())),
            },
        };
        scene.stats.agents.inc(result);
        let (interval, now) = (rules.agent.interval, scene.now);
        let outcome = read.as_ref().map(|_| ()).map_err(Clone::clone);
        asked.machine.record(outcome, interval, now);
        let line = read.ok()?;
        if asked.seat.is_none() {
            asked.machine.hear(&line);
            self.follow_agent(rules, scene);
        }
        Some(line)
    }

    /// What its agent has said to whichever node, and whether this node asks it.
    pub(super) fn agent_said(&mut self, case: &Case, rules: &Rules, scene: Scene<'_>) {
        let Some(asked) = &mut self.agent else {
            return;
        };
        if let Some(seat) = &mut asked.seat
            && std::mem::replace(&mut seat.mine, case.mine) != case.mine
            && case.mine
        {
            asked.machine.take_over(rules.agent.interval, scene.now);
        }
        let said = case.verdict.word().map(|word| Said::by(word.texts()));
        if let Some(said) = said.filter(|said| said != asked.machine.said()) {
            asked.machine.go_by(said);
            self.follow_agent(rules, scene);
        }
    }

    /// Takes over what its agent has said to another process of this node.
    pub(super) fn recall_agent(&mut self, word: &Word) {
        if let Some(asked) = &mut self.agent {
            asked.machine.go_by(Said::by(word.texts()));
            self.take_agents_word();
        }
    }

    fn follow_agent(&mut self, rules: &Rules, scene: Scene<'_>) {
        self.take_agents_word();
        self.settle(Source::Agent, "its agent says so".into(), rules, scene);
    }

    fn take_agents_word(&mut self) {
        if let Some(asked) = &self.agent {
            let said = asked.machine.said();
            self.opinions.agent = said.opinion.clone();
            self.opinions.agent_wish = said.wish();
        }
    }
}

/// What an agent has said, of which nobody has counted how often it changed its mind.
fn word_of(said: &Said) -> Word {
    let nothing = Word::default();
    nothing.after(&nothing, &said.words())
}

impl Keeper {
    /// The agent of a backend, if it has one.
    pub(super) fn agent_of(&self, slot: BackendSlot) -> Option<&Asked> {
        self.members.get(&slot)?.agent.as_ref()
    }

    pub(super) fn begin_question(&mut self, slot: BackendSlot) -> Option<Due> {
        let member = self.members.get_mut(&slot)?;
        let rules = self.groups.get(&member.group)?;
        let asked = member.agent.as_mut()?;
        asked.asking = true;
        // Alone, nobody else can have heard of it meanwhile.
        if let (Some(observing), Some(seat)) = (&self.observing, asked.seat) {
            asked.known = observing.word(seat.key);
        }
        self.running += 1;
        Some(Due {
            slot,
            address: member.address,
            asked: SocketAddr::new(member.address.ip(), asked.port),
            what: What::Agent(rules.agent.send.clone()),
            timeout: rules.agent.timeout,
        })
    }

    /// A question to an agent has come to an end.
    pub(super) fn answered(
        &mut self,
        slot: BackendSlot,
        (address, port): (SocketAddr, u16),
        answer: Answer,
        now: Moment,
    ) {
        self.running = self.running.saturating_sub(1);
        // The slot may have changed hands, or the agent its port.
        let same = |member: &Member| {
            let agent = member.agent.as_ref();
            let same_agent = agent.is_some_and(|asked| asked.asking && asked.port == port);
            same_agent && member.address == address
        };
        if self.members.get(&slot).is_some_and(same) {
            let line = self.with(slot, now, |member, rules, scene| {
                member.answered(answer, rules, scene)
            });
            if let Some(line) = line.flatten() {
                self.tell_word(slot, &line, now);
            }
            self.queue_question(slot);
            self.judge_panic();
        }
    }

    /// Tells the other nodes what an agent has said here that was not known.
    fn tell_word(&mut self, slot: BackendSlot, line: &Line, now: Moment) {
        let (Some(observing), Some(asked)) = (&self.observing, self.agent_of(slot)) else {
            return;
        };
        let Some(seat) = asked.seat else {
            return;
        };
        let before = observing.word(seat.key);
        let word = before.after(&asked.known, &line.words());
        if word != *before {
            observing.found(seat.key, Finding::Said(Arc::new(word)));
            self.follow_observers(now);
        }
    }

    /// What an agent has said before it was one that nodes ask together, or was asked this.
    pub(super) fn recall_said(&self, slot: BackendSlot, observing: &Observing) {
        if let Some(asked) = self.agent_of(slot)
            && let Some(seat) = asked.seat
            && *asked.machine.said() != Said::default()
        {
            let word = Arc::new(word_of(asked.machine.said()));
            observing.recall(seat.key, Finding::Said(word));
        }
    }
}
