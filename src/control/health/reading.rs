//! Reads text from a backend over HTTP, up to a number of bytes.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A connection or an answer broke off, came too late, or was no text of a length it may have.
pub(in crate::control) struct Broken;

/// A connection that ends when it is dropped.
pub(super) struct Open {
    pub(super) sender: SendRequest<Body>,
    running: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Open {
    /// Asks for `path` with further header fields, as weir.
    pub(super) async fn ask(
        &mut self,
        (address, path): (SocketAddr, &str),
        fields: &[(HeaderName, &'static str)],
    ) -> Result<Response<Incoming>, Broken> {
        let mut request = Request::builder()
            .uri(path)
            .header(header::HOST, address.to_string())
            .header(header::USER_AGENT, "weir");
        for (name, value) in fields {
            request = request.header(name, *value);
        }
        let request = request.body(Body::empty()).map_err(|_| Broken)?;
        self.sender.send_request(request).await.map_err(|_| Broken)
    }
}

/// Opens a connection.
pub(super) async fn connect(address: SocketAddr) -> Result<Open, Broken> {
    let stream = TcpStream::connect(address).await.map_err(|_| Broken)?;
    let _ = stream.set_nodelay(true);
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|_| Broken)?;
    let running = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(Open { sender, running })
}

/// The whole of `body`.
pub(super) async fn body_of(mut body: Incoming, bytes_max: usize) -> Result<String, Broken> {
    let mut text = Vec::new();
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        match frame {
            None => break,
            Some(Err(_)) => return Err(Broken),
            Some(Ok(frame)) => text.extend_from_slice(&frame.into_data().unwrap_or_default()),
        }
        if text.len() > bytes_max {
            return Err(Broken);
        }
    }
    String::from_utf8(text).map_err(|_| Broken)
}

/// A page that is found, over a connection of its own.
pub(in crate::control) async fn fetch(
    address: SocketAddr,
    path: &str,
    within: Duration,
    bytes_max: usize,
) -> Result<String, Broken> {
    let fetch = async {
        let mut open = connect(address).await?;
        let fields = [
            (header::ACCEPT, "text/plain; version=0.0.4"),
            (header::CONNECTION, "close"),
        ];
        let response = open.ask((address, path), &fields).await?;
        match response.status() {
            StatusCode::OK => body_of(response.into_body(), bytes_max).await,
            _ => Err(Broken),
        }
    };
    timeout(within, fetch).await.unwrap_or(Err(Broken))
}
