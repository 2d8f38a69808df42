//! What the tables of all epochs allow, worked out apart from weir.
//!
//! The model knows the configuration the test asked for, epoch by epoch, and nothing of weir's
//! code. A response that names its epoch and its backend can be judged by it afterwards.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Tenants a request may belong to.
pub(super) const TENANTS: usize = 12;

/// Groups tenants are spread over.
pub(super) const GROUPS: [&str; 3] = ["red", "green", "blue"];

/// Backends there are to add, each known by one letter.
pub(super) const BACKENDS: usize = 9;

/// Policies a group may change to.
const POLICIES: [&str; 7] = [
    "round_robin",
    "weighted_round_robin",
    "random",
    "least_connections",
    "weighted_least_connections",
    "least_request",
    "peak_ewma",
];

/// One change of the configuration.
pub(super) enum Change {
    Add {
        group: usize,
        backend: usize,
    },
    Policy {
        group: usize,
        policy: usize,
    },
    Remove {
        group: usize,
        backend: usize,
    },
    /// The rule begins or ceases to require the label of every second backend.
    Require,
    Shard {
        tenant: usize,
        group: usize,
    },
    State {
        group: usize,
        backend: usize,
        drains: bool,
    },
    Weight {
        group: usize,
        backend: usize,
        weight: u64,
    },
}

/// The configuration at one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct World {
    /// Group of each tenant.
    tenants: [usize; TENANTS],
    /// Members of each group, and whether each drains.
    members: [BTreeMap<usize, bool>; GROUPS.len()],
    /// Whether the rule requires the label.
    requires: bool,
}

/// Every epoch's configuration.
pub(super) struct History(BTreeMap<u64, World>);

/// The name of a backend.
pub(super) fn name(backend: usize) -> String {
    format!("backend-{backend}")
}

/// The labels of a backend.
pub(super) fn labels(backend: usize) -> Vec<&'static str> {
    if is_labelled(backend) {
        vec!["even"]
    } else {
        Vec::new()
    }
}

fn is_labelled(backend: usize) -> bool {
    backend.is_multiple_of(2)
}

/// The name of a tenant.
pub(super) fn tenant(number: usize) -> String {
    format!("tenant-{number}")
}

impl World {
    /// Three groups of three backends each; the tenants take turns.
    pub(super) fn first() -> World {
        let group = |group: usize| (3 * group..3 * group + 3).map(|backend| (backend, false));
        World {
            tenants: std::array::from_fn(|tenant| tenant % GROUPS.len()),
            members: std::array::from_fn(|number| group(number).collect()),
            requires: false,
        }
    }

    /// What a configuration that was exported comes to: its shard rule, and its groups in order.
    pub(super) fn told(rule: &toml::Value, groups: [&toml::Value; GROUPS.len()]) -> World {
        let text = |value: &toml::Value, key: &str| value[key].as_str().unwrap().to_owned();
        let position = |all: Vec<String>, wanted: &str| {
            let found = all.iter().position(|name| *name == wanted);
            found.unwrap_or_else(|| panic!("{wanted} is none of ours"))
        };
        let mut tenants = [usize::MAX; TENANTS];
        for entry in rule["map"].as_array().unwrap() {
            let group = text(entry, "group");
            let number = position((0..TENANTS).map(tenant).collect(), &text(entry, "key"));
            tenants[number] = GROUPS.iter().position(|name| *name == group).unwrap();
        }
        let members = groups.map(|group| {
            let members = group["backend"].as_array().unwrap().iter();
            let member = |member: &toml::Value| {
                let id = text(member, "id");
                let drains = member
                    .get("state")
                    .is_some_and(|state| state.as_str() == Some("drain"));
                (position((0..BACKENDS).map(name).collect(), &id), drains)
            };
            members.map(member).collect()
        });
        World {
            tenants,
            members,
            requires: rule.get("require").is_some(),
        }
    }

    /// A change that leaves every group somebody to serve it, by four random numbers.
    pub(super) fn change(&self, random: [usize; 4]) -> Option<Change> {
        let [kind, first, second, third] = random;
        let group = first % GROUPS.len();
        let members = &self.members[group];
        let backend = *members.keys().nth(second % members.len())?;
        let change = match kind % 7 {
            0 => Change::Add {
                group,
                backend: third % BACKENDS,
            },
            1 => Change::Remove { group, backend },
            2 => Change::Policy {
                group,
                policy: third % POLICIES.len(),
            },
            3 => Change::Shard {
                tenant: second % TENANTS,
                group,
            },
            4 => Change::State {
                group,
                backend,
                drains: !members[&backend],
            },
            5 => Change::Require,
            _ => Change::Weight {
                group,
                backend,
                weight: 1 + third as u64 % 9,
            },
        };
        let adds_again = match change {
            Change::Add { group, backend } => self.members[group].contains_key(&backend),
            _ => false,
        };
        let after = self.after(&change);
        let serves = (0..GROUPS.len()).all(|group| after.serving(group).next().is_some());
        (serves && !adds_again).then_some(change)
    }

    /// The world after a change.
    pub(super) fn after(&self, change: &Change) -> World {
        let mut next = self.clone();
        match *change {
            Change::Add { group, backend } => {
                next.members[group].insert(backend, false);
            }
            Change::Policy { .. } | Change::Weight { .. } => {}
            Change::Remove { group, backend } => {
                next.members[group].remove(&backend);
            }
            Change::Require => next.requires = !next.requires,
            Change::Shard { tenant, group } => next.tenants[tenant] = group,
            Change::State {
                group,
                backend,
                drains,
            } => {
                next.members[group].insert(backend, drains);
            }
        }
        next
    }

    /// The map of the shard rule.
    pub(super) fn map(&self) -> Value {
        let entry = |(number, group): (usize, &usize)| {
            let group = GROUPS[*group];
            json!({"key": tenant(number), "group": group})
        };
        self.tenants.iter().enumerate().map(entry).collect()
    }

    /// Who may serve a tenant.
    fn allowed(&self, tenant: usize) -> BTreeSet<String> {
        self.serving(self.tenants[tenant]).map(name).collect()
    }

    /// Who of a group may be given what the rule places.
    fn serving(&self, group: usize) -> impl Iterator<Item = usize> {
        let ready = self.members[group].iter().filter(|(_, drains)| !**drains);
        let ready = ready.map(|(backend, _)| *backend);
        ready.filter(|backend| !self.requires || is_labelled(*backend))
    }
}

impl Change {
    /// The request that makes it: method, target, body.
    pub(super) fn request(&self, world: &World, address: &dyn Fn(usize) -> String) -> Request {
        let member = |group: usize, backend: usize| {
            format!("/v1/groups/{}/backends/{}", GROUPS[group], name(backend))
        };
        match *self {
            Change::Add { group, backend } => {
                let value = json!({"address": address(backend), "labels": labels(backend)});
                ("PUT", member(group, backend), Some(value))
            }
            Change::Policy { group, policy } => {
                let value = json!({"policy": POLICIES[policy]});
                (
                    "PATCH",
                    format!("/v1/groups/{}", GROUPS[group]),
                    Some(value),
                )
            }
            Change::Remove { group, backend } => ("DELETE", member(group, backend), None),
            Change::Require => {
                let require = (!world.requires).then_some("even");
                let value = json!({"require": require});
                ("PATCH", "/v1/shards/by-tenant".to_owned(), Some(value))
            }
            Change::Shard { .. } => {
                let value = json!({"map": world.after(self).map()});
                ("PATCH", "/v1/shards/by-tenant".to_owned(), Some(value))
            }
            Change::State {
                group,
                backend,
                drains,
            } => {
                let verb = if drains { "drain" } else { "ready" };
                ("POST", format!("{}/{verb}", member(group, backend)), None)
            }
            Change::Weight {
                group,
                backend,
                weight,
            } => {
                let value = json!({"weight": weight});
                ("PATCH", member(group, backend), Some(value))
            }
        }
    }
}

/// Method, target and body of a request to the API.
pub(super) type Request = (&'static str, String, Option<Value>);

impl History {
    /// A history that begins with this world at this epoch.
    pub(super) fn new(epoch: u64, world: World) -> History {
        History([(epoch, world)].into())
    }

    /// Adds what holds from an epoch on.
    pub(super) fn add(&mut self, epoch: u64, world: World) {
        let last = self.0.keys().last().copied();
        assert!(last < Some(epoch), "epochs grow: {last:?}, {epoch}");
        self.0.insert(epoch, world);
    }

    /// What holds at an epoch.
    pub(super) fn at(&self, epoch: u64) -> Option<&World> {
        self.0.range(..=epoch).next_back().map(|(_, world)| world)
    }

    /// Whether this epoch is known.
    pub(super) fn knows(&self, epoch: u64) -> bool {
        self.0.contains_key(&epoch)
    }

    /// Whether the table of an epoch lets this backend serve this tenant.
    pub(super) fn allows(&self, epoch: u64, tenant: usize, backend: &str) -> bool {
        let world = self.at(epoch);
        world.is_some_and(|world| world.allowed(tenant).contains(backend))
    }
}
