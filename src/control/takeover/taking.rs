//! The new process' side of the line.

use crate::base::epoch::Epoch;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use super::Handed;
use super::door::{STDIN, VARIABLE};
use super::giving::Step;
use super::line::Line;
use super::words::{PROTOCOL, Place, Word};
use crate::control::admin::VERSION;

/// A line to the old process, and what it handed over.
#[derive(Debug)]
pub struct Claim {
    line: Line,
    /// What it handed over.
    pub handed: Handed,
}

/// Why nothing was taken over.
#[derive(Debug)]
pub enum NotTaken {
    /// The old process goes on.
    Kept(String),
    /// Nobody answers, and yet somebody listens on an address of the configuration.
    Unreachable(PathBuf, SocketAddr),
    /// Nobody is there to take over from.
    Nobody(PathBuf, io::Error),
    /// `--takeover` without a socket to knock at.
    NoSocket,
    /// The environment says that standard input is the line, and it is not.
    NotALine(io::Error),
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotTaken::Kept(why) => write!(f, "the running weir goes on: {why}"),
            NotTaken::Nobody(path, error) => {
                write!(f, "no weir is there at {}: {error}", path.display())
            }
            NotTaken::Unreachable(path, address) => write!(
                f,
                "no weir answers at {} (upgrade.socket), and yet somebody listens on {address}; \
                 was the weir that runs started with another upgrade.socket, or by another user? \
                 `ss -ltnp sport = :{}` shows who it is",
                path.display(),
                address.port()
            ),
            NotTaken::NoSocket => f.write_str(
                "--takeover needs [upgrade] socket = \"/run/weir/upgrade.sock\" in the \
                 configuration, and the weir that runs must have been started with the same; \
                 signal USR2 to it needs neither",
            ),
            NotTaken::NotALine(error) => write!(
                f,
                "{VARIABLE} says that standard input is a line to a running weir, and it is not: \
                 {error}; unset {VARIABLE}"
            ),
        }
    }
}

impl std::error::Error for NotTaken {}

/// Asks the old process for what it has: the one that started this process, or the one at
/// `socket` if that is `wanted`; `None` where nothing is to be taken over.
///
/// # Errors
/// Why nothing was taken over.
pub fn claim(
    socket: Option<&Path>,
    wanted: bool,
    timeout: Duration,
) -> Result<Option<Claim>, NotTaken> {
    let stream = if std::env::var_os(VARIABLE).is_some_and(|value| value == STDIN) {
        inherited().map_err(NotTaken::NotALine)?
    } else if wanted {
        let path = socket.ok_or(NotTaken::NoSocket)?;
        let nobody = |error| NotTaken::Nobody(path.to_owned(), error);
        UnixStream::connect(path).map_err(nobody)?
    } else {
        return Ok(None);
    };
    let line = Line::new(stream);
    let broken = |error: io::Error| NotTaken::Kept(format!("it hands nothing over: {error}"));
    line.wait_at_most(Some(timeout)).map_err(broken)?;
    let ask = Word::Ask {
        protocol: PROTOCOL,
        pid: std::process::id(),
        version: VERSION.to_owned(),
    };
    line.send(&ask, &[]).map_err(broken)?;
    let mut handed = Handed::default();
    loop {
        match line.receive().map_err(broken)? {
            Some((Word::Sockets(places), fds)) => {
                let mut fds = VecDeque::from(fds);
                for place in places {
                    let missing = || NotTaken::Kept(format!("no descriptor for {place:?}"));
                    let fd = fds.pop_front().ok_or_else(missing)?;
                    handed.put(place, fd);
                }
            }
            Some((Word::State(state), _)) => {
                handed.state = *state;
                return Ok(Some(Claim { line, handed }));
            }
            Some((Word::Keep { why }, _)) => return Err(NotTaken::Kept(why)),
            Some((other, _)) => return Err(NotTaken::Kept(format!("it said {other:?}"))),
            None => return Err(NotTaken::Kept("it hung up".into())),
        }
    }
}

/// The line a parent has left as standard input, which is nothing from then on.
fn inherited() -> io::Result<UnixStream> {
    let line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    line.peer_addr()?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(line)
}

impl Handed {
    fn put(&mut self, place: Place, fd: OwnedFd) {
        match place {
            Place::Admin(at) => self.admin = Some((at, fd)),
            Place::AdminUnix(at) => self.admin_unix = Some((at, fd)),
            Place::Door(at) => self.door = Some((at, fd)),
            Place::Gossip(at) => self.gossip = Some((at, fd)),
            Place::Heartbeat(at) => self.heartbeat = Some((at, fd)),
            Place::Listener(at) => self.listeners.entry(at).or_default().push(fd),
        }
    }
}

impl Claim {
    /// The last epoch of the process that is taken over from.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.handed.state.epoch
    }

    /// Takes what was handed over out of it.
    pub fn take(&mut self) -> Handed {
        std::mem::take(&mut self.handed)
    }
}

/// Says that every core serves, and waits for the old process' last word in a thread of its own;
/// [`Step::Concluded`] follows, and [`Step::Counted`] until that process has ended.
///
/// # Errors
/// When there can be no thread.
pub fn conclude(claim: Claim, steps: mpsc::Sender<Step>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("weir-upgrade".into());
    thread.spawn(move || {
        let concluded = last_word(&claim.line);
        let is_taken = concluded.is_ok();
        let heard = steps.blocking_send(Step::Concluded(concluded));
        if is_taken && heard.is_ok() {
            hear_counts(&claim.line, &steps);
        }
    })?;
    Ok(())
}

/// What the old process counts while it drains. It ends when that process does.
fn hear_counts(line: &Line, steps: &mpsc::Sender<Step>) {
    loop {
        let totals = match line.receive() {
            Ok(Some((Word::Counted(totals), _))) => Some(totals),
            // A word of a later version; what it counts may still come.
            Ok(Some(_)) => continue,
            Ok(None) | Err(_) => None,
        };
        let is_over = totals.is_none();
        if steps.blocking_send(Step::Counted(totals)).is_err() || is_over {
            return;
        }
    }
}

/// There is no limit of time: as long as the line is open the old process has not decided, and
/// both serve.
fn last_word(line: &Line) -> Result<bool, String> {
    let heard = line
        .wait_at_most(None)
        .and_then(|()| line.send(&Word::Serving, &[]))
        .and_then(|()| line.receive());
    match heard {
        Ok(Some((Word::Yours { reload }, _))) => Ok(reload),
        Ok(Some((Word::Keep { why }, _))) => Err(why),
        Ok(Some((other, _))) => Err(format!("the running weir said {other:?}")),
        Ok(None) | Err(_) => {
            tracing::warn!("the process to take over from has died");
            Ok(false)
        }
    }
}
