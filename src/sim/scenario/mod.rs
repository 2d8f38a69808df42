//! What is simulated, as written in a scenario file (`config/sim`).

mod fleet;
mod group;
mod policies;
mod read;
mod traffic;
mod values;

pub use fleet::{Backends, Contention, Failure, FailureKind, Who};
pub use group::Settings;
pub use policies::{Chooser, Entrant, RivalKind};
pub use read::load;
pub use traffic::{Burst, Phase, Traffic};

use super::chance::Work;

/// Everything a run depends on, but the seed and the policy.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// The first seed.
    pub seed: u64,
    /// How many seeds, one after the other.
    pub seeds: u64,
    /// Seconds before anything counts.
    pub warmup: f64,
    /// Seconds that count.
    pub duration: f64,
    /// The balancers.
    pub nodes: Nodes,
    /// Who asks, and when.
    pub traffic: Traffic,
    /// What a request is.
    pub work: Work,
    /// The backends, in order.
    pub backends: Vec<Backends>,
    /// What goes wrong.
    pub failures: Vec<Failure>,
    /// The group, as in `weir.toml`.
    pub settings: Settings,
    /// Who is compared.
    pub entrants: Vec<Entrant>,
}

impl Scenario {
    /// How many backends there are.
    #[must_use]
    pub fn backend_count(&self) -> usize {
        self.backends.iter().map(|backends| backends.count).sum()
    }

    /// Cores all backends have of their own: what a load of 1 means.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        let each = |backends: &Backends| backends.capacity * backends.count as f64;
        self.backends.iter().map(each).sum()
    }
}

/// The nodes of weir, and what they know of each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nodes {
    /// How many.
    pub count: usize,
    /// Cores of each.
    pub cores: usize,
    /// Who sees whose requests.
    pub view: View,
    /// Seconds between two messages in which nodes tell each other what they have under way.
    pub mesh: Option<f64>,
    /// Seconds between two messages of the product's own, by which `adaptive` learns what others
    /// have under way.
    pub gossip: Option<f64>,
    /// Seconds such a message is on its way.
    pub delay: f64,
}

/// Whose requests a pick sees as being under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum View {
    /// Those of all nodes, at once: what no product has.
    Cluster,
    /// Those of its own core only.
    Core,
    /// Those of its node, as in the product.
    Node,
    /// What all backends had at the last look, so many seconds apart, and nothing of its own.
    Snapshot {
        /// Seconds.
        period: f64,
    },
}
