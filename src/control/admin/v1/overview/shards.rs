//! Shard rules and the share of keys each of their groups owns.
//!
//! A share is found as a plan finds it, by tens of thousands of keys, so it is worked out once for
//! a table, beside the control loop.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::base::epoch::Epoch;
use crate::engine::compare::{KEYS_DEFAULT, Method, shares};
use crate::routing::table::Table;

#[derive(Clone, Serialize)]
pub(super) struct Shard {
    name: String,
    function: &'static str,
    method: &'static str,
    groups: Vec<Owned>,
}

/// What a group owns; nobody's keys are refused.
#[derive(Clone, Serialize)]
struct Owned {
    name: Option<String>,
    share: f64,
}

/// The shares of the newest table anybody asked for.
#[derive(Default)]
pub(in crate::control::admin) struct Shares(Mutex<Option<(Epoch, Vec<Shard>)>>);

impl Shares {
    /// Those of `table`. Who asks while they are worked out waits for the same result.
    pub(super) async fn of(&self, table: &Arc<Table>) -> Vec<Shard> {
        if table.shards.is_empty() {
            return Vec::new();
        }
        let mut known = self.0.lock().await;
        if let Some((epoch, shards)) = &*known
            && *epoch == table.epoch
        {
            return shards.clone();
        }
        let asked = Arc::clone(table);
        let shards = spawn_blocking(move || measured(&asked)).await;
        let shards = shards.unwrap_or_default();
        *known = Some((table.epoch, shards.clone()));
        shards
    }
}

fn measured(table: &Table) -> Vec<Shard> {
    let rules = shares(table, KEYS_DEFAULT).into_iter();
    rules
        .map(|rule| Shard {
            name: rule.name.to_string(),
            function: rule.function_after.unwrap_or(""),
            method: match rule.method {
                Method::Entries => "entries",
                Method::Integers => "integers",
                Method::Pieces => "pieces",
                Method::Sampled(_) => "sampled",
            },
            groups: rule
                .groups
                .into_iter()
                .map(|share| Owned {
                    name: share.name,
                    share: (share.after * 1e6).round() / 1e6,
                })
                .collect(),
        })
        .collect()
}
