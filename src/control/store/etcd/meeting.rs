//! Nodes find each other in etcd: each keeps its address under a lease, and reads those of all.
//!
//! A lease is renewed three times within its life and a lost one replaced, so an address goes
//! [`LEASE_SECONDS`] after its node, or after etcd was last reached. That is no membership: who is
//! there is found out by the nodes themselves, who are told nothing here but where to ask. Renewing
//! is no write to etcd's log; a start is one.
//!
//! | key below the prefix | value |
//! |---|---|
//! | `node/NAME` | where the node hears others |

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use etcd_client::{GetOptions, PutOptions};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Shared;
use super::door::Unanswered;

/// How long an address outlives its node.
const LEASE_SECONDS: i64 = 10;

/// How often a lease is renewed and the others are read.
const RENEW_EVERY: Duration = Duration::from_secs(3);

/// How soon it is tried again after no member has answered.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The registration of one node.
pub(super) struct Meeting {
    pub(super) shared: Weak<Shared>,
    pub(super) name: Arc<str>,
    pub(super) address: SocketAddr,
    /// Where the others are.
    pub(super) tell: watch::Sender<Vec<SocketAddr>>,
}

/// What is known of the own registration.
enum Own {
    /// It is there, by this lease or another process' of the same node.
    There,
    Missing,
}

impl Meeting {
    /// Keeps the node registered until nobody listens any more.
    pub(super) async fn run(self) {
        let mut lease: Option<i64> = None;
        loop {
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            let result = self.step(&shared, &mut lease).await;
            drop(shared);
            let pause = match result {
                Ok(()) => RENEW_EVERY,
                Err(error) => {
                    tracing::debug!(error = error.text(), "not registered");
                    AGAIN_AFTER
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.tell.closed() => return,
            }
        }
    }

    /// Renews the lease, registers anew where that is lost, and reads who is there.
    async fn step(&self, shared: &Shared, lease: &mut Option<i64>) -> Result<(), Unanswered> {
        if let Some(known) = *lease
            && !renew(shared, known).await?
        {
            *lease = None;
        }
        if lease.is_none() {
            *lease = Some(self.register(shared).await?);
        }
        if matches!(self.read(shared).await?, Own::Missing) {
            // Somebody has removed it, or etcd was put back to an earlier state.
            *lease = None;
            *lease = Some(self.register(shared).await?);
        }
        Ok(())
    }

    async fn register(&self, shared: &Shared) -> Result<i64, Unanswered> {
        let (key, value) = (shared.keys.node(&self.name), self.address.to_string());
        let granted = shared.door.ask_client(async |client| {
            let granted = client.lease_client().grant(LEASE_SECONDS, None).await?;
            let options = PutOptions::new().with_lease(granted.id());
            client.kv_client().put(key, value, Some(options)).await?;
            Ok(granted.id())
        });
        let lease = granted.await?;
        shared.stats.registrations.inc();
        tracing::info!(node = &*self.name, address = %self.address, "registered in etcd");
        Ok(lease)
    }

    /// Reads where all are, and tells it.
    async fn read(&self, shared: &Shared) -> Result<Own, Unanswered> {
        let (from, to) = shared.keys.nodes();
        let read = shared.door.ask_client(async |client| {
            let range = GetOptions::new().with_range(to);
            client.kv_client().get(from, Some(range)).await
        });
        let read = read.await?;
        let own = shared.keys.node(&self.name);
        let is_there = read.kvs().iter().any(|kv| kv.key() == own.as_bytes());
        let others = read.kvs().iter().filter(|kv| kv.key() != own.as_bytes());
        let mut addresses: Vec<SocketAddr> = others
            .filter_map(|kv| kv.value_str().ok()?.parse().ok())
            .collect();
        addresses.sort();
        self.tell.send_if_modified(|told| {
            let changed = *told != addresses;
            *told = addresses;
            changed
        });
        Ok(match is_there {
            true => Own::There,
            false => Own::Missing,
        })
    }
}

/// Renews a lease; answers whether it was still there.
async fn renew(shared: &Shared, lease: i64) -> Result<bool, Unanswered> {
    let renewed = shared.door.ask_client(async |client| {
        match client.lease_client().keep_alive(lease).await {
            Ok(_) => Ok(true),
            Err(etcd_client::Error::LeaseKeepAliveError(_)) => Ok(false),
            Err(error) => Err(error),
        }
    });
    renewed.await
}
