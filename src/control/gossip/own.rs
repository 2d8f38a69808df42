//! What this node says of itself, from what is in effect and what its cores have told.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::base::id::CoreId;
use crate::control::handle::Handle;
use crate::control::publisher::{Phase, Progress};
use crate::control::view::View;
use crate::gossip::{self, Load, State};

/// Where that is found.
pub(in crate::control) struct Own {
    pub(in crate::control) handle: Handle,
    pub(in crate::control) view: Arc<ArcSwapOption<View>>,
}

impl Own {
    /// It, with how far the cores are.
    pub(in crate::control) fn state(&self, progress: &Progress) -> State {
        let snapshot = self.handle.snapshot();
        let view = self.view.load();
        State {
            phase: match progress.phase {
                Phase::Draining => gossip::Phase::Draining,
                Phase::Serving => gossip::Phase::Serving,
                Phase::Starting => gossip::Phase::Starting,
            },
            epoch: snapshot.epoch,
            hash: snapshot.content_hash(),
            backends_hash: view.as_ref().map_or(0, |view| view.backends_hash()),
            cores: progress.cores.iter().map(|core| core.adopted).collect(),
            load: view
                .as_ref()
                .map(|view| load(view, progress.cores.len()))
                .unwrap_or_default(),
            findings: 0,
        }
    }
}

fn load(view: &View, cores: usize) -> Load {
    let cores = (0_u16..).map(CoreId).take(cores);
    let open = |core: CoreId| {
        let listeners = view.listeners().iter();
        let open = listeners.map(|entry| entry.stats.of(core).connections_open.read());
        open.fold(0, u32::saturating_add)
    };
    let in_flight = view.backends().iter().map(|entry| entry.load.in_flight());
    Load {
        connections: cores.map(open).fold(0, u32::saturating_add),
        in_flight: in_flight.fold(0, u32::saturating_add),
    }
}
