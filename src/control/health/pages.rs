//! What is thought of backends, as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::base::id::{BackendSlot, GroupSlot};
use crate::control::document::{Document, Family, ObjectPath};
use crate::control::health::Health;
use crate::control::health::agents::Asked;
use crate::control::health::keeper::Keeper;
use crate::control::health::member::Member;
use crate::control::health::rules::Rules;
use crate::gossip::observers::{Finding, quorum};
use crate::health::Moment;
use crate::health::agent::Share;
use crate::health::breaker::Breaker;
use crate::health::heartbeat::Heard;
use crate::health::metrics::Figures;
use crate::health::verdict::{Opinion, Source, Transition, Wish};

/// Moments as milliseconds since 1970.
#[derive(Clone, Copy)]
struct Clock {
    now: Moment,
    /// When moments began, since 1970.
    unix: Duration,
}

impl Clock {
    /// Now, since 1970.
    fn unix(self) -> Duration {
        self.unix + self.now
    }

    fn at(self, moment: Moment) -> Value {
        let millis = (self.unix + moment).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX).into()
    }
}

impl Health {
    /// The backends of a document, of one group or of all, with what is thought of them: one for
    /// each address an id stands for, or one without an address.
    #[must_use]
    pub fn listed(&self, document: &Document, group: Option<&str>) -> Vec<Value> {
        let keeper = self.keeper();
        let clock = self.clock();
        let mut found = keeper.found(document, clock);
        let mut items = Vec::new();
        for path in document.members(&Family::Groups) {
            let ObjectPath::Group(name) = path else {
                continue;
            };
            if group.is_none_or(|group| *group == *name) {
                keeper.list_group(document, &name, clock, &mut items);
                items.extend(found.remove(&name).unwrap_or_default());
            }
        }
        items
    }

    /// All there is to say of the backends of this id, with their history.
    #[must_use]
    pub fn shown(&self, id: &str, group: Option<&str>) -> Vec<Value> {
        let keeper = self.keeper();
        let clock = self.clock();
        let members = keeper.named(group, id);
        let members = members.iter().filter_map(|slot| keeper.members.get(slot));
        members.map(|member| keeper.whole(member, clock)).collect()
    }

    /// What is thought of the backend in a slot, in short.
    #[must_use]
    pub fn brief(&self, slot: BackendSlot) -> Value {
        let keeper = self.keeper();
        let member = keeper.members.get(&slot);
        member.map_or(Value::Null, |member| brief(member, self.clock()))
    }

    /// Whether a group uses all its backends, because too few of them are well.
    #[must_use]
    pub fn is_panicking(&self, group: GroupSlot) -> bool {
        let keeper = self.keeper();
        keeper
            .groups
            .get(&group)
            .is_some_and(|rules| rules.panicking)
    }

    fn clock(&self) -> Clock {
        Clock {
            now: self.now(),
            unix: self.0.unix,
        }
    }
}

impl Keeper {
    fn list_group(
        &self,
        document: &Document,
        name: &Arc<str>,
        clock: Clock,
        items: &mut Vec<Value>,
    ) {
        for path in document.members(&Family::Backends(Arc::clone(name))) {
            let (Some(id), value) = (path.name(), document.value(&path)) else {
                continue;
            };
            let configured = |key: &str, default: Value| {
                let value = value.and_then(|value| value.get(key).cloned());
                value.unwrap_or(default)
            };
            let base = json!({
                "server_id": &**id,
                "group": &**name,
                "address": configured("address", Value::from(&**id)),
                "weight": configured("weight", 1.into()),
                "state": configured("state", "ready".into()),
            });
            let slots = self.named(Some(name), id);
            if slots.is_empty() {
                let mut item = base.clone();
                item["status"] = "unknown".into();
                items.push(item);
            }
            for member in slots.iter().filter_map(|slot| self.members.get(slot)) {
                let mut item = base.clone();
                item["address"] = member.address.to_string().into();
                add(&mut item, brief(member, clock));
                items.push(item);
            }
        }
    }

    /// Backends that are in no document, by their group: a file or a name has them.
    fn found(&self, document: &Document, clock: Clock) -> BTreeMap<Arc<str>, Vec<Value>> {
        let mut found: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
        for member in self.members.values() {
            let family = Family::Backends(Arc::clone(&member.group_name));
            if document.contains(&family.member(&member.id)) {
                continue;
            }
            let mut item = json!({
                "server_id": &*member.id,
                "group": &*member.group_name,
                "address": member.address.to_string(),
                "weight": member.weight,
                "state": wish(member),
            });
            add(&mut item, brief(member, clock));
            let group = found.entry(Arc::clone(&member.group_name));
            group.or_default().push(item);
        }
        found
    }

    fn whole(&self, member: &Member, clock: Clock) -> Value {
        let rules = self.groups.get(&member.group);
        let mut whole = json!({
            "server_id": &*member.id,
            "group": &*member.group_name,
            "address": member.address.to_string(),
            "weight": member.weight,
            "state": wish(member),
            "in_flight": member.load.in_flight(),
            "ramp_percent": rules.map(|rules| member.ramp(rules, clock.now)),
            "dynamic_percent": member.weighing.percent(),
            "group_panics": rules.is_some_and(|rules| rules.panicking),
            "sources": sources(member),
            "check": member.probe.as_ref().map(|probe| json!({
                "against": probe.against(),
                "next_ms": member.is_checked_here().then(|| clock.at(probe.due())),
            })),
            "observers": self.observers(member),
            "agent": member.agent.as_ref().map(|asked| self.agent(asked, clock)),
            "breaker": breaker(member, rules),
            "ejection": {
                "breaker": word_of_breaker(member.rotation.breaker()),
                "times": member.rotation.ejection().times(),
                "until_ms": member.rotation.ejection().until().map(|until| clock.at(until)),
            },
            "drain": member.drains.shown(clock.unix()),
            "heartbeat": member.heartbeat.heard().map(|heard| heartbeat(heard, clock)),
            "metrics": member.scraped.figures(clock.now).map(exported),
            "history": member
                .record
                .history()
                .rev()
                .map(|was| transition(was, clock))
                .collect::<Vec<_>>(),
        });
        add(&mut whole, brief(member, clock));
        whole
    }
}

impl Keeper {
    /// The nodes that check it, with what each has found; null where no others are known.
    pub(super) fn observers(&self, member: &Member) -> Value {
        let (Some(observing), Some(seat)) = (&self.observing, member.seat) else {
            return Value::Null;
        };
        let seats = observing.seats(seat.key);
        let quorum = quorum(seats.len());
        let items = seats.into_iter().map(|(observer, against)| {
            let reason = match &observer.finding {
                Finding::Down(reason) => &**reason,
                Finding::Said(_) | Finding::Unknown | Finding::Up => "",
            };
            json!({
                "node": &*observer.node,
                "says": observer.finding.name(),
                "reason": reason,
                "contradicts": observer.contradicts,
                "against_ms": against.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            })
        });
        let items: Vec<Value> = items.collect();
        json!({"here": seat.mine, "quorum": quorum, "items": items})
    }
}

impl Keeper {
    /// What its agent has said to whichever node, and who asks it.
    fn agent(&self, asked: &Asked, clock: Clock) -> Value {
        let said = asked.machine.said();
        json!({
            "port": asked.port,
            "at_ms": asked.machine.heard().map(|at| clock.at(at)),
            "trouble": asked.machine.trouble().map(|why| &**why),
            "state": word_of(said.wish()),
            "weight": match said.share {
                None => Value::Null,
                Some(Share::Percent(percent)) => format!("{percent}%").into(),
                Some(Share::Weight(weight)) => weight.into(),
            },
            "capacity": said.capacity,
            "next_ms": asked.is_asked_here().then(|| clock.at(asked.machine.due())),
            "askers": self.askers(asked),
        })
    }

    /// The nodes that ask it, with what each knows it to have said; null where no others are known.
    pub(super) fn askers(&self, asked: &Asked) -> Value {
        let (Some(observing), Some(seat)) = (&self.observing, asked.seat) else {
            return Value::Null;
        };
        let items = observing.seats(seat.key).into_iter().map(|(asker, _)| {
            let word = asker.finding.word();
            let said: Vec<&str> = word.into_iter().flat_map(|word| word.texts()).collect();
            json!({"node": &*asker.node, "heard": said})
        });
        json!({"here": seat.mine, "items": items.collect::<Vec<_>>()})
    }
}

fn add(to: &mut Value, more: Value) {
    if let (Value::Object(to), Value::Object(more)) = (to, more) {
        to.extend(more);
    }
}

fn brief(member: &Member, clock: Clock) -> Value {
    let judgement = member.record.judgement();
    json!({
        "status": judgement.status.name(),
        "source": judgement.source.map(Source::name),
        "reason": &*judgement.reason,
        "since_ms": clock.at(member.record.since()),
    })
}

/// What every source says, the one whose word is told first in front.
fn sources(member: &Member) -> Vec<Value> {
    let each = Source::RANK.into_iter().map(|source| {
        let wished = member.opinions.wish_of(source);
        let (says, reason) = match (wished, member.opinions.of(source)) {
            _ if source == Source::Operator => (word_of(wished), ""),
            (Wish::Maint, _) => ("maint", ""),
            (Wish::Drain, Opinion::Unknown | Opinion::Up) => ("drain", ""),
            (_, Opinion::Down(reason)) => ("down", &**reason),
            (_, Opinion::Unknown) => ("unknown", ""),
            (_, Opinion::Up) => ("up", ""),
        };
        json!({"source": source.name(), "says": says, "reason": reason})
    });
    each.collect()
}

fn wish(member: &Member) -> &'static str {
    word_of(member.opinions.operator)
}

fn word_of(wish: Wish) -> &'static str {
    match wish {
        Wish::Drain => "drain",
        Wish::Maint => "maint",
        Wish::Ready => "ready",
    }
}

/// The breakers of a backend and of its group; null where failures open none.
fn breaker(member: &Member, rules: Option<&Rules>) -> Value {
    let Some(watch) = rules.and_then(|rules| rules.watch.as_ref()) else {
        return Value::Null;
    };
    let [tries, failures] = member.tried_lately;
    json!({
        "state": word_of_breaker(member.rotation.breaker()),
        "tries": tries,
        "failures": failures,
        "opens_at_percent": watch.breaker.errors.backend_percent,
        "group": {
            "state": word_of_breaker(watch.breaker.rotation.breaker()),
            "tries": watch.tried_lately[0],
            "failures": watch.tried_lately[1],
            "opens_at_percent": watch.breaker.errors.group_percent,
        },
    })
}

fn word_of_breaker(breaker: Breaker) -> &'static str {
    match breaker {
        Breaker::Closed => "closed",
        Breaker::HalfOpen { .. } => "half_open",
        Breaker::Open => "open",
    }
}

fn transition(was: &Transition, clock: Clock) -> Value {
    json!({
        "at_ms": clock.at(was.at),
        "from": was.from.name(),
        "to": was.to.name(),
        "source": was.source.name(),
        "reason": &*was.reason,
    })
}

/// What its metrics came to.
fn exported(figures: Figures) -> Value {
    json!({
        "active": figures.active,
        "capacity": figures.capacity,
        "cpu": figures.cpu,
        "memory": figures.memory,
        "latency_ms": figures.latency_ms,
    })
}

fn heartbeat(heard: &Heard, clock: Clock) -> Value {
    let report = &heard.report;
    json!({
        "at_ms": clock.at(heard.at),
        "sender": heard.sender.map(|sender| sender.to_string()),
        "incarnation": report.incarnation,
        "sequence": report.sequence,
        "active": report.active,
        "capacity": report.capacity,
        "latency_ms": report.latency_ms,
        "cpu": report.cpu,
        "memory": report.memory,
        "healthy": report.healthy,
        "discounted": heard.discounted,
    })
}
