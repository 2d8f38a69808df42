//! A long page is sent while it is made: a part is on its way while the next one is written, so a
//! page of tens of megabytes needs room for a few parts, and no call into the kernel is so long
//! that whoever waits for the CPU notices. A short one goes whole, with its length.
//!
//! It is made on a thread of its own, behind everybody else for the CPU, which waits for whoever
//! reads slowly, but not for ever: few pages are made at a time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::{answer, plain};
use crate::runtime::priority;

/// Pages that are made at one time; who comes then waits.
pub(super) const PAGES_MAX: usize = 2;

/// Parts that wait to be sent.
const PARTS_MAX: usize = 2;

/// How long a page may take, with all the patience a reader wants.
const WITHIN: Duration = Duration::from_secs(60);

/// Takes the parts of a page.
pub(super) struct Sender {
    parts: mpsc::Sender<(String, bool)>,
    until: Instant,
    runtime: Handle,
    /// Nobody reads any more.
    over: bool,
}

impl Sender {
    /// Hands a part over; waits until there is room for it.
    pub(super) fn put(&mut self, part: String, is_last: bool) {
        if self.over {
            return;
        }
        let sent = async { timeout_at(self.until, self.parts.send((part, is_last))).await };
        let sent = self.runtime.block_on(sent);
        self.over = !matches!(sent, Ok(Ok(())));
    }
}

/// Answers with the page that `make` writes on a thread of its own.
pub(super) async fn page(
    places: Arc<Semaphore>,
    content_type: &'static str,
    make: impl FnOnce(Sender) + Send + 'static,
) -> Response {
    let (parts, mut coming) = mpsc::channel(PARTS_MAX);
    let place = places.acquire_owned().await;
    let sender = Sender {
        parts,
        until: Instant::now() + WITHIN,
        runtime: Handle::current(),
        over: false,
    };
    let making = std::thread::Builder::new().name("weir-page".to_owned());
    let making = making.spawn(move || {
        if let Err(error) = priority::stand_far_back() {
            tracing::debug!(%error, "who makes a page keeps its priority");
        }
        make(sender);
        drop(place);
    });
    if let Err(error) = making {
        tracing::warn!(%error, "no thread to make a page on");
    }
    match coming.recv().await {
        Some((whole, true)) => answer(StatusCode::OK, content_type, whole),
        Some((first, false)) => {
            let first = Some(Bytes::from(first));
            let mut response = answer(StatusCode::OK, content_type, String::new());
            *response.body_mut() = Body::new(Rest {
                first,
                coming: Some(coming),
            });
            response
        }
        None => plain(StatusCode::INTERNAL_SERVER_ERROR, "no page"),
    }
}

/// The body of a page whose first part is there.
struct Rest {
    first: Option<Bytes>,
    /// None behind the last one.
    coming: Option<mpsc::Receiver<(String, bool)>>,
}

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = io::Error;

    /// The next part. A page that ends before its last part is cut off, so that nobody takes it for
    /// a whole one.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(coming) = &mut self.coming else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(match ready!(coming.poll_recv(context)) {
            Some((part, is_last)) => {
                if is_last {
                    self.coming = None;
                }
                Ok(Frame::data(part.into()))
            }
            None => Err(io::Error::other("the page was not finished")),
        }))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn answered(make: impl FnOnce(Sender) + Send + 'static) -> Response {
        let places = Arc::new(Semaphore::new(PAGES_MAX));
        page(places, "text/plain", make).await
    }

    #[tokio::test]
    async fn a_page_arrives_in_order_and_whole() {
        for parts in [1, 2, 50] {
            let response = answered(move |mut sender| {
                for number in 1..=parts {
                    sender.put(format!("{number} "), number == parts);
                }
            })
            .await;
            let is_short = response.body().size_hint().exact().is_some();
            assert_eq!(is_short, parts == 1, "a short one has a length");
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let wanted: String = (1..=parts).map(|number| format!("{number} ")).collect();
            assert_eq!(body, wanted);
        }
    }

    #[tokio::test]
    async fn a_page_that_ends_early_is_no_page() {
        let response = answered(drop).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let response = answered(|mut sender| sender.put("half".into(), false)).await;
        assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
    }

    #[tokio::test]
    async fn who_reads_no_further_frees_the_thread() {
        let places = Arc::new(Semaphore::new(1));
        let make = |mut sender: Sender| (0..100).for_each(|_| sender.put("part".into(), false));
        drop(page(Arc::clone(&places), "text/plain", make).await);
        let free = places.acquire().await;
        assert!(free.is_ok());
    }
}
