//! What is said of the drain of one backend.

use std::time::Duration;

use super::super::checked::BackendState;
use super::super::problem::Problems;
use super::super::raw;
use super::super::reader::Written;
use crate::base::date::time_of;
use crate::base::drain::{DrainEnd, DrainTerms};

pub(super) fn check(
    raw: &raw::Backend,
    state: BackendState,
    problems: &mut Problems<'_>,
) -> DrainTerms {
    let written = [&raw.drain_since, &raw.drain_until];
    if state != BackendState::Drain {
        for written in written.into_iter().flatten() {
            let fix = "remove it, or write state = \"drain\"";
            problems.error(&written.at, "has a meaning for one that drains only", fix);
        }
        return DrainTerms::default();
    }
    let since = raw.drain_since.as_ref();
    let until = raw.drain_until.as_ref();
    DrainTerms {
        since: since.and_then(|written| time(written, "", problems)),
        end: until.and_then(|written| match (&*written.value, time_of(&written.value)) {
            ("never", _) => Some(DrainEnd::Never),
            (_, Some(time)) => Some(DrainEnd::At(time)),
            (_, None) => refuse(written, ", or \"never\"", problems),
        }),
    }
}

/// A time in UTC.
pub(super) fn time(
    written: &Written<String>,
    or: &str,
    problems: &mut Problems<'_>,
) -> Option<Duration> {
    match time_of(&written.value) {
        None => refuse(written, or, problems),
        time => time,
    }
}

fn refuse<T>(written: &Written<String>, or: &str, problems: &mut Problems<'_>) -> Option<T> {
    let what = format!("{:?} is not a time", written.value);
    let fix = format!("write it in UTC, such as \"2026-01-31T12:00:00Z\"{or}");
    problems.error(&written.at, what, fix);
    None
}
