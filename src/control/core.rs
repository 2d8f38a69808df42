//! The control plane as the node sees it: what it needs, what it says, how it ends.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::base::id::CoreId;
use crate::control::access_log::LogHandle;
use crate::control::collector::Collecting;
use crate::control::events::Control;
use crate::control::handle::Handle;
use crate::control::orders::Order;
use crate::control::resolver;
use crate::control::takeover::Claim;
use crate::control::truth::Truth;
use crate::link::control_side::ControlEnd;
use crate::link::survey::Surveyor;
use crate::runtime::kick::Kick;
use crate::runtime::priority;
use crate::telemetry::stats::CoreStats;

/// Threads for what blocks: every lookup, and beside them the store, names of nodes, and what is
/// counted here for the process that takes over.
const BLOCKING_THREADS: usize = resolver::LOOKUPS_MAX + 4;

/// All the control thread needs.
pub struct ControlSetup {
    /// What the node is configured by.
    pub truth: Truth,
    /// Where it came from, to be read again.
    pub config_path: PathBuf,
    /// The links to the workers, in the order of cores.
    pub ends: Vec<ControlEnd>,
    /// What the workers kick.
    pub kick: Kick,
    /// What asks the cores for their connections.
    pub surveyors: Vec<Surveyor>,
    /// What the cores count of themselves.
    pub core_stats: Vec<Arc<CoreStats>>,
    /// The access log, if there is one.
    pub access_log: Option<LogHandle>,
    /// Where spans of traces go, if they go anywhere.
    pub collecting: Option<Collecting>,
    /// Called once, when every core serves the first epoch.
    pub on_ready: Option<Box<dyn FnOnce(Ready)>>,
    /// What was taken over from another process.
    pub claim: Option<Claim>,
    /// Whether a signal may start another process that takes over from this one.
    pub upgrades: bool,
    /// Whether this process' signals are orders, and its supervisor is told how it is.
    pub signals: bool,
    /// Orders from elsewhere, for tests and embedding.
    pub orders: Option<mpsc::Receiver<Order>>,
}

/// What is known when the node is ready.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Listeners and where they are bound.
    pub listeners: Vec<(Arc<str>, SocketAddr)>,
    /// Where the admin interface is bound.
    pub admin: Option<SocketAddr>,
    /// To change what is in effect, and to ask for it, from inside the process.
    pub handle: Handle,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// These cores ended by a defect.
    Died(Vec<CoreId>),
    /// As ordered; so many connections were cut.
    Ended {
        /// Connections cut.
        cut: usize,
    },
    /// The process that was to be taken over from goes on, because of this.
    Kept(String),
    /// These cores did not end in time.
    Stuck(Vec<CoreId>),
}

/// Runs the control plane on the calling thread until the node has ended.
///
/// # Errors
/// When the node cannot start: no runtime, an address that cannot be bound, a core that takes no
/// table. The message says what and where.
pub fn run(setup: ControlSetup) -> io::Result<Outcome> {
    if let Err(error) = priority::stand_back() {
        tracing::debug!(%error, "the control thread keeps its priority");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("weir-control-io")
        .build()?;
    let outcome = runtime.block_on(async { Control::start(setup).await?.live().await });
    // A lookup that hangs must not hold up the end.
    runtime.shutdown_background();
    outcome
}

impl Outcome {
    /// Whether the process may say that all went well.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Outcome::Ended { .. })
    }
}
