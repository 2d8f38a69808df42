//! What a transaction would do, without doing it: what moves, who is left without a server.
//!
//! A transaction that would be refused is answered by that refusal. The comparison is a function
//! of two tables and runs beside the control loop, one at a time; others wait for it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::super::Sources;
use super::super::problem::{invalid, problem, refused};
use super::asked::{Asked, Body};
use super::objects::tagged;
use super::transaction;
use crate::control::change::{Refusal, Snapshot};
use crate::control::clock::since_1970;
use crate::control::document::{Document, HANDOVER_KEY, Mistake, ObjectPath, Op, Section, judge};
use crate::engine::compare::{
    Comparison, GroupChange, KEYS_DEFAULT, Method, Move, RouteChange, RuleChange, Share, Target,
    Unserved,
};
use crate::engine::trial::{self, Trial};

/// Most keys that may be asked for.
const KEYS_MAX: u32 = 1 << 20;

static PLACES: Semaphore = Semaphore::const_new(1);

pub(super) async fn run(
    State(sources): State<Arc<Sources>>,
    asked: Asked,
    Body(mut body): Body,
) -> Response {
    let read = keys_of(&mut body).and_then(|keys| Ok((keys, transaction::read(body)?)));
    let (keys, ops) = match read {
        Ok(read) => read,
        Err(mistake) => return invalid(StatusCode::UNPROCESSABLE_ENTITY, &[mistake]),
    };
    let removes = ops.iter().all(|op| matches!(op, Op::Delete { .. }));
    let conditions = asked.conditions(&transaction::paths(&ops));
    let Ok(_place) = PLACES.acquire().await else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "the node is ending");
    };
    let snapshot = sources.handle.snapshot();
    let document = match conditions.check(&snapshot) {
        Ok(()) => {
            let changed = snapshot.document.changed(&ops, since_1970());
            changed.map_err(Refusal::from)
        }
        Err(refusal) => Err(refusal),
    };
    let document = match document {
        Ok(document) => document,
        Err(refusal) => return refused(&refusal, removes),
    };
    let epoch = snapshot.epoch;
    let tried = spawn_blocking(move || tried(&snapshot, &document, keys)).await;
    match tried {
        Ok(Ok(body)) => tagged(StatusCode::OK, epoch, body),
        Ok(Err(mistakes)) => refused(&Refusal::Invalid(mistakes), removes),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the node is ending"),
    }
}

/// Takes the number of keys out of a body.
fn keys_of(body: &mut Section) -> Result<u32, Mistake> {
    let Some(keys) = body.remove("keys") else {
        return Ok(KEYS_DEFAULT);
    };
    let number = keys.as_u64().and_then(|keys| u32::try_from(keys).ok());
    let number = number.filter(|keys| (1..=KEYS_MAX).contains(keys));
    number.ok_or_else(|| Mistake {
        object: None,
        field: "keys".to_owned(),
        problem: format!("is {keys}"),
        fix: format!("write 1 to {KEYS_MAX}, or leave it out for {KEYS_DEFAULT}"),
    })
}

fn tried(snapshot: &Snapshot, document: &Document, keys: u32) -> Result<Value, Vec<Mistake>> {
    let before = judge(&snapshot.process, &snapshot.document)?;
    let after = judge(&snapshot.process, document)?;
    let trial = trial::run(&before, &after, &snapshot.facts, keys);
    let mut body = shown(&trial);
    body["changes"] = changes(&snapshot.document, document);
    for rule in body["shards"].as_array_mut().into_iter().flatten() {
        let name = rule["name"].as_str().map(Arc::from);
        let path = name.map(ObjectPath::Shard);
        let value = path.and_then(|path| document.value(&path)?.get(HANDOVER_KEY));
        let opens = value
            .and_then(Value::as_object)
            .map(|section| json!({"window": section.get("window"), "since": section.get("since")}));
        rule["handover"] = opens.into();
    }
    Ok(body)
}

fn changes(before: &Document, after: &Document) -> Value {
    let writes = after.records_since(before).into_iter();
    let changes = writes.map(|(path, record)| {
        let is_old = path.parse().is_ok_and(|path| before.contains(&path));
        let change = match (record, is_old) {
            (None, _) => "removed",
            (Some(_), true) => "changed",
            (Some(_), false) => "added",
        };
        json!({"path": path, "change": change})
    });
    changes.collect()
}

fn shown(trial: &Trial) -> Value {
    let Comparison {
        routes,
        shards,
        groups,
        unserved,
    } = &trial.comparison;
    let warnings = trial.warnings.iter().map(ToString::to_string);
    json!({
        "routes": routes.iter().map(route).collect::<Vec<_>>(),
        "shards": shards.iter().map(shard).collect::<Vec<_>>(),
        "groups": groups.iter().map(group).collect::<Vec<_>>(),
        "unserved": unserved.iter().map(unserved_group).collect::<Vec<_>>(),
        "opens": trial.opens,
        "closes": trial.closes,
        "unknown_names": trial.unknown_names,
        "warnings": warnings.collect::<Vec<_>>(),
    })
}

fn route(change: &RouteChange) -> Value {
    json!({
        "listener": &*change.listener,
        "route": change.route.as_deref(),
        "before": change.before.as_ref().map(target),
        "after": change.after.as_ref().map(target),
    })
}

fn target(target: &Target) -> Value {
    match target {
        Target::Group { name, required } if required.is_empty() => json!({"group": &**name}),
        Target::Group { name, required } => json!({"group": &**name, "require": labels(required)}),
        Target::Shard(name) => json!({"shard": &**name}),
    }
}

fn labels(required: &[Arc<str>]) -> Vec<&str> {
    required.iter().map(|label| &**label).collect()
}

fn shard(change: &RuleChange) -> Value {
    let (method, keys) = match change.method {
        Method::Entries => ("entries", None),
        Method::Integers => ("integers", None),
        Method::Pieces => ("pieces", None),
        Method::Sampled(keys) => ("sampled", Some(keys)),
    };
    let moves = change.moves.iter().map(
        |Move {
             keys,
             before,
             after,
         }| json!({"keys": keys, "before": before.as_deref(), "after": after.as_deref()}),
    );
    json!({
        "name": &*change.name,
        "function": {"before": change.function_before, "after": change.function_after},
        "method": method,
        "keys": keys,
        "moved": change.moved.map(rounded),
        "groups": change.groups.iter().map(part).collect::<Vec<_>>(),
        "moves": moves.collect::<Vec<_>>(),
    })
}

fn group(change: &GroupChange) -> Value {
    json!({
        "name": &*change.name,
        "require": labels(&change.required),
        "policy": {"before": change.policy_before, "after": change.policy_after},
        "moved": change.moved.map(rounded),
        "backends": change.backends.iter().map(part).collect::<Vec<_>>(),
    })
}

fn part(share: &Share) -> Value {
    json!({
        "name": share.name,
        "before": rounded(share.before),
        "after": rounded(share.after),
    })
}

fn unserved_group(unserved: &Unserved) -> Value {
    json!({
        "group": &*unserved.group,
        "require": labels(&unserved.required),
        "reached_by": unserved.reached_by,
        "new": unserved.is_new,
    })
}

/// Six digits: more than the sample knows.
fn rounded(share: f64) -> f64 {
    (share * 1e6).round() / 1e6
}
