//! Groups as TOML. Backends that need nothing but an address come first in the short form; from
//! the first one that needs more on, all have the long form, so that their order stays.

use super::super::checked::{Backend, BackendState, Group, Policy, WEIGHT_DEFAULT};
use super::Page;

pub(super) fn print(group: &Group, page: &mut Page) {
    page.section("[[group]]");
    page.text("name", &group.name);
    page.text("policy", group.policy.name());
    match group.policy {
        Policy::LeastRequest { choices } => page.raw("choices", choices),
        Policy::Maglev { bounded_load }
        | Policy::Rendezvous { bounded_load }
        | Policy::RingHash { bounded_load } => match bounded_load {
            Some(percent) => page.raw("bounded_load", percent),
            None => page.text("bounded_load", "none"),
        },
        _ => {}
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
    page.raw("retries", group.retries);
    page.raw("idle_connections_max", group.idle_connections_max);
    page.section("[group.timeouts]");
    page.duration("connect", group.timeouts.connect);
    page.duration("response", group.timeouts.response);
    page.duration("idle", group.timeouts.idle);
    page.duration("tunnel", group.timeouts.tunnel);
    page.section("[group.limits]");
    page.size("head_bytes", group.limits.head_bytes as u64);
    for backend in long {
        print_backend(backend, page);
    }
}

/// Whether the short form says all of it.
fn is_plain(backend: &Backend) -> bool {
    backend.has_default_id()
        && backend.weight == WEIGHT_DEFAULT
        && backend.state == BackendState::Ready
        && backend.labels.is_empty()
        && backend.connections_max.is_none()
        && backend.requests_max.is_none()
}

fn print_backend(backend: &Backend, page: &mut Page) {
    page.section("[[group.backend]]");
    if backend.has_default_id() {
        page.text("address", &backend.id);
    } else {
        page.text("id", &backend.id);
        page.text("address", &backend.address.to_string());
    }
    page.raw("weight", backend.weight);
    page.text(
        "state",
        match backend.state {
            BackendState::Drain => "drain",
            BackendState::Maint => "maint",
            BackendState::Ready => "ready",
        },
    );
    page.texts("labels", backend.labels.iter().map(ToString::to_string));
    for (key, limit) in [
        ("connections_max", backend.connections_max),
        ("requests_max", backend.requests_max),
    ] {
        if let Some(limit) = limit {
            page.raw(key, limit);
        }
    }
}
