//! What is read as a whole: epoch, status, the configuration as a file, the description of all
//! this.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::{Sources, answer, profile, status as pages};
use super::nodes;
use crate::control::document::to_toml;

/// Describes every endpoint; a test holds it to them.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

pub(super) async fn epoch(State(sources): State<Arc<Sources>>) -> Response {
    let mut page = pages::epoch(&sources.progress.borrow());
    let snapshot = sources.handle.snapshot();
    page["configuration"] = serde_json::json!({
        "epoch": snapshot.epoch.revision(),
        "found": snapshot.epoch.found(),
        "revision": snapshot.revision.0,
        "hash": format!("{:016x}", snapshot.content_hash()),
    });
    page["backends"] = match &*sources.view.load() {
        Some(view) => serde_json::json!({
            "epoch": view.table.epoch.revision(),
            "found": view.table.epoch.found(),
            "hash": format!("{:016x}", view.backends_hash()),
        }),
        None => serde_json::Value::Null,
    };
    page["cluster"] = sources.cluster.as_ref().map(nodes::epochs).into();
    json(&page)
}

pub(super) async fn status(State(sources): State<Arc<Sources>>) -> Response {
    json(&pages::whole(&sources))
}

pub(super) async fn profile(State(sources): State<Arc<Sources>>) -> Response {
    json(&profile::show(&sources))
}

pub(super) async fn export(State(sources): State<Arc<Sources>>) -> Response {
    let snapshot = sources.handle.snapshot();
    let text = to_toml(&snapshot.process, &snapshot.document);
    answer(StatusCode::OK, "application/toml", text)
}

pub(super) async fn openapi() -> Response {
    answer(StatusCode::OK, "application/json", OPENAPI.to_owned())
}

fn json(value: &serde_json::Value) -> Response {
    answer(StatusCode::OK, "application/json", format!("{value:#}\n"))
}
