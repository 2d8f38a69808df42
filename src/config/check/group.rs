//! Groups: their backends, and how these are treated.

use std::time::Duration;

use super::super::checked::{Group, GroupLimits, GroupTimeouts, KeySource, RETRIES_MAX};
use super::super::problem::Problems;
use super::super::raw;
use super::names::Names;
use super::values::{duration, number, path, size};
use super::{
    HEAD_BYTES, HEAD_BYTES_DEFAULT, MILLISECOND, affinity, backend, health, key, load, policy,
    probe,
};

pub(super) fn check(
    raw: &raw::Group,
    names: &mut Names,
    problems: &mut Problems<'_>,
) -> Option<Group> {
    let name = names.required(&raw.name, &raw.at, problems);
    let backends = backend::check(raw, problems);
    let backends_file = raw.backends_file.as_ref().and_then(|written| {
        let fix = "write the path of a file, such as \"/etc/weir/app.json\"";
        path(written, fix, problems)
    });
    let (policy, shadow) = policy::check(raw, problems);
    let retries = number(&raw.retries, 2, 0..=RETRIES_MAX, problems);
    let idle_connections_max = number(&raw.idle_connections_max, 1024, 0..=1_000_000, problems);
    let mut time =
        |written, seconds| duration(written, Duration::from_secs(seconds), MILLISECOND, problems);
    let timeouts = GroupTimeouts {
        connect: time(&raw.timeouts.connect, 5),
        response: time(&raw.timeouts.response, 60),
        idle: time(&raw.timeouts.idle, 60),
        tunnel: time(&raw.timeouts.tunnel, 3600),
    };
    let limits = GroupLimits {
        head_bytes: size(&raw.head_bytes, HEAD_BYTES_DEFAULT, HEAD_BYTES, problems),
    };
    let hash_on = check_hash_on(raw, problems);
    let sticky = raw.sticky.as_ref();
    let sticky = sticky.and_then(|sticky| affinity::check_sticky(sticky, problems));
    let queue = affinity::check_queue(&raw.queue, problems);
    let outlier = health::check_outlier(&raw.outlier, problems);
    let retry = health::check_retry(&raw.retry, problems);
    let hedge = health::check_hedge(&raw.hedge, problems);
    let dynamic_weights = policy::check_dynamic_weights(&raw.dynamic_weights, policy, problems);
    let breaker = raw.breaker.as_ref();
    let breaker = breaker.map(|breaker| health::check_breaker(breaker, problems));
    let check = probe::check(&raw.check, problems);
    let agent = probe::check_agent(&raw.agent, problems);
    let load_probe = load::check_probe(raw, policy, shadow, problems);
    let scrape = load::check_scrape(raw, problems);
    Some(Group {
        name: name?,
        policy,
        shadow,
        backends,
        backends_file,
        retries,
        idle_connections_max,
        timeouts,
        limits,
        hash_on,
        sticky,
        queue,
        outlier,
        hedge,
        dynamic_weights,
        retry,
        breaker,
        check,
        agent,
        probe: load_probe,
        scrape,
    })
}

fn check_hash_on(raw: &raw::Group, problems: &mut Problems<'_>) -> Option<KeySource> {
    let written = raw.hash_on.as_ref()?;
    let source = key::check(written, problems)?;
    if matches!(source, KeySource::Json { .. } | KeySource::Sni) {
        let fix = "write a shard rule: a group is entered before bodies are read";
        problems.error(&written.at, "cannot be known inside a group", fix);
        return None;
    }
    Some(source)
}
