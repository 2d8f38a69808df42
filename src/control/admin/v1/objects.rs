//! Objects of every kind: listed, read, written, merged into, removed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::super::problem::refused;
use super::super::{Sources, answer};
use super::asked::{Asked, At, Body, Members};
use crate::base::epoch::Epoch;
use crate::control::change::{Done, Refusal, Snapshot};
use crate::control::document::{ObjectPath, Op};

pub(super) async fn list(
    State(sources): State<Arc<Sources>>,
    Members(family): Members,
    headers: HeaderMap,
) -> Response {
    let snapshot = sources.handle.snapshot();
    let parent = family.parent();
    if let Some(parent) = parent.filter(|parent| !snapshot.document.contains(parent)) {
        return refused(&Refusal::Absent(parent), false);
    }
    if let Some(same) = not_modified(&headers, snapshot.epoch) {
        return same;
    }
    let members = snapshot.document.members(&family);
    let items: Vec<Value> = members.iter().map(|path| shown(&snapshot, path)).collect();
    tagged(StatusCode::OK, snapshot.epoch, json!({"items": items}))
}

pub(super) async fn read(
    State(sources): State<Arc<Sources>>,
    At(path): At,
    headers: HeaderMap,
) -> Response {
    let snapshot = sources.handle.snapshot();
    if !snapshot.document.contains(&path) {
        return refused(&Refusal::Absent(path), false);
    }
    if let Some(same) = not_modified(&headers, snapshot.epoch) {
        return same;
    }
    tagged(StatusCode::OK, snapshot.epoch, shown(&snapshot, &path))
}

pub(super) async fn write(
    State(sources): State<Arc<Sources>>,
    At(path): At,
    asked: Asked,
    Body(value): Body,
) -> Response {
    let place = asked.place.clone();
    let op = Op::Put {
        path: path.clone(),
        value,
        place,
    };
    changed(&sources, &asked, path, op).await
}

pub(super) async fn merge(
    State(sources): State<Arc<Sources>>,
    At(path): At,
    asked: Asked,
    Body(value): Body,
) -> Response {
    let op = Op::Patch {
        path: path.clone(),
        value,
    };
    changed(&sources, &asked, path, op).await
}

pub(super) async fn remove(
    State(sources): State<Arc<Sources>>,
    At(path): At,
    asked: Asked,
) -> Response {
    let conditions = asked.conditions(std::slice::from_ref(&path));
    let op = Op::Delete { path: path.clone() };
    match asked.change(&sources, vec![op], conditions).await {
        Ok(done) => {
            let body = json!({"path": path.to_string()});
            tagged(StatusCode::OK, done.after.epoch, body)
        }
        Err(refusal) => refusal,
    }
}

/// Makes one change of one object and shows what it is now.
pub(super) async fn changed(
    sources: &Arc<Sources>,
    asked: &Asked,
    path: ObjectPath,
    op: Op,
) -> Response {
    let conditions = asked.conditions(std::slice::from_ref(&path));
    match asked.change(sources, vec![op], conditions).await {
        Ok(Done { before, after }) => {
            let status = match before.document.contains(&path) {
                true => StatusCode::OK,
                false => StatusCode::CREATED,
            };
            tagged(status, after.epoch, shown(&after, &path))
        }
        Err(refusal) => refusal,
    }
}

/// One object as the API shows it.
pub(super) fn shown(snapshot: &Snapshot, path: &ObjectPath) -> Value {
    let value = snapshot.document.section(path).unwrap_or_default();
    json!({"path": path.to_string(), "value": value})
}

/// An answer with its epoch, in the body and as ETag.
pub(super) fn tagged(status: StatusCode, epoch: Epoch, mut body: Value) -> Response {
    body["epoch"] = epoch.revision().into();
    let mut answer = answer(status, "application/json", format!("{body:#}\n"));
    answer.headers_mut().insert(header::ETAG, tag(epoch));
    answer
}

fn tag(epoch: Epoch) -> HeaderValue {
    let tag = HeaderValue::from_str(&format!("\"{}\"", epoch.revision()));
    tag.unwrap_or(HeaderValue::from_static("\"\""))
}

/// 304 where the client has this epoch already.
fn not_modified(headers: &HeaderMap, epoch: Epoch) -> Option<Response> {
    let tag = tag(epoch);
    let has = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|value| value == tag);
    has.then(|| (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response())
}
