//! Waiting until a change is served: by every core of this node, or of every node of the cluster.
//! When the time is up the answer names who is missing; the change stands all the same.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::Sources;
use super::super::problem::problem_with;
use crate::control::change::Snapshot;
use crate::control::gossip::Missing;

/// Waits for a change that was made.
pub(super) async fn adopted(
    sources: &Arc<Sources>,
    made: &Snapshot,
    everywhere: bool,
    within: Duration,
) -> Result<(), Response> {
    let deadline = Instant::now() + within;
    let epoch = made.epoch;
    if let Err(cores) = sources.handle.adopted(epoch, within).await {
        let cores: Vec<u16> = cores.iter().map(|core| core.0).collect();
        let detail = format!("epoch {epoch} is stored and published, but not adopted yet");
        let stragglers = ("stragglers", json!(cores));
        return Err(late(&detail, epoch.revision(), &[stragglers]));
    }
    let Some(cluster) = sources.cluster.as_ref().filter(|_| everywhere) else {
        return Ok(());
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let revision = made.revision.0;
    let waited = cluster.adopted(revision, made.content_hash(), left).await;
    waited.map_err(|missing| {
        let names: Vec<&str> = missing.iter().map(|missing| &*missing.node).collect();
        let names = names.join(", ");
        let detail = format!("epoch {epoch} is served here, and not yet by {names}");
        let missing: Vec<Value> = missing.iter().map(shown).collect();
        late(&detail, epoch.revision(), &[("missing", missing.into())])
    })
}

fn shown(missing: &Missing) -> Value {
    json!({
        "node": &*missing.node,
        "standing": missing.standing.name(),
        "epoch": missing.epoch.map(|epoch| epoch.revision()),
        "stragglers": missing.cores,
        "differs": missing.differs,
    })
}

fn late(detail: &str, epoch: u64, members: &[(&str, Value)]) -> Response {
    let mut all = vec![("epoch", Value::from(epoch))];
    all.extend_from_slice(members);
    problem_with(StatusCode::GATEWAY_TIMEOUT, detail, &all)
}
