//! Whether backends are well: what weir finds out, what it is told, and what it does then.

mod active;
mod agents;
mod breakers;
mod draining;
mod heartbeats;
mod passive;
mod retries;
mod verdicts;

use serde_json::Value;

use crate::support::{Proxy, eventually};

/// What is thought of the backend of this id.
fn thought_of(proxy: &Proxy, id: &str) -> Value {
    let shown = proxy.api().get(&format!("/v1/backends/{id}"));
    shown.expect(200)["items"][0].clone()
}

/// Waits until the backend is thought to be this.
#[track_caller]
fn becomes(proxy: &Proxy, id: &str, status: &str) {
    let what = format!("{id} is {status}");
    eventually(&what, || thought_of(proxy, id)["status"] == status);
}
