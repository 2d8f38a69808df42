//! From a configuration and the answers of DNS to a table every core is sent: plan, open what is
//! new, publish; or leave everything as it is.
//!
//! A plan is made on a copy of the registry, so that one whose addresses cannot be bound, or that
//! cannot be stored, leaves no trace. Between planning and publishing there is the store: a table
//! that could not be bound is never stored, one that could not be stored is never published.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use crate::base::epoch::Epoch;
use crate::config::Config;
use crate::control::access_log::LogHandle;
use crate::control::breath::breathe;
use crate::control::listen::{self, ListenError};
use crate::control::log_names;
use crate::control::publisher::Publisher;
use crate::control::view::View;
use crate::engine::planner::{OpenListener, Plan, Resolved, plan_pausing};
use crate::engine::registry::Registry;
use crate::link::ListenSocket;
use crate::link::control_side::PublishError;
use crate::routing::table::Table;

/// How many epochs something may be out of the configuration and still get its counters back. A
/// bound is needed because a name can yield new addresses for ever.
const REMEMBERED_EPOCHS: usize = 16;

/// Why no new epoch was published; all goes on as before.
#[derive(Debug)]
pub enum Refused {
    /// Addresses that cannot be listened on.
    Listen(Vec<ListenError>),
    /// Cores that cannot take a table.
    Publish(PublishError),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Listen(errors) => {
                for (position, error) in errors.iter().enumerate() {
                    let separator = if position == 0 { "" } else { "; " };
                    write!(f, "{separator}{error}")?;
                }
                Ok(())
            }
            Refused::Publish(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Refused {}

/// The present plan and all that is needed to make the next.
pub struct Plans {
    registry: Registry,
    /// The last epochs, oldest first.
    published: VecDeque<Epoch>,
    view: Arc<ArcSwapOption<View>>,
    /// Sockets another process has handed over, for the first plan.
    handed: BTreeMap<SocketAddr, Vec<OwnedFd>>,
    /// Sockets the cores accept on, those of one address in the order of cores.
    sockets: Vec<(SocketAddr, Weak<OwnedFd>)>,
}

impl Plans {
    /// No plan yet, for `cores` cores; the first one uses the sockets that were handed over.
    #[must_use]
    pub fn new(cores: usize, handed: BTreeMap<SocketAddr, Vec<OwnedFd>>) -> Self {
        Plans {
            registry: Registry::new(cores),
            published: VecDeque::with_capacity(REMEMBERED_EPOCHS),
            view: Arc::default(),
            handed,
            sockets: Vec::new(),
        }
    }

    /// Duplicates of all sockets the cores accept on, those of one address in the order of cores.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn duplicates(&self) -> io::Result<Vec<(SocketAddr, OwnedFd)>> {
        let open = self.sockets.iter();
        let open = open.filter_map(|(address, fd)| Some((*address, fd.upgrade()?)));
        open.map(|(address, fd)| Ok((address, fd.try_clone()?)))
            .collect()
    }

    /// The view of the present plan.
    #[must_use]
    pub fn view(&self) -> Arc<ArcSwapOption<View>> {
        Arc::clone(&self.view)
    }

    /// Listeners of the present plan and where they are bound.
    #[must_use]
    pub fn listening(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let live = self.registry.listeners().filter(|entry| entry.live);
        live.map(|entry| (entry.name, entry.address)).collect()
    }

    /// Plans the table of `epoch` and binds what it listens on anew; nothing is published yet, and
    /// nothing remains if it never is.
    ///
    /// # Errors
    /// When an address cannot be bound or a core could not take the table now.
    pub fn prepare(
        &mut self,
        config: &Config,
        resolved: &Resolved,
        epoch: Epoch,
        publisher: &Publisher,
    ) -> Result<Prepared, Refused> {
        publisher.check_room().map_err(Refused::Publish)?;
        let mut registry = self.registry.clone();
        let forgotten = match self.published.len() {
            REMEMBERED_EPOCHS => self.published.front().copied().unwrap_or_default(),
            _ => Epoch::default(),
        };
        registry.release_before(forgotten.min(publisher.watch().borrow().oldest_held()));
        let Plan {
            table,
            open,
            warnings,
            ..
        } = plan_pausing(config, resolved, epoch, &mut registry, &mut breathe);
        breathe();
        for warning in warnings {
            tracing::warn!(%epoch, %warning, "plan");
        }
        let first = self.view.load().is_none();
        let mut handed = std::mem::take(&mut self.handed);
        let sockets = open_all(
            &table,
            &open,
            publisher.cores(),
            first.then_some(&mut handed),
        )?;
        Ok(Prepared {
            table,
            sockets,
            registry,
        })
    }

    /// Publishes what was prepared last.
    ///
    /// # Errors
    /// When a core cannot take the table.
    pub fn publish(
        &mut self,
        prepared: Prepared,
        publisher: &mut Publisher,
        log: Option<&LogHandle>,
    ) -> Result<Epoch, Refused> {
        let Prepared {
            table,
            sockets,
            registry,
        } = prepared;
        publisher.check_room().map_err(Refused::Publish)?;
        let epoch = table.epoch;
        let view = View::new(Arc::clone(&table), registry.clone());
        if let Some(log) = log {
            log.rename(log_names::of(&view));
        }
        let open = sockets.iter().flatten();
        let open: Vec<_> = open
            .map(|socket| (socket.address, Arc::downgrade(&socket.fd)))
            .collect();
        publisher
            .publish(table, sockets)
            .map_err(Refused::Publish)?;
        breathe();
        self.sockets.retain(|(_, fd)| fd.strong_count() > 0);
        self.sockets.extend(open);
        self.view.store(Some(Arc::new(view)));
        self.registry = registry;
        breathe();
        if self.published.len() == REMEMBERED_EPOCHS {
            self.published.pop_front();
        }
        self.published.push_back(epoch);
        Ok(epoch)
    }
}

/// A table with its sockets, ready to be sent.
pub struct Prepared {
    /// The table.
    pub table: Arc<Table>,
    sockets: Vec<Vec<ListenSocket>>,
    registry: Registry,
}

/// The sockets of each core, or every error. The first plan may have some that were handed over.
fn open_all(
    table: &Table,
    open: &[OpenListener],
    cores: usize,
    mut first: Option<&mut BTreeMap<SocketAddr, Vec<OwnedFd>>>,
) -> Result<Vec<Vec<ListenSocket>>, Refused> {
    let mut by_core: Vec<_> = (0..cores).map(|_| Vec::with_capacity(open.len())).collect();
    let mut errors = Vec::new();
    for wanted in open {
        let name = table
            .listener(wanted.slot)
            .map_or("", |listener| &listener.name);
        let address = wanted.address;
        let handed = first.as_mut().and_then(|handed| handed.remove(&address));
        if first.is_some() && handed.is_none() && listen::is_shared(address) {
            tracing::warn!(listener = name, %address, "address shared");
        }
        let sockets = (cores, handed.unwrap_or_default());
        match listen::open(wanted.slot, name, address, wanted.backlog, sockets) {
            Ok(sockets) => {
                for (position, socket) in sockets.into_iter().enumerate() {
                    by_core[position % cores].push(socket);
                }
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(by_core)
    } else {
        Err(Refused::Listen(errors))
    }
}
