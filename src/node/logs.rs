//! The log thread as the configuration wants it: access log, decision log, spans of traces.

use std::io;

use tokio::sync::mpsc;

use crate::base::limits::SPANS_WAITING_MAX;
use crate::config::Config;
use crate::config::checked::{AccessLog, AccessLogFormat, LogDestination, LogReceiver};
use crate::control::access_log::{
    self, DecisionTarget, Lines, LogHandle, Receiver, SpanTarget, Syslog, Target, Wanted,
};
use crate::control::collector::Collecting;
use crate::telemetry::access_log::AccessLogSender;
use crate::telemetry::access_log::format::LineFormat;

/// What was started for the logs.
pub(super) struct Logs {
    pub(super) handle: Option<LogHandle>,
    /// One sender a core, `None`s where nothing is logged.
    pub(super) senders: Vec<Option<AccessLogSender>>,
    /// What sends spans to the collector.
    pub(super) collecting: Option<Collecting>,
    /// One of so many new traces is recorded.
    pub(super) traces: Option<u32>,
}

/// Opens what the configuration wants and starts the thread, if it wants anything.
pub(super) fn start(config: &Config, cores: usize) -> io::Result<Logs> {
    let tracing = config.tracing.as_ref();
    let (batches, spans) = mpsc::channel(SPANS_WAITING_MAX);
    let wanted = Wanted {
        lines: config.access_log.as_ref().map(lines_of),
        decisions: config.decision_log.as_ref().map(|log| DecisionTarget {
            path: log.path.clone(),
            bytes_max: log.bytes_max,
        }),
        spans: tracing.map(|tracing| SpanTarget {
            service: tracing.service.to_string(),
            batches,
        }),
    };
    if wanted.lines.is_none() && wanted.decisions.is_none() && wanted.spans.is_none() {
        return Ok(Logs {
            handle: None,
            senders: (0..cores).map(|_| None).collect(),
            collecting: None,
            traces: None,
        });
    }
    let (handle, senders) = access_log::start(wanted, cores)?;
    Ok(Logs {
        collecting: tracing.map(|tracing| Collecting {
            authority: tracing.otlp.authority.to_string(),
            path: tracing.otlp.path.to_string(),
            batches: spans,
            stats: handle.stats().clone(),
        }),
        handle: Some(handle),
        senders: senders.into_iter().map(Some).collect(),
        traces: tracing.map(|tracing| tracing.sample),
    })
}

fn lines_of(log: &AccessLog) -> Lines {
    let target = match &log.destination {
        LogDestination::File(path) => Target::File(path.clone()),
        LogDestination::Stdout => Target::File("-".into()),
        LogDestination::Syslog(receiver, facility) => {
            let receiver = match receiver {
                LogReceiver::Udp(address) => Receiver::Udp(*address),
                LogReceiver::Unix(path) => Receiver::Unix(path.clone()),
            };
            let facility = *facility;
            Target::Datagrams(receiver, Some(Syslog { facility }))
        }
        LogDestination::Udp(address) => Target::Datagrams(Receiver::Udp(*address), None),
    };
    let format = match log.format {
        AccessLogFormat::Combined => LineFormat::Combined,
        AccessLogFormat::Httplog => LineFormat::Httplog,
        AccessLogFormat::Json => LineFormat::Json,
    };
    Lines {
        target,
        format,
        sample: log.sample,
    }
}
