//! Gathers spans for the collector of traces: a batch goes when it is full or a second old. Nobody
//! waits for the collector; when as many batches wait as may, the next one is dropped and counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

use crate::base::limits::SPANS_BATCH_BYTES;
use crate::telemetry::access_log::AccessRecord;
use crate::telemetry::access_log::frame::Texts;
use crate::telemetry::access_log::names::LogNames;
use crate::telemetry::spans;
use crate::telemetry::stats::LogStats;

/// Age of a batch that goes though it is not full.
const AGE: Duration = Duration::from_secs(1);

/// Spans ready to be sent.
#[derive(Debug)]
pub struct SpanBatch {
    /// OTLP in JSON.
    pub body: Vec<u8>,
    /// How many.
    pub spans: u64,
}

/// Where batches go.
#[derive(Clone, Debug)]
pub struct SpanTarget {
    /// Name of the service they are of.
    pub service: String,
    /// The way to the collector.
    pub batches: Sender<SpanBatch>,
}

pub(super) struct SpanBatches {
    target: SpanTarget,
    body: Vec<u8>,
    spans: u64,
    began: Instant,
    stats: Arc<LogStats>,
}

impl SpanBatches {
    pub(super) fn new(target: SpanTarget, stats: Arc<LogStats>) -> SpanBatches {
        SpanBatches {
            target,
            body: Vec::new(),
            spans: 0,
            began: Instant::now(),
            stats,
        }
    }

    pub(super) fn add(&mut self, names: &LogNames, record: &AccessRecord, texts: &Texts<'_>) {
        if self.spans == 0 {
            self.body = spans::begin(&self.target.service, env!("CARGO_PKG_VERSION"));
            self.began = Instant::now();
        }
        self.spans += spans::write(&mut self.body, names, record, texts);
        if self.body.len() >= SPANS_BATCH_BYTES {
            self.send();
        }
    }

    /// Sends a batch that is old.
    pub(super) fn send_when_due(&mut self) {
        if self.began.elapsed() >= AGE {
            self.send();
        }
    }

    pub(super) fn send(&mut self) {
        let spans = std::mem::take(&mut self.spans);
        if spans == 0 {
            return;
        }
        let mut body = std::mem::take(&mut self.body);
        // The comma behind the last one.
        body.pop();
        body.extend_from_slice(spans::END);
        if self
            .target
            .batches
            .try_send(SpanBatch { body, spans })
            .is_err()
        {
            self.stats.spans_dropped.add(spans);
        }
    }
}
