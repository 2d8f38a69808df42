//! The task that is a node among others: datagrams and the clock go in, datagrams go out, and what
//! is known is shown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Roll;
use super::observing::Observing;
use super::own::Own;
use super::sharing::Sharing;
use crate::control::monitor::{Monitor, TELL_EVERY};
use crate::control::publisher::Progress;
use crate::gossip::{Circle, DATAGRAM_BYTES_MAX, Moment, Standing};
use crate::telemetry::cluster::ClusterStats;

/// How often it is looked how much there is to do.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often it is looked whether slots are needed or idle, and who is there to check backends, and
/// told what was measured.
const SHARE_EVERY: Duration = TELL_EVERY;

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
    pub(super) sharing: Option<Sharing>,
    pub(super) observing: Observing,
    pub(super) monitor: Monitor,
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
        let mut share = interval(SHARE_EVERY);
        share.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                _ = share.tick() => {
                    self.share();
                    self.measured();
                }
                () = self.observing.found_something() => {}
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
            self.hear_of_slots();
            self.hear_findings();
            while let Some((from, figures)) = self.circle.poll_measured() {
                self.monitor.hear(&from, &figures);
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

    /// Looks at what is under way of backends whose limits nodes share.
    fn share(&mut self) {
        self.observing.look_around(&self.circle, self.now());
        let Some(sharing) = &self.sharing else {
            return;
        };
        let there = self.circle.peers();
        let there = there.filter(|peer| peer.standing.is_there());
        let there: Vec<Arc<str>> = there.map(|peer| Arc::clone(&peer.member.name)).collect();
        for (to, words) in sharing.step(&there, self.origin.elapsed()) {
            self.circle.say_slots(&to, &words);
        }
    }

    /// Tells what this node has measured.
    fn measured(&mut self) {
        for figures in self.monitor.tell() {
            self.circle.say_figures(&figures);
        }
    }

    /// Takes in what others have said of slots, and answers.
    fn hear_of_slots(&mut self) {
        let now = self.now();
        while let Some((from, words)) = self.circle.poll_heard() {
            let Some(sharing) = &self.sharing else {
                continue;
            };
            sharing.handle(&from, words, now);
            for (to, words) in sharing.said() {
                self.circle.say_slots(&to, &words);
            }
        }
    }

    /// Takes in what others have found, and says what was found here.
    fn hear_findings(&mut self) {
        let now = self.now();
        while let Some((from, words)) = self.circle.poll_findings() {
            self.observing.handle(&from, words, now);
        }
        let observing = self.observing.clone();
        observing.step(&mut self.circle, now);
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
