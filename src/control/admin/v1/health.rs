//! The health of backends: what is thought of them and why, and what they say of themselves.

use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::super::problem::{problem, problem_with, refused};
use super::super::{Peer, Sources};
use super::asked::Body;
use super::objects::tagged;
use super::rpc::read;
use crate::control::change::Refusal;
use crate::control::document::ObjectPath;
use crate::control::health::Claim;
use crate::health::heartbeat::Rejection;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    group: Option<String>,
}

/// Of which group.
pub(super) struct OfGroup(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for OfGroup {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        match Query::<Asked>::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(OfGroup(asked.group)),
            Err(error) => Err(problem(StatusCode::BAD_REQUEST, &error.body_text())),
        }
    }
}

/// Who sent a request, if that has an address.
pub(super) struct Sender(Peer);

impl<S: Send + Sync> FromRequestParts<S> for Sender {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let info = parts.extensions.get::<ConnectInfo<Peer>>();
        Ok(Sender(info.map(|info| info.0).unwrap_or_default()))
    }
}

pub(super) async fn list(State(sources): State<Arc<Sources>>, OfGroup(group): OfGroup) -> Response {
    let snapshot = sources.handle.snapshot();
    let group = group.map(Arc::<str>::from);
    let path = group.clone().map(ObjectPath::Group);
    if let Some(path) = path.filter(|path| !snapshot.document.contains(path)) {
        return refused(&Refusal::Absent(path), false);
    }
    let health = sources.handle.health();
    let items = health.listed(&snapshot.document, group.as_deref());
    tagged(StatusCode::OK, snapshot.epoch, json!({"items": items}))
}

pub(super) async fn show(
    State(sources): State<Arc<Sources>>,
    Path(id): Path<String>,
    OfGroup(group): OfGroup,
) -> Response {
    let snapshot = sources.handle.snapshot();
    let items = sources.handle.health().shown(&id, group.as_deref());
    if items.is_empty() {
        let detail = format!("no backend in use has the id {id:?}");
        return problem(StatusCode::NOT_FOUND, &detail);
    }
    tagged(StatusCode::OK, snapshot.epoch, json!({"items": items}))
}

pub(super) async fn heartbeat(
    State(sources): State<Arc<Sources>>,
    Sender(Peer(sender)): Sender,
    body: Result<Body, Response>,
) -> Response {
    let health = sources.handle.health();
    let claim = match body {
        Ok(Body(body)) => read::<Claim>(body),
        Err(refusal) => Err(Box::new(refusal)),
    };
    let claim = match claim {
        Ok(claim) => claim,
        Err(refusal) => {
            health.refuse(Rejection::Malformed);
            return *refusal;
        }
    };
    match health.hear(&claim, sender) {
        Ok(believed) => {
            let body = json!({"backends": believed.backends, "discounted": believed.discounted});
            tagged(StatusCode::OK, sources.handle.snapshot().epoch, body)
        }
        Err(rejection) => {
            let status = match rejection {
                Rejection::Unknown => StatusCode::NOT_FOUND,
                Rejection::Future | Rejection::Impossible | Rejection::Malformed => {
                    StatusCode::UNPROCESSABLE_ENTITY
                }
                _ => StatusCode::CONFLICT,
            };
            let detail = format!("the heartbeat is not believed: {}", rejection.name());
            problem_with(status, &detail, &[("reason", rejection.name().into())])
        }
    }
}
