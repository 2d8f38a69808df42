//! Listeners: where they are, what is spoken there, and where it leads.

use std::sync::Arc;
use std::time::Duration;

use super::super::checked::{
    Forwarded, Listener, ListenerLimits, ListenerTimeouts, Protocol, Route,
};
use super::super::problem::{At, Problems};
use super::super::raw;
use super::address::Listening;
use super::destination::Targets;
use super::names::Names;
use super::values::{
    choice, duration, flag, missing, number, number_or_none, place, size, size_or_none,
};
use super::{HEAD_BYTES, HEAD_BYTES_DEFAULT, MILLISECOND, route};

/// What the parser has room for; see `http`.
const FIELDS_MAX: u32 = 128;
const TARGET_BYTES_DEFAULT: usize = 8 * 1024;

pub(super) fn check(
    raw: &raw::Listener,
    names: &mut Names,
    targets: &mut Targets<'_>,
    listening: &mut Listening,
    problems: &mut Problems<'_>,
) -> Option<Listener> {
    let name = names.required(&raw.name, &raw.at, problems);
    let address = match &raw.address {
        Some(written) => super::address::listen(written, problems).inspect(|address| {
            listening.add(*address, &written.at, problems);
        }),
        None => {
            missing(&raw.at, "address", "\"0.0.0.0:80\"", problems);
            None
        }
    };
    let protocol = choice(
        &raw.protocol,
        Protocol::Http,
        &[("http", Protocol::Http), ("tcp", Protocol::Tcp)],
        problems,
    );
    let destination = targets.find(&raw.group, &raw.shard, protocol, problems);
    if protocol == Protocol::Tcp {
        let waits = destination.is_some_and(|to| targets.waits_for_hello(to));
        refuse_http_keys(raw, waits, problems);
    }
    let routes = route::check(&raw.routes, targets, problems);
    require_way(raw, protocol, &routes, problems);
    let timeouts = check_timeouts(&raw.timeouts, protocol, problems);
    let limits = check_limits(&raw.limits, problems);
    let backlog = number(&raw.backlog, 4096, 1..=65_535, problems);
    let steered = choice(
        &raw.steering,
        false,
        &[("hash", false), ("cpu", true)],
        problems,
    );
    let connections_max = number(&raw.connections_max, 100_000, 1..=100_000_000, problems);
    let forwarded = choice(
        &raw.forwarded,
        Forwarded::XForwarded,
        &[
            ("none", Forwarded::None),
            ("x-forwarded", Forwarded::XForwarded),
            ("forwarded", Forwarded::Forwarded),
        ],
        problems,
    );
    let via = check_via(&raw.via, problems);
    Some(Listener {
        name: name?,
        address: address?,
        protocol,
        destination,
        backlog,
        steered,
        connections_max,
        forwarded,
        trust_forwarded: flag(&raw.trust_forwarded, false),
        request_id: flag(&raw.request_id, true),
        decision_headers: flag(&raw.decision_headers, false),
        via,
        timeouts,
        limits,
        routes,
    })
}

fn check_timeouts(
    raw: &raw::ListenerTimeouts,
    protocol: Protocol,
    problems: &mut Problems<'_>,
) -> ListenerTimeouts {
    let mut time =
        |written, seconds| duration(written, Duration::from_secs(seconds), MILLISECOND, problems);
    ListenerTimeouts {
        head: time(&raw.head, 10),
        body: time(&raw.body, 60),
        idle: match protocol {
            Protocol::Http => time(&raw.idle, 60),
            Protocol::Tcp => time(&raw.idle, 3600),
        },
    }
}

fn check_limits(raw: &raw::ListenerLimits, problems: &mut Problems<'_>) -> ListenerLimits {
    let head_bytes = size(&raw.head_bytes, HEAD_BYTES_DEFAULT, HEAD_BYTES, problems);
    let target_bytes = size(
        &raw.target_bytes,
        TARGET_BYTES_DEFAULT.min(head_bytes),
        1..=*HEAD_BYTES.end(),
        problems,
    );
    if let (Some(written), true) = (&raw.target_bytes, target_bytes > head_bytes) {
        let what = format!("the target is part of the head, which has {head_bytes} bytes at most");
        problems.error(&written.at, what, "lower target_bytes or raise head_bytes");
    }
    ListenerLimits {
        head_bytes,
        fields: number(&raw.fields, 100, 1..=FIELDS_MAX, problems) as usize,
        target_bytes,
        body_bytes: size_or_none(&raw.body_bytes, problems),
        requests_per_connection: number_or_none(
            &raw.requests_per_connection,
            1..=u32::MAX - 1,
            problems,
        ),
    }
}

/// A pseudonym of RFC 9110 section 7.6.3 is a token.
fn check_via(raw: &raw::Text, problems: &mut Problems<'_>) -> Option<Arc<str>> {
    let written = raw.as_ref()?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if (1..=64).contains(&written.value.len()) && written.value.bytes().all(token) {
        return Some(Arc::from(written.value.as_str()));
    }
    let what = format!("{:?} is not a pseudonym for Via", written.value);
    let fix = "write one word such as via = \"weir\", or remove the key to switch Via off";
    problems.error(&written.at, what, fix);
    None
}

/// A listener must lead somewhere, and its default group must be reachable.
fn require_way(
    raw: &raw::Listener,
    protocol: Protocol,
    routes: &[Route],
    problems: &mut Problems<'_>,
) {
    if raw.group.is_none()
        && raw.shard.is_none()
        && (protocol == Protocol::Tcp || raw.routes.is_empty())
    {
        missing(&raw.at, "group", "\"app\"", problems);
    }
    let catch_all = routes.iter().any(Route::takes_all);
    if let (Some(group), true) = (raw.group.as_ref().or(raw.shard.as_ref()), catch_all) {
        let what = "the default group is never used: a route without host and path takes all";
        problems.warning(
            &group.at,
            what,
            "remove the group, or give that route a condition",
        );
    }
}

/// `waits` says that the head of a connection is waited for all the same.
fn refuse_http_keys(raw: &raw::Listener, waits: bool, problems: &mut Problems<'_>) {
    let limits = &raw.limits;
    let keys: [Option<&At>; 12] = [
        place(&raw.forwarded),
        place(&raw.trust_forwarded),
        place(&raw.request_id),
        place(&raw.decision_headers),
        place(&raw.via),
        place(&raw.timeouts.head).filter(|_| !waits),
        place(&raw.timeouts.body),
        place(&limits.head_bytes),
        place(&limits.fields),
        place(&limits.target_bytes),
        place(&limits.body_bytes),
        place(&limits.requests_per_connection),
    ];
    let routes = raw.routes.iter().map(|route| &route.at);
    for at in keys.into_iter().flatten().chain(routes) {
        let fix = "remove it, or write protocol = \"http\"";
        problems.error(at, "has no meaning on a tcp listener", fix);
    }
}
