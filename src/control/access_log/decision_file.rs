//! The file of decisions. It begins with every process and every reopening, because names are
//! numbered anew; what stood there before becomes `FILE.1`, as it does when the file has as many
//! bytes as it may. So there are never more than two, and a disk is not filled.
//!
//! A batch that cannot be written whole is cut off again and counted as lost; what follows numbers
//! its names anew, so that a reader understands all that is there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::limits::LOG_BATCH_BYTES;
use crate::telemetry::access_log::AccessRecord;
use crate::telemetry::access_log::frame::Texts;
use crate::telemetry::access_log::names::LogNames;
use crate::telemetry::decisions::write::DecisionWriter;
use crate::telemetry::stats::LogStats;

/// Where decisions go.
#[derive(Clone, Debug)]
pub struct DecisionTarget {
    /// The file.
    pub path: PathBuf,
    /// Its bytes, at most.
    pub bytes_max: u64,
}

pub(super) struct DecisionFile {
    target: DecisionTarget,
    file: File,
    /// Bytes of whole batches in it.
    size: u64,
    writer: DecisionWriter,
    batch: Vec<u8>,
    /// Decisions in the batch.
    waiting: u64,
    failing: bool,
    stats: Arc<LogStats>,
}

impl DecisionFile {
    pub(super) fn open(target: &DecisionTarget, stats: Arc<LogStats>) -> io::Result<DecisionFile> {
        let file = begin(&target.path)?;
        let (mut writer, mut batch) = (DecisionWriter::default(), Vec::new());
        writer.begin(&mut batch);
        Ok(DecisionFile {
            target: target.clone(),
            file,
            size: 0,
            writer,
            batch,
            waiting: 0,
            failing: false,
            stats,
        })
    }

    /// Slots may have other names now.
    pub(super) fn forget_slots(&mut self) {
        self.writer.forget_slots();
    }

    pub(super) fn add(&mut self, names: &LogNames, record: &AccessRecord, texts: &Texts<'_>) {
        self.writer.write(&mut self.batch, names, record, texts);
        self.waiting += 1;
        if self.batch.len() >= LOG_BATCH_BYTES {
            self.write();
        }
    }

    /// Writes what was added.
    pub(super) fn write(&mut self) {
        if self.waiting == 0 {
            return;
        }
        let length = self.batch.len() as u64;
        match self.file.write_all(&self.batch) {
            Ok(()) => {
                self.size += length;
                self.stats.decisions.add(self.waiting);
                self.stats.decision_bytes.add(length);
                if std::mem::take(&mut self.failing) {
                    let path = self.target.path.display();
                    tracing::info!(%path, "decision log writable again");
                }
                self.batch.clear();
            }
            Err(error) => {
                self.stats.decisions_lost.add(self.waiting);
                if !std::mem::replace(&mut self.failing, true) {
                    let path = self.target.path.display();
                    tracing::warn!(%path, %error, "decision log unwritable");
                }
                // A device such as /dev/full cannot be cut, and keeps nothing either.
                let _ = self.file.set_len(self.size);
                self.batch.clear();
                self.writer.begin_again(&mut self.batch, self.size == 0);
            }
        }
        self.waiting = 0;
        if self.size >= self.target.bytes_max {
            self.reopen();
        }
    }

    /// Begins a file anew; goes on with the old one where that cannot be.
    pub(super) fn reopen(&mut self) {
        match begin(&self.target.path) {
            Ok(file) => {
                self.file = file;
                self.batch.clear();
                self.writer.begin(&mut self.batch);
            }
            Err(error) => {
                let path = self.target.path.display();
                tracing::error!(%path, %error, "decision log not reopened");
            }
        }
        self.size = 0;
    }
}

/// An empty file; what had its name is `FILE.1` afterwards.
fn begin(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|old| old.is_file() && old.len() > 0) {
        let mut before = path.as_os_str().to_owned();
        before.push(".1");
        fs::rename(path, before)?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}
