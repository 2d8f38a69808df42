//! `/v1/debug/connections`: what connections each core has. Workers tell at their next
//! housekeeping, at most a second later; a core that does not is named instead.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::super::{Sources, answer};
use crate::control::view::View;
use crate::link::survey::{ConnFacts, Survey};

/// How long cores are waited for: a core that serves looks once a second.
const WITHIN: Duration = Duration::from_secs(5);

/// How often answers are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) async fn show(State(sources): State<Arc<Sources>>) -> Response {
    let found = ask(&sources).await;
    let view = sources.view.load();
    let cores = found.iter().enumerate().map(|(core, survey)| match survey {
        None => json!({"core": core, "answered": false}),
        Some(survey) => {
            let rows = survey.rows.iter().map(|facts| row(facts, view.as_deref()));
            json!({
                "core": core,
                "answered": true,
                "total": survey.total,
                "connections": rows.collect::<Vec<_>>(),
            })
        }
    });
    let page = json!({"cores": cores.collect::<Vec<_>>()});
    answer(StatusCode::OK, "application/json", format!("{page:#}\n"))
}

/// Asks every core; others who ask meanwhile wait for their turn.
async fn ask(sources: &Sources) -> Vec<Option<Survey>> {
    let mut surveyors = sources.surveyors.lock().await;
    surveyors.iter_mut().for_each(|surveyor| surveyor.ask());
    let mut found: Vec<Option<Survey>> = surveyors.iter().map(|_| None).collect();
    let deadline = Instant::now() + WITHIN;
    while found.iter().any(Option::is_none) && Instant::now() < deadline {
        for (place, surveyor) in found.iter_mut().zip(surveyors.iter_mut()) {
            if place.is_none() {
                *place = surveyor.answer();
            }
        }
        sleep(LOOK_EVERY).await;
    }
    found
}

fn row(facts: &ConnFacts, view: Option<&View>) -> Value {
    let listener = facts.listener.and_then(|slot| {
        let listeners = view?.listeners();
        let found = listeners.iter().find(|entry| entry.slot == slot);
        found.map(|entry| &*entry.name)
    });
    let backend = facts.backend.and_then(|slot| {
        let backends = view?.backends();
        let at = backends.binary_search_by_key(&slot, |entry| entry.slot);
        at.ok().map(|at| &backends[at])
    });
    json!({
        "role": facts.role,
        "state": facts.state,
        "listener": listener,
        "group": backend.map(|entry| &*entry.group),
        "backend": backend.map(|entry| &*entry.id),
        "address": facts.address.map(|address| address.to_string()),
        "requests": facts.requests,
        "queued_bytes": facts.queued_bytes,
    })
}
