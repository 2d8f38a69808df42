//! The five calls of the specification, by their names.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::Sources;
use super::super::problem::{invalid, problem};
use super::asked::{Asked, Body};
use super::objects::{shown, tagged};
use crate::control::change::{Done, Refusal};
use crate::control::document::{Mistake, ObjectPath, Section};
use crate::control::servers::NoServer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    group: Option<String>,
    server_id: String,
    address: String,
    #[serde(default = "one")]
    weight: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    group: Option<String>,
    server_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Next {
    group: Option<String>,
    key: Option<String>,
}

fn one() -> u16 {
    1
}

pub(super) async fn add_server(
    State(sources): State<Arc<Sources>>,
    asked: Asked,
    Body(body): Body,
) -> Response {
    let Added {
        group,
        server_id,
        address,
        weight,
    } = match read(body) {
        Ok(added) => added,
        Err(refusal) => return *refusal,
    };
    let handle = &sources.handle;
    let path = match handle.server_path(group.as_deref(), &server_id) {
        Ok(path) => path,
        Err(refusal) => return told(&sources, &asked, None, Err(refusal)).await,
    };
    let conditions = asked.conditions(std::slice::from_ref(&path));
    let added = handle
        .add_server_at(&path, &address, weight, conditions)
        .await;
    if let Err(Refusal::Exists(path)) = &added {
        let detail = format!("{path} exists with another address or weight");
        return problem(StatusCode::CONFLICT, &detail);
    }
    told(&sources, &asked, Some(&path), added).await
}

pub(super) async fn remove_server(
    State(sources): State<Arc<Sources>>,
    asked: Asked,
    Body(body): Body,
) -> Response {
    let named: Named = match read(body) {
        Ok(named) => named,
        Err(refusal) => return *refusal,
    };
    let path = sources
        .handle
        .server_path(named.group.as_deref(), &named.server_id);
    let removed = match path {
        Ok(path) => {
            let conditions = asked.conditions(std::slice::from_ref(&path));
            sources.handle.remove_server_at(&path, conditions).await
        }
        Err(refusal) => Err(refusal),
    };
    told(&sources, &asked, None, removed).await
}

pub(super) async fn health_check_passed(
    State(sources): State<Arc<Sources>>,
    asked: Asked,
    Body(body): Body,
) -> Response {
    verdict(&sources, &asked, body, true).await
}

pub(super) async fn health_check_failed(
    State(sources): State<Arc<Sources>>,
    asked: Asked,
    Body(body): Body,
) -> Response {
    verdict(&sources, &asked, body, false).await
}

async fn verdict(sources: &Arc<Sources>, asked: &Asked, body: Section, passed: bool) -> Response {
    let named: Named = match read(body) {
        Ok(named) => named,
        Err(refusal) => return *refusal,
    };
    let path = sources
        .handle
        .server_path(named.group.as_deref(), &named.server_id);
    let (path, judged) = match path {
        Ok(path) => {
            let conditions = asked.conditions(std::slice::from_ref(&path));
            let judged = sources
                .handle
                .judge_server_at(&path, passed, conditions)
                .await;
            (Some(path), judged)
        }
        Err(refusal) => (None, Err(refusal)),
    };
    told(sources, asked, path.as_ref(), judged).await
}

pub(super) async fn next_server(State(sources): State<Arc<Sources>>, Body(body): Body) -> Response {
    let next: Next = match read(body) {
        Ok(next) => next,
        Err(refusal) => return *refusal,
    };
    let key = next.key.as_deref().map(str::as_bytes);
    match sources.handle.get_next_server(next.group.as_deref(), key) {
        Ok(server) => {
            let body = json!({
                "server_id": &*server.server_id,
                "address": server.address.to_string(),
                "group": &*server.group,
            });
            tagged(StatusCode::OK, server.epoch, body)
        }
        Err(NoServer::Nobody(group)) => {
            let detail = format!("no server of group {group} takes traffic now");
            problem(StatusCode::CONFLICT, &detail)
        }
        Err(NoServer::Refused(refusal)) => super::super::problem::refused(&refusal, false),
    }
}

pub(super) fn read<T: DeserializeOwned>(body: Section) -> Result<T, Box<Response>> {
    serde_json::from_value(Value::Object(body)).map_err(|error| {
        let text = error.to_string();
        // serde names a key that is too many or too few in backquotes.
        let named = text.starts_with("unknown field") || text.starts_with("missing field");
        let field = text
            .split('`')
            .nth(1)
            .filter(|_| named)
            .unwrap_or("")
            .to_owned();
        let mistake = Mistake {
            object: None,
            field,
            problem: text,
            fix: "see /v1/openapi.json".to_owned(),
        };
        Box::new(invalid(StatusCode::UNPROCESSABLE_ENTITY, &[mistake]))
    })
}

async fn told(
    sources: &Arc<Sources>,
    asked: &Asked,
    path: Option<&ObjectPath>,
    done: Result<Done, Refusal>,
) -> Response {
    // What a removal breaks is a conflict with what is there.
    let done = match done {
        Err(Refusal::Invalid(mistakes)) if path.is_none() && in_objects(&mistakes) => {
            return invalid(StatusCode::CONFLICT, &mistakes);
        }
        done => done,
    };
    match asked.made(sources, done, false).await {
        Ok(done) => {
            let body = path.map_or_else(|| json!({}), |path| shown(&done.after, path));
            tagged(StatusCode::OK, done.after.epoch, body)
        }
        Err(refusal) => refusal,
    }
}

/// Whether the mistakes are of objects, and not of what was sent.
fn in_objects(mistakes: &[Mistake]) -> bool {
    mistakes.iter().all(|mistake| mistake.object.is_some())
}
