//! The pages over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;
use crate::base::epoch::Epoch;
use crate::base::id::CoreId;
use crate::base::limits::ADMIN_CONNECTIONS_MAX;
use crate::control::change::{Change, Snapshot};
use crate::control::health::Health;
use crate::control::monitor::Monitor;
use crate::link::control_side::{CoreProgress, CoreState};

struct Site {
    address: SocketAddr,
    progress: watch::Sender<Progress>,
    answering: interface::Answering,
    /// None once nobody is let in any more.
    going_on: Option<watch::Sender<()>>,
    _changes: tokio::sync::mpsc::Receiver<Change>,
}

async fn site() -> Site {
    let core = CoreProgress {
        adopted: Epoch(0),
        held: Vec::new(),
        state: CoreState::Running,
    };
    let progress = watch::Sender::new(Progress {
        phase: Phase::Starting,
        published: Epoch::of(1),
        cores: vec![core; 2],
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let health = Health::new(&Arc::default());
    let monitor = Monitor::new("one".into(), 2, &health);
    let (handle, changes) = {
        Handle::new(
            Snapshot::default(),
            Arc::default(),
            progress.subscribe(),
            health,
        )
    };
    let sources = Sources {
        store: None,
        cluster: None,
        monitor,
        handle,
        view: Arc::default(),
        progress: progress.subscribe(),
        cores: (0..2).map(|_| Arc::default()).collect(),
        control: Arc::default(),
        log: Some(Arc::default()),
        exemplars: Exemplars::default(),
        detail: Detail::default(),
        pages: Pages::default(),
        surveyors: Vec::new().into(),
        shares: Shares::default(),
        profile: Profile::default(),
        started: SystemTime::now(),
        config_path: "weir.toml".into(),
    };
    let (going_on, open) = watch::channel(());
    Site {
        address,
        progress,
        answering: interface::serve(listener, router(Arc::new(sources), None), open),
        going_on: Some(going_on),
        _changes: changes,
    }
}

async fn fetch(site: &Site, path: &str) -> (u16, String, String) {
    let stream = TcpStream::connect(site.address).await.unwrap();
    fetch_on(stream, path).await
}

async fn fetch_on(mut stream: TcpStream, path: &str) -> (u16, String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .unwrap()
        .unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn readiness_follows_the_phase_and_liveness_the_cores() {
    let site = site().await;
    for (phase, status, word) in [
        (Phase::Starting, 503, "starting\n"),
        (Phase::Serving, 200, "ready\n"),
        (Phase::Draining, 503, "draining\n"),
    ] {
        site.progress.send_modify(|progress| progress.phase = phase);
        let (got, _, body) = fetch(&site, "/ready").await;
        assert_eq!((got, &*body), (status, word));
    }
    assert_eq!(fetch(&site, "/live").await.0, 200);
    site.progress
        .send_modify(|progress| progress.cores[1].state = CoreState::Died);
    assert_eq!(fetch(&site, "/live").await.0, 503);
    assert_eq!(fetch(&site, "/nothing").await.0, 404);
}

#[tokio::test]
async fn the_epoch_page_names_stragglers() {
    let site = site().await;
    site.progress.send_modify(|progress| {
        progress.cores[0].adopted = Epoch::of(1);
        progress.cores[0].held = vec![Epoch::of(1)];
    });
    let (status, head, body) = fetch(&site, "/v1/epoch").await;
    assert_eq!(status, 200);
    assert!(head.contains("application/json"));
    let page: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(page["published"], 1);
    assert_eq!(page["stragglers"], serde_json::json!([1]));
    assert_eq!(page["cores"][0]["adopted"], 1);
    assert_eq!(page["cores"][1]["state"], "running");
    let stragglers = site.progress.borrow().stragglers(Epoch::of(1));
    assert_eq!(stragglers, [CoreId(1)]);
}

#[tokio::test]
async fn metrics_and_status_are_there_before_the_first_plan() {
    let site = site().await;
    let (status, head, body) = fetch(&site, "/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("weir_core_turns_total{core=\"1\"} 0\n"));
    let (status, _, body) = fetch(&site, "/v1/status").await;
    assert_eq!(status, 200);
    let page: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(page["epoch"]["phase"], "starting");
    assert_eq!(page["listeners"], serde_json::json!([]));
}

#[tokio::test]
async fn more_connections_than_places_wait_and_are_served_in_turn() {
    let site = site().await;
    let mut idle = Vec::new();
    for _ in 0..ADMIN_CONNECTIONS_MAX {
        idle.push(TcpStream::connect(site.address).await.unwrap());
    }
    let waiting = fetch(&site, "/live");
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut waiting).await;
    assert!(early.is_err());
    idle.clear();
    assert_eq!(waiting.await.0, 200);
}

#[tokio::test]
async fn who_came_before_the_end_is_answered_and_nobody_comes_after_it() {
    let mut site = site().await;
    let silent = TcpStream::connect(site.address).await.unwrap();
    let closed = async {
        // One place is the accept's that waits for the next.
        while site.answering.free_places() != ADMIN_CONNECTIONS_MAX - 2 {
            tokio::task::yield_now().await;
        }
        site.going_on = None;
        while TcpStream::connect(site.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let closed = tokio::time::timeout(Duration::from_secs(10), closed).await;
    assert!(closed.is_ok(), "not closed");
    assert_eq!(fetch_on(silent, "/live").await.0, 200);
    site.answering
        .finish(Instant::now() + Duration::from_secs(10))
        .await;
    assert_eq!(site.answering.free_places(), ADMIN_CONNECTIONS_MAX);
}
