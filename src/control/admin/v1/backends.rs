//! Short ways to what changes often: a weight, a policy, whether a backend gets traffic.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::super::Sources;
use super::super::problem::invalid;
use super::asked::{Asked, At, Body, MaybeBody};
use super::objects::changed;
use crate::config;
use crate::control::clock::since_1970;
use crate::control::document::{Mistake, ObjectPath, Op, Section, drain_value};

/// The longest time those who stick may be given in one word, as in the file.
const DRAIN_MAX: Duration = Duration::from_secs(24 * 3600);

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
    MaybeBody(body): MaybeBody,
) -> Response {
    match drain_until(&body) {
        Ok(until) => {
            let value = drain_value(until);
            let op = Op::Patch {
                path: path.clone(),
                value,
            };
            changed(&sources, &asked, path, op).await
        }
        Err((field, problem)) => {
            let mistake = Mistake {
                object: Some(path),
                field,
                problem,
                fix: "write timeout as \"10m\", at most 24h, or \"none\", and nothing else"
                    .to_owned(),
            };
            invalid(StatusCode::UNPROCESSABLE_ENTITY, &[mistake])
        }
    }
}

/// Until when those who stick stay, if the body says that: so long from now, or for ever.
fn drain_until(body: &Section) -> Result<Option<Option<Duration>>, (String, String)> {
    if let Some(other) = body.keys().find(|key| *key != "timeout") {
        return Err((other.clone(), "does not belong here".to_owned()));
    }
    let Some(timeout) = body.get("timeout") else {
        return Ok(None);
    };
    let wrong = || ("timeout".to_owned(), format!("{timeout} is no time"));
    match timeout.as_str().ok_or_else(wrong)? {
        "none" => Ok(Some(None)),
        text => {
            let timeout = config::duration(text).map_err(|what| ("timeout".to_owned(), what))?;
            if timeout > DRAIN_MAX {
                return Err(wrong());
            }
            Ok(Some(Some(since_1970() + timeout)))
        }
    }
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
