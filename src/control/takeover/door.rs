//! How two processes come together: a child that is started, or somebody who knocks.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::giving::Step;
use super::line::Line;
use crate::control::admin::doors;

/// Says that standard input is the line.
pub(super) const VARIABLE: &str = "WEIR_TAKEOVER";

/// Its value then.
pub(super) const STDIN: &str = "stdin";

/// The process id a supervisor expects signs of life from; the new process is another one.
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// Starts the program anew, as this process was started: the same words, by the name in the
/// first of them, so that a replaced file or link is followed.
///
/// # Errors
/// When it cannot be started.
pub fn spawn() -> io::Result<(Child, Line)> {
    let mut words = std::env::args_os();
    let program: OsString = words.next().unwrap_or_else(|| "weir".into());
    let (ours, theirs) = UnixStream::pair()?;
    let child = Command::new(&program)
        .args(words)
        .env(VARIABLE, STDIN)
        .env_remove(WATCHDOG_PID)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .map_err(|error| {
            let text = format!("{} cannot be started: {error}", program.display());
            io::Error::new(error.kind(), text)
        })?;
    Ok((child, Line::new(ours)))
}

/// The unix socket at which another process may take over.
pub struct Door {
    path: PathBuf,
    /// To be given away; the task below has the one that is used.
    duplicate: OwnedFd,
    knocks: JoinHandle<()>,
}

impl Door {
    /// Opens it, by the socket that was handed over if that is at the same path.
    ///
    /// # Errors
    /// When it cannot be had; the message names it.
    pub fn open(
        path: &Path,
        handed: Option<(PathBuf, OwnedFd)>,
        steps: mpsc::Sender<Step>,
    ) -> io::Result<Door> {
        let listener = match handed {
            Some((at, fd)) if at == path => doors::unix_from(fd)?,
            _ => doors::unix(path, "upgrade")?,
        };
        let duplicate = listener.as_fd().try_clone_to_owned()?;
        let knocks = tokio::spawn(async move { answer(&listener, &steps).await });
        Ok(Door {
            path: path.to_owned(),
            duplicate,
            knocks,
        })
    }

    /// A duplicate for another process.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn duplicate(&self) -> io::Result<(PathBuf, OwnedFd)> {
        Ok((self.path.clone(), self.duplicate.try_clone()?))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.knocks.abort();
    }
}

async fn answer(listener: &UnixListener, steps: &mpsc::Sender<Step>) {
    loop {
        let line = match listener.accept().await {
            Ok((stream, _)) => stream.into_std().and_then(|stream| {
                stream.set_nonblocking(false)?;
                Ok(Line::new(stream))
            }),
            Err(error) => Err(error),
        };
        match line {
            Ok(line) => {
                if steps.send(Step::Knocked(line)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "nobody can take over");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}
