//! Groups as TOML. Backends that need nothing but an address come first in the short form; from
//! the first one that needs more on, all have the long form, so that their order stays.

use super::super::checked::{
    Backend, BackendAddress, BackendState, Group, Policy, Sticky, StickyBy, WEIGHT_DEFAULT,
};
use super::{Page, health, probe, shard};
use crate::base::date::time_text;
use crate::base::drain::DrainEnd;

pub(super) fn print(group: &Group, page: &mut Page) {
    page.section("[[group]]");
    page.text("name", &group.name);
    page.text("policy", group.policy.name());
    if let Some(shadow) = &group.shadow {
        page.text("shadow", shadow.policy.name());
        page.raw("shadow_every", shadow.every);
    }
    print_choosing(group, page);
    if let Some(source) = &group.hash_on {
        page.raw("hash_on", shard::key(source));
    }
    let short = group
        .backends
        .iter()
        .take_while(|backend| is_plain(backend));
    let short = short.count();
    let (plain, long) = group.backends.split_at(short);
    page.texts(
        "backends",
        plain.iter().map(|backend| backend.id.to_string()),
    );
    if let Some(path) = &group.backends_file {
        page.text("backends_file", &path.to_string_lossy());
    }
    page.raw("retries", group.retries);
    match group.hedge {
        Some(delay) => page.duration("hedge", delay),
        None => page.text("hedge", "none"),
    }
    match group.dynamic_weights {
        Some(interval) => page.duration("dynamic_weights", interval),
        None => page.text("dynamic_weights", "none"),
    }
    page.raw("idle_connections_max", group.idle_connections_max);
    print_adaptive(group, page);
    page.section("[group.timeouts]");
    page.duration("connect", group.timeouts.connect);
    page.duration("response", group.timeouts.response);
    page.duration("idle", group.timeouts.idle);
    page.duration("tunnel", group.timeouts.tunnel);
    page.section("[group.limits]");
    page.size("head_bytes", group.limits.head_bytes as u64);
    page.section("[group.queue]");
    page.raw("requests_max", group.queue.requests_max);
    page.duration("timeout", group.queue.timeout);
    health::print_outlier(&group.outlier, page);
    health::print_retry(&group.retry, page);
    if let Some(breaker) = &group.breaker {
        health::print_breaker(breaker, page);
    }
    probe::print_check(&group.check, page);
    probe::print_agent(&group.agent, page);
    probe::print_load(group, page);
    if let Some(sticky) = &group.sticky {
        print_sticky(sticky, page);
    }
    for backend in long {
        print_backend(backend, page);
    }
}

/// What the policy goes by, and the one in its shadow, which shares the keys.
fn print_choosing(group: &Group, page: &mut Page) {
    let policies = [Some(group.policy), group.shadow.map(|shadow| shadow.policy)];
    let mut policies = policies.into_iter().flatten();
    if let Some(choices) = policies.clone().find_map(|policy| match policy {
        Policy::LeastRequest { choices } => Some(choices),
        _ => None,
    }) {
        page.raw("choices", choices);
    }
    match policies.find_map(|policy| match policy {
        Policy::Maglev { bounded_load }
        | Policy::Rendezvous { bounded_load }
        | Policy::RingHash { bounded_load } => Some(bounded_load),
        _ => None,
    }) {
        Some(Some(percent)) => page.raw("bounded_load", percent),
        Some(None) => page.text("bounded_load", "none"),
        None => {}
    }
}

fn print_adaptive(group: &Group, page: &mut Page) {
    let policies = [Some(group.policy), group.shadow.map(|shadow| shadow.policy)];
    let adaptive = policies
        .into_iter()
        .flatten()
        .find_map(|policy| match policy {
            Policy::Adaptive(adaptive) => Some(adaptive),
            _ => None,
        });
    if let Some(adaptive) = adaptive {
        page.section("[group.adaptive]");
        page.raw("choices", adaptive.choices);
        page.duration("memory", adaptive.memory);
        page.raw("tolerance", adaptive.tolerance_percent);
        page.raw("failure_penalty", adaptive.failure_penalty);
        page.raw("nodes", adaptive.nodes);
    }
}

fn print_sticky(sticky: &Sticky, page: &mut Page) {
    page.section("[group.sticky]");
    match &sticky.by {
        StickyBy::Source => page.raw("source", true),
        StickyBy::Cookie(cookie) => {
            page.text("cookie", &cookie.name);
            page.text("secret", &cookie.secret.0);
            if let Some(ttl) = cookie.ttl {
                page.duration("ttl", ttl);
            }
            page.raw("secure", cookie.secure);
            page.text("same_site", cookie.same_site.name());
        }
    }
    match sticky.drain_timeout {
        Some(time) => page.duration("drain_timeout", time),
        None => page.text("drain_timeout", "none"),
    }
}

/// Whether the short form says all of it.
fn is_plain(backend: &Backend) -> bool {
    backend.has_default_id()
        && !matches!(backend.address, BackendAddress::Service(_))
        && backend.weight == WEIGHT_DEFAULT
        && backend.state == BackendState::Ready
        && backend.labels.is_empty()
        && backend.agent_port.is_none()
        && backend.connections_max.is_none()
        && backend.requests_max.is_none()
}

fn print_backend(backend: &Backend, page: &mut Page) {
    page.section("[[group.backend]]");
    let service = matches!(backend.address, BackendAddress::Service(_));
    let key = if service { "srv" } else { "address" };
    if backend.has_default_id() {
        page.text(key, &backend.id);
    } else {
        page.text("id", &backend.id);
        page.text(key, &backend.address.to_string());
    }
    if !service {
        page.raw("weight", backend.weight);
    }
    page.text(
        "state",
        match backend.state {
            BackendState::Drain => "drain",
            BackendState::Maint => "maint",
            BackendState::Ready => "ready",
        },
    );
    if let Some(since) = backend.drain.since {
        page.text("drain_since", &time_text(since));
    }
    match backend.drain.end {
        Some(DrainEnd::At(until)) => page.text("drain_until", &time_text(until)),
        Some(DrainEnd::Never) => page.text("drain_until", "never"),
        None => {}
    }
    page.texts("labels", backend.labels.iter().map(ToString::to_string));
    if let Some(port) = backend.agent_port {
        page.raw("agent_port", port);
    }
    for (key, limit) in [
        ("connections_max", backend.connections_max),
        ("requests_max", backend.requests_max),
    ] {
        if let Some(limit) = limit {
            page.raw(key, limit);
        }
    }
}
