//! Addresses where others may be: those that are given, and those a store tells. Names among the
//! former are looked up again and again, because the node behind one may move.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::config::checked::BackendAddress;

/// How often names are looked up.
const LOOK_UP_EVERY: Duration = Duration::from_secs(10);

/// Tells the addresses of `seeds`, and those that are `met`, as long as somebody listens.
pub(super) async fn follow(
    seeds: Vec<BackendAddress>,
    mut met: Option<watch::Receiver<Vec<SocketAddr>>>,
    tell: watch::Sender<Vec<SocketAddr>>,
) {
    let names = seeds
        .iter()
        .any(|seed| matches!(seed, BackendAddress::Name { .. }));
    let mut given = look_up(&seeds).await;
    loop {
        let mut addresses = given.clone();
        if let Some(met) = &mut met {
            addresses.extend(met.borrow_and_update().iter());
        }
        if tell.send(addresses).is_err() || (!names && met.is_none()) {
            return;
        }
        tokio::select! {
            () = sleep(LOOK_UP_EVERY), if names => given = look_up(&seeds).await,
            () = changed(&mut met) => {}
            () = tell.closed() => return,
        }
    }
}

async fn changed(met: &mut Option<watch::Receiver<Vec<SocketAddr>>>) {
    if let Some(others) = met {
        match others.changed().await {
            Ok(()) => return,
            Err(_) => *met = None,
        }
    }
    pending().await
}

async fn look_up(seeds: &[BackendAddress]) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for seed in seeds {
        match seed {
            BackendAddress::Socket(address) => addresses.push(*address),
            BackendAddress::Name { host, port } => match lookup_host((&**host, *port)).await {
                Ok(found) => addresses.extend(found),
                Err(error) => tracing::debug!(%seed, %error, "seed not found"),
            },
            BackendAddress::Service(_) => {}
        }
    }
    addresses
}
