//! Bounds the admin interface: so many connections, and none that stays silent for ever.
//! Whoever comes when all places are taken waits in the backlog.
//!
//! It is closed by a word and not by ending the task that serves: axum takes the end of that
//! task for an order to close every connection on which no request was read yet, although one may
//! be on its way.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep};

use crate::base::limits::ADMIN_CONNECTIONS_MAX;

/// Longest silence of a client: more than the usual minute between two scrapes.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// A listener that admits at most [`ADMIN_CONNECTIONS_MAX`] connections.
pub(super) struct Gate<L> {
    /// None once it is closed.
    listener: Option<L>,
    places: Arc<Semaphore>,
    open: watch::Receiver<()>,
}

impl<L> Gate<L> {
    /// A gate that is open as long as the sender of `open` lives, and its places: as many are free
    /// as there may be further connections.
    pub(super) fn new(listener: L, open: watch::Receiver<()>) -> (Self, Arc<Semaphore>) {
        let places = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
        let gate = Gate {
            listener: Some(listener),
            places: Arc::clone(&places),
            open,
        };
        (gate, places)
    }
}

impl<L: Listener> Listener for Gate<L> {
    type Io = Guarded<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        if let Some(listener) = &mut self.listener {
            let admitted = async {
                let place = Arc::clone(&self.places).acquire_owned().await.ok();
                (listener.accept().await, place)
            };
            tokio::select! {
                // First: who waits when it is closed is another process's.
                biased;
                _ = self.open.changed() => self.listener = None,
                ((stream, address), place) = admitted => {
                    let silence = Box::pin(sleep(SILENCE_MAX));
                    return (Guarded { stream, silence, _place: place }, address);
                }
            }
        }
        pending().await
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        match &self.listener {
            Some(listener) => listener.local_addr(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// A connection with its place and its deadline.
pub(super) struct Guarded<S> {
    stream: S,
    silence: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<S> Guarded<S> {
    /// Passes `polled` on unless it waits for too long already.
    fn within<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENCE_MAX);
            return polled;
        }
        ready!(self.silence.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.within(cx, polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.within(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
