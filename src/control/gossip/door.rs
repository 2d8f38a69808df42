//! The node's place among others: its socket and keys are there from the start, so that what is
//! wrong with them is told before anything is served; it speaks from when the node may be asked.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::live::Life;
use super::observing::Observing;
use super::own::Own;
use super::sharing::Sharing;
use super::{Cluster, Roll, seeds};
use crate::config::checked;
use crate::control::monitor::Monitor;
use crate::control::publisher::Progress;
use crate::gossip::{Circle, Keys, Member, NAME_BYTES_MAX, Setting};
use crate::routing::table::Table;

/// How long saying goodbye may take.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// The place.
pub(in crate::control) struct Door {
    address: SocketAddr,
    /// To be given away.
    duplicate: OwnedFd,
    cluster: Cluster,
    waiting: Option<(Life, Vec<checked::BackendAddress>)>,
    tasks: Vec<JoinHandle<()>>,
    leave: Option<oneshot::Sender<()>>,
}

impl Door {
    /// Opens it, by the socket that was handed over if that is at the same address.
    ///
    /// # Errors
    /// When the address cannot be bound, or the file of keys has none.
    pub(in crate::control) async fn open(
        settings: &checked::Cluster,
        handed: Option<(SocketAddr, OwnedFd)>,
        (own, observing): (Own, Observing),
        progress: watch::Receiver<Progress>,
        monitor: Monitor,
    ) -> io::Result<Door> {
        let keys = read_keys(settings)?;
        let at = settings.bind;
        let socket = match handed {
            Some((address, fd)) if address == at => UdpSocket::from_std(fd.into()),
            _ => UdpSocket::bind(at).await,
        };
        let told =
            |error: io::Error| io::Error::new(error.kind(), format!("cluster.bind {at}: {error}"));
        let socket = socket.map_err(told)?;
        let duplicate = socket.as_fd().try_clone_to_owned()?;
        let origin = observing.origin();
        let me = Member {
            name: name_of(Some(settings)),
            generation: now_micros(),
            address: settings.advertise,
        };
        let state = own.state(&progress.borrow());
        let (show, roll) = watch::channel(Arc::new(Roll {
            me: me.clone(),
            state,
            peers: Vec::new(),
        }));
        let owners = &settings.limit_owners;
        let sharing = (!owners.is_empty()).then(|| Sharing::new(owners, &me.name));
        let cluster = Cluster {
            roll,
            sharing: sharing.clone(),
            observing: observing.clone(),
            stats: Arc::default(),
            origin,
        };
        let setting = Setting {
            me,
            keys,
            nonce: chance(),
            seed: chance(),
        };
        let life = Life {
            circle: Circle::new(setting, Duration::ZERO),
            socket,
            origin,
            own,
            progress,
            show,
            stats: Arc::clone(&cluster.stats),
            sharing,
            observing,
            monitor,
        };
        Ok(Door {
            address: at,
            duplicate,
            cluster,
            waiting: Some((life, settings.seeds.clone())),
            tasks: Vec::new(),
            leave: None,
        })
    }

    /// A way to what is known through it.
    pub(in crate::control) fn cluster(&self) -> Cluster {
        self.cluster.clone()
    }

    /// A table is about to be published: the limits of its backends are set before a core has it.
    pub(in crate::control) fn adopt(&self, table: &Table) {
        if let Some(sharing) = &self.cluster.sharing {
            sharing.adopt(table, self.cluster.origin.elapsed());
        }
    }

    /// Speaks and hears from now on, in a task.
    pub(in crate::control) fn listen(&mut self) {
        let Some((life, given)) = self.waiting.take() else {
            return;
        };
        let (tell, told) = watch::channel(Vec::new());
        let (leave, left) = oneshot::channel();
        self.leave = Some(leave);
        self.tasks.push(tokio::spawn(life.live(told, left)));
        self.tasks.push(tokio::spawn(seeds::follow(given, tell)));
    }

    /// A duplicate for another process.
    ///
    /// # Errors
    /// Out of descriptors.
    pub(in crate::control) fn duplicate(&self) -> io::Result<(SocketAddr, OwnedFd)> {
        Ok((self.address, self.duplicate.try_clone()?))
    }

    /// Says goodbye, so that nobody has to find out.
    pub(in crate::control) async fn leave(mut self) {
        drop(self.leave.take());
        if let Some(life) = self.tasks.first_mut() {
            let _ = timeout(LEAVE_WITHIN, life).await;
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn read_keys(settings: &checked::Cluster) -> io::Result<Keys> {
    let name = settings.key_file.display();
    let text = std::fs::read_to_string(&settings.key_file);
    let text = text.map_err(|error| {
        io::Error::new(error.kind(), format!("cluster.key_file {name}: {error}"))
    })?;
    Keys::parse(&text, &settings.name)
        .map_err(|mistake| io::Error::other(format!("cluster.key_file {name}: {mistake}")))
}

/// What a node is called: what its settings say, or the name of the machine.
pub(in crate::control) fn name_of(settings: Option<&checked::Cluster>) -> Arc<str> {
    let named = settings.and_then(|settings| settings.node.clone());
    named.unwrap_or_else(machine_name)
}

/// The name of the machine, as far as it can be a node's.
fn machine_name() -> Arc<str> {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    let plain = name.chars().take(NAME_BYTES_MAX).map(|letter| {
        let allowed = letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if allowed { letter } else { '-' }
    });
    let plain: String = plain.collect();
    match plain.is_empty() {
        true => Arc::from("node"),
        false => Arc::from(plain),
    }
}

fn now_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(u64::MAX / 2)
}

/// Bytes nobody else draws: keyed by what the kernel gives the process.
fn chance<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    for (index, part) in bytes.chunks_mut(8).enumerate() {
        let drawn = RandomState::new().hash_one(index).to_ne_bytes();
        part.copy_from_slice(&drawn[..part.len()]);
    }
    bytes
}
