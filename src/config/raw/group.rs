//! Groups as written.

use super::super::problem::{At, Problems};
use super::super::reader::Section;
use super::adaptive::{Adaptive, read_adaptive};
use super::affinity::{Queue, Sticky, read_queue, read_sticky};
use super::health::{Breaker, Outlier, Retry, read_breaker, read_outlier, read_retry};
use super::load::{Load, read_load};
use super::probe::{Agent, Check, read_agent, read_check};
use super::shard::{KeySource, read_key};
use super::{Integer, Size, Text, Texts};

pub(in super::super) struct Group {
    pub(in super::super) name: Text,
    pub(in super::super) policy: Text,
    pub(in super::super) choices: Integer,
    pub(in super::super) bounded_load: Size,
    pub(in super::super) adaptive: Option<Adaptive>,
    pub(in super::super) shadow: Text,
    pub(in super::super) shadow_every: Integer,
    pub(in super::super) hash_on: Option<KeySource>,
    pub(in super::super) backends: Texts,
    pub(in super::super) backends_file: Text,
    pub(in super::super) retries: Integer,
    pub(in super::super) hedge: Text,
    pub(in super::super) dynamic_weights: Text,
    pub(in super::super) idle_connections_max: Integer,
    pub(in super::super) timeouts: GroupTimeouts,
    pub(in super::super) head_bytes: Size,
    pub(in super::super) sticky: Option<Sticky>,
    pub(in super::super) queue: Queue,
    pub(in super::super) outlier: Outlier,
    pub(in super::super) retry: Retry,
    pub(in super::super) breaker: Option<Breaker>,
    pub(in super::super) check: Check,
    pub(in super::super) agent: Agent,
    pub(in super::super) load: Load,
    /// The long form of `backends`.
    pub(in super::super) backend: Vec<Backend>,
    pub(in super::super) at: At,
}

#[derive(Default)]
pub(in super::super) struct GroupTimeouts {
    pub(in super::super) connect: Text,
    pub(in super::super) response: Text,
    pub(in super::super) idle: Text,
    pub(in super::super) tunnel: Text,
}

pub(in super::super) struct Backend {
    pub(in super::super) id: Text,
    pub(in super::super) address: Text,
    pub(in super::super) srv: Text,
    pub(in super::super) weight: Integer,
    pub(in super::super) state: Text,
    pub(in super::super) drain_since: Text,
    pub(in super::super) drain_until: Text,
    pub(in super::super) labels: Texts,
    pub(in super::super) agent_port: Integer,
    pub(in super::super) connections_max: Size,
    pub(in super::super) requests_max: Size,
    pub(in super::super) at: At,
}

pub(super) fn read(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Group {
    let group = Group {
        at: section.at.clone(),
        name: section.text("name", "\"app\"", problems),
        policy: section.text("policy", "\"round_robin\"", problems),
        choices: section.integer("choices", "2", problems),
        bounded_load: section.scalar("bounded_load", "125", problems),
        adaptive: section
            .section("adaptive", problems)
            .map(|section| read_adaptive(section, problems)),
        shadow: section.text("shadow", "\"adaptive\"", problems),
        shadow_every: section.integer("shadow_every", "16", problems),
        hash_on: section
            .section("hash_on", problems)
            .map(|section| read_key(section, problems)),
        backends: section.texts("backends", "[\"127.0.0.1:9001\"]", problems),
        backends_file: section.text("backends_file", "\"/etc/weir/app.json\"", problems),
        retries: section.integer("retries", "2", problems),
        hedge: section.duration("hedge", problems),
        dynamic_weights: section.duration("dynamic_weights", problems),
        idle_connections_max: section.integer("idle_connections_max", "1024", problems),
        timeouts: section
            .section("timeouts", problems)
            .map(|section| read_timeouts(section, problems))
            .unwrap_or_default(),
        head_bytes: section.section("limits", problems).and_then(|mut section| {
            let head_bytes = section.scalar("head_bytes", "\"16KiB\"", problems);
            section.finish(problems);
            head_bytes
        }),
        sticky: section
            .section("sticky", problems)
            .map(|section| read_sticky(section, problems)),
        queue: section
            .section("queue", problems)
            .map(|section| read_queue(section, problems))
            .unwrap_or_default(),
        outlier: section
            .section("outlier", problems)
            .map(|section| read_outlier(section, problems))
            .unwrap_or_default(),
        retry: section
            .section("retry", problems)
            .map(|section| read_retry(section, problems))
            .unwrap_or_default(),
        breaker: section
            .section("breaker", problems)
            .map(|section| read_breaker(section, problems)),
        check: section
            .section("check", problems)
            .map(|section| read_check(section, problems))
            .unwrap_or_default(),
        agent: section
            .section("agent", problems)
            .map(|section| read_agent(section, problems))
            .unwrap_or_default(),
        load: read_load(&mut section, problems),
        backend: section
            .sections("backend", problems)
            .into_iter()
            .map(|section| read_backend(section, problems))
            .collect(),
    };
    section.finish(problems);
    group
}

fn read_timeouts(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> GroupTimeouts {
    let timeouts = GroupTimeouts {
        connect: section.duration("connect", problems),
        response: section.duration("response", problems),
        idle: section.duration("idle", problems),
        tunnel: section.duration("tunnel", problems),
    };
    section.finish(problems);
    timeouts
}

pub(in super::super) fn read_backend(
    mut section: Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> Backend {
    let backend = Backend {
        at: section.at.clone(),
        id: section.text("id", "\"b1\"", problems),
        address: section.text("address", "\"127.0.0.1:9001\"", problems),
        srv: section.text("srv", "\"_http._tcp.example.org\"", problems),
        weight: section.integer("weight", "1", problems),
        state: section.text("state", "\"ready\"", problems),
        drain_since: section.text("drain_since", "\"2026-01-31T12:00:00Z\"", problems),
        drain_until: section.text("drain_until", "\"2026-01-31T12:30:00Z\"", problems),
        labels: section.texts("labels", "[\"gpu\"]", problems),
        agent_port: section.integer("agent_port", "9777", problems),
        connections_max: section.scalar("connections_max", "1000", problems),
        requests_max: section.scalar("requests_max", "1000", problems),
    };
    section.finish(problems);
    backend
}
