//! The task that is a node among others: datagrams and the clock go in, datagrams go out, and what
//! is known is shown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Roll;
use super::own::Own;
use crate::control::publisher::Progress;
use crate::gossip::{Circle, DATAGRAM_BYTES_MAX, Moment, Standing};
use crate::telemetry::cluster::ClusterStats;

/// How often it is looked how much there is to do.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Datagrams taken in before anything else is done.
const TURN_MAX: usize = 64;

/// All of it.
pub(super) struct Life {
    pub(super) circle: Circle,
    pub(super) socket: UdpSocket,
    pub(super) origin: Instant,
    pub(super) own: Own,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) show: watch::Sender<Arc<Roll>>,
    pub(super) stats: Arc<ClusterStats>,
}

impl Life {
    /// Lives until it is told to leave.
    pub(super) async fn live(
        mut self,
        mut seeds: watch::Receiver<Vec<SocketAddr>>,
        mut leave: oneshot::Receiver<()>,
    ) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seeding = true;
        loop {
            let due = self.origin + self.circle.next_deadline();
            tokio::select! {
                ready = self.socket.readable() => match ready {
                    Ok(()) => self.hear(),
                    Err(error) => tracing::debug!(%error, "datagram not received"),
                },
                () = sleep_until(due) => {
                    let now = self.now();
                    self.circle.handle_deadline(now);
                }
                _ = look.tick() => self.say(),
                changed = self.progress.changed() => match changed {
                    Ok(()) => self.say(),
                    Err(_) => return,
                },
                told = seeds.changed(), if seeding => match told {
                    Ok(()) => {
                        let (given, now) = (seeds.borrow_and_update().clone(), self.now());
                        self.circle.change_seeds(given, now);
                    }
                    Err(_) => seeding = false,
                },
                _ = &mut leave => {
                    let now = self.now();
                    self.circle.leave(now);
                    self.send_all();
                    return;
                }
            }
            self.send_all();
            self.show();
        }
    }

    fn now(&self) -> Moment {
        self.origin.elapsed()
    }

    fn say(&mut self) {
        let state = self.own.state(&self.progress.borrow_and_update());
        let now = self.now();
        self.circle.tell(state, now);
    }

    fn hear(&mut self) {
        // One more than may be: what fills it was cut.
        let mut room = [0; DATAGRAM_BYTES_MAX + 1];
        for _ in 0..TURN_MAX {
            let Ok((length, from)) = self.socket.try_recv_from(&mut room) else {
                return;
            };
            let now = self.now();
            match self.circle.handle(&room[..length], now) {
                Ok(()) => {
                    self.stats.received.inc();
                    self.stats.received_bytes.add(length as u64);
                }
                Err(rejection) => {
                    self.stats.rejected.inc(rejection.name());
                    tracing::debug!(reason = rejection.name(), %from, "datagram refused");
                }
            }
        }
    }

    fn send_all(&mut self) {
        while let Some((to, datagram)) = self.circle.poll_output() {
            match self.socket.try_send_to(&datagram, to) {
                Ok(_) => {
                    self.stats.sent.inc();
                    self.stats.sent_bytes.add(datagram.len() as u64);
                }
                Err(error) => {
                    // It is said again; a node that is not there refuses by ICMP.
                    self.stats.unsent.inc();
                    tracing::trace!(%error, %to, "datagram not sent");
                }
            }
        }
    }

    fn show(&mut self) {
        let before = Arc::clone(&self.show.borrow());
        let roll = Roll {
            me: self.circle.me().clone(),
            state: self.circle.state().clone(),
            peers: self.circle.peers().cloned().collect(),
        };
        for peer in &roll.peers {
            let same = |known: &&crate::gossip::Peer| known.member == peer.member;
            let known = before.peers.iter().find(same);
            if known.map(|known| known.standing) != Some(peer.standing) {
                tell_standing(peer.standing, &peer.member.name, peer.member.address);
            }
        }
        self.show.send_replace(Arc::new(roll));
    }
}

fn tell_standing(standing: Standing, node: &str, address: SocketAddr) {
    let standing = standing.name();
    tracing::info!(node, %address, standing, "node");
}
