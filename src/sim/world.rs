//! The world: one run of a scenario, for one seed and one who chooses.
//!
//! Virtual time jumps from event to event. All that is by chance comes from streams of the seed,
//! and events of one moment have a fixed order, so a run is repeated exactly by its seed.

mod course;
mod telling;
mod trips;

use std::collections::VecDeque;

use self::telling::Prober;
use super::agenda::{Agenda, Moments};
use super::balancer::Balancer;
use super::chance::{Chance, Purpose};
use super::outcome::{Outcome, Seen};
use super::rivals::{Reports, Rival};
use super::scenario::{Chooser, Entrant, Scenario, View};
use super::server::Job;
use super::site::Site;
use crate::base::id::BackendIndex;
use crate::config::Config;
use crate::health::Moment;
use crate::routing::breaker::Rights;
use crate::routing::limit::Permit;
use crate::routing::policy::Tried;

/// Where the clock of the node stands when a run begins, in seconds: nothing of the product runs
/// at 0.
const ORIGIN: f64 = 1000.0;

/// What happens, beside arrivals, answers after work and times that are over.
enum Event {
    /// An answer that needed no work.
    Answer(Job, u16),
    /// Antagonists come to a backend, or leave it.
    Antagonist(u32),
    /// A failure begins.
    Fails(usize),
    /// Nodes say what they have under way, for `adaptive`, and that arrives.
    Gossip,
    Gossiped(Vec<Vec<u32>>),
    /// What nodes have told each other arrives.
    Heard(Vec<Vec<u32>>),
    /// What counts begins.
    Measure,
    /// What counts is over.
    Measured,
    /// A failure is over for these.
    Mends(usize, Vec<usize>),
    /// Nodes tell each other what they have under way.
    Mesh,
    /// Nodes ask backends what they have under way.
    Probe,
    /// Everybody looks at what all backends have.
    Snapshot,
    /// Keepers look at the time.
    Tick,
    /// A backend warms up.
    Warms(u32),
    /// Weights by utilisation are made anew.
    Weigh,
}

/// A request under way, or a free place for one.
struct Request {
    number: u64,
    /// Changes with each try: what was planned for an earlier one means nothing.
    generation: u32,
    open: bool,
    counts: bool,
    trial: bool,
    /// The backend works on it.
    working: bool,
    retries: u8,
    core: u16,
    node: u32,
    view: u32,
    /// Where it is.
    backend: Option<BackendIndex>,
    /// Where it was last.
    last: Option<u32>,
    /// Requests that were at the backend when it came there.
    met: u32,
    /// The crowd it came into, as the policy counts it.
    crowd: u8,
    arrived: f64,
    handed: f64,
    work: f64,
    key: u64,
    tried: Tried,
    permit: Option<Permit>,
    /// What it holds of its group.
    rights: Rights,
}

/// One run.
struct World<'s> {
    scenario: &'s Scenario,
    entrant: &'s Entrant,
    config: &'s Config,
    seed: u64,
    now: f64,
    sites: Vec<Site>,
    /// What every site really has.
    present: Vec<u32>,
    balancers: Vec<Balancer>,
    /// Who probes for each of them, if anybody does.
    probers: Vec<Prober>,
    /// Nodes that are up.
    up: Vec<bool>,
    requests: Vec<Request>,
    free: Vec<u32>,
    /// The next answer of each site.
    moments: Moments,
    /// When the time of each try is over; all have the same time, so they are in order.
    deadlines: VecDeque<(f64, Job)>,
    timeout: f64,
    agenda: Agenda<Event>,
    reports: Reports,
    arrivals: Chance,
    places: Chance,
    work: Chance,
    keys: Chance,
    antagonists: Chance,
    failures: Chance,
    draws: Chance,
    probing: Chance,
    next_arrival: f64,
    number: u64,
    /// Requests that count and are not over.
    missing: u64,
    measuring: bool,
    outcome: Outcome,
    watch: Option<&'s mut dyn FnMut(&Seen)>,
    /// Requests that come as they are told, instead of by chance.
    told: Option<std::slice::Iter<'s, Told>>,
}

/// A request that comes as it came once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// When, in seconds from the first.
    pub at: f64,
    /// How much work it is, in seconds of one core.
    pub work: f64,
}

/// How a run is made.
pub struct Run<'s> {
    /// What.
    pub scenario: &'s Scenario,
    /// For whom.
    pub entrant: &'s Entrant,
    /// The configuration of that one, by [`Scenario::config_for`].
    pub config: &'s Config,
    /// By which chance.
    pub seed: u64,
    /// Requests that are told, instead of those by chance.
    pub told: Option<&'s [Told]>,
}

impl<'s> Run<'s> {
    /// Runs it; `watch` sees every request that counts when it is over.
    #[must_use]
    pub fn run(&self, watch: Option<&'s mut dyn FnMut(&Seen)>) -> Outcome {
        let mut world = World::new(self, watch);
        world.begin();
        while world.step() {}
        world.outcome
    }
}

impl<'s> World<'s> {
    fn new(run: &Run<'s>, watch: Option<&'s mut dyn FnMut(&Seen)>) -> World<'s> {
        let (scenario, entrant, seed) = (run.scenario, run.entrant, run.seed);
        let each = scenario.backends.iter();
        let sites: Vec<Site> = each
            .flat_map(|like| (0..like.count).map(move |_| Site::new(like)))
            .collect();
        let balancers: Vec<Balancer> = (0..views_of(entrant))
            .map(|number| {
                let cores = cores_of(entrant);
                Balancer::new(run.config, entrant, cores, seed, number)
            })
            .collect();
        let group = balancers[0].group();
        let timeout = group.answer_timeout().as_secs_f64();
        let weights = group.backends.iter().map(|one| one.weight).collect();
        let probes = match entrant.chooser {
            Chooser::Rival(kind) => Rival::probes(kind),
            Chooser::Weir => run.config.groups[0].probe.is_some(),
        };
        let stream = |purpose| Chance::new(seed, purpose);
        World {
            now: 0.0,
            present: vec![0; sites.len()],
            up: vec![true; entrant.nodes.count],
            requests: Vec::new(),
            free: Vec::new(),
            moments: Moments::new(sites.len()),
            deadlines: VecDeque::new(),
            timeout,
            agenda: Agenda::new(),
            reports: Reports::new(if probes { sites.len() } else { 0 }),
            arrivals: stream(Purpose::Arrivals),
            places: stream(Purpose::Places),
            work: stream(Purpose::Work),
            keys: stream(Purpose::Keys),
            antagonists: stream(Purpose::Antagonists),
            failures: stream(Purpose::Failures),
            draws: stream(Purpose::Rivals),
            probing: stream(Purpose::Probes),
            probers: Vec::new(),
            next_arrival: f64::INFINITY,
            number: 0,
            missing: 0,
            measuring: false,
            outcome: Outcome::new(seed, scenario.duration, weights),
            watch,
            told: run.told.map(<[Told]>::iter),
            config: run.config,
            seed,
            sites,
            balancers,
            scenario,
            entrant,
        }
    }

    /// The time as the product counts it.
    fn micros(&self) -> u64 {
        ((ORIGIN + self.now) * 1e6) as u64
    }

    fn second(&self) -> u64 {
        (ORIGIN + self.now) as u64
    }

    fn moment(&self) -> Moment {
        Moment::from_secs_f64(self.now)
    }

    fn is_alive(requests: &[Request], job: Job) -> bool {
        requests[job.request as usize].generation == job.generation
    }

    /// Another answer of this site comes first now.
    fn reschedule(&mut self, site: usize) {
        let requests = &self.requests;
        let next = self.sites[site]
            .server
            .next(|job| World::is_alive(requests, job));
        self.moments.set(site as u32, next);
        self.present[site] = self.sites[site].server.present() as u32;
    }
}

/// How many views of the fleet there are.
fn views_of(entrant: &Entrant) -> usize {
    let nodes = &entrant.nodes;
    match nodes.view {
        View::Cluster | View::Snapshot { .. } => 1,
        View::Core => nodes.count * nodes.cores,
        View::Node => nodes.count,
    }
}

/// Cores that share a view.
fn cores_of(entrant: &Entrant) -> usize {
    let nodes = &entrant.nodes;
    match nodes.view {
        View::Cluster | View::Snapshot { .. } => nodes.count * nodes.cores,
        View::Core => 1,
        View::Node => nodes.cores,
    }
}

/// The view and its core that a core of a node picks by.
fn place_of(entrant: &Entrant, node: usize, core: usize) -> (usize, usize) {
    let cores = entrant.nodes.cores;
    match entrant.nodes.view {
        View::Cluster | View::Snapshot { .. } => (0, node * cores + core),
        View::Core => (node * cores + core, 0),
        View::Node => (node, core),
    }
}
