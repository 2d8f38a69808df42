//! The old process' side of the line: a thread of its own that waits for words, while the control
//! loop goes on and is asked at the two points that change something.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use std::sync::Arc;

use super::line::{DESCRIPTORS_MAX, Line};
use super::words::{PROTOCOL, Place, State, Word};
use crate::control::store::{Revision, Store};
use crate::telemetry::totals::Totals;

/// How long a new process that did not succeed may take to end by itself before it is killed.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What the control loop is asked for, and told.
pub enum Step {
    /// Somebody knocks at the door.
    Knocked(Line),
    /// Change nothing more, close the store, and say what there is.
    Freeze(oneshot::Sender<Give>),
    /// The other serves: say the last word, or drop the sender to keep all.
    Yield {
        /// The process that serves.
        pid: u32,
        /// Whether it is to read its configuration again.
        answer: oneshot::Sender<bool>,
    },
    /// It is over; an error says why all stays as it was.
    Given(Result<u32, String>),
    /// The store is open again, at this revision.
    Reopened(Arc<dyn Store>, Revision),
    /// The new process' side is over: whether to reload, or why it is to end.
    Concluded(Result<bool, String>),
    /// What the process that was taken over from has counted so far; none once it has ended.
    Counted(Option<Box<Totals>>),
}

/// What is handed over.
#[derive(Default)]
pub struct Give {
    /// Listening sockets in the order of cores.
    pub listeners: Vec<(SocketAddr, OwnedFd)>,
    /// The admin interface's.
    pub admin: Option<(SocketAddr, OwnedFd)>,
    /// The admin interface's unix socket.
    pub admin_unix: Option<(PathBuf, OwnedFd)>,
    /// Where other nodes are heard.
    pub gossip: Option<(SocketAddr, OwnedFd)>,
    /// Where heartbeats arrive.
    pub heartbeat: Option<(SocketAddr, OwnedFd)>,
    /// Where the next process takes over.
    pub door: Option<(PathBuf, OwnedFd)>,
    /// What is no socket.
    pub state: State,
}

/// Hands over in a thread of its own, within `timeout`; the last step it sends is
/// [`Step::Given`].
///
/// # Errors
/// When there can be no thread.
pub fn give(
    line: Line,
    child: Option<Child>,
    timeout: Duration,
    steps: mpsc::Sender<Step>,
) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("weir-upgrade".into());
    let deadline = Instant::now() + timeout;
    thread.spawn(move || {
        let given = converse(&line, deadline, &steps);
        let given = given.map_err(|why| {
            let _ = line.wait_at_most(Some(END_WITHIN));
            let _ = line.send(&Word::Keep { why: why.clone() }, &[]);
            match child {
                Some(child) => format!("{why}; {}", bury(child)),
                None => why,
            }
        });
        // Who is not there to hear it is ending.
        let _ = steps.blocking_send(Step::Given(given));
    })?;
    Ok(())
}

fn converse(line: &Line, deadline: Instant, steps: &mpsc::Sender<Step>) -> Result<u32, String> {
    let pid = match hear(line, deadline)? {
        Word::Ask { protocol, .. } if protocol != PROTOCOL => {
            return Err(format!("it speaks protocol {protocol}, not {PROTOCOL}"));
        }
        Word::Ask { pid, version, .. } => {
            tracing::info!(pid, version, "another process takes over");
            pid
        }
        other => return Err(format!("it said {other:?} at first")),
    };
    let give = ask(steps, Step::Freeze)?;
    say_all(line, give).map_err(|error| format!("it does not listen: {error}"))?;
    match hear(line, deadline)? {
        Word::Serving => {}
        other => return Err(format!("it said {other:?} instead of serving")),
    }
    let reload = ask(steps, |answer| Step::Yield { pid, answer })?;
    line.send(&Word::Yours { reload }, &[])
        .map_err(|error| format!("it ended at the last moment: {error}"))?;
    Ok(pid)
}

fn hear(line: &Line, deadline: Instant) -> Result<Word, String> {
    let left = deadline.saturating_duration_since(Instant::now());
    let heard = line.wait_at_most(Some(left)).and_then(|()| line.receive());
    match heard {
        Ok(Some((word, _))) => Ok(word),
        Ok(None) => Err("it ended before it served".into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err("it did not serve in time (upgrade.timeout)".into())
        }
        Err(error) => Err(format!("not understood: {error}")),
    }
}

/// Asks the control loop, which answers or, by dropping the sender, refuses.
fn ask<T>(
    steps: &mpsc::Sender<Step>,
    step: impl FnOnce(oneshot::Sender<T>) -> Step,
) -> Result<T, String> {
    let (answer, answered) = oneshot::channel();
    let asked = steps.blocking_send(step(answer));
    let refused = || "this process keeps all: it ends, or cannot give its store away".to_owned();
    asked.map_err(|_| refused())?;
    answered.blocking_recv().map_err(|_| refused())
}

fn say_all(line: &Line, give: Give) -> io::Result<()> {
    let admin = give.admin.map(|(at, fd)| (Place::Admin(at), fd));
    let unix = give.admin_unix.map(|(at, fd)| (Place::AdminUnix(at), fd));
    let gossip = give.gossip.map(|(at, fd)| (Place::Gossip(at), fd));
    let heartbeat = give.heartbeat.map(|(at, fd)| (Place::Heartbeat(at), fd));
    let door = give.door.map(|(at, fd)| (Place::Door(at), fd));
    let listeners = give.listeners.into_iter();
    let listeners = listeners.map(|(at, fd)| (Place::Listener(at), fd));
    let rest = [admin, unix, gossip, heartbeat, door].into_iter().flatten();
    let sockets: Vec<(Place, OwnedFd)> = listeners.chain(rest).collect();
    for some in sockets.chunks(DESCRIPTORS_MAX) {
        let places = some.iter().map(|(place, _)| place.clone()).collect();
        let fds: Vec<BorrowedFd<'_>> = some.iter().map(|(_, fd)| fd.as_fd()).collect();
        line.send(&Word::Sockets(places), &fds)?;
    }
    line.send(&Word::State(Box::new(give.state)), &[])
}

/// Waits for a process that did not succeed, and says how it ended.
fn bury(mut child: Child) -> String {
    let patience = Instant::now() + END_WITHIN;
    while Instant::now() < patience {
        match child.try_wait() {
            Ok(Some(status)) => return format!("process {}: {status}", child.id()),
            Ok(None) => sleep(Duration::from_millis(10)),
            Err(error) => return format!("process {}: {error}", child.id()),
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    format!("process {}: killed", child.id())
}
