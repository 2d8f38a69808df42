//! The log thread: takes records out of every core's ring, formats them and appends them to a
//! file or to the standard output, or sends each as a datagram; of the same records it makes the
//! decision log and the spans of traces.
//!
//! It polls instead of being woken, because a wake-up per record would cost a worker more than
//! the record itself. The pause follows how full the rings were found, between the two bounds
//! below. Nothing it does can hold up a worker: while a disk is full or slow, records are lost
//! and counted, and the process keeps serving. A log that cannot be reopened keeps its old file.

mod datagrams;
mod decision_file;
mod readings;
mod sink;
mod span_batches;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Commands, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use arc_swap::ArcSwap;
use rtrb::RingBuffer;

pub use self::decision_file::DecisionTarget;
use self::readings::Readings;
pub use self::sink::{Receiver, Syslog, Target};
pub use self::span_batches::{SpanBatch, SpanTarget};
use crate::base::limits::LOG_RING_BYTES;
use crate::telemetry::access_log::format::LineFormat;
use crate::telemetry::access_log::frame::RecordReader;
use crate::telemetry::access_log::names::LogNames;
use crate::telemetry::access_log::{AccessLogSender, Telling};
use crate::telemetry::exemplars::Exemplars;
use crate::telemetry::stats::LogStats;

/// Shortest and longest pause between two polls. The longest is what a ring must bear when load
/// sets in at once; the shortest keeps batches large enough for one write to be cheap.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Batches written at the end, at most: what the rings hold, as JSON with every byte escaped, is
/// less. The bound matters only if a worker still runs then.
const FINAL_BATCHES_MAX: usize = 4096;

enum Command {
    Finish,
    Reopen,
}

/// Controls the log thread.
pub struct LogHandle {
    commands: SyncSender<Command>,
    finished: Commands<()>,
    names: Arc<ArcSwap<LogNames>>,
    stats: Arc<LogStats>,
    exemplars: Exemplars,
}

impl LogHandle {
    /// Opens the file by its name again, for rotation.
    pub fn reopen(&self) {
        // A full queue has a request to reopen in it already.
        let _ = self.commands.try_send(Command::Reopen);
    }

    /// Makes new names known; call it before a table with new slots is published.
    pub fn rename(&self, names: LogNames) {
        self.names.store(Arc::new(names));
    }

    /// What was written and lost.
    #[must_use]
    pub fn stats(&self) -> &Arc<LogStats> {
        &self.stats
    }

    /// Requests that stand for buckets of latency.
    #[must_use]
    pub fn exemplars(&self) -> Exemplars {
        self.exemplars.clone()
    }

    /// Writes what is left and ends the thread; gives up after `within`, so that a dead disk
    /// cannot hold up the end of the process. Returns whether everything was handled.
    #[must_use]
    pub fn finish(self, within: Duration) -> bool {
        let _ = self.commands.try_send(Command::Finish);
        // Without senders the thread ends too, should the queue have been full.
        drop(self.commands);
        self.finished.recv_timeout(within) != Err(RecvTimeoutError::Timeout)
    }
}

/// What the log thread makes of records.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The access log.
    pub lines: Option<Lines>,
    /// The decision log.
    pub decisions: Option<DecisionTarget>,
    /// Spans of traces.
    pub spans: Option<SpanTarget>,
}

/// The access log as it is wanted.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Where lines go.
    pub target: Target,
    /// What they look like.
    pub format: LineFormat,
    /// One of so many requests has one, and every one that failed.
    pub sample: u32,
}

/// Opens what is wanted and starts the log thread. Returns one sender per core, in the order of
/// the cores.
///
/// # Errors
/// When a target cannot be opened or the thread cannot be started; the message names it.
pub fn start(wanted: Wanted, cores: usize) -> io::Result<(LogHandle, Vec<AccessLogSender>)> {
    let stats = Arc::new(LogStats::default());
    let lines = wanted.lines.as_ref();
    let telling = Telling {
        lines: lines.map(|lines| lines.sample),
        decisions: wanted.decisions.is_some(),
    };
    let (senders, readers): (Vec<_>, Vec<_>) = (0..cores)
        .map(|_| RingBuffer::new(LOG_RING_BYTES))
        .map(|(producer, consumer)| {
            let sender = AccessLogSender::new(producer, telling);
            (sender, RecordReader::new(consumer))
        })
        .unzip();
    let (commands, receiver) = sync_channel(4);
    let (done, finished) = sync_channel(1);
    let names = Arc::new(ArcSwap::from_pointee(LogNames::default()));
    let exemplars = Exemplars::default();
    let mut log = LogThread {
        readers,
        readings: Readings::open(wanted, &stats, exemplars.clone())?,
        named: None,
        names: Arc::clone(&names),
        stats: Arc::clone(&stats),
    };
    std::thread::Builder::new()
        .name("weir-log".into())
        .spawn(move || {
            log.run(&receiver);
            let _ = done.try_send(());
        })?;
    Ok((
        LogHandle {
            commands,
            finished,
            names,
            stats,
            exemplars,
        },
        senders,
    ))
}

struct LogThread {
    readers: Vec<RecordReader>,
    names: Arc<ArcSwap<LogNames>>,
    /// The names the last poll went by.
    named: Option<Arc<LogNames>>,
    readings: Readings,
    stats: Arc<LogStats>,
}

impl LogThread {
    fn run(&mut self, commands: &Commands<Command>) {
        let mut pause = PAUSE_MAX;
        loop {
            match commands.recv_timeout(pause) {
                Ok(Command::Reopen) => {
                    self.poll(usize::MAX);
                    self.readings.reopen();
                }
                Ok(Command::Finish) | Err(RecvTimeoutError::Disconnected) => {
                    self.poll(FINAL_BATCHES_MAX);
                    self.readings.finish();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    pause = next_pause(pause, self.fullest_percent());
                    self.poll(usize::MAX);
                }
            }
        }
    }

    fn fullest_percent(&self) -> usize {
        let percent = |reader: &RecordReader| {
            let (waiting, capacity) = reader.fill();
            waiting * 100 / capacity
        };
        self.readers.iter().map(percent).max().unwrap_or(0)
    }

    /// Writes what every ring holds now, in at most `batches_max` full batches.
    fn poll(&mut self, batches_max: usize) {
        let names = self.names.load_full();
        let same = |known: &Arc<LogNames>| Arc::ptr_eq(known, &names);
        if !self.named.as_ref().is_some_and(same) {
            self.named = Some(Arc::clone(&names));
            self.readings.forget_slots();
        }
        let mut batches = 0;
        for index in 0..self.readers.len() {
            while batches < batches_max && self.fill_batch(index, &names) {
                self.readings.write();
                batches += 1;
            }
        }
        self.readings.write();
        self.readings.publish();
    }

    /// Reads what one ring holds until a batch is full; whether one is.
    fn fill_batch(&mut self, reader: usize, names: &LogNames) -> bool {
        let readings = &mut self.readings;
        let unreadable =
            self.readers[reader].drain(|record, texts| readings.read(names, record, texts));
        if unreadable > 0 {
            self.stats.lost.add(unreadable as u64);
            tracing::error!(core = reader, unreadable, "access log records unreadable");
        }
        self.readings.is_full()
    }
}

fn next_pause(pause: Duration, fullest_percent: usize) -> Duration {
    let next = match fullest_percent {
        0..=8 => pause * 2,
        9..=25 => pause,
        _ => pause / 2,
    };
    next.clamp(PAUSE_MIN, PAUSE_MAX)
}

#[cfg(test)]
mod tests;
