//! `/v1/shards/NAME/handover`: how far a shard rule is that hands keys over, and taking it back.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::Sources;
use super::asked::{Asked, At};
use super::objects::{changed, tagged};
use crate::base::date::time_text;
use crate::control::admin::problem::{problem, refused};
use crate::control::change::Refusal;
use crate::control::clock::since_1970;
use crate::control::document::{HANDOVER_KEY, Op};
use crate::engine::compare::{Move, handed_over};
use crate::routing::table::Table;

/// Keys that are tried of a rule that hashes.
const KEYS: u32 = 4096;

pub(super) async fn show(State(sources): State<Arc<Sources>>, At(path): At) -> Response {
    let snapshot = sources.handle.snapshot();
    let Some(value) = snapshot.document.value(&path) else {
        return refused(&Refusal::Absent(path), false);
    };
    let view = sources.view.load_full();
    let (Some(section), Some(view), Some(name)) = (value.get(HANDOVER_KEY), view, path.name())
    else {
        return problem(StatusCode::NOT_FOUND, &format!("{path} hands nothing over"));
    };
    let (table, asked) = (Arc::clone(&view.table), Arc::clone(name));
    let progress = spawn_blocking(move || progress(&table, &asked, since_1970()));
    match progress.await {
        Ok(Some(mut body)) => {
            body["window"] = section["window"].clone();
            body["since"] = section["since"].clone();
            tagged(StatusCode::OK, snapshot.epoch, body)
        }
        _ => problem(StatusCode::NOT_FOUND, &format!("{path} hands nothing over")),
    }
}

/// Keys belong again to whom they belonged before.
pub(super) async fn abort(
    State(sources): State<Arc<Sources>>,
    At(path): At,
    asked: Asked,
) -> Response {
    let op = Op::TakeBack { path: path.clone() };
    changed(&sources, &asked, path, op).await
}

/// How far the rule of this name is, on this node.
fn progress(table: &Table, name: &str, now: Duration) -> Option<Value> {
    let rule = table.shards.iter().find(|rule| *rule.name == *name)?;
    let handover = rule.handover.as_ref()?;
    let change = handed_over(table, rule, KEYS)?;
    let moved: u64 = handover.stats.iter().map(|core| core.moved.read()).sum();
    let former: u64 = handover.stats.iter().map(|core| core.former.read()).sum();
    let left = handover.until.saturating_sub(now);
    let moves = change.moves.iter().map(
        |Move {
             keys,
             before,
             after,
         }| json!({"keys": keys, "before": before.as_deref(), "after": after.as_deref()}),
    );
    let groups = change
        .groups
        .iter()
        .map(|share| json!({"name": share.name, "before": share.before, "after": share.after}));
    Some(json!({
        "shard": name,
        "open": !left.is_zero(),
        "until": time_text(handover.until),
        "left_ms": u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        "keys_moved": change.moved,
        "requests_moved": moved,
        "requests_to_former": former,
        "groups": groups.collect::<Vec<_>>(),
        "moves": moves.collect::<Vec<_>>(),
    }))
}
