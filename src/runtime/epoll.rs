//! The driver that weir is measured against: readiness from epoll and one call per operation.
//!
//! It exists for `benches/compare` alone and is written to be a fair opponent, with what HAProxy
//! and nginx do: every socket is registered once, edge-triggered, for both directions; readiness
//! is remembered (see `epoll_socket`), so a send is tried at once and a receive never just to
//! learn that nothing is there; one `epoll_wait` fetches up to [`EVENTS_MAX`] events; sockets are
//! then received from one after the other, each just before its bytes are handled, so that all of
//! them share a buffer or two that stay in the cache. Completions of operations that end at once
//! are handed out in the same turn, which spares a second wait.
//!
//! The seam names sockets by number only, and the code here is safe, so the driver works on its
//! own duplicate of each descriptor. That costs a `pidfd_getfd` and a `close` per connection (not
//! per request) and a second number in the descriptor table, and also means that a number that is
//! reused can never lead to the wrong socket.
//!
//! Bounds: one socket has [`RECEIVES_MAX`] receives in a turn, one listener [`ACCEPTS_MAX`]
//! accepts; what is left goes first in the next turn, which then does not sleep.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use rustix::time::Timespec;

use crate::base::slab::Key;
use crate::runtime::buffers::{BufPool, Segment};
use crate::runtime::driver::{Driver, Event, Readiness, Receive};
use crate::runtime::epoll_socket::{Share, Socket};
use crate::runtime::kick::Kick;
use crate::runtime::net;

/// Events fetched by one wait.
const EVENTS_MAX: usize = 256;

/// Receives from one socket in one turn.
const RECEIVES_MAX: u32 = 8;

/// Accepts on one listener in one turn.
const ACCEPTS_MAX: u32 = 64;

const KICKED: u64 = 1 << 56;
const LISTENER: u64 = 2 << 56;
const SOCKET: u64 = 3 << 56;
const KIND: u64 = 0xff << 56;

/// Whom a registered descriptor belongs to.
#[derive(Clone, Copy)]
enum Owner {
    Listener(u32),
    Socket(Key),
}

impl Owner {
    /// What travels in epoll's data: a kind (8 bits), a generation (24) and an index (32).
    fn data(self) -> EventData {
        EventData::new_u64(match self {
            Owner::Listener(listener) => LISTENER | u64::from(listener),
            Owner::Socket(key) => SOCKET | u64::from(key.generation) << 32 | u64::from(key.index),
        })
    }
}

struct Listener {
    fd: OwnedFd,
    number: RawFd,
    share: Share,
    accepting: bool,
    ready: bool,
}

/// epoll as a [`Driver`].
pub struct EpollDriver {
    epoll: OwnedFd,
    /// This process, to duplicate descriptors that are known by number.
    process: OwnedFd,
    kick: Kick,
    pool: BufPool,
    /// By key index.
    sockets: Vec<Option<Socket>>,
    /// By listener number.
    listeners: Vec<Option<Listener>>,
    /// By descriptor number.
    owners: Vec<Option<Owner>>,
    /// Completions.
    done: VecDeque<Event>,
    /// Who can be received from or accepted on in this turn.
    runnable: VecDeque<Owner>,
    /// Who has used up this turn.
    later: VecDeque<Owner>,
    turn: u64,
    fetched: Vec<epoll::Event>,
}

impl EpollDriver {
    /// An epoll set for the calling thread, listening for kicks.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new(kick: Kick) -> io::Result<EpollDriver> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let data = EventData::new_u64(KICKED);
        epoll::add(&epoll, &kick, data, EventFlags::IN | EventFlags::ET)?;
        Ok(EpollDriver {
            epoll,
            process: pidfd_open(getpid(), PidfdFlags::empty())?,
            kick,
            pool: BufPool::default(),
            sockets: Vec::new(),
            listeners: Vec::new(),
            owners: Vec::new(),
            done: VecDeque::new(),
            runnable: VecDeque::new(),
            later: VecDeque::new(),
            turn: 0,
            fetched: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Duplicates and registers the descriptor `number`.
    fn register(&mut self, number: RawFd, owner: Owner) -> Result<OwnedFd, Errno> {
        let fd = pidfd_getfd(&self.process, number, PidfdGetfdFlags::empty())?;
        epoll::add(&self.epoll, &fd, owner.data(), interest(owner))?;
        let index = usize::try_from(number).map_err(|_| Errno::BADF)?;
        *at_index(&mut self.owners, index) = Some(owner);
        Ok(fd)
    }

    /// The socket of `key`, registered at its first operation.
    fn socket(&mut self, key: Key, number: RawFd) -> Result<&mut Socket, Errno> {
        let known = self.socket_at(key).is_some_and(|s| s.number == number);
        let fresh = if known {
            None
        } else {
            Some(self.register(number, Owner::Socket(key))?)
        };
        let place = at_index(&mut self.sockets, key.index as usize);
        if let Some(fd) = fresh {
            *place = Some(Socket::new(fd, number, key.generation));
        }
        place.as_mut().ok_or(Errno::BADF)
    }

    fn socket_at(&mut self, key: Key) -> Option<&mut Socket> {
        let socket = self.sockets.get_mut(key.index as usize)?.as_mut()?;
        (socket.generation == key.generation).then_some(socket)
    }

    /// The listener, registered at its first accept.
    fn listener(&mut self, listener: u32, number: RawFd) -> Result<&mut Listener, Errno> {
        let index = listener as usize;
        let known = at_index(&mut self.listeners, index)
            .as_ref()
            .is_some_and(|l| l.number == number);
        if !known {
            let fd = self.register(number, Owner::Listener(listener))?;
            self.listeners[index] = Some(Listener {
                fd,
                number,
                share: Share::default(),
                accepting: false,
                ready: false,
            });
        }
        self.listeners[index].as_mut().ok_or(Errno::BADF)
    }

    /// Puts a socket in line if there is something to receive and somebody who wants it.
    fn line_up(&mut self, key: Key) {
        if let Some(socket) = self.socket_at(key)
            && socket.can_receive()
            && !std::mem::replace(&mut socket.share.queued, true)
        {
            self.runnable.push_back(Owner::Socket(key));
        }
    }

    fn line_up_listener(&mut self, listener: u32) {
        if let Some(Some(state)) = self.listeners.get_mut(listener as usize)
            && state.accepting
            && state.ready
            && !std::mem::replace(&mut state.share.queued, true)
        {
            self.runnable.push_back(Owner::Listener(listener));
        }
    }

    /// Receives once from a socket in line.
    fn receive_once(&mut self, key: Key) -> Option<Event> {
        let turn = self.turn;
        // By field, so that the pool can be borrowed beside it.
        let socket = self.sockets.get_mut(key.index as usize)?.as_mut()?;
        if socket.generation != key.generation {
            return None;
        }
        socket.share.queued = false;
        if !socket.can_receive() {
            return None;
        }
        if !socket.share.take(turn, RECEIVES_MAX) {
            socket.share.queued = true;
            self.later.push_back(Owner::Socket(key));
            return None;
        }
        let (result, more) = socket.receive(&mut self.pool)?;
        self.line_up(key);
        self.settle(key);
        Some(Event::Received { key, result, more })
    }

    /// Accepts once on a listener in line.
    fn accept_once(&mut self, listener: u32) -> Option<Event> {
        let state = self.listeners.get_mut(listener as usize)?.as_mut()?;
        state.share.queued = false;
        if !(state.accepting && state.ready) {
            return None;
        }
        if !state.share.take(self.turn, ACCEPTS_MAX) {
            state.share.queued = true;
            self.later.push_back(Owner::Listener(listener));
            return None;
        }
        let event = match net::accept(&state.fd) {
            Ok(fd) => Some(Event::Accepted { listener, fd }),
            Err(Errno::INTR) => None,
            Err(Errno::AGAIN) => {
                state.ready = false;
                None
            }
            Err(error) => {
                state.accepting = false;
                Some(Event::AcceptEnded { listener, error })
            }
        };
        self.line_up_listener(listener);
        event
    }

    fn go_on_sending(&mut self, key: Key) {
        if let Some((segment, result)) = self.socket_at(key).and_then(Socket::go_on_sending) {
            self.sent(key, segment, result);
        }
    }

    fn sent(&mut self, key: Key, segment: Segment, result: Result<usize, Errno>) {
        self.done.push_back(Event::Sent {
            key,
            segment,
            result,
        });
        self.settle(key);
    }

    fn end_poll(&mut self, key: Key, readiness: Readiness) {
        if self
            .socket_at(key)
            .is_some_and(|socket| socket.stop_polling(readiness))
        {
            self.done.push_back(Event::Ready { key, readiness });
            self.settle(key);
        }
    }

    /// An operation on a socket has ended: one that was closed meanwhile goes with its last.
    fn settle(&mut self, key: Key) {
        if self
            .socket_at(key)
            .is_some_and(|s| s.closing && s.is_quiet())
        {
            self.sockets[key.index as usize] = None;
        }
    }

    fn edge(&mut self, data: u64, flags: EventFlags) {
        let index = data as u32;
        match data & KIND {
            KICKED => {
                self.kick.clear();
                self.done.push_back(Event::Kicked);
            }
            LISTENER => {
                if let Some(Some(state)) = self.listeners.get_mut(index as usize) {
                    state.ready = true;
                }
                self.line_up_listener(index);
            }
            _ => {
                let generation = (data >> 32) as u32 & 0x00ff_ffff;
                self.socket_edge(Key { index, generation }, flags);
            }
        }
    }

    fn socket_edge(&mut self, key: Key, flags: EventFlags) {
        let Some(socket) = self.socket_at(key) else {
            return;
        };
        socket.note(flags);
        let broken = EventFlags::ERR | EventFlags::HUP;
        if flags.intersects(EventFlags::IN | EventFlags::RDHUP | broken) {
            self.end_poll(key, Readiness::Readable);
        }
        if flags.intersects(EventFlags::OUT | broken) {
            self.end_poll(key, Readiness::Writable);
        }
        self.go_on_sending(key);
        self.line_up(key);
    }
}

impl Driver for EpollDriver {
    fn accept(&mut self, listener: u32, fd: RawFd) {
        match self.listener(listener, fd) {
            Ok(state) => {
                state.accepting = true;
                self.line_up_listener(listener);
            }
            Err(error) => self.done.push_back(Event::AcceptEnded { listener, error }),
        }
    }

    fn cancel_accept(&mut self, listener: u32) {
        if let Some(Some(state)) = self.listeners.get_mut(listener as usize)
            && std::mem::take(&mut state.accepting)
        {
            self.done.push_back(Event::AcceptEnded {
                listener,
                error: Errno::CANCELED,
            });
        }
    }

    fn receive(&mut self, key: Key, fd: RawFd, how: Receive) {
        match self.socket(key, fd) {
            Ok(socket) => {
                socket.start_receiving(how);
                self.line_up(key);
            }
            Err(error) => self.done.push_back(Event::Received {
                key,
                result: Err(error),
                more: false,
            }),
        }
    }

    fn cancel_receive(&mut self, key: Key) {
        if self.socket_at(key).is_some_and(Socket::stop_receiving) {
            self.done.push_back(Event::Received {
                key,
                result: Err(Errno::CANCELED),
                more: false,
            });
            self.settle(key);
        }
    }

    fn send(&mut self, key: Key, fd: RawFd, segment: Segment) {
        match self.socket(key, fd) {
            Ok(socket) => {
                socket.start_sending(segment);
                self.go_on_sending(key);
            }
            Err(error) => self.sent(key, segment, Err(error)),
        }
    }

    fn cancel_send(&mut self, key: Key) {
        let ended = self
            .socket_at(key)
            .and_then(|socket| socket.end_send(Some(Errno::CANCELED)));
        if let Some((segment, result)) = ended {
            self.sent(key, segment, result);
        }
    }

    /// The data plane makes calls on a socket by itself and then asks for readiness, so what was
    /// remembered is not trusted: a modification makes epoll look again and report what is there.
    fn poll(&mut self, key: Key, fd: RawFd, readiness: Readiness) {
        let owner = Owner::Socket(key);
        let asked = match self.socket(key, fd) {
            Ok(socket) => {
                socket.start_polling(readiness);
                let socket = self.sockets[key.index as usize].as_ref();
                socket.map_or(Err(Errno::BADF), |socket| {
                    epoll::modify(&self.epoll, socket, owner.data(), interest(owner))
                })
            }
            Err(error) => Err(error),
        };
        if asked.is_err() {
            // The next call on the socket tells what is wrong with it.
            self.socket_at(key)
                .map(|socket| socket.stop_polling(readiness));
            self.done.push_back(Event::Ready { key, readiness });
        }
    }

    fn cancel_poll(&mut self, key: Key, readiness: Readiness) {
        self.end_poll(key, readiness);
    }

    fn close(&mut self, fd: OwnedFd) {
        let number = usize::try_from(fd.as_raw_fd()).unwrap_or(usize::MAX);
        drop(fd);
        match self.owners.get_mut(number).and_then(Option::take) {
            Some(Owner::Listener(listener)) => self.listeners[listener as usize] = None,
            Some(Owner::Socket(key)) => {
                if let Some(socket) = self.socket_at(key) {
                    socket.closing = true;
                    self.settle(key);
                }
            }
            None => {}
        }
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.turn += 1;
        self.later.append(&mut self.runnable);
        std::mem::swap(&mut self.later, &mut self.runnable);
        let idle = self.done.is_empty() && self.runnable.is_empty();
        let timeout = if idle { timeout } else { Duration::ZERO };
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        self.fetched.clear();
        let room = spare_capacity(&mut self.fetched);
        match epoll::wait(&self.epoll, room, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for index in 0..self.fetched.len() {
            let epoll::Event { flags, data, .. } = self.fetched[index];
            self.edge(data.u64(), flags);
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.done.pop_front() {
                return Some(event);
            }
            let event = match self.runnable.pop_front()? {
                Owner::Listener(listener) => self.accept_once(listener),
                Owner::Socket(key) => self.receive_once(key),
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn poll_cards(&mut self, _span: Duration) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn buffers(&mut self) -> &mut BufPool {
        &mut self.pool
    }
}

fn interest(owner: Owner) -> EventFlags {
    match owner {
        Owner::Listener(_) => EventFlags::IN | EventFlags::ET,
        Owner::Socket(_) => {
            let input = EventFlags::IN | EventFlags::RDHUP | EventFlags::PRI;
            input | EventFlags::OUT | EventFlags::ET
        }
    }
}

/// The place for `index`, which makes room for it.
fn at_index<T>(places: &mut Vec<Option<T>>, index: usize) -> &mut Option<T> {
    if places.len() <= index {
        places.resize_with(index + 1, || None);
    }
    &mut places[index]
}
