//! Groups: their backends, and how these are treated.

use std::collections::HashMap;
use std::time::Duration;

use super::super::checked::{
    Backend, BackendAddress, Group, GroupLimits, GroupTimeouts, Policy, RETRIES_MAX,
};
use super::super::problem::{At, Problems};
use super::super::raw;
use super::names::Names;
use super::values::{choice, duration, missing, number, size};
use super::{HEAD_BYTES, HEAD_BYTES_DEFAULT, MILLISECOND};

/// Backends of one group. Least-connections looks at each of them for one request.
const BACKENDS_MAX: usize = 16_384;

pub(super) fn check(
    raw: &raw::Group,
    names: &mut Names,
    problems: &mut Problems<'_>,
) -> Option<Group> {
    let name = names.required(&raw.name, &raw.at, problems);
    let backends = check_backends(raw, problems);
    let policy = choice(
        &raw.policy,
        Policy::RoundRobin,
        &[
            ("round_robin", Policy::RoundRobin),
            ("least_connections", Policy::LeastConnections),
        ],
        problems,
    );
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
    Some(Group {
        name: name?,
        policy,
        backends,
        retries,
        idle_connections_max,
        timeouts,
        limits,
    })
}

fn check_backends(raw: &raw::Group, problems: &mut Problems<'_>) -> Vec<Backend> {
    let Some(written) = &raw.backends else {
        missing(&raw.at, "backends", "[\"127.0.0.1:9001\"]", problems);
        return Vec::new();
    };
    if written.value.is_empty() && !problems.noted(&written.at) {
        let fix = "write at least one, such as backends = [\"127.0.0.1:9001\"]";
        problems.error(&written.at, "a group needs a backend", fix);
    }
    if written.value.len() > BACKENDS_MAX {
        let what = format!("{} backends are too many", written.value.len());
        problems.error(
            &written.at,
            what,
            format!("write at most {BACKENDS_MAX} in one group"),
        );
    }
    let mut first: HashMap<String, &At> = HashMap::new();
    let mut backends = Vec::new();
    for text in &written.value {
        let Some(backend) = super::address::backend(text, problems) else {
            continue;
        };
        let identity = match &backend.address {
            BackendAddress::Name { host, port } => format!("{host}:{port}"),
            BackendAddress::Socket(address) => address.to_string(),
        };
        if let Some(first) = first.get(&identity) {
            let line = problems.line(first);
            let what = format!("{identity} is already in this group, on line {line}");
            problems.error(&text.at, what, "remove one of the two");
        } else {
            first.insert(identity, &text.at);
            backends.push(backend);
        }
    }
    backends
}
