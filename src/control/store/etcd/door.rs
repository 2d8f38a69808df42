//! The way to etcd: one member at a time, the next one when it does not answer.
//!
//! The balancing of the gRPC client keeps members that are paused or cut off, and a request to one
//! of them waits for ever. Here each attempt has a time limit, and whoever misses it is left for
//! the next in the list. What a request means, and whether it may be repeated, its caller knows.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Error, Identity, KvClient, TlsOptions};
use tokio::time::timeout;

use crate::config::checked::{EtcdStore, EtcdTls, Secret, Token};

/// Bytes of one answer; a configuration of ten thousand backends has a few million.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Why there was no answer.
#[derive(Clone, Debug)]
pub(super) enum Unanswered {
    /// Another member or another time may do.
    Away(String),
    /// No member will ever do.
    Refused(String),
}

impl Unanswered {
    pub(super) fn text(self) -> String {
        match self {
            Unanswered::Away(why) | Unanswered::Refused(why) => why,
        }
    }
}

/// Members, and the one in use.
pub(super) struct Door {
    settings: EtcdStore,
    chosen: AtomicUsize,
    client: Mutex<Option<Client>>,
}

impl Door {
    pub(super) fn new(settings: EtcdStore) -> Door {
        Door {
            settings,
            chosen: AtomicUsize::new(0),
            client: Mutex::new(None),
        }
    }

    /// How many members there are to try.
    pub(super) fn members(&self) -> usize {
        self.settings.endpoints.len()
    }

    /// Changes whenever another member is chosen.
    pub(super) fn chosen(&self) -> usize {
        self.chosen.load(Ordering::Relaxed)
    }

    /// Forgets the connection: it belongs to a runtime that ends.
    pub(super) fn forget(&self) {
        self.client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Makes one request of the member in use; one that fails is not used for the next.
    pub(super) async fn ask<T, F>(
        &self,
        request: impl FnOnce(KvClient) -> F,
    ) -> Result<T, Unanswered>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let asked = self.ask_client(|client| {
            let kv = client.kv_client();
            request(kv.max_decoding_message_size(ANSWER_BYTES_MAX))
        });
        asked.await
    }

    /// The same, whatever part of its interface is asked.
    pub(super) async fn ask_client<T, F>(
        &self,
        request: impl FnOnce(Client) -> F,
    ) -> Result<T, Unanswered>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let client = self.client().await?;
        match timeout(self.settings.timeout, request(client)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let told = self.told(&error);
                self.leave();
                Err(told)
            }
            Err(_) => {
                self.leave();
                Err(Unanswered::Away(self.late()))
            }
        }
    }

    /// The same, of one member after the other; for what may be repeated.
    pub(super) async fn ask_all<T, F>(
        &self,
        request: impl Fn(KvClient) -> F,
    ) -> Result<T, Unanswered>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut last = Unanswered::Away("no member to ask".to_owned());
        for _ in 0..self.members() {
            match self.ask(&request).await {
                Ok(answer) => return Ok(answer),
                Err(refused @ Unanswered::Refused(_)) => return Err(refused),
                Err(away) => last = away,
            }
        }
        Err(last)
    }

    /// The connection in use, or one to the next member.
    pub(super) async fn client(&self) -> Result<Client, Unanswered> {
        let known = self
            .client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(client) = known {
            return Ok(client);
        }
        let options = self.options().await.map_err(Unanswered::Refused)?;
        let connecting = Client::connect([self.member()], Some(options));
        match timeout(self.settings.timeout, connecting).await {
            Ok(Ok(client)) => {
                let mut known = self.client.lock().unwrap_or_else(PoisonError::into_inner);
                *known = Some(client.clone());
                Ok(client)
            }
            Ok(Err(error)) => {
                let told = self.told(&error);
                self.leave();
                Err(told)
            }
            Err(_) => {
                self.leave();
                Err(Unanswered::Away(self.late()))
            }
        }
    }

    async fn options(&self) -> Result<ConnectOptions, String> {
        let limit = self.settings.timeout;
        let mut options = ConnectOptions::new()
            .with_connect_timeout(limit)
            .with_keep_alive(limit, limit)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if let Some(user) = &self.settings.user {
            options = options.with_user(&*user.name, password(&user.password).await?);
        }
        if let Some(tls) = &self.settings.tls {
            options = options.with_tls(read_tls(tls).await?);
        }
        Ok(options)
    }

    fn member(&self) -> &str {
        let chosen = self.chosen.load(Ordering::Relaxed) % self.members();
        &self.settings.endpoints[chosen]
    }

    fn leave(&self) {
        self.forget();
        self.chosen.fetch_add(1, Ordering::Relaxed);
    }

    fn told(&self, error: &Error) -> Unanswered {
        let why = format!("{}: {}", self.member(), chain(error));
        match error {
            Error::GRpcStatus(status) if is_final(status.message()) => Unanswered::Refused(why),
            _ => Unanswered::Away(why),
        }
    }

    fn late(&self) -> String {
        let limit: Duration = self.settings.timeout;
        format!("{}: no answer within {limit:?}", self.member())
    }
}

/// Whether the server itself has understood and will say the same again. An authentication is no
/// such thing: a member that restarts knows no tokens.
fn is_final(message: &str) -> bool {
    [
        "request is too large",
        "too many operations",
        "duplicate key",
        "permission denied",
    ]
    .iter()
    .any(|text| message.contains(text))
}

/// An error with what is behind it: a transport error alone says nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

async fn password(token: &Token) -> Result<String, String> {
    match token {
        Token::Text(Secret(text)) => Ok(text.to_string()),
        Token::File(path) => {
            let text = tokio::fs::read_to_string(path).await;
            let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(text.lines().next().unwrap_or("").trim().to_owned())
        }
    }
}

async fn read_tls(tls: &EtcdTls) -> Result<TlsOptions, String> {
    let read = async |path: &std::path::Path| {
        let text = tokio::fs::read(path).await;
        text.map_err(|error| format!("{}: {error}", path.display()))
    };
    let mut options = TlsOptions::new().ca_certificate(Certificate::from_pem(read(&tls.ca).await?));
    if let Some((cert, key)) = &tls.identity {
        options = options.identity(Identity::from_pem(read(cert).await?, read(key).await?));
    }
    Ok(options)
}
