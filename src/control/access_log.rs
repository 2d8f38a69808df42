//! The log thread: takes records out of every core's ring, formats them and appends them to a
//! file or to the standard output.
//!
//! It polls instead of being woken, because a wake-up per record would cost a worker more than
//! the record itself. The pause follows how full the rings were found, between the two bounds
//! below. Nothing it does can hold up a worker: while a disk is full or slow, records are lost
//! and counted, and the process keeps serving. A log that cannot be reopened keeps its old file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use arc_swap::ArcSwap;
use rtrb::RingBuffer;

use crate::base::limits::{LOG_BATCH_BYTES, LOG_RING_BYTES};
use crate::telemetry::access_log::AccessLogSender;
use crate::telemetry::access_log::format::{LineFormat, LineWriter, LogNames};
use crate::telemetry::access_log::frame::RecordReader;
use crate::telemetry::exemplars::{Collector, Exemplars};
use crate::telemetry::stats::LogStats;

/// Shortest and longest pause between two polls. The longest is what a ring must bear when load
/// sets in at once; the shortest keeps batches large enough for one write to be cheap.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Batches written at the end, at most: what the rings hold, as JSON with every byte escaped, is
/// less. The bound matters only if a worker still runs then.
const FINAL_BATCHES_MAX: usize = 1024;

enum Command {
    Finish,
    Reopen,
}

/// Controls the log thread.
pub struct LogHandle {
    commands: SyncSender<Command>,
    finished: Receiver<()>,
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

/// Opens the log at `path` (`-` is the standard output) and starts its thread. Returns one sender
/// per core, in the order of the cores; each keeps one of `sample` records.
///
/// # Errors
/// When the file cannot be opened or the thread cannot be started.
pub fn start(
    path: &Path,
    format: LineFormat,
    sample: u32,
    cores: usize,
) -> io::Result<(LogHandle, Vec<AccessLogSender>)> {
    let file = open(path)?;
    let (senders, readers): (Vec<_>, Vec<_>) = (0..cores)
        .map(|_| RingBuffer::new(LOG_RING_BYTES))
        .map(|(producer, consumer)| {
            let sender = AccessLogSender::new(producer, sample);
            (sender, RecordReader::new(consumer))
        })
        .unzip();
    let (commands, receiver) = sync_channel(4);
    let (done, finished) = sync_channel(1);
    let names = Arc::new(ArcSwap::from_pointee(LogNames::default()));
    let stats = Arc::new(LogStats::default());
    let exemplars = Exemplars::default();
    let mut log = LogThread {
        readers,
        exemplars: Collector::new(exemplars.clone()),
        named: None,
        lines: LineWriter::new(format),
        names: Arc::clone(&names),
        batch: Vec::with_capacity(LOG_BATCH_BYTES + LOG_BATCH_BYTES / 4),
        sink: Sink {
            file,
            path: path.to_owned(),
            torn: false,
            failing: false,
            stats: Arc::clone(&stats),
        },
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

fn open(path: &Path) -> io::Result<File> {
    if path == Path::new("-") {
        return Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

struct LogThread {
    readers: Vec<RecordReader>,
    lines: LineWriter,
    names: Arc<ArcSwap<LogNames>>,
    /// The names the last poll went by.
    named: Option<Arc<LogNames>>,
    exemplars: Collector,
    batch: Vec<u8>,
    sink: Sink,
}

impl LogThread {
    fn run(&mut self, commands: &Receiver<Command>) {
        let mut pause = PAUSE_MAX;
        loop {
            match commands.recv_timeout(pause) {
                Ok(Command::Reopen) => {
                    self.poll(usize::MAX);
                    self.sink.reopen();
                }
                Ok(Command::Finish) | Err(RecvTimeoutError::Disconnected) => {
                    self.poll(FINAL_BATCHES_MAX);
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
            self.exemplars.forget();
        }
        let mut batches = 0;
        for index in 0..self.readers.len() {
            while batches < batches_max {
                self.fill_batch(index, &names);
                if self.batch.len() < LOG_BATCH_BYTES {
                    break;
                }
                self.sink.write(&mut self.batch);
                batches += 1;
            }
        }
        self.sink.write(&mut self.batch);
        self.exemplars.publish();
    }

    fn fill_batch(&mut self, reader: usize, names: &LogNames) {
        let (batch, lines) = (&mut self.batch, &mut self.lines);
        let exemplars = &mut self.exemplars;
        let unreadable = self.readers[reader].drain(|record, texts| {
            exemplars.note(record);
            lines.write(batch, names, record, texts);
            batch.len() < LOG_BATCH_BYTES
        });
        if unreadable > 0 {
            self.sink.stats.lost.add(unreadable as u64);
            tracing::error!(core = reader, unreadable, "access log records unreadable");
        }
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

struct Sink {
    file: File,
    path: PathBuf,
    /// The last line in the file has no end yet.
    torn: bool,
    failing: bool,
    stats: Arc<LogStats>,
}

impl Sink {
    /// Appends the batch and empties it, whatever became of it.
    fn write(&mut self, batch: &mut Vec<u8>) {
        if batch.is_empty() {
            return;
        }
        if self.torn {
            self.torn = self.file.write_all(b"\n").is_err();
        }
        let (written, result) = if self.torn {
            (0, Ok(()))
        } else {
            write_most(&mut self.file, batch)
        };
        let lost = memchr::memchr_iter(b'\n', &batch[written..]).count() as u64;
        let lines = memchr::memchr_iter(b'\n', &batch[..written]).count() as u64;
        self.torn |= written > 0 && batch[written - 1] != b'\n';
        self.stats.lines.add(lines);
        self.stats.bytes.add(written as u64);
        self.stats.lost.add(lost);
        batch.clear();
        if lost > 0 {
            self.stats.write_errors.inc();
        }
        match (lost > 0, self.failing) {
            (true, false) => {
                let error = result.err().map(|error| error.to_string());
                tracing::warn!(path = %self.path.display(), error, lost, "access log unwritable");
            }
            (false, true) => tracing::info!(
                path = %self.path.display(),
                lost_total = self.stats.lost.read(),
                "access log writable again"
            ),
            _ => {}
        }
        self.failing = lost > 0;
    }

    fn reopen(&mut self) {
        match open(&self.path) {
            Ok(file) => {
                self.file = file;
                self.torn = false;
                tracing::info!(path = %self.path.display(), "access log reopened");
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "access log not reopened");
            }
        }
    }
}

/// How many bytes went out, and what stopped the rest.
fn write_most(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::*;
    use crate::base::id::{BackendSlot, ListenerSlot};
    use crate::telemetry::access_log::frame::Texts;
    use crate::telemetry::access_log::{AccessRecord, encode_texts};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn push(sender: &mut AccessLogSender, target: &str) -> bool {
        let mut texts = Vec::new();
        let of_request = Texts {
            method: b"GET",
            target: target.as_bytes(),
            host: b"h",
            ..Texts::default()
        };
        encode_texts(&mut texts, &of_request);
        let record = AccessRecord {
            ended_unix_micros: 1_753_700_000_000_000,
            listener: ListenerSlot(0),
            client: ([192, 0, 2, 1], 1).into(),
            backend: Some(BackendSlot(0)),
            status: 200,
            http10: false,
            retries: 0,
            bytes_received: 1,
            bytes_sent: 1,
            body_bytes_sent: 1,
            duration_micros: 1,
            upstream_micros: 1,
            epoch: 1,
            fault: None,
            request_number: 1,
        };
        sender.push(&record, &texts)
    }

    fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < PATIENCE, "not reached: {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn lines_of_all_cores_are_in_the_file_after_finish() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let (log, mut senders) = start(&path, LineFormat::Json, 1, 2).unwrap();
        log.rename(LogNames::new(
            ["web"].into_iter(),
            [("g", "b:1")].into_iter(),
        ));
        let stats = Arc::clone(log.stats());
        for _ in 0..1000 {
            assert!(push(&mut senders[0], "/zero"));
            assert!(push(&mut senders[1], "/one"));
        }
        assert!(log.finish(PATIENCE));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2000);
        assert_eq!(text.matches("\"listener\":\"web\"").count(), 2000);
        assert_eq!(text.matches("/one").count(), 1000);
        let counted = (stats.lines.read(), stats.bytes.read(), stats.lost.read());
        assert_eq!(counted, (2000, text.len() as u64, 0));
    }

    #[test]
    fn rotation_by_rename_and_reopen_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (
            dir.path().join("access.log"),
            dir.path().join("access.log.1"),
        );
        let (log, mut senders) = start(&path, LineFormat::Combined, 1, 1).unwrap();
        assert!(push(&mut senders[0], "/before"));
        until("first line", || log.stats().lines.read() == 1);
        fs::rename(&path, &old).unwrap();
        log.reopen();
        until("new file", || path.exists());
        assert!(push(&mut senders[0], "/after"));
        assert!(log.finish(PATIENCE));
        assert!(fs::read_to_string(&old).unwrap().contains("/before"));
        assert!(fs::read_to_string(&path).unwrap().contains("/after"));
    }

    #[test]
    fn a_full_disk_loses_lines_counts_them_and_recovers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let (log, mut senders) = start(&path, LineFormat::Combined, 1, 1).unwrap();
        assert!(push(&mut senders[0], "/lost"));
        until("loss", || log.stats().lost.read() == 1);
        fs::remove_file(&path).unwrap();
        log.reopen();
        until("new file", || path.exists());
        assert!(push(&mut senders[0], "/kept"));
        let stats = Arc::clone(log.stats());
        assert!(log.finish(PATIENCE));
        assert_eq!((stats.lost.read(), stats.lines.read()), (1, 1));
        assert!(fs::read_to_string(&path).unwrap().contains("/kept"));
    }

    #[test]
    fn an_impossible_path_is_an_error_at_start_and_harmless_at_reopen() {
        assert!(start(Path::new("/nonexistent/log"), LineFormat::Json, 1, 1).is_err());
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("access.log");
        let (log, mut senders) = start(&path, LineFormat::Json, 1, 1).unwrap();
        fs::rename(&folder, dir.path().join("moved")).unwrap();
        log.reopen();
        assert!(push(&mut senders[0], "/still"));
        assert!(log.finish(PATIENCE));
        let kept = fs::read_to_string(dir.path().join("moved/access.log")).unwrap();
        assert!(kept.contains("/still"));
    }

    #[test]
    fn the_pause_follows_the_rings_within_its_bounds() {
        assert_eq!(next_pause(PAUSE_MAX, 0), PAUSE_MAX);
        assert_eq!(next_pause(PAUSE_MAX, 90), PAUSE_MAX / 2);
        assert_eq!(next_pause(PAUSE_MIN, 90), PAUSE_MIN);
        assert_eq!(next_pause(PAUSE_MIN, 0), PAUSE_MIN * 2);
        assert_eq!(next_pause(PAUSE_MIN * 3, 20), PAUSE_MIN * 3);
    }
}
