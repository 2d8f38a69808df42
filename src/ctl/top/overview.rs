//! `/v1/overview` as it is read: what `weir top` shows of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Overview {
    pub at_ms: u64,
    pub nodes: Vec<Node>,
    #[serde(default)]
    pub cluster: Vec<Member>,
    pub listeners: Vec<Listener>,
    pub shards: Vec<Shard>,
    pub groups: Vec<Group>,
    columns: Vec<String>,
    #[serde(rename = "backends")]
    rows: Vec<Vec<Value>>,
    #[serde(skip)]
    pub backends: Vec<Backend>,
    pub events: Vec<Event>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Node {
    pub name: String,
    pub version: String,
    pub uptime_ms: u64,
    pub phase: String,
    pub epoch: u64,
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub cores: Vec<Core>,
}

/// A node of the cluster; one that was not heard yet says nothing of itself.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Member {
    pub standing: String,
    #[serde(default)]
    pub epoch: u64,
    pub adopted: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Core {
    pub core: u64,
    pub state: String,
    pub epoch: u64,
    pub connections: u64,
    pub requests: u64,
    pub turns: u64,
    pub completions: u64,
    pub buffer_starved: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listener {
    pub name: String,
    pub address: String,
    pub connections: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub requests: BTreeMap<u16, u64>,
    pub faults: BTreeMap<String, u64>,
    pub latency: Vec<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Shard {
    pub name: String,
    pub function: String,
    pub groups: Vec<Owned>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Owned {
    pub name: Option<String>,
    pub share: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Group {
    pub name: String,
    pub policy: Option<String>,
    pub panics: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Backend {
    pub slot: u64,
    pub group: usize,
    pub name: String,
    pub address: String,
    pub state: String,
    pub weight: u64,
    pub status: String,
    pub reason: String,
    pub since_ms: u64,
    pub suspended: bool,
    pub in_flight: u64,
    pub connections: u64,
    pub connect_failures: u64,
    pub requests: u64,
    pub errors: u64,
    pub faults: u64,
    pub latency_count: u64,
    pub latency_sum_us: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Event {
    pub at_ms: u64,
    pub group: String,
    pub name: String,
    pub from: String,
    pub to: String,
    pub source: String,
    pub reason: String,
}

impl Overview {
    /// An answer of the node. Columns this version does not know are left out.
    ///
    /// # Errors
    /// When it is not an overview, or lacks something.
    pub(super) fn read(body: Value) -> Result<Overview, String> {
        let mut overview: Overview = from(body)?;
        for row in std::mem::take(&mut overview.rows) {
            let named = overview.columns.iter().cloned().zip(row);
            overview.backends.push(from(named.collect())?);
        }
        Ok(overview)
    }
}

fn from<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("not an overview: {error}"))
}
