//! Heartbeats as datagrams: one JSON object in each, as `POST /v1/heartbeat` takes it.
//!
//! Nothing is ever answered, so the door cannot be used against a third party. What is too long,
//! not readable or without the token is counted and forgotten.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};

use serde_json::Value;
use subtle::ConstantTimeEq;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::base::limits::HEARTBEAT_BYTES_MAX;
use crate::config::checked::HeartbeatDoor;
use crate::control::health::{Claim, Health};
use crate::health::heartbeat::Rejection;

/// The door, opened: heartbeats are taken in from when it is told to, as long as it lives.
pub(in crate::control) struct Door {
    address: SocketAddr,
    token: Option<String>,
    /// To be given away.
    duplicate: OwnedFd,
    waiting: Option<UdpSocket>,
    listening: Option<JoinHandle<()>>,
}

impl Door {
    /// Opens it, by the socket that was handed over if that is at the same address.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(in crate::control) async fn open(
        door: &HeartbeatDoor,
        handed: Option<(SocketAddr, OwnedFd)>,
    ) -> io::Result<Door> {
        let socket = match handed {
            Some((at, fd)) if at == door.udp => UdpSocket::from_std(fd.into()),
            _ => UdpSocket::bind(door.udp).await,
        };
        let socket = socket.map_err(|error| {
            io::Error::new(error.kind(), format!("heartbeat.udp {}: {error}", door.udp))
        })?;
        Ok(Door {
            address: door.udp,
            token: door.token.as_ref().map(|token| token.0.to_string()),
            duplicate: socket.as_fd().try_clone_to_owned()?,
            waiting: Some(socket),
            listening: None,
        })
    }

    /// Takes in what arrives from now on, in a task.
    pub(in crate::control) fn listen(&mut self, health: &Health) {
        let Some(socket) = self.waiting.take() else {
            return;
        };
        let (health, token) = (health.clone(), self.token.take());
        self.listening = Some(tokio::spawn(async move {
            health.receive(&socket, token.as_deref()).await;
        }));
    }

    /// A duplicate for another process.
    ///
    /// # Errors
    /// Out of descriptors.
    pub(in crate::control) fn duplicate(&self) -> io::Result<(SocketAddr, OwnedFd)> {
        Ok((self.address, self.duplicate.try_clone()?))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

impl Health {
    async fn receive(&self, socket: &UdpSocket, token: Option<&str>) {
        // One more than may be: what fills it was cut.
        let mut room = vec![0; HEARTBEAT_BYTES_MAX + 1];
        loop {
            match socket.recv_from(&mut room).await {
                Ok((length, sender)) => self.datagram(&room[..length], sender, token),
                Err(error) => tracing::debug!(%error, "heartbeat not received"),
            }
        }
    }

    fn datagram(&self, bytes: &[u8], sender: SocketAddr, token: Option<&str>) {
        match read(bytes, token) {
            Ok(claim) => {
                let _ = self.hear(&claim, Some(sender.ip().to_canonical()));
            }
            Err(rejection) => self.refuse(rejection),
        }
    }
}

fn read(bytes: &[u8], token: Option<&str>) -> Result<Claim, Rejection> {
    if bytes.len() > HEARTBEAT_BYTES_MAX {
        return Err(Rejection::Malformed);
    }
    let mut value: Value = serde_json::from_slice(bytes).map_err(|_| Rejection::Malformed)?;
    let shown = value
        .as_object_mut()
        .and_then(|claim| claim.remove("token"));
    if let Some(token) = token {
        let shown = shown.as_ref().and_then(Value::as_str).unwrap_or("");
        if !bool::from(shown.as_bytes().ct_eq(token.as_bytes())) {
            return Err(Rejection::Unauthorized);
        }
    }
    serde_json::from_value(value).map_err(|_| Rejection::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: &str = r#"{"server_id": "b1", "incarnation": 1, "sequence": 2, "active": 3"#;

    #[test]
    fn a_datagram_is_a_claim_and_shows_the_token() {
        let plain = format!("{CLAIM}}}");
        let claim = read(plain.as_bytes(), None).unwrap();
        assert_eq!((&*claim.server_id, claim.active), ("b1", 3.0));
        assert!(claim.healthy);
        let with = format!("{CLAIM}, \"token\": \"secret\"}}");
        assert!(read(with.as_bytes(), None).is_ok());
        assert_eq!(read(with.as_bytes(), Some("secret")), Ok(claim));
        for (text, token) in [(&plain, "secret"), (&with, "other")] {
            let refused = read(text.as_bytes(), Some(token));
            assert_eq!(refused, Err(Rejection::Unauthorized));
        }
    }

    #[test]
    fn what_is_no_claim_is_malformed() {
        let long = format!(
            "{CLAIM}, \"group\": \"{}\"}}",
            "a".repeat(HEARTBEAT_BYTES_MAX)
        );
        let unknown = format!("{CLAIM}, \"colour\": \"red\"}}");
        let nan = format!("{CLAIM}, \"cpu\": NaN}}");
        let huge = format!("{CLAIM}, \"cpu\": 1e999}}");
        for text in ["", "[]", "{}", "7", CLAIM, &long, &unknown, &nan, &huge] {
            assert_eq!(
                read(text.as_bytes(), None),
                Err(Rejection::Malformed),
                "{text}"
            );
        }
    }
}
