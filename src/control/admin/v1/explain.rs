//! What would become of a request, and why, without sending one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Sources;
use super::super::problem::{invalid, problem, refused};
use super::asked::Body;
use super::objects::tagged;
use super::rpc::read;
use crate::control::change::{Refusal, Snapshot};
use crate::control::document::{Family, Mistake, ObjectPath};
use crate::engine::explain::{Choice, Explanation, KeyFound, Outcome, Ruling, Sketch, explain};
use crate::routing::policy::{NoPick, PolicyKind};
use crate::routing::shard::{Decision, Reject};
use crate::routing::table::{BackendState, Group, Listener, Table};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asks {
    listener: Option<String>,
    method: Option<String>,
    host: Option<String>,
    path: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Texts>,
    #[serde(default)]
    cookies: BTreeMap<String, String>,
    client: Option<IpAddr>,
    body: Option<Value>,
    sni: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    Many(Vec<String>),
    One(String),
}

pub(super) async fn run(State(sources): State<Arc<Sources>>, Body(body): Body) -> Response {
    let asks: Asks = match read(body) {
        Ok(asks) => asks,
        Err(refusal) => return *refusal,
    };
    let (snapshot, view) = (sources.handle.snapshot(), sources.view.load_full());
    let Some(view) = view else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "no table is published yet");
    };
    let table = &*view.table;
    let listener = match listener_of(table, asks.listener.as_deref()) {
        Ok(listener) => listener,
        Err(Refusal::Invalid(mistakes)) => {
            return invalid(StatusCode::UNPROCESSABLE_ENTITY, &mistakes);
        }
        Err(refusal) => return refused(&refusal, false),
    };
    let sketch = sketch_of(asks);
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now_micros = u64::try_from(unix.as_micros()).unwrap_or(0);
    let explanation = explain(table, listener, &sketch, now_micros);
    let body = shown(&snapshot, table, listener, &explanation);
    tagged(StatusCode::OK, table.epoch, body)
}

/// The listener of that name, or the only one.
fn listener_of<'t>(table: &'t Table, name: Option<&str>) -> Result<&'t Listener, Refusal> {
    let mut listeners = table.listeners.iter().flatten();
    let Some(name) = name else {
        return match (listeners.next(), listeners.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(Refusal::Invalid(vec![Mistake {
                object: None,
                field: "listener".to_owned(),
                problem: format!(
                    "there are {} listeners",
                    table.listeners.iter().flatten().count()
                ),
                fix: "say which".to_owned(),
            }])),
        };
    };
    let found = listeners.find(|listener| &*listener.name == name);
    found
        .map(|listener| &**listener)
        .ok_or_else(|| Refusal::Absent(ObjectPath::Listener(name.into())))
}

fn sketch_of(asks: Asks) -> Sketch {
    let mut fields = Vec::new();
    for (name, values) in asks.headers {
        match values {
            Texts::Many(values) => {
                fields.extend(values.into_iter().map(|value| (name.clone(), value)));
            }
            Texts::One(value) => fields.push((name, value)),
        }
    }
    if !asks.cookies.is_empty() {
        let pairs = asks
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        fields.push(("cookie".to_owned(), pairs.collect::<Vec<_>>().join("; ")));
    }
    Sketch {
        method: asks.method.unwrap_or_else(|| "GET".to_owned()),
        host: asks.host.unwrap_or_default(),
        target: asks.path.unwrap_or_else(|| "/".to_owned()),
        fields,
        client: asks.client,
        body: match asks.body {
            None => Vec::new(),
            Some(Value::String(text)) => text.into_bytes(),
            Some(json) => json.to_string().into_bytes(),
        },
        server_name: asks.sni,
    }
}

fn shown(
    snapshot: &Snapshot,
    table: &Table,
    listener: &Listener,
    explanation: &Explanation,
) -> Value {
    let route = explanation.route.and_then(|position| {
        let family = Family::Routes(Arc::clone(&listener.name));
        let routes = snapshot.document.members(&family);
        routes.get(position)?.name().cloned()
    });
    let mut body = json!({
        "listener": &*listener.name,
        "route": route.as_deref(),
        "shard": explanation.ruling.as_ref().map(|ruling| shard(table, ruling)),
        "outcome": match explanation.outcome {
            Outcome::Group(_) => "group",
            Outcome::NoRoute => "no_route",
            Outcome::Rejected(_) => "rejected",
        },
    });
    if let (Outcome::Group(index), Some(choice)) = (explanation.outcome, &explanation.choice) {
        choose(&mut body, table.group(index), choice);
    }
    body
}

fn shard(table: &Table, ruling: &Ruling) -> Value {
    let (found, key) = match &ruling.key {
        KeyFound::Compressed => ("compressed", None),
        KeyFound::Key(key) => ("key", Some(String::from_utf8_lossy(key).into_owned())),
        KeyFound::Malformed => ("malformed", None),
        KeyFound::Missing => ("missing", None),
        KeyFound::Oversized => ("oversized", None),
    };
    let (group, rejected) = match ruling.decision {
        Decision::Group(group) => (Some(&*table.group(group).name), None),
        Decision::NeedsBody => (None, Some("missing")),
        Decision::Reject(reject) => (None, Some(reject_name(reject))),
    };
    json!({
        "rule": &*ruling.rule,
        "found": found,
        "key": key,
        "hash": ruling.hash.map(hex),
        "group": group,
        "rejected": rejected,
    })
}

fn reject_name(reject: Reject) -> &'static str {
    match reject {
        Reject::Compressed => "compressed",
        Reject::Malformed => "malformed",
        Reject::Missing => "missing",
        Reject::Oversized => "oversized",
        Reject::Unplaced => "unplaced",
    }
}

fn choose(body: &mut Value, group: &Group, choice: &Choice) {
    let candidates = group.backends.iter().zip(&choice.candidates);
    let candidates = candidates.map(|(backend, standing)| {
        json!({
            "id": &*backend.id,
            "address": backend.address.to_string(),
            "state": match backend.state {
                BackendState::Drain => "drain",
                BackendState::Maint => "maint",
                BackendState::Ready => "ready",
            },
            "weight": backend.weight,
            "in_flight": standing.in_flight,
            "estimate": standing.estimate.map(|estimate| json!({
                "latency_ms": rounded(estimate.latency_micros / 1000.0),
                "pace": rounded(estimate.pace),
                "score": rounded(estimate.score / 1000.0),
            })),
            "requests_max": backend.requests_max,
            "connections_max": backend.connections_max,
            "can_be_chosen": standing.can.name(),
        })
    });
    body["group"] = (*group.name).into();
    let required = group.required.iter().map(|label| &**label);
    body["require"] = required.collect();
    body["policy"] = group.policy.kind().name().into();
    body["hash"] = choice.hash.map(hex).into();
    let preferred = choice
        .preferred
        .and_then(|index| group.backends.get(index.index()));
    body["sticks_to"] = preferred.map(|backend| &*backend.id).into();
    body["candidates"] = candidates.collect();
    body["pick"] = match choice.pick {
        Ok(index) => {
            let backend = &group.backends[index.index()];
            json!({"id": &*backend.id, "address": backend.address.to_string()})
        }
        Err(_) => Value::Null,
    };
    body["why"] = why(group.policy.kind(), choice).into();
}

fn why(kind: PolicyKind, choice: &Choice) -> String {
    match choice.pick {
        Err(NoPick::Full) => return "all that could be chosen are full".to_owned(),
        Err(NoPick::Nobody) => return "nobody is ready and has a weight".to_owned(),
        Ok(index) if choice.preferred == Some(index) => {
            return "the client sticks to it".to_owned();
        }
        Ok(_) => {}
    }
    let turned_away = match choice.preferred {
        Some(_) => "who the client sticks to cannot take it; ",
        None => "",
    };
    format!("{turned_away}{}", why_of(kind, choice))
}

/// Why a policy chose.
fn why_of(kind: PolicyKind, choice: &Choice) -> String {
    match kind {
        PolicyKind::Adaptive(adaptive) => format!(
            "the least score, requests in flight times the latency to expect, of {} drawn, or of \
             all of a small group",
            adaptive.choices
        ),
        PolicyKind::LeastConnections => "the fewest requests in flight".to_owned(),
        PolicyKind::LeastRequest { choices } => {
            format!("the least loaded of {choices} drawn by weight; each core draws its own")
        }
        PolicyKind::Maglev { .. } | PolicyKind::Rendezvous { .. } | PolicyKind::RingHash { .. } => {
            match choice.hash {
                Some(_) => "the first for its hash that can be chosen".to_owned(),
                None => "nothing to place it by: the first for a random hash".to_owned(),
            }
        }
        PolicyKind::PeakEwma => {
            "the shorter wait of two drawn by weight; each core draws its own".to_owned()
        }
        PolicyKind::Random => "drawn by weight; each core draws its own".to_owned(),
        PolicyKind::RoundRobin => "the next in turn; each core has turns of its own".to_owned(),
        PolicyKind::WeightedLeastConnections => {
            "the fewest requests in flight for its weight".to_owned()
        }
        PolicyKind::WeightedRoundRobin => {
            "the next in turn by weight; each core has turns of its own".to_owned()
        }
    }
}

/// To thousandths: more would be noise.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1000.0).round() / 1000.0
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}
