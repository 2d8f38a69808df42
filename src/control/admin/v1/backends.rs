//! Short ways to what changes often: a weight, a policy, whether a backend gets traffic.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::super::Sources;
use super::super::problem::invalid;
use super::asked::{Asked, At, Body};
use super::objects::changed;
use crate::control::document::{Mistake, ObjectPath, Op, Section};

pub(super) async fn weight(
    State(sources): State<Arc<Sources>>,
    At(path): At,
    asked: Asked,
    Body(value): Body,
) -> Response {
    one_key(&sources, &asked, path, "weight", value).await
}

pub(super) async fn policy(
    State(sources): State<Arc<Sources>>,
    At(path): At,
    asked: Asked,
    Body(value): Body,
) -> Response {
    one_key(&sources, &asked, path, "policy", value).await
}

pub(super) async fn drain(
    State(sources): State<Arc<Sources>>,
    At(path): At,
    asked: Asked,
) -> Response {
    state(&sources, &asked, path, "drain".into()).await
}

pub(super) async fn maint(
    State(sources): State<Arc<Sources>>,
    At(path): At,
    asked: Asked,
) -> Response {
    state(&sources, &asked, path, "maint".into()).await
}

/// Ready is what a backend is when nothing is said.
pub(super) async fn ready(
    State(sources): State<Arc<Sources>>,
    At(path): At,
    asked: Asked,
) -> Response {
    state(&sources, &asked, path, Value::Null).await
}

async fn state(sources: &Arc<Sources>, asked: &Asked, path: ObjectPath, value: Value) -> Response {
    let value = Section::from_iter([("state".to_owned(), value)]);
    let op = Op::Patch {
        path: path.clone(),
        value,
    };
    changed(sources, asked, path, op).await
}

/// Sets one key by a body that has this key and no other.
async fn one_key(
    sources: &Arc<Sources>,
    asked: &Asked,
    path: ObjectPath,
    key: &str,
    value: Section,
) -> Response {
    let set = value.get(key).is_some_and(|value| !value.is_null());
    if !set || value.len() > 1 {
        let other = value.keys().find(|found| *found != key);
        let mistake = Mistake {
            object: Some(path),
            field: other.map_or(key, |other| other).to_owned(),
            problem: if set {
                "does not belong here"
            } else {
                "is missing"
            }
            .to_owned(),
            fix: format!("write {key} and nothing else"),
        };
        return invalid(StatusCode::UNPROCESSABLE_ENTITY, &[mistake]);
    }
    let op = Op::Patch {
        path: path.clone(),
        value,
    };
    changed(sources, asked, path, op).await
}
