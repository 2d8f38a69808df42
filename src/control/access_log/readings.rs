//! What is made of one record: a line, a decision, spans, an exemplar, as far as each is wanted.

use std::io;
use std::sync::Arc;

use super::Wanted;
use super::decision_file::DecisionFile;
use super::sink::Sink;
use super::span_batches::SpanBatches;
use crate::base::limits::LOG_BATCH_BYTES;
use crate::telemetry::access_log::AccessRecord;
use crate::telemetry::access_log::batch::Batch;
use crate::telemetry::access_log::format::LineWriter;
use crate::telemetry::access_log::frame::Texts;
use crate::telemetry::access_log::names::LogNames;
use crate::telemetry::exemplars::{Collector, Exemplars};
use crate::telemetry::stats::LogStats;

pub(super) struct Readings {
    lines: Option<(LineWriter, Sink)>,
    batch: Batch,
    decisions: Option<DecisionFile>,
    spans: Option<SpanBatches>,
    exemplars: Collector,
}

impl Readings {
    pub(super) fn open(
        wanted: Wanted,
        stats: &Arc<LogStats>,
        exemplars: Exemplars,
    ) -> io::Result<Readings> {
        let named = |what: &str, target: &dyn std::fmt::Display, error: io::Error| {
            io::Error::new(error.kind(), format!("{what} {target}: {error}"))
        };
        let mut readings = Readings {
            lines: None,
            batch: Batch::new(LOG_BATCH_BYTES + LOG_BATCH_BYTES / 4),
            decisions: None,
            spans: None,
            exemplars: Collector::new(exemplars),
        };
        if let Some(lines) = &wanted.lines {
            let sink = Sink::open(&lines.target, Arc::clone(stats))
                .map_err(|error| named("access log", &lines.target, error))?;
            readings.lines = Some((LineWriter::new(lines.format), sink));
        }
        if let Some(target) = &wanted.decisions {
            let file = DecisionFile::open(target, Arc::clone(stats))
                .map_err(|error| named("decision log", &target.path.display(), error))?;
            readings.decisions = Some(file);
        }
        readings.spans = wanted
            .spans
            .map(|target| SpanBatches::new(target, Arc::clone(stats)));
        Ok(readings)
    }

    /// Makes of a record what is wanted; false when a batch of lines is full.
    #[inline]
    pub(super) fn read(
        &mut self,
        names: &LogNames,
        record: &AccessRecord,
        texts: &Texts<'_>,
    ) -> bool {
        if record.readers.line || record.readers.spans {
            self.exemplars.note(record);
        }
        if let (Some((lines, _)), true) = (&mut self.lines, record.readers.line) {
            lines.write(&mut self.batch, names, record, texts);
        }
        if let (Some(decisions), true) = (&mut self.decisions, record.readers.decision) {
            decisions.add(names, record, texts);
        }
        if let (Some(spans), true) = (&mut self.spans, record.readers.spans) {
            spans.add(names, record, texts);
        }
        !self.is_full()
    }

    pub(super) fn is_full(&self) -> bool {
        self.batch.bytes().len() >= LOG_BATCH_BYTES
    }

    /// Writes the lines that were gathered.
    pub(super) fn write(&mut self) {
        if let Some((_, sink)) = &mut self.lines {
            sink.write(&mut self.batch);
        }
    }

    /// Makes known what else was gathered, at the end of a poll.
    pub(super) fn publish(&mut self) {
        self.exemplars.publish();
        if let Some(decisions) = &mut self.decisions {
            decisions.write();
        }
        if let Some(spans) = &mut self.spans {
            spans.send_when_due();
        }
    }

    /// Slots may have other names now.
    pub(super) fn forget_slots(&mut self) {
        self.exemplars.forget();
        if let Some(decisions) = &mut self.decisions {
            decisions.forget_slots();
        }
    }

    pub(super) fn reopen(&mut self) {
        if let Some((_, sink)) = &mut self.lines {
            sink.reopen();
        }
        if let Some(decisions) = &mut self.decisions {
            decisions.reopen();
        }
    }

    /// Nothing more will come.
    pub(super) fn finish(&mut self) {
        if let Some(spans) = &mut self.spans {
            spans.send();
        }
    }
}
