//! The life of the admin interface: its sockets are opened when the node starts, so that one that
//! is taken is told before anything is served; pages are answered from when the node may be asked;
//! and when another process has taken over, this one stops, because its pages would be of a node
//! that ends.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use super::{Peer, Sources, doors, gate, router, token};
use crate::config::checked::Admin;

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
    /// Ends the answering when it is dropped.
    answering: Option<watch::Sender<()>>,
}

struct Waiting {
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
        let mut interface = Interface::default();
        let mut waiting = Waiting {
            router: router(sources.into(), token),
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
        let Some(Waiting { router, tcp, unix }) = self.waiting.take() else {
            return;
        };
        let (answering, over) = watch::channel(());
        self.answering = Some(answering);
        if let Some(listener) = unix {
            serve(listener, router.clone(), over.clone());
        }
        if let Some(listener) = tcp {
            serve(listener, router, over);
        }
    }

    /// Finishes what is being answered and lets go of the sockets.
    pub(in crate::control) fn close(&mut self) {
        *self = Interface {
            address: self.address,
            ..Interface::default()
        };
    }
}

/// Serves the pages on `listener` until `over` has no sender.
pub(super) fn serve<L>(listener: L, router: Router, mut over: watch::Receiver<()>)
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
    Peer: for<'c> Connected<IncomingStream<'c, gate::Gate<L>>>,
{
    let router = router.into_make_service_with_connect_info::<Peer>();
    tokio::spawn(async move {
        let ended = async move { while over.changed().await.is_ok() {} };
        let serving = axum::serve(gate::Gate::new(listener), router);
        if let Err(error) = serving.with_graceful_shutdown(ended).await {
            tracing::error!(%error, "admin ended");
        }
    });
}
