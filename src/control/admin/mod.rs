//! The admin interface: a few read-only pages on an address of their own.
//!
//! | path | for | answer |
//! |---|---|---|
//! | `/metrics` | Prometheus | text format 0.0.4 |
//! | `/live` | a supervisor | 200 while every core runs |
//! | `/ready` | whoever sends traffic here | 200 from the first epoch on every core to the drain |
//! | `/v1/epoch` | rollouts | JSON: the published epoch, each core's, the stragglers |
//! | `/v1/status` | people | JSON: listeners, groups, backends, cores, process |
//!
//! Nothing here changes anything and nobody is asked who they are: the address decides who may
//! look. It runs on the control thread beside planning, so a page costs no worker anything.

mod gate;
mod status;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::control::process;
use crate::control::publisher::{Phase, Progress};
use crate::control::view::View;
use crate::telemetry::exposition::{self, Facts};
use crate::telemetry::stats::{ControlStats, CoreStats, LogStats};

/// Version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the pages are made from.
pub struct Sources {
    /// The present plan.
    pub view: Arc<ArcSwapOption<View>>,
    /// How far the cores are.
    pub progress: watch::Receiver<Progress>,
    /// What cores count of themselves.
    pub cores: Vec<Arc<CoreStats>>,
    /// What the control thread counts.
    pub control: Arc<ControlStats>,
    /// What the log thread counts.
    pub log: Option<Arc<LogStats>>,
    /// Start of the process.
    pub started: SystemTime,
    /// The file of the configuration.
    pub config_path: PathBuf,
}

/// Opens the admin interface at `address` and serves it in a task; answers where it is bound.
///
/// # Errors
/// When the address cannot be had; the message names it.
pub async fn start(address: SocketAddr, sources: Sources) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("admin cannot listen on {address}: {error}"),
        )
    })?;
    let bound = listener.local_addr()?;
    tokio::spawn(async move {
        if let Err(error) = serve(listener, Arc::new(sources)).await {
            tracing::error!(%error, "admin ended");
        }
    });
    Ok(bound)
}

/// Serves the pages on `listener` until the runtime ends.
async fn serve(listener: TcpListener, sources: Arc<Sources>) -> io::Result<()> {
    axum::serve(gate::Gate::new(listener), router(sources)).await
}

fn router(sources: Arc<Sources>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/v1/epoch", get(epoch))
        .route("/v1/status", get(whole_status))
        .with_state(sources)
}

async fn metrics(State(sources): State<Arc<Sources>>) -> Response {
    let view = sources.view.load();
    let view = view.as_ref();
    let text = exposition::render(&Facts {
        version: VERSION,
        epoch: sources.progress.borrow().published.0,
        listeners: view.map(|view| view.listener_facts()).unwrap_or_default(),
        backends: view.map(|view| view.backend_facts()).unwrap_or_default(),
        cores: &sources.cores,
        control: &sources.control,
        log: sources.log.as_deref(),
        process: process::facts(sources.started),
    });
    answer(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        text,
    )
}

async fn live(State(sources): State<Arc<Sources>>) -> Response {
    if sources.progress.borrow().died().is_empty() {
        plain(StatusCode::OK, "live")
    } else {
        plain(StatusCode::SERVICE_UNAVAILABLE, "core died")
    }
}

async fn ready(State(sources): State<Arc<Sources>>) -> Response {
    let phase = sources.progress.borrow().phase;
    match phase {
        Phase::Serving => plain(StatusCode::OK, "ready"),
        Phase::Draining | Phase::Starting => {
            plain(StatusCode::SERVICE_UNAVAILABLE, status::phase_name(phase))
        }
    }
}

async fn epoch(State(sources): State<Arc<Sources>>) -> Response {
    json(&status::epoch(&sources.progress.borrow()))
}

async fn whole_status(State(sources): State<Arc<Sources>>) -> Response {
    json(&status::whole(&sources))
}

fn plain(status: StatusCode, word: &str) -> Response {
    answer(status, "text/plain; charset=utf-8", format!("{word}\n"))
}

fn json(value: &serde_json::Value) -> Response {
    answer(StatusCode::OK, "application/json", format!("{value:#}\n"))
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
