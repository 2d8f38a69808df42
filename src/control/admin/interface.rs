//! The life of the admin interface: its sockets are opened when the node starts, so that one that
//! is taken is told before anything is served; pages are answered from when the node may be asked;
//! and when another process has taken over, this one stops, because its pages would be of a node
//! that ends.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::serve::IncomingStream;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{Peer, Sources, doors, gate, profile, router, token};
use crate::base::limits::ADMIN_CONNECTIONS_MAX;
use crate::config::checked::{Admin, MetricsDetail};
use crate::telemetry::exposition::Detail;

/// Sockets that another process has handed over, or that are handed over to one.
#[derive(Debug, Default)]
pub(in crate::control) struct Sockets {
    /// The address.
    pub(in crate::control) tcp: Option<(SocketAddr, OwnedFd)>,
    /// The unix socket.
    pub(in crate::control) unix: Option<(PathBuf, OwnedFd)>,
}

/// The admin interface.
#[derive(Default)]
pub(in crate::control) struct Interface {
    address: Option<SocketAddr>,
    /// Duplicates, to be given away.
    sockets: Sockets,
    waiting: Option<Waiting>,
    answering: Vec<Answering>,
    /// Notes where the time of requests goes.
    profiling: Option<JoinHandle<()>>,
    /// Without a sender nobody is let in, and answers are the last on their connections.
    going_on: Option<watch::Sender<()>>,
}

/// One listener that answers.
pub(super) struct Answering {
    /// Free as far as there are no connections.
    places: Arc<Semaphore>,
}

impl Answering {
    /// Waits for connections to end, until `deadline` at most.
    pub(super) async fn finish(&self, deadline: Instant) {
        let all = self.places.acquire_many(ADMIN_CONNECTIONS_MAX as u32);
        let _ = timeout_at(deadline, all).await;
    }

    /// How many more may be let in at this moment.
    #[cfg(test)]
    pub(super) fn free_places(&self) -> usize {
        self.places.available_permits()
    }
}

struct Waiting {
    sources: Arc<Sources>,
    router: Router,
    tcp: Option<TcpListener>,
    unix: Option<UnixListener>,
}

impl Interface {
    /// Opens the sockets, those that are handed over if they are the same. Nobody is answered yet.
    ///
    /// # Errors
    /// When the address, the socket or the token cannot be had; the message names it.
    pub(in crate::control) async fn open(
        admin: &Admin,
        sources: Sources,
        handed: Sockets,
    ) -> io::Result<Interface> {
        let token = token::read(admin.token.as_ref())?;
        let detail = match admin.metrics_detail {
            MetricsDetail::Backend => Detail::Backend,
            MetricsDetail::Group => Detail::Group,
            MetricsDetail::Listener => Detail::Listener,
        };
        let sources = Arc::new(Sources { detail, ..sources });
        let mut interface = Interface::default();
        let mut waiting = Waiting {
            router: router(Arc::clone(&sources), token),
            sources,
            tcp: None,
            unix: None,
        };
        if let Some(path) = &admin.unix {
            let listener = match handed.unix {
                Some((at, fd)) if at == *path => doors::unix_from(fd)?,
                _ => doors::unix(path, "admin")?,
            };
            let duplicate = listener.as_fd().try_clone_to_owned()?;
            interface.sockets.unix = Some((path.clone(), duplicate));
            waiting.unix = Some(listener);
        }
        if let Some(address) = admin.address {
            let listener = match handed.tcp {
                Some((at, fd)) if at == address => doors::tcp_from(fd)?,
                _ => doors::tcp(address).await?,
            };
            let duplicate = listener.as_fd().try_clone_to_owned()?;
            interface.sockets.tcp = Some((address, duplicate));
            interface.address = Some(listener.local_addr()?);
            waiting.tcp = Some(listener);
        }
        interface.waiting = Some(waiting);
        Ok(interface)
    }

    /// Where it is bound, if it has an address.
    pub(in crate::control) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Duplicates of its sockets.
    ///
    /// # Errors
    /// Out of descriptors.
    pub(in crate::control) fn duplicates(&self) -> io::Result<Sockets> {
        let tcp = self.sockets.tcp.as_ref();
        let unix = self.sockets.unix.as_ref();
        Ok(Sockets {
            tcp: tcp
                .map(|(at, fd)| Ok::<_, io::Error>((*at, fd.try_clone()?)))
                .transpose()?,
            unix: unix
                .map(|(at, fd)| Ok::<_, io::Error>((at.clone(), fd.try_clone()?)))
                .transpose()?,
        })
    }

    /// Answers from now on, in tasks.
    pub(in crate::control) fn answer(&mut self) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        let Waiting {
            sources,
            router,
            tcp,
            unix,
        } = waiting;
        self.profiling = Some(tokio::spawn(profile::follow(sources)));
        let (going_on, over) = watch::channel(());
        self.going_on = Some(going_on);
        let router = router.layer(middleware::from_fn_with_state(over.clone(), last_when_over));
        if let Some(listener) = unix {
            let answering = serve(listener, router.clone(), over.clone());
            self.answering.push(answering);
        }
        if let Some(listener) = tcp {
            self.answering.push(serve(listener, router, over));
        }
    }

    /// Lets go of the sockets. A connection that is there is answered once more and closed, so
    /// that whoever keeps one comes back to the process that has the sockets now.
    pub(in crate::control) fn close(&mut self) {
        self.going_on = None;
        self.waiting = None;
        self.sockets = Sockets::default();
        if let Some(profiling) = self.profiling.take() {
            profiling.abort();
        }
    }

    /// Waits for connections to end, `within` at most: some may stay idle.
    pub(in crate::control) async fn finish(&self, within: Duration) {
        let deadline = Instant::now() + within;
        for answering in &self.answering {
            answering.finish(deadline).await;
        }
    }
}

async fn last_when_over(
    State(over): State<watch::Receiver<()>>,
    request: Request,
    next: Next,
) -> Response {
    let mut answer = next.run(request).await;
    if over.has_changed().is_err() {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
    answer
}

/// Serves the pages on `listener`, in tasks, and lets people in while the sender of `open` lives.
pub(super) fn serve<L>(listener: L, router: Router, open: watch::Receiver<()>) -> Answering
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
    Peer: for<'c> Connected<IncomingStream<'c, gate::Gate<L>>>,
{
    let router = router.into_make_service_with_connect_info::<Peer>();
    let (gate, places) = gate::Gate::new(listener, open);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(gate, router).await {
            tracing::error!(%error, "admin ended");
        }
    });
    Answering { places }
}
