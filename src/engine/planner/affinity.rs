//! Sticky sessions and queues, from the words of the file to what a table holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::config::checked;
use crate::routing::limit::Queue;
use crate::routing::sticky::{CookieOptions, SameSite, Sticky};
use crate::routing::table::Backend;

pub(super) fn sticky(
    group: &checked::Group,
    backends: &[Backend],
    hash_seed: u64,
) -> Option<Sticky> {
    let sticky = group.sticky.as_ref()?;
    let identities = identities(backends);
    let ids = identities.iter().map(String::as_str);
    match &sticky.by {
        checked::StickyBy::Cookie(cookie) => {
            let options = CookieOptions {
                name: cookie.name.clone(),
                secret: Arc::clone(&cookie.secret.0),
                ttl: cookie.ttl,
                secure: cookie.secure,
                same_site: match cookie.same_site {
                    checked::SameSite::Lax => SameSite::Lax,
                    checked::SameSite::None => SameSite::None,
                    checked::SameSite::Strict => SameSite::Strict,
                },
            };
            Some(Sticky::by_cookie(&group.name, &options, ids))
        }
        checked::StickyBy::Source => {
            let weights = backends.iter().map(|backend| u32::from(backend.weight));
            Some(Sticky::by_source(ids.zip(weights), hash_seed))
        }
    }
}

/// What each backend is known by to clients: its id, and its address where several share one.
fn identities(backends: &[Backend]) -> Vec<String> {
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for backend in backends {
        *counts.entry(&backend.id).or_default() += 1;
    }
    let identity = |backend: &Backend| match counts.get(&*backend.id) {
        Some(1) | None => backend.id.to_string(),
        Some(_) => format!("{}@{}", backend.id, backend.address),
    };
    backends.iter().map(identity).collect()
}

pub(super) fn queue(group: &checked::Group, waiting: Arc<AtomicU32>) -> Queue {
    Queue {
        requests_max: group.queue.requests_max,
        timeout: group.queue.timeout,
        waiting,
    }
}
