//! `/v1/nodes`: who belongs to the cluster, as this node sees it; and the cluster's part of
//! `/v1/epoch`. Without `[cluster]` there is this node and nobody else.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::{Sources, answer};
use crate::control::gossip::{Cluster, Own, Roll, name_of};
use crate::gossip;

pub(super) async fn list(State(sources): State<Arc<Sources>>) -> Response {
    let items = match &sources.cluster {
        Some(cluster) => all(cluster),
        None => vec![alone(&sources)],
    };
    let page = json!({"items": items});
    answer(StatusCode::OK, "application/json", format!("{page:#}\n"))
}

/// The nodes of the cluster, by name.
pub(super) fn all(cluster: &Cluster) -> Vec<Value> {
    let roll = cluster.roll.borrow().clone();
    let mut items = vec![this(&roll)];
    items.extend(roll.peers.iter().map(|peer| other(cluster, &roll, peer)));
    items.sort_by(|a, b| a["node"].as_str().cmp(&b["node"].as_str()));
    items
}

/// The cluster's part of `/v1/epoch`.
pub(super) fn epochs(cluster: &Cluster) -> Value {
    let roll = cluster.roll.borrow().clone();
    let mut nodes = vec![said(&roll.me.name, "alive", Some(&roll.state))];
    let there = roll.there();
    nodes.extend(
        there.map(|peer| said(&peer.member.name, peer.standing.name(), peer.state.as_ref())),
    );
    let newest = roll.there().filter_map(|peer| peer.state.as_ref());
    let newest = newest.map(|state| state.epoch.revision()).max();
    let newest = newest.unwrap_or(0).max(roll.state.epoch.revision());
    let behind = |adopted: &Value| adopted.as_u64().is_none_or(|adopted| adopted < newest);
    let stragglers: Vec<Value> = nodes
        .iter()
        .filter(|node| behind(&node["adopted"]))
        .map(|node| node["node"].clone())
        .collect();
    let mismatches = roll.there().filter(|peer| roll.differs(peer));
    let mismatches: Vec<&str> = mismatches.map(|peer| &*peer.member.name).collect();
    json!({
        "newest": newest,
        "stragglers": stragglers,
        "mismatches": mismatches,
        "nodes": nodes,
    })
}

fn this(roll: &Roll) -> Value {
    let mut item = said(&roll.me.name, "alive", Some(&roll.state));
    item["this"] = true.into();
    item["generation"] = roll.me.generation.into();
    item["address"] = roll.me.address.to_string().into();
    item
}

fn other(cluster: &Cluster, roll: &Roll, peer: &gossip::Peer) -> Value {
    let mut item = said(&peer.member.name, peer.standing.name(), peer.state.as_ref());
    item["this"] = false.into();
    item["generation"] = peer.member.generation.into();
    item["address"] = peer.member.address.to_string().into();
    item["since_ms"] = cluster.age_millis(peer.since).into();
    item["heard_ms"] = peer.heard.map(|heard| cluster.age_millis(heard)).into();
    item["differs"] = roll.differs(peer).into();
    item
}

/// This node where there are no others.
fn alone(sources: &Sources) -> Value {
    let own = Own {
        handle: sources.handle.clone(),
        view: Arc::clone(&sources.view),
    };
    let state = own.state(&sources.progress.borrow());
    let mut item = said(&name_of(None), "alive", Some(&state));
    item["this"] = true.into();
    item
}

/// What a node says of itself.
fn said(name: &str, standing: &str, state: Option<&gossip::State>) -> Value {
    let mut item = json!({"node": name, "standing": standing});
    let Some(state) = state else {
        return item;
    };
    let cores = state.cores.iter();
    let said = json!({
        "phase": match state.phase {
            gossip::Phase::Draining => "draining",
            gossip::Phase::Left => "left",
            gossip::Phase::Serving => "serving",
            gossip::Phase::Starting => "starting",
        },
        "epoch": state.epoch.revision(),
        "found": state.epoch.found(),
        "adopted": state.adopted().revision(),
        "cores": cores.map(|epoch| epoch.revision()).collect::<Vec<_>>(),
        "hash": format!("{:016x}", state.hash),
        "backends_hash": format!("{:016x}", state.backends_hash),
        "connections": state.load.connections,
        "in_flight": state.load.in_flight,
    });
    for (key, value) in said.as_object().into_iter().flatten() {
        item[key] = value.clone();
    }
    item
}
