//! From raw to checked: what the file means, and every reason why it means nothing.
//!
//! Each part notes its mistakes and goes on; parts that need another part's result (references
//! to groups, overlapping addresses) look at the text where that part failed, so that one
//! mistake is reported once. The result is thrown away if anything was noted as an error.

mod access_log;
mod address;
pub(super) mod admin;
mod affinity;
mod backend;
mod cluster;
mod destination;
mod dns;
mod drain;
mod group;
pub(super) mod hash;
mod header;
mod health;
mod key;
mod listener;
mod load;
pub(super) mod names;
mod overload;
mod policy;
mod probe;
mod ranges;
mod require;
mod route;
mod shard;
mod sources;
mod store;
mod telemetry;
mod upgrade;
mod values;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

pub(super) use self::access_log::FACILITIES;
use self::address::Listening;
use self::destination::Targets;
use self::names::Names;
pub(super) use self::values::missing;
use self::values::{choice, duration};
use super::checked::{Config, Log, LogFormat, LogLevel, Sealed, Shutdown, Workers};
use super::problem::Problems;
use super::raw;
use super::reader::Written;
use crate::base::limits::CORES_MAX;

/// A head must fit into buffers that are allocated for it; the least is what any browser needs.
const HEAD_BYTES: RangeInclusive<usize> = 1024..=64 * 1024;
const HEAD_BYTES_DEFAULT: usize = 16 * 1024;
const MILLISECOND: Duration = Duration::from_millis(1);
/// The highest CPU number the kernel knows (`CPU_SETSIZE`).
const CPU_MAX: i64 = 1023;
/// Each has its own socket on each core.
const LISTENERS_MAX: usize = 1024;
const GROUPS_MAX: usize = 16_384;

pub(super) use self::backend::members;

pub(super) fn check(raw: &raw::File, problems: &mut Problems<'_>) -> Config {
    let mut listening = Listening::default();
    let admin = raw
        .admin
        .as_ref()
        .and_then(|raw| admin::check(raw, &mut listening, problems));
    let (mut targets, shards) = Targets::check(raw, problems);
    let mut listener_names = Names::new("listener");
    let mut listeners = Vec::new();
    for raw in &raw.listeners {
        let names = &mut listener_names;
        listeners.extend(listener::check(
            raw,
            names,
            &mut targets,
            &mut listening,
            problems,
        ));
    }
    check_counts(raw, problems);
    targets.warn_unused(raw, problems);
    let mut group_names = Names::new("group");
    let mut checked_groups = Vec::new();
    for raw in &raw.groups {
        checked_groups.extend(group::check(raw, &mut group_names, problems));
    }
    let config = Config {
        workers: check_workers(raw.workers.as_ref(), problems),
        busy_poll: check_busy_poll(&raw.busy_poll_us, problems),
        admin,
        log: check_log(&raw.log, problems),
        access_log: raw
            .access_log
            .as_ref()
            .and_then(|raw| access_log::check(raw, problems)),
        decision_log: raw
            .decision_log
            .as_ref()
            .and_then(|raw| telemetry::decision_log(raw, problems)),
        tracing: raw
            .tracing
            .as_ref()
            .and_then(|raw| telemetry::tracing(raw, problems)),
        heartbeat: raw
            .heartbeat
            .as_ref()
            .and_then(|raw| probe::check_door(raw, problems)),
        cluster: raw
            .cluster
            .as_ref()
            .and_then(|raw| cluster::check(raw, problems)),
        store: raw
            .store
            .as_ref()
            .and_then(|raw| store::check(raw, problems)),
        hash_seed: check_seed(&raw.hash_seed, problems),
        shutdown: check_shutdown(&raw.shutdown, problems),
        upgrade: upgrade::check(&raw.upgrade, problems),
        overload: overload::check(&raw.overload, problems),
        dns: dns::check(&raw.dns, problems),
        listeners,
        shards,
        groups: checked_groups.into_iter().map(Arc::new).collect(),
        warnings: Vec::new(),
        _sealed: Sealed,
    };
    require::check(raw, &config, problems);
    config
}

fn check_shutdown(raw: &raw::Shutdown, problems: &mut Problems<'_>) -> Shutdown {
    let mut time = |written, seconds| {
        let default = Duration::from_secs(seconds);
        duration(written, default, Duration::ZERO, problems)
    };
    Shutdown {
        drain_timeout: time(&raw.drain_timeout, 30),
        idle_grace: time(&raw.idle_grace, 1),
    }
}

/// Any number an integer of TOML can hold that is not negative.
fn check_seed(written: &raw::Integer, problems: &mut Problems<'_>) -> u64 {
    let Some(written) = written else { return 0 };
    u64::try_from(written.value).unwrap_or_else(|_| {
        values::out_of_range(&written.at, written.value, 0, i64::MAX, problems);
        0
    })
}

fn check_counts(raw: &raw::File, problems: &mut Problems<'_>) {
    if raw.listeners.is_empty() {
        let fix = "add a [[listener]] with name, address and group";
        problems.error(&raw.at.key("listener"), "there is no listener", fix);
    }
    if let Some(excess) = raw.listeners.get(LISTENERS_MAX) {
        let fix = format!("write at most {LISTENERS_MAX}");
        problems.error(&excess.at, "too many listeners", fix);
    }
    if let Some(excess) = raw.groups.get(GROUPS_MAX) {
        problems.error(
            &excess.at,
            "too many groups",
            format!("write at most {GROUPS_MAX}"),
        );
    }
}

fn check_workers(raw: Option<&Written<raw::Workers>>, problems: &mut Problems<'_>) -> Workers {
    let Some(Written { value, at }) = raw else {
        return Workers::Auto;
    };
    let fix = format!("write \"auto\", a number from 1 to {CORES_MAX}, or a list of CPUs");
    match value {
        raw::Workers::Word(word) => {
            if word != "auto" {
                problems.error(at, format!("unknown value {word:?}"), fix);
            }
            Workers::Auto
        }
        raw::Workers::Count(count) => match usize::try_from(*count) {
            Ok(count) if (1..=CORES_MAX).contains(&count) => Workers::Count(count),
            _ => {
                problems.error(at, format!("{count} workers are out of range"), fix);
                Workers::Auto
            }
        },
        raw::Workers::Cores(cores) => {
            if cores.is_empty() {
                problems.error(at, "an empty list leaves nobody to work", fix);
            } else if cores.len() > CORES_MAX {
                problems.error(at, format!("{} workers are too many", cores.len()), fix);
            }
            Workers::Cores(check_cores(cores, problems))
        }
    }
}

/// Longer than an interrupt takes to come is of no use.
const BUSY_POLL_MICROS_MAX: u32 = 10_000;

fn check_busy_poll(raw: &raw::Integer, problems: &mut Problems<'_>) -> Option<Duration> {
    let micros = values::number(raw, 0, 0..=BUSY_POLL_MICROS_MAX, problems);
    (micros > 0).then(|| Duration::from_micros(u64::from(micros)))
}

fn check_cores(cores: &[Written<i64>], problems: &mut Problems<'_>) -> Vec<usize> {
    let mut checked: Vec<usize> = Vec::new();
    for Written { value, at } in cores {
        match usize::try_from(*value) {
            Ok(core) if checked.contains(&core) => {
                let what = format!("CPU {core} is in the list twice");
                problems.error(at, what, "remove one: a core has one worker");
            }
            Ok(core) if *value <= CPU_MAX => checked.push(core),
            _ => values::out_of_range(at, format!("CPU {value}"), 0, CPU_MAX, problems),
        }
    }
    checked
}

fn check_log(raw: &raw::Log, problems: &mut Problems<'_>) -> Log {
    Log {
        level: choice(&raw.level, LogLevel::Info, &LEVELS, problems),
        format: choice(&raw.format, LogFormat::Text, &LOG_FORMATS, problems),
    }
}

/// The words of `log.level`, most urgent first.
pub(super) const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// The words of `log.format`.
pub(super) const LOG_FORMATS: [(&str, LogFormat); 2] =
    [("text", LogFormat::Text), ("json", LogFormat::Json)];
