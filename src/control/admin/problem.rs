//! Answers that say what is wrong, as RFC 9457 has them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::control::change::Refusal;
use crate::control::document::Mistake;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An answer without more than a sentence.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response {
    problem_with(status, detail, &[])
}

/// An answer with members of its own.
pub(super) fn problem_with(
    status: StatusCode,
    detail: &str,
    members: &[(&str, Value)],
) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let mut body = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
    });
    for (key, value) in members {
        body[key] = value.clone();
    }
    let mut answer = (status, format!("{body:#}\n")).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// Values that have not the shape asked for; each mistake with its object and field.
pub(super) fn invalid(status: StatusCode, mistakes: &[Mistake]) -> Response {
    let errors = mistakes.iter().map(|mistake| {
        json!({
            "object": mistake.object.as_ref().map(ToString::to_string),
            "field": mistake.field,
            "problem": mistake.problem,
            "fix": mistake.fix,
        })
    });
    let errors: Vec<Value> = errors.collect();
    let detail = match mistakes {
        [only] => only.to_string(),
        _ => format!("{} mistakes; nothing was changed", mistakes.len()),
    };
    problem_with(status, &detail, &[("errors", errors.into())])
}

/// Why a change was not made. What a removal breaks is a conflict with what is there, what a
/// value breaks is the value's fault.
pub(super) fn refused(refusal: &Refusal, removes: bool) -> Response {
    let with_epoch =
        |status, epoch: u64, detail: &str| problem_with(status, detail, &[("epoch", epoch.into())]);
    match refusal {
        Refusal::Absent(path) => {
            let detail = format!("{path} does not exist");
            problem(StatusCode::NOT_FOUND, &detail)
        }
        Refusal::Busy => problem(StatusCode::SERVICE_UNAVAILABLE, "too many changes wait"),
        Refusal::Conflict(why) => problem(StatusCode::CONFLICT, why),
        Refusal::Ending => problem(StatusCode::SERVICE_UNAVAILABLE, "the node is ending"),
        Refusal::Exists(path) => {
            let detail = format!("{path} exists");
            problem(StatusCode::PRECONDITION_FAILED, &detail)
        }
        Refusal::HandingOver => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "another process takes over; ask again",
        ),
        Refusal::Invalid(mistakes) if removes => invalid(StatusCode::CONFLICT, mistakes),
        Refusal::Invalid(mistakes) => invalid(StatusCode::UNPROCESSABLE_ENTITY, mistakes),
        Refusal::Machine(why) => problem(StatusCode::CONFLICT, why),
        Refusal::NoWindow(path) => {
            let detail = format!("{path} hands nothing over");
            problem(StatusCode::NOT_FOUND, &detail)
        }
        Refusal::NotAt(epoch) => {
            let detail = format!("the node is at epoch {epoch}");
            with_epoch(StatusCode::PRECONDITION_FAILED, epoch.revision(), &detail)
        }
        Refusal::Store(why) | Refusal::Stuck(why) => problem(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}
