//! Performs one active check: a connection, or a request and a look at its answer.
//!
//! Each uses a connection of its own, because whether a new one comes about is part of what is
//! asked. A check is bounded by its timeout and by the bytes of a body it looks at.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use regex::bytes::{Regex, RegexBuilder};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::base::limits::{CHECK_BODY_BYTES_MAX, REGEX_BYTES_MAX};
use crate::config::checked::{CheckKind, HttpCheck};
use crate::health::verdict::Reason;

/// What is asked of every member of a group.
pub(super) struct Ask {
    http: Option<(HttpCheck, Option<Regex>)>,
}

impl Ask {
    pub(super) fn new(kind: &CheckKind) -> Ask {
        let http = match kind {
            CheckKind::Http(http) => {
                let pattern = http.body.as_deref();
                // It was compiled when the configuration was checked.
                let regex = pattern.and_then(|pattern| {
                    let mut builder = RegexBuilder::new(pattern);
                    builder.size_limit(REGEX_BYTES_MAX).build().ok()
                });
                Some((http.clone(), regex))
            }
            CheckKind::Tcp => None,
        };
        Ask { http }
    }

    /// Asks, and answers how long that took or what is wrong.
    pub(super) async fn perform(
        &self,
        address: SocketAddr,
        within: Duration,
    ) -> Result<Duration, Reason> {
        let began = Instant::now();
        match timeout(within, self.ask(address)).await {
            Ok(Ok(())) => Ok(began.elapsed()),
            Ok(Err(reason)) => Err(reason),
            Err(_) => Err("no answer in time".into()),
        }
    }

    async fn ask(&self, address: SocketAddr) -> Result<(), Reason> {
        let stream = TcpStream::connect(address).await.map_err(not_connected)?;
        let Some((http, regex)) = &self.http else {
            return Ok(());
        };
        let request = request(http, address).map_err(|_| "the request cannot be made")?;
        let broken = |_| Reason::Borrowed("no HTTP answer");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let _running = Running(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        if !is_expected(status, &http.expect) {
            return Err(format!("status {}", status.as_u16()).into());
        }
        match regex {
            Some(regex) => look_for(regex, response.into_body()).await,
            None => Ok(()),
        }
    }
}

/// A connection that ends with the check.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn request(http: &HttpCheck, address: SocketAddr) -> Result<Request<Body>, axum::http::Error> {
    let host = match &http.host {
        Some(host) => host.to_string(),
        None => address.to_string(),
    };
    Request::builder()
        .method(http.method.as_str())
        .uri(http.path.as_str())
        .header(header::HOST, host)
        .header(header::USER_AGENT, "weir")
        .header(header::CONNECTION, "close")
        .body(Body::empty())
}

fn is_expected(status: StatusCode, expect: &[(u16, u16)]) -> bool {
    let status = status.as_u16();
    expect
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&status))
}

/// Looks for the expression in the first bytes of the body.
async fn look_for(regex: &Regex, mut body: Incoming) -> Result<(), Reason> {
    let mut seen = Vec::new();
    while seen.len() < CHECK_BODY_BYTES_MAX {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await;
        match frame {
            None => break,
            Some(Err(_)) => return Err("the body broke off".into()),
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                let room = CHECK_BODY_BYTES_MAX - seen.len();
                seen.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
    }
    match regex.is_match(&seen) {
        true => Ok(()),
        false => Err("the body does not match".into()),
    }
}

pub(super) fn not_connected(error: std::io::Error) -> Reason {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        kind => format!("not connected: {kind}").into(),
    }
}
