//! What a backend says of itself, as it comes over the network, and to whom it belongs.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use crate::base::id::BackendSlot;
use crate::control::health::keeper::Keeper;
use crate::health::Moment;
use crate::health::heartbeat::{Rejection, Report};

/// One heartbeat as sent.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Who speaks.
    pub server_id: String,
    /// Of which group, where an id is in several; else it counts in all of them.
    pub group: Option<String>,
    /// At which address, where an id has several.
    pub address: Option<SocketAddr>,
    /// Which start of it speaks.
    pub incarnation: u64,
    /// Which of its reports this is.
    pub sequence: u64,
    /// Requests it has under way.
    pub active: f64,
    /// Requests it can have under way.
    pub capacity: Option<f64>,
    /// Its mean time to an answer.
    pub latency_ms: Option<f64>,
    /// Share of its processors in use.
    pub cpu: Option<f64>,
    /// Share of its memory in use.
    pub memory: Option<f64>,
    /// When it was sent, since 1970.
    pub sent_ms: Option<u64>,
    /// Whether it wants traffic.
    #[serde(default = "yes")]
    pub healthy: bool,
}

fn yes() -> bool {
    true
}

/// What is believed of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Believed {
    /// Members it counts for.
    pub backends: usize,
    /// It is a sign of life, and its figures are not used.
    pub discounted: bool,
}

impl Claim {
    fn report(&self) -> Report {
        Report {
            incarnation: self.incarnation,
            sequence: self.sequence,
            active: self.active,
            capacity: self.capacity,
            latency_ms: self.latency_ms,
            cpu: self.cpu,
            memory: self.memory,
            sent: self.sent_ms.map(Duration::from_millis),
            healthy: self.healthy,
        }
    }
}

impl Keeper {
    /// Takes a heartbeat in.
    pub(super) fn hear(
        &mut self,
        claim: &Claim,
        sender: Option<IpAddr>,
        now: Moment,
        unix: Duration,
    ) -> Result<Believed, Rejection> {
        let slots = self.meant(claim)?;
        let report = claim.report();
        let mut believed: Option<Believed> = None;
        let mut refused = Rejection::Unknown;
        for slot in slots {
            let heard = self.with(slot, now, |member, rules, scene| {
                member.hear(&report, (unix, sender), rules, scene)
            });
            match heard {
                Some(Ok(heard)) => {
                    let so_far = believed.get_or_insert(Believed {
                        backends: 0,
                        discounted: false,
                    });
                    so_far.backends += 1;
                    so_far.discounted |= heard.discounted;
                    self.weigh_latency(slot, now);
                }
                Some(Err(rejection)) => refused = rejection,
                None => {}
            }
        }
        self.judge_panic();
        believed.ok_or(refused)
    }

    /// Tells the adaptive policy how the time a backend says it takes compares with what the others
    /// of its group say. Only that can be compared: what backends measure is not what a core does.
    pub(super) fn weigh_latency(&self, slot: BackendSlot, now: Moment) {
        let Some((member, rules)) = self.members.get(&slot).and_then(|member| {
            let rules = self.groups.get(&member.group)?;
            Some((member, rules))
        }) else {
            return;
        };
        let (Some(adaptive), Some(own)) = (rules.adaptive, member.says_latency(rules, now)) else {
            return;
        };
        let others = self.members.values();
        let others = others.filter(|other| other.group == member.group && other.slot != slot);
        let said = others.filter_map(|other| other.says_latency(rules, now));
        let (sum, count) = said.fold((own, 1_u32), |(sum, count), said| (sum + said, count + 1));
        if count > 1 {
            let pace = own * f64::from(count) / sum;
            let micros = u64::try_from((self.unix + now).as_micros()).unwrap_or(u64::MAX);
            let latency = member.load.latency();
            latency.observe_pace(pace as f32, adaptive.fading(micros, None));
        }
    }

    /// Whom a heartbeat is of. An id that stands for several addresses of one group cannot speak
    /// for all of them.
    fn meant(&self, claim: &Claim) -> Result<Vec<BackendSlot>, Rejection> {
        let named = self.named(claim.group.as_deref(), &claim.server_id);
        if named.is_empty() {
            return Err(Rejection::Unknown);
        }
        let members = named.iter().filter_map(|slot| self.members.get(slot));
        let Some(address) = claim.address else {
            let mut groups: Vec<_> = members.map(|member| member.group).collect();
            groups.sort_unstable();
            groups.dedup();
            return match groups.len() == named.len() {
                true => Ok(named),
                false => Err(Rejection::Contradictory),
            };
        };
        let there: Vec<BackendSlot> = members
            .filter(|member| member.address == address)
            .map(|member| member.slot)
            .collect();
        match there.is_empty() {
            // It says to be where we know another to be.
            true => Err(Rejection::Contradictory),
            false => Ok(there),
        }
    }
}
