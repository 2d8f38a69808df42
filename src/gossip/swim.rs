//! SWIM, by `foca`: how its messages are written, and its timers and wishes kept in order.

use std::collections::{BTreeMap, VecDeque};
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use bytes::{Buf, BufMut};
use foca::{
    Codec, Config, Foca, Header, Member as Known, Message, NoCustomBroadcast, Notification,
    PeriodicParams, Runtime, State, Timer,
};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::member::Member;
use super::wire::{Malformed, Reader, put_member};
use super::{DATAGRAM_BYTES_MAX, Moment, NAME_BYTES_MAX, seal};

/// How often one member is probed.
const PROBE_PERIOD: Duration = Duration::from_secs(1);

/// How long its answer may take before others are asked to try.
const PROBE_RTT: Duration = Duration::from_millis(400);

/// How long a suspect may refute before it counts as dead.
const SUSPECT_FOR: Duration = Duration::from_secs(3);

/// How long the dead are remembered.
pub(super) const REMEMBER_FOR: Duration = Duration::from_secs(3600);

/// What a datagram has beside a message of SWIM: its sender, its number, its kind.
const AROUND_BYTES: usize = seal::SEAL_BYTES + NAME_BYTES_MAX + 1 + 8 + 19 + 8 + 1;

/// The protocol of one node.
pub(super) struct Swim {
    foca: Foca<Member, Written, Xoshiro256PlusPlus, NoCustomBroadcast>,
    wishes: Wishes,
}

/// What the protocol wants done.
#[derive(Default)]
struct Wishes {
    now: Moment,
    timers: BTreeMap<(Moment, u64), Timer<Member>>,
    timer_count: u64,
    messages: VecDeque<(Member, Vec<u8>)>,
    /// The node's own identity has changed.
    rejoined: Option<Member>,
}

impl Runtime<Member> for &mut Wishes {
    fn notify(&mut self, notification: Notification<'_, Member>) {
        if let Notification::Rejoin(member) = notification {
            self.rejoined = Some(member.clone());
        }
    }

    fn send_to(&mut self, to: Member, data: &[u8]) {
        self.messages.push_back((to, data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Member>, after: Duration) {
        self.timer_count += 1;
        let at = self.now + after;
        self.timers.insert((at, self.timer_count), event);
    }
}

impl Swim {
    pub(super) fn new(me: Member, chance: Xoshiro256PlusPlus) -> Swim {
        Swim {
            foca: Foca::new(me, config(), chance, Written),
            wishes: Wishes::default(),
        }
    }

    /// Takes in a message of SWIM.
    pub(super) fn handle(&mut self, message: &[u8], now: Moment) -> Result<(), Malformed> {
        self.wishes.now = now;
        match self.foca.handle_data(message, &mut self.wishes) {
            Err(
                foca::Error::Decode(_) | foca::Error::DataTooBig | foca::Error::MalformedPacket,
            ) => Err(Malformed),
            // What a healthy protocol meets under way: late acknowledgements and the like.
            Err(_) | Ok(()) => Ok(()),
        }
    }

    /// Does what is due.
    pub(super) fn handle_deadline(&mut self, now: Moment) {
        self.wishes.now = now;
        while let Some(entry) = self.wishes.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let timer = entry.remove();
            // A probe not finished in time, because this process was stopped, is begun anew.
            let _ = self.foca.handle_timer(timer, &mut self.wishes);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.wishes.timers.keys().next().map(|(at, _)| *at)
    }

    /// Makes oneself known to another node.
    pub(super) fn announce(&mut self, to: Member, now: Moment) {
        self.wishes.now = now;
        let _ = self.foca.announce(to, &mut self.wishes);
    }

    /// Goes on as another identity.
    pub(super) fn become_member(&mut self, me: Member, now: Moment) {
        self.wishes.now = now;
        let _ = self.foca.change_identity(me, &mut self.wishes);
    }

    /// Tells others that this node goes.
    pub(super) fn leave(&mut self, now: Moment) {
        self.wishes.now = now;
        let _ = self.foca.leave_cluster(&mut self.wishes);
    }

    pub(super) fn poll_message(&mut self) -> Option<(Member, Vec<u8>)> {
        self.wishes.messages.pop_front()
    }

    /// The node's own identity, if it has changed.
    pub(super) fn take_rejoined(&mut self) -> Option<Member> {
        self.wishes.rejoined.take()
    }

    /// All who are known, dead ones as well.
    pub(super) fn known(&self) -> impl Iterator<Item = (&Member, State)> {
        let known = self.foca.iter_membership_state();
        known.map(|known| (known.id(), known.state()))
    }
}

fn config() -> Config {
    let some = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
    let often = |frequency, members| {
        Some(PeriodicParams {
            frequency,
            num_members: some(members),
        })
    };
    Config {
        probe_period: PROBE_PERIOD,
        probe_rtt: PROBE_RTT,
        num_indirect_probes: some(3),
        max_transmissions: NonZeroU8::new(10).unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: SUSPECT_FOR,
        remove_down_after: Some(REMEMBER_FOR),
        max_packet_size: some(DATAGRAM_BYTES_MAX - AROUND_BYTES),
        notify_down_members: true,
        periodic_announce: often(Duration::from_secs(30), 1),
        periodic_announce_to_down_members: often(Duration::from_secs(5), 2),
        periodic_gossip: often(Duration::from_millis(200), 3),
    }
}

/// How messages of SWIM are written.
struct Written;

impl Codec<Member> for Written {
    type Error = Malformed;

    fn encode_header(
        &mut self,
        header: &Header<Member>,
        buf: impl BufMut,
    ) -> Result<(), Malformed> {
        let mut bytes = Vec::with_capacity(128);
        put_member(&header.src, &mut bytes);
        bytes.extend_from_slice(&header.src_incarnation.to_be_bytes());
        put_member(&header.dst, &mut bytes);
        let (kind, whom, number) = match &header.message {
            Message::Ping(number) => (0, None, *number),
            Message::Ack(number) => (1, None, *number),
            Message::PingReq {
                target,
                probe_number,
            } => (2, Some(target), *probe_number),
            Message::IndirectPing {
                origin,
                probe_number,
            } => (3, Some(origin), *probe_number),
            Message::IndirectAck {
                target,
                probe_number,
            } => (4, Some(target), *probe_number),
            Message::ForwardedAck {
                origin,
                probe_number,
            } => (5, Some(origin), *probe_number),
            Message::Announce => (6, None, 0),
            Message::Feed => (7, None, 0),
            Message::Gossip => (8, None, 0),
            Message::Broadcast => (9, None, 0),
            Message::TurnUndead => (10, None, 0),
        };
        bytes.extend_from_slice(&[kind, number]);
        if let Some(whom) = whom {
            put_member(whom, &mut bytes);
        }
        put(&bytes, buf)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Member>, Malformed> {
        read(buf, |from| {
            let (src, src_incarnation, dst) = (from.member()?, from.u16()?, from.member()?);
            let (kind, probe_number) = (from.u8()?, from.u8()?);
            let message = match kind {
                0 => Message::Ping(probe_number),
                1 => Message::Ack(probe_number),
                2 => Message::PingReq {
                    target: from.member()?,
                    probe_number,
                },
                3 => Message::IndirectPing {
                    origin: from.member()?,
                    probe_number,
                },
                4 => Message::IndirectAck {
                    target: from.member()?,
                    probe_number,
                },
                5 => Message::ForwardedAck {
                    origin: from.member()?,
                    probe_number,
                },
                6 => Message::Announce,
                7 => Message::Feed,
                8 => Message::Gossip,
                9 => Message::Broadcast,
                10 => Message::TurnUndead,
                _ => return Err(Malformed),
            };
            Ok(Header {
                src,
                src_incarnation,
                dst,
                message,
            })
        })
    }

    fn encode_member(&mut self, known: &Known<Member>, buf: impl BufMut) -> Result<(), Malformed> {
        let mut bytes = Vec::with_capacity(64);
        put_member(known.id(), &mut bytes);
        bytes.extend_from_slice(&known.incarnation().to_be_bytes());
        bytes.push(match known.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        put(&bytes, buf)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<Known<Member>, Malformed> {
        read(buf, |from| {
            let (member, incarnation) = (from.member()?, from.u16()?);
            let state = match from.u8()? {
                0 => State::Alive,
                1 => State::Suspect,
                2 => State::Down,
                _ => return Err(Malformed),
            };
            Ok(Known::new(member, incarnation, state))
        })
    }
}

fn put(bytes: &[u8], mut buf: impl BufMut) -> Result<(), Malformed> {
    if buf.remaining_mut() < bytes.len() {
        return Err(Malformed);
    }
    buf.put_slice(bytes);
    Ok(())
}

fn read<T>(
    mut buf: impl Buf,
    item: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let mut from = Reader(buf.chunk());
    let read = item(&mut from)?;
    let used = buf.remaining() - from.0.len();
    buf.advance(used);
    Ok(read)
}
