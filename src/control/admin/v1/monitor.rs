//! `/v1/monitor`: what nodes and backends are like and were in the last hour, as any node knows it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::super::problem::problem;
use super::super::{Sources, answer};
use crate::control::monitor::Asked;

/// What is asked for, or why that cannot be.
pub(super) struct Wanted(Asked);

impl FromRequestParts<Arc<Sources>> for Wanted {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Sources>) -> Result<Wanted, Response> {
        let Query(asked) = Query::<Asked>::try_from_uri(&parts.uri)
            .map_err(|rejection| problem(StatusCode::BAD_REQUEST, &rejection.body_text()))?;
        Ok(Wanted(asked))
    }
}

pub(super) async fn show(State(sources): State<Arc<Sources>>, Wanted(asked): Wanted) -> Response {
    let page = sources.monitor.page(&asked);
    let text = serde_json::to_string(&page).unwrap_or_default();
    answer(StatusCode::OK, "application/json", text + "\n")
}
