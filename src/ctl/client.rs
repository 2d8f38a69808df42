//! One request to a node's admin interface, over an address or a unix socket, and its answer.
//!
//! Everything is bounded: the time to connect, the time to answer (a change that waits for the
//! cores has longer), the bytes of an answer.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::cli::{Asking, Door};

const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Longer than the node makes a change wait for its cores.
const ANSWER_MAX: Duration = Duration::from_secs(60);

const ANSWER_BYTES_MAX: usize = 256 << 20;

/// What is asked of a node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wish {
    /// How.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// What is sent.
    pub body: Option<Value>,
    /// The epoch the node must be at.
    pub if_epoch: Option<u64>,
}

/// What a node says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    /// Whether it did what was asked.
    pub done: bool,
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Value,
}

/// Asks a node.
///
/// # Errors
/// When it cannot be reached, does not answer in time, or not as a node would.
pub(super) fn ask(asking: &Asking, wish: &Wish) -> io::Result<Reply> {
    let token = token(asking)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (name, asked) = match &asking.admin {
        Door::Address(address) => {
            let connect = within(CONNECT_MAX, "connect", TcpStream::connect(address));
            let asked = async { exchange(connect.await?, address, token, wish).await };
            (address.clone(), runtime.block_on(asked))
        }
        Door::Socket(path) => {
            let connect = within(CONNECT_MAX, "connect", UnixStream::connect(path));
            let asked = async { exchange(connect.await?, "localhost", token, wish).await };
            (path.display().to_string(), runtime.block_on(asked))
        }
    };
    asked.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
}

fn token(asking: &Asking) -> io::Result<Option<String>> {
    match &asking.token_file {
        Some(path) => first_line(path).map(Some),
        None => Ok(asking.token.clone()),
    }
}

fn first_line(path: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path).map_err(|error| {
        let text = format!("token file {}: {error}", path.display());
        io::Error::new(error.kind(), text)
    })?;
    Ok(text.lines().next().unwrap_or("").trim().to_owned())
}

async fn within<T>(
    time: Duration,
    what: &str,
    done: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    timeout(time, done).await.unwrap_or_else(|_| {
        let text = format!("{what}: no answer within {} s", time.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

async fn exchange<S>(stream: S, host: &str, token: Option<String>, wish: &Wish) -> io::Result<Reply>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let request = request(host, token, wish)?;
    let exchanged = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Body::new(response.into_body());
        let body = to_bytes(body, ANSWER_BYTES_MAX).await;
        Ok::<_, hyper::Error>((status, body))
    };
    let told = |error: hyper::Error| io::Error::other(format!("not an admin interface: {error}"));
    let exchanged = async { exchanged.await.map_err(told) };
    let (status, body) = within(ANSWER_MAX, "request", exchanged).await?;
    let body = body.map_err(|error| io::Error::other(format!("the answer broke off: {error}")))?;
    let body = match body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&body)
            .map_err(|error| io::Error::other(format!("{status}: no JSON: {error}")))?,
    };
    Ok(Reply {
        done: status.is_success(),
        status: status.as_u16(),
        body,
    })
}

fn request(host: &str, token: Option<String>, wish: &Wish) -> io::Result<Request<Body>> {
    let mut request = Request::builder()
        .method(wish.method.clone())
        .uri(&wish.target)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if let Some(epoch) = wish.if_epoch {
        request = request.header(header::IF_MATCH, format!("\"{epoch}\""));
    }
    let body = match &wish.body {
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    request.body(body).map_err(io::Error::other)
}
