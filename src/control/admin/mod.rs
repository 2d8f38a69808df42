//! The admin interface: what this node does, what it is configured by, and how to change that.
//!
//! | path | for | answer |
//! |---|---|---|
//! | `/metrics` | Prometheus | text format 0.0.4, or OpenMetrics where it asks for that |
//! | `/live` | a supervisor | 200 while every core runs |
//! | `/ready` | whoever sends traffic here | 200 from the first epoch on every core to the drain |
//! | `/ui/` | people | the dashboard, a page over `/v1`; `/` leads there |
//! | `/v1/...` | operators and programs | JSON; `/v1/openapi.json` describes it |
//!
//! All but `/v1` is open to whoever reaches the address; `/v1` asks for the token where there is
//! one, and the dashboard, which is nothing but program text, shows what it gets from there. It
//! runs on the control thread beside planning, so a page costs no worker anything, and it holds
//! that thread up by no more than bounds allow: connections, bytes of a body, waiting changes,
//! time.

mod dashboard;
pub(super) mod doors;
mod gate;
mod interface;
mod problem;
mod profile;
mod sending;
mod status;
mod token;
mod v1;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::extract::State;
use axum::extract::connect_info::Connected;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Mutex, Semaphore, watch};

use self::token::Token;
use crate::control::gossip::Cluster;
use crate::control::handle::Handle;
use crate::control::monitor::Monitor;
use crate::control::process;
use crate::control::publisher::{Phase, Progress};
use crate::control::store::Following;
use crate::control::view::View;
use crate::link::survey::Surveyor;
use crate::telemetry::exemplars::Exemplars;
use crate::telemetry::exposition::{self, Detail, Dialect, Facts, Parts};
use crate::telemetry::stats::{ControlStats, CoreStats, LogStats};

pub(super) use interface::{Interface, Sockets};
pub use profile::Profile;
use sending::PAGES_MAX;

/// Version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What was last found of how shard rules share keys out.
#[derive(Default)]
pub struct Shares(v1::Shares);

/// Places of pages of metrics that are being made.
pub struct Pages(Arc<Semaphore>);

impl Default for Pages {
    fn default() -> Pages {
        Pages(Arc::new(Semaphore::new(PAGES_MAX)))
    }
}

/// What the pages are made from.
pub struct Sources {
    /// To what is in effect, and to change it.
    pub handle: Handle,
    /// The present plan.
    pub view: Arc<ArcSwapOption<View>>,
    /// How far the cores are.
    pub progress: watch::Receiver<Progress>,
    /// What cores count of themselves.
    pub cores: Vec<Arc<CoreStats>>,
    /// What the control thread counts.
    pub control: Arc<ControlStats>,
    /// What nodes and backends are like, and were.
    pub monitor: Monitor,
    /// What is heard of the store nodes share, if they do.
    pub store: Option<Following>,
    /// What is known of the other nodes, where there may be some.
    pub cluster: Option<Cluster>,
    /// What the log thread counts.
    pub log: Option<Arc<LogStats>>,
    /// Requests that stand for buckets of latency, if there is a log that has them.
    pub exemplars: Exemplars,
    /// How finely the metrics page tells backends apart.
    pub detail: Detail,
    /// How many pages of metrics may be made at one time.
    pub pages: Pages,
    /// What asks cores for their connections.
    pub surveyors: Mutex<Vec<Surveyor>>,
    /// What shard rules share out.
    pub shares: Shares,
    /// Where the time of requests went.
    pub profile: Profile,
    /// Start of the process.
    pub started: SystemTime,
    /// The file of the configuration.
    pub config_path: PathBuf,
}

/// Who is at the other end, where that has an address.
#[derive(Clone, Copy, Debug, Default)]
struct Peer(Option<IpAddr>);

impl Connected<IncomingStream<'_, gate::Gate<TcpListener>>> for Peer {
    fn connect_info(stream: IncomingStream<'_, gate::Gate<TcpListener>>) -> Self {
        Peer(Some(stream.remote_addr().ip().to_canonical()))
    }
}

impl Connected<IncomingStream<'_, gate::Gate<UnixListener>>> for Peer {
    fn connect_info(_: IncomingStream<'_, gate::Gate<UnixListener>>) -> Self {
        Peer(None)
    }
}

fn router(sources: Arc<Sources>, token: Option<Token>) -> Router {
    let open = dashboard::router()
        .route("/metrics", get(metrics))
        .route("/live", get(live))
        .route("/ready", get(ready));
    token::guard(v1::router(), token)
        .merge(open)
        .with_state(sources)
}

/// The page is made beside the control thread, which has more to do, and sent while it is made: one
/// of ten thousand backends is tens of megabytes.
async fn metrics(State(sources): State<Arc<Sources>>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    let (dialect, kind) = match accepted.any(|value| value.contains("application/openmetrics-text"))
    {
        true => (Dialect::OpenMetrics, OPENMETRICS),
        false => (Dialect::Text, "text/plain; version=0.0.4; charset=utf-8"),
    };
    let places = Arc::clone(&sources.pages.0);
    let make = move |mut sender: sending::Sender| {
        let parts = Box::new(move |part, is_last| sender.put(part, is_last));
        metrics_page(&sources, dialect, parts);
    };
    sending::page(places, kind, make).await
}

fn metrics_page(sources: &Sources, dialect: Dialect, parts: Parts) {
    let view = sources.view.load_full();
    let view = view.as_ref();
    let exemplars = sources.exemplars.read();
    let threads = sources.cores.iter();
    let threads = threads.map(|core| process::thread_times(core.thread.read()));
    let facts = Facts {
        version: VERSION,
        epoch: sources.progress.borrow().published,
        dialect,
        detail: sources.detail,
        listeners: view.map(|view| view.listener_facts()).unwrap_or_default(),
        exemplars: &exemplars,
        routes: view.map(|view| view.route_facts()).unwrap_or_default(),
        groups: view
            .map(|view| view.group_facts(sources.handle.health()))
            .unwrap_or_default(),
        backends: view.map(|view| view.backend_facts()).unwrap_or_default(),
        cores: &sources.cores,
        threads: threads.collect(),
        control: &sources.control,
        store: sources.store.as_ref().map(|store| {
            let age = store.stats.age(SystemTime::now());
            let micros = |age: Duration| u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
            (&*store.stats, age.map(micros))
        }),
        cluster: sources.cluster.as_ref().map(Cluster::facts),
        log: sources.log.as_deref(),
        process: process::facts(sources.started),
    };
    exposition::render(&facts, parts);
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

fn plain(status: StatusCode, word: &str) -> Response {
    answer(status, "text/plain; charset=utf-8", format!("{word}\n"))
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
