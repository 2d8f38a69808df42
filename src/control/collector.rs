//! Sends spans to a collector of traces: OTLP over HTTP in JSON, one POST for each batch.
//!
//! It runs on the control thread. A batch the collector does not take in time is dropped and
//! counted, not tried again: what a trace is worth does not justify a queue that grows while a
//! collector is away.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::control::access_log::SpanBatch;
use crate::telemetry::stats::LogStats;

/// How long one batch may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Where spans are sent, and where they come from.
pub struct Collecting {
    /// Host and port of the collector.
    pub authority: String,
    /// The path it takes spans at.
    pub path: String,
    /// What is to be sent.
    pub batches: Receiver<SpanBatch>,
    /// What is counted.
    pub stats: Arc<LogStats>,
}

/// Sends what comes until nobody can send any more.
pub async fn collect(mut collecting: Collecting) {
    let mut failing = false;
    while let Some(batch) = collecting.batches.recv().await {
        let spans = batch.spans;
        let sent = timeout(
            WITHIN,
            post(&collecting.authority, &collecting.path, batch.body),
        );
        let problem = match sent.await {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem),
            Err(_) => Some("no answer in time".to_owned()),
        };
        let to = &collecting.authority;
        match problem {
            None => {
                collecting.stats.spans_exported.add(spans);
                if std::mem::take(&mut failing) {
                    tracing::info!(collector = to, "collector takes spans again");
                }
            }
            Some(problem) => {
                collecting.stats.spans_refused.add(spans);
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(collector = to, problem, spans, "spans not sent");
                }
            }
        }
    }
}

async fn post(authority: &str, path: &str, body: Vec<u8>) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect(authority).await.map_err(|e| told(&e))?;
    let request = Request::post(path)
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Body::from(body))
        .map_err(|e| told(&e))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| told(&e))?;
    let running = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    running.abort();
    let status = answer.map_err(|e| told(&e))?.status();
    match status.is_success() {
        true => Ok(()),
        false => Err(format!("status {}", status.as_u16())),
    }
}
