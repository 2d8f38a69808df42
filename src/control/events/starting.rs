//! The start of the control loop: what is opened, what is handed over by another process, and the
//! first table.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::{MissedTickBehavior, interval};

use super::following::Others;
use super::upgrading::Upgrade;
use super::{Control, LOOK_EVERY};
use crate::base::epoch::Epoch;
use crate::config::{Config, Members, checked};
use crate::control::access_log::LogHandle;
use crate::control::admin::{self, Interface, Pages, Profile, Shares, Sources};
use crate::control::change::Snapshot;
use crate::control::collector::collect;
use crate::control::core::{ControlSetup, Ready};
use crate::control::files::Files;
use crate::control::gossip;
use crate::control::handle::Handle;
use crate::control::health::{Door, Health};
use crate::control::monitor::Monitor;
use crate::control::notify::Notifier;
use crate::control::orders::Orders;
use crate::control::plans::Plans;
use crate::control::publisher::Publisher;
use crate::control::resolver::Follower;
use crate::control::store::Following;
use crate::control::takeover::{Claim, Handed, State};
use crate::control::truth::Truth;
use crate::engine::planner::Resolved;
use crate::runtime::kick_waiter::KickWaiter;
use crate::telemetry::exposition::Detail;
use crate::telemetry::stats::ControlStats;

impl Control {
    pub(in crate::control) async fn start(mut setup: ControlSetup) -> io::Result<Self> {
        let orders = Orders::new(setup.signals, setup.orders.take())?;
        let stats = Arc::new(ControlStats::default());
        let publisher = Publisher::new(std::mem::take(&mut setup.ends));
        let mut claim = setup.claim.take();
        let mut handed = claim.as_mut().map(Claim::take).unwrap_or_default();
        let plans = Plans::new(publisher.cores(), std::mem::take(&mut handed.listeners));
        let snapshot = first_snapshot(&setup.truth, &handed.state);
        let cluster = setup.truth.config.cluster.as_ref();
        let observing = cluster.map(gossip::Observing::of);
        let health = Health::since(&stats, handed.state.origin, observing.clone());
        let (handle, changes) =
            Handle::new(snapshot, plans.view(), publisher.watch(), health.clone());
        let following = setup.truth.store.follow();
        let shown = (&handle, &plans, &publisher, &stats);
        let monitor = Monitor::new(gossip::name_of(cluster), publisher.cores(), &health);
        let gossip = open_gossip(cluster.zip(observing), shown, &monitor, &mut handed).await?;
        let sources = sources_of(&mut setup, shown, (&monitor, &gossip), following.clone());
        let truth = setup.truth;
        let config = truth.config;
        let mut upgrade = Upgrade::new(setup.upgrades, claim);
        let (interface, heartbeats) =
            open_doors(&config, sources, &mut handed, &mut upgrade).await?;
        let mut control = Control {
            started_with: config.clone(),
            config_path: setup.config_path,
            store: Some(truth.store),
            lasting: truth.lasting,
            revision: truth.revision,
            process: truth.process,
            document: truth.document,
            handle,
            changes,
            underway: None,
            others: Others::new(following),
            reload_wanted: false,
            resolved: Resolved::default(),
            members: Members::default(),
            merged: config.clone(),
            follower: Follower::new(&config.dns),
            config,
            files: Files::new(),
            stamps: BTreeMap::new(),
            plans,
            health,
            monitor,
            publisher,
            kicks: KickWaiter::new(setup.kick)?,
            look: interval(LOOK_EVERY),
            unpublished: None,
            orders,
            stats,
            log: setup.access_log,
            collector: setup.collecting.map(|to| tokio::spawn(collect(to))),
            on_ready: setup.on_ready,
            interface,
            heartbeats,
            gossip,
            upgrade,
            notifier: Notifier::new(setup.signals),
            reloading: false,
            serves: false,
            core_stats: setup.core_stats,
            awaited: None,
            trim_at: None,
            ending: None,
        };
        control.begin_life(&handed.state).await?;
        Ok(control)
    }

    /// Opens what hears of backends, and publishes the first table.
    async fn begin_life(&mut self, before: &State) -> io::Result<()> {
        self.look
            .set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Who has taken over is not asked before the other process has ended.
        if !self.upgrade.is_taking() {
            self.hear_all();
        }
        self.look_first().await;
        self.publish_first(before).map_err(io::Error::other)?;
        self.health.start();
        self.monitor.start();
        Ok(())
    }

    /// Answers pages and takes heartbeats in, from now on.
    pub(super) fn hear_all(&mut self) {
        self.interface.answer();
        if let Some(door) = &mut self.heartbeats {
            door.listen(&self.health);
        }
        if let Some(gossip) = &mut self.gossip {
            gossip.listen();
        }
    }

    /// Everything is there, and whoever waits for it is told.
    pub(super) fn open_for_all(&mut self) {
        self.hear_all();
        self.notifier.ready(self.handle.snapshot().epoch);
        if let Some(on_ready) = self.on_ready.take() {
            on_ready(Ready {
                listeners: self.plans.listening(),
                admin: self.interface.address(),
                handle: self.handle.clone(),
            });
        }
    }
}

type Shown<'a> = (&'a Handle, &'a Plans, &'a Publisher, &'a Arc<ControlStats>);

/// The node's place among others, if it has one.
async fn open_gossip(
    place: Option<(&checked::Cluster, gossip::Observing)>,
    (handle, plans, publisher, _): Shown<'_>,
    monitor: &Monitor,
    handed: &mut Handed,
) -> io::Result<Option<gossip::Door>> {
    let Some((cluster, observing)) = place else {
        return Ok(None);
    };
    let own = gossip::Own {
        handle: handle.clone(),
        view: plans.view(),
    };
    let (handed, progress) = (handed.gossip.take(), publisher.watch());
    let own = (own, observing);
    let door = gossip::Door::open(cluster, handed, own, progress, monitor.clone()).await?;
    Ok(Some(door))
}

/// What the pages of the admin interface are made from.
fn sources_of(
    setup: &mut ControlSetup,
    (handle, plans, publisher, stats): Shown<'_>,
    (monitor, gossip): (&Monitor, &Option<gossip::Door>),
    store: Option<Following>,
) -> Sources {
    Sources {
        handle: handle.clone(),
        view: plans.view(),
        progress: publisher.watch(),
        cores: setup.core_stats.clone(),
        control: Arc::clone(stats),
        store,
        cluster: gossip.as_ref().map(gossip::Door::cluster),
        monitor: monitor.clone(),
        log: setup.access_log.as_ref().map(|log| Arc::clone(log.stats())),
        exemplars: setup
            .access_log
            .as_ref()
            .map(LogHandle::exemplars)
            .unwrap_or_default(),
        detail: Detail::default(),
        pages: Pages::default(),
        surveyors: std::mem::take(&mut setup.surveyors).into(),
        shares: Shares::default(),
        profile: Profile::default(),
        started: SystemTime::now(),
        config_path: setup.config_path.clone(),
    }
}

/// Opens what hears of people, backends and other processes, by the sockets that were handed over
/// where they are the same.
async fn open_doors(
    config: &Config,
    sources: Sources,
    handed: &mut Handed,
    upgrade: &mut Upgrade,
) -> io::Result<(Interface, Option<Door>)> {
    let sockets = admin::Sockets {
        tcp: handed.admin.take(),
        unix: handed.admin_unix.take(),
    };
    let interface = match &config.admin {
        Some(admin) => Interface::open(admin, sources, sockets).await?,
        None => Interface::default(),
    };
    let heartbeats = match &config.heartbeat {
        Some(door) => Some(Door::open(door, handed.heartbeat.take()).await?),
        None => None,
    };
    upgrade.open_door(config, handed.door.take())?;
    Ok((interface, heartbeats))
}

/// What is in effect at first: above the epochs of a process that was taken over from. Its
/// revision is the same if the configuration is, so that conditions of clients still hold.
fn first_snapshot(truth: &Truth, before: &State) -> Snapshot {
    let mut epoch = truth.revision.epoch();
    if before.epoch > Epoch(0) {
        epoch = epoch.max(before.epoch.next_found());
    }
    Snapshot::first(truth.revision, epoch, &truth.process, &truth.document)
}
