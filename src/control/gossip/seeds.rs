//! Addresses where others may be: names among them are looked up again and again, because the node
//! behind one may move.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::config::checked::BackendAddress;

/// How often names are looked up.
const LOOK_UP_EVERY: Duration = Duration::from_secs(10);

/// Tells the addresses of `seeds` as long as somebody listens.
pub(super) async fn follow(seeds: Vec<BackendAddress>, tell: watch::Sender<Vec<SocketAddr>>) {
    loop {
        let mut addresses = Vec::new();
        let mut names = false;
        for seed in &seeds {
            match seed {
                BackendAddress::Socket(address) => addresses.push(*address),
                BackendAddress::Name { host, port } => {
                    names = true;
                    match lookup_host((&**host, *port)).await {
                        Ok(found) => addresses.extend(found),
                        Err(error) => tracing::debug!(%seed, %error, "seed not found"),
                    }
                }
                BackendAddress::Service(_) => {}
            }
        }
        if tell.send(addresses).is_err() || !names {
            return;
        }
        sleep(LOOK_UP_EVERY).await;
    }
}
