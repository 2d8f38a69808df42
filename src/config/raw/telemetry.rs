//! The decision log and tracing as written.

use super::{At, Integer, Problems, Section, Size, Text};

pub(in super::super) struct DecisionLog {
    pub(in super::super) path: Text,
    pub(in super::super) bytes_max: Size,
    pub(in super::super) at: At,
}

pub(in super::super) struct Tracing {
    pub(in super::super) otlp: Text,
    pub(in super::super) sample: Integer,
    pub(in super::super) service: Text,
    pub(in super::super) at: At,
}

pub(super) fn read_decision_log(
    mut section: Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> DecisionLog {
    let log = DecisionLog {
        at: section.at.clone(),
        path: section.text("path", "\"/var/log/weir-decisions\"", problems),
        bytes_max: section.scalar("bytes_max", "\"1GiB\"", problems),
    };
    section.finish(problems);
    log
}

pub(super) fn read_tracing(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Tracing {
    let tracing = Tracing {
        at: section.at.clone(),
        otlp: section.text("otlp", "\"http://127.0.0.1:4318/v1/traces\"", problems),
        sample: section.integer("sample", "100", problems),
        service: section.text("service", "\"weir\"", problems),
    };
    section.finish(problems);
    tracing
}
