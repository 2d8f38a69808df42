//! Agents: asks them, as HAProxy does, and keeps what they say for their backends.
//!
//! A connection, what is to be sent, one line back. That an agent cannot be reached, or is not
//! understood, is counted and shown and changes nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::base::id::BackendSlot;
use crate::control::health::checks::not_connected;
use crate::control::health::due::{Due, What};
use crate::control::health::keeper::Keeper;
use crate::control::health::member::{Member, Scene};
use crate::control::health::rules::Rules;
use crate::health::Moment;
use crate::health::agent::{Agent, LINE_BYTES_MAX, Line, parse};
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
}

impl Asked {
    pub(super) fn of(backend: &Backend, rules: &Rules, now: Moment) -> Option<Asked> {
        Some(Asked {
            port: backend.agent_port.or(rules.agent.port)?,
            machine: Agent::new(backend.identity, rules.agent.interval, now),
            asking: false,
        })
    }
}

impl Member {
    /// When its agent is to be asked next, if it has one that is not being asked.
    pub(super) fn question_due(&self) -> Option<Moment> {
        let asked = self.agent.as_ref().filter(|asked| !asked.asking)?;
        Some(asked.machine.due())
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

    fn answered(&mut self, answer: Answer, rules: &Rules, scene: Scene<'_>) {
        let Some(asked) = &mut self.agent else {
            return;
        };
        asked.asking = false;
        let (result, read): (_, Result<Line, Reason>) = match answer {
            Err(why) => ("unreachable", Err(why)),
            Ok(bytes) => match parse(&bytes) {
                Ok(line) => ("answered", Ok(line)),
                Err(_) => ("not_understood", Err("not understood".into())),
            },
        };
        scene.stats.agents.inc(result);
        let interval = rules.agent.interval;
        asked
            .machine
            .record(read.as_ref().map_err(Clone::clone), interval, scene.now);
        if read.is_err() {
            return;
        }
        let said = asked.machine.said();
        self.opinions.agent = said.opinion.clone();
        self.opinions.agent_wish = said.wish();
        self.settle(Source::Agent, "its agent says so".into(), rules, scene);
    }
}

impl Keeper {
    pub(super) fn begin_question(&mut self, slot: BackendSlot) -> Option<Due> {
        let member = self.members.get_mut(&slot)?;
        let rules = self.groups.get(&member.group)?;
        let asked = member.agent.as_mut()?;
        asked.asking = true;
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
            self.with(slot, now, |member, rules, scene| {
                member.answered(answer, rules, scene);
            });
            self.queue_question(slot);
            self.judge_panic();
        }
    }
}
