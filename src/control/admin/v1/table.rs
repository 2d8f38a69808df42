//! `/v1/debug/table`: the table the cores serve by, as it was made: positions and slots, parts of
//! groups that something requires, what is thought of each backend at this moment. For those who
//! look for a defect; people read `/v1/status`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::Sources;
use super::super::problem::problem;
use super::objects::tagged;
use crate::routing::limit::Limited;
use crate::routing::matcher::Destination;
use crate::routing::shard::{Outcome, Rule};
use crate::routing::table::{Backend, BackendState, Group, Listener, Table};

pub(super) async fn show(State(sources): State<Arc<Sources>>) -> Response {
    match &*sources.view.load() {
        Some(view) => tagged(StatusCode::OK, view.table.epoch, shown(&view.table)),
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "no table is published yet"),
    }
}

fn shown(table: &Table) -> Value {
    let listeners = table.listeners.iter().flatten();
    let shards = table.shards.iter().map(|rule| shard(table, rule));
    json!({
        "backend_slots": table.backend_slots,
        "group_slots": table.group_slots,
        "listeners": listeners.map(|of| listener(table, of)).collect::<Vec<_>>(),
        "shards": shards.collect::<Vec<_>>(),
        "groups": table.groups.iter().map(group).collect::<Vec<_>>(),
    })
}

fn listener(table: &Table, of: &Listener) -> Value {
    let named = of.route_names.iter().zip(of.routes.of_routes());
    let routes = named.map(|(name, to)| json!({"name": &**name, "to": destination(table, to)}));
    let default = of.routes.destinations().nth(of.routes.of_routes().count());
    json!({
        "slot": of.slot.0,
        "name": &*of.name,
        "address": of.address.to_string(),
        "connections_max": of.connections_max,
        "routes": routes.collect::<Vec<_>>(),
        "default": default.map(|to| destination(table, to)),
    })
}

fn destination(table: &Table, to: Destination) -> Value {
    match to {
        Destination::Group(index) => {
            let group = table.group(index);
            json!({"group": &*group.name, "index": index.0})
        }
        Destination::Shard(index) => json!({"shard": &*table.shard(index).name, "index": index.0}),
    }
}

fn shard(table: &Table, rule: &Rule) -> Value {
    let outcome = |outcome: &Outcome| match outcome {
        Outcome::Group(index) => json!({"group": &*table.group(*index).name, "index": index.0}),
        Outcome::Reject => "reject".into(),
    };
    let groups = rule.groups();
    json!({
        "name": &*rule.name,
        "function": rule.function.name(),
        "key_bytes_max": rule.key_bytes_max,
        "groups": groups.iter().map(|index| index.0).collect::<Vec<_>>(),
        "compressed": outcome(&rule.outcomes.compressed),
        "malformed": outcome(&rule.outcomes.malformed),
        "missing": outcome(&rule.outcomes.missing),
        "oversized": outcome(&rule.outcomes.oversized),
        "unplaced": outcome(&rule.outcomes.unplaced),
    })
}

fn group(group: &Group) -> Value {
    let required = group.required.iter().map(|label| &**label);
    json!({
        "slot": group.slot.0,
        "name": &*group.name,
        "require": required.collect::<Vec<_>>(),
        "policy": group.policy.kind().name(),
        "in_flight": group.load.in_flight(),
        "waiting": group.queue.waiting(),
        "queue_max": group.queue.requests_max,
        "retries_max": group.retries_max,
        "backends": group.backends.iter().map(backend).collect::<Vec<_>>(),
    })
}

fn backend(backend: &Backend) -> Value {
    let word = backend.standing.word();
    let standing = word.standing();
    let taken = |what| backend.gate.as_ref().map(|gate| gate.taken(what));
    json!({
        "slot": backend.slot.0,
        "id": &*backend.id,
        "identity": format!("{:016x}", backend.identity),
        "address": backend.address.to_string(),
        "weight": backend.weight,
        "state": match backend.state {
            BackendState::Drain => "drain",
            BackendState::Maint => "maint",
            BackendState::Ready => "ready",
        },
        "labels": backend.labels.iter().map(|label| &**label).collect::<Vec<_>>(),
        "in_flight": backend.load.in_flight(),
        "available": standing.available,
        "suspended": word.is_suspended(),
        "ramp": standing.ramp,
        "capacity": standing.capacity,
        "requests_max": backend.requests_max,
        "requests_taken": taken(Limited::Requests),
        "connections_max": backend.connections_max,
        "connections_taken": taken(Limited::Connections),
    })
}
