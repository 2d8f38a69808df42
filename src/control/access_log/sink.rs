//! Where the lines of a batch go, and what is counted of them.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::datagrams::Datagrams;
pub use super::datagrams::{Receiver, Syslog};
use crate::telemetry::access_log::batch::Batch;
use crate::telemetry::stats::LogStats;

/// Where lines go.
#[derive(Clone, Debug)]
pub enum Target {
    /// One datagram a line, with a header of syslog before it if there is one.
    Datagrams(Receiver, Option<Syslog>),
    /// Appended to this file; `-` is the standard output.
    File(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Datagrams(receiver, _) => receiver.fmt(f),
            Target::File(path) => path.display().fmt(f),
        }
    }
}

/// What became of a batch.
#[derive(Default)]
pub(super) struct Written {
    /// Lines that went out whole.
    pub(super) lines: u64,
    /// Bytes that went out.
    pub(super) bytes: u64,
    /// Lines that did not.
    pub(super) lost: u64,
    /// What stopped the last of those.
    pub(super) error: Option<io::Error>,
}

enum Out {
    Datagrams(Datagrams),
    File {
        file: File,
        /// The last line in the file has no end yet.
        torn: bool,
    },
}

pub(super) struct Sink {
    target: Target,
    out: Out,
    failing: bool,
    pub(super) stats: Arc<LogStats>,
}

impl Sink {
    pub(super) fn open(target: &Target, stats: Arc<LogStats>) -> io::Result<Sink> {
        Ok(Sink {
            target: target.clone(),
            out: Out::open(target)?,
            failing: false,
            stats,
        })
    }

    /// Sends the lines of the batch and empties it, whatever became of it.
    pub(super) fn write(&mut self, batch: &mut Batch) {
        if batch.lines() == 0 {
            return;
        }
        let written = match &mut self.out {
            Out::Datagrams(datagrams) => datagrams.write(batch.bytes()),
            Out::File { file, torn } => append(file, torn, batch),
        };
        batch.clear();
        self.stats.lines.add(written.lines);
        self.stats.bytes.add(written.bytes);
        self.stats.lost.add(written.lost);
        if written.lost > 0 {
            self.stats.write_errors.inc();
        }
        match (written.lost > 0, self.failing) {
            (true, false) => {
                let error = written.error.map(|error| error.to_string());
                let lost = written.lost;
                tracing::warn!(to = %self.target, error, lost, "access log unwritable");
            }
            (false, true) => tracing::info!(
                to = %self.target,
                lost_total = self.stats.lost.read(),
                "access log writable again"
            ),
            _ => {}
        }
        self.failing = written.lost > 0;
    }

    pub(super) fn reopen(&mut self) {
        match Out::open(&self.target) {
            Ok(out) => {
                self.out = out;
                tracing::info!(to = %self.target, "access log reopened");
            }
            Err(error) => {
                tracing::error!(to = %self.target, %error, "access log not reopened");
            }
        }
    }
}

impl Out {
    fn open(target: &Target) -> io::Result<Out> {
        Ok(match target {
            Target::Datagrams(receiver, syslog) => {
                Out::Datagrams(Datagrams::open(receiver.clone(), syslog.clone())?)
            }
            Target::File(path) => Out::File {
                file: open_file(path)?,
                torn: false,
            },
        })
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    if path == Path::new("-") {
        return Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

fn append(file: &mut File, torn: &mut bool, batch: &Batch) -> Written {
    let bytes = batch.bytes();
    if *torn {
        *torn = file.write_all(b"\n").is_err();
    }
    let (written, result) = match *torn {
        true => (0, Ok(())),
        false => write_most(file, bytes),
    };
    *torn |= written > 0 && bytes[written - 1] != b'\n';
    let lost = lines_in(&bytes[written..]);
    Written {
        lines: batch.lines() - lost,
        bytes: written as u64,
        lost,
        error: result.err(),
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
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
