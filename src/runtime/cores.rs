//! Which CPUs the workers are pinned to.
//!
//! One worker per CPU, never two on one: a worker that shares its CPU with another waits for it
//! at every turn, so asking for more workers than CPUs is an error and not a guess. `auto` takes
//! every CPU this process may use, but no more than its cgroup's quota pays for: with a quota of
//! two CPUs on a machine of 64, 64 workers would all be stopped for most of every period.
//!
//! Fewer workers than CPUs are placed where they disturb each other least: whole physical cores
//! before hyperthread siblings, and the CPUs of one NUMA node before those of the next, because
//! tables and counters are then read from near memory. Node 0 comes first; where the network card
//! hangs off another one, an explicit list says so. The result is ordered by node and CPU number,
//! so that neighbouring worker numbers are neighbours in the machine.
//!
//! A machine whose `/sys` is masked (some sandboxes) counts as one node of whole cores.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::base::limits::CORES_MAX;

/// The workers an operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One on every CPU this process may use.
    Auto,
    /// So many, placed well.
    Count(usize),
    /// Exactly these CPUs, in this order.
    List(Vec<usize>),
}

/// One CPU as the kernel numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub id: usize,
    /// The NUMA node it belongs to.
    pub node: usize,
    /// 0 for the first hardware thread of its physical core, 1 for the second, and so on.
    pub sibling: usize,
    /// Whether this process may run on it.
    pub allowed: bool,
}

/// The CPUs of this machine, and how many of them may be kept busy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Every CPU that is online.
    pub cpus: Vec<Cpu>,
    /// CPUs worth of time the cgroup's quota pays for.
    pub quota: usize,
}

/// Why the workers cannot be placed as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoresError {
    /// The list is empty or the count zero.
    None,
    /// A CPU of the list is not one this process may use.
    NotAllowed {
        /// The CPU.
        cpu: usize,
        /// Those it may use.
        allowed: Vec<usize>,
    },
    /// A CPU of the list does not exist or is offline.
    NoSuchCpu {
        /// The CPU.
        cpu: usize,
        /// Those that do exist.
        online: Vec<usize>,
    },
    /// A CPU is listed twice.
    Repeated(usize),
    /// More workers than CPUs.
    TooMany {
        /// Workers asked for.
        wanted: usize,
        /// CPUs this process may use.
        allowed: Vec<usize>,
    },
}

impl fmt::Display for CoresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CoresError::None => f.write_str("workers: at least one worker is needed"),
            CoresError::NotAllowed { cpu, allowed } => write!(
                f,
                "workers: CPU {cpu} is not among those this process may use ({}); \
                 see taskset, a cpuset cgroup or systemd's CPUAffinity= and AllowedCPUs=",
                ranges(allowed)
            ),
            CoresError::NoSuchCpu { cpu, online } => write!(
                f,
                "workers: CPU {cpu} does not exist or is offline (online: {})",
                ranges(online)
            ),
            CoresError::Repeated(cpu) => write!(
                f,
                "workers: CPU {cpu} is listed twice; two workers on one CPU only wait for it"
            ),
            CoresError::TooMany { wanted, allowed } => write!(
                f,
                "workers: {wanted} workers asked for, but this process may use {} CPUs ({}); \
                 \"auto\" takes what there is",
                allowed.len(),
                ranges(allowed)
            ),
        }
    }
}

impl std::error::Error for CoresError {}

/// The CPU of each worker, by worker number.
///
/// # Errors
/// When the machine does not have what is asked for.
pub fn choose(topology: &Topology, wanted: &Wanted) -> Result<Vec<usize>, CoresError> {
    match wanted {
        Wanted::Auto => {
            let count = topology.quota.clamp(1, CORES_MAX);
            let allowed = topology.allowed().len().max(1);
            placed(topology, count.min(allowed))
        }
        Wanted::Count(count) => placed(topology, *count),
        Wanted::List(cpus) => listed(topology, cpus),
    }
}

fn placed(topology: &Topology, count: usize) -> Result<Vec<usize>, CoresError> {
    let mut candidates: Vec<Cpu> = topology.cpus.clone();
    candidates.retain(|cpu| cpu.allowed);
    if count == 0 {
        return Err(CoresError::None);
    }
    if count > candidates.len().min(CORES_MAX) {
        return Err(CoresError::TooMany {
            wanted: count,
            allowed: topology.allowed(),
        });
    }
    candidates.sort_by_key(|cpu| (cpu.sibling, cpu.node, cpu.id));
    candidates.truncate(count);
    candidates.sort_by_key(|cpu| (cpu.node, cpu.id));
    Ok(candidates.iter().map(|cpu| cpu.id).collect())
}

fn listed(topology: &Topology, cpus: &[usize]) -> Result<Vec<usize>, CoresError> {
    if cpus.is_empty() {
        return Err(CoresError::None);
    }
    let mut seen = BTreeSet::new();
    for &cpu in cpus {
        match topology.cpus.iter().find(|known| known.id == cpu) {
            None => {
                let online = topology.cpus.iter().map(|known| known.id).collect();
                return Err(CoresError::NoSuchCpu { cpu, online });
            }
            Some(known) if !known.allowed => {
                let allowed = topology.allowed();
                return Err(CoresError::NotAllowed { cpu, allowed });
            }
            Some(_) => {}
        }
        if !seen.insert(cpu) {
            return Err(CoresError::Repeated(cpu));
        }
    }
    if cpus.len() > CORES_MAX {
        return Err(CoresError::TooMany {
            wanted: cpus.len(),
            allowed: topology.allowed(),
        });
    }
    Ok(cpus.to_vec())
}

impl Topology {
    /// This machine, as this process may use it.
    #[must_use]
    pub fn read() -> Topology {
        let allowed: Vec<usize> = core_affinity::get_core_ids()
            .unwrap_or_default()
            .iter()
            .map(|core| core.id)
            .collect();
        let quota = std::thread::available_parallelism().map_or(1, usize::from);
        Topology::from_sys(Path::new("/sys/devices/system"), &allowed, quota)
    }

    /// The machine described by a tree like `/sys/devices/system`; what it does not say is one
    /// node of whole cores.
    #[must_use]
    pub fn from_sys(root: &Path, allowed: &[usize], quota: usize) -> Topology {
        let mut ids: BTreeSet<usize> = allowed.iter().copied().collect();
        ids.extend(read_list(&root.join("cpu/online")));
        let nodes: Vec<(usize, Vec<usize>)> = read_list(&root.join("node/online"))
            .into_iter()
            .map(|node| {
                (
                    node,
                    read_list(&root.join(format!("node/node{node}/cpulist"))),
                )
            })
            .collect();
        let node_of = |id: usize| {
            let found = nodes.iter().find(|(_, cpus)| cpus.contains(&id));
            found.map_or(0, |(node, _)| *node)
        };
        let sibling_of = |id: usize| {
            let path = root.join(format!("cpu/cpu{id}/topology/thread_siblings_list"));
            let siblings = read_list(&path);
            siblings.iter().position(|&other| other == id).unwrap_or(0)
        };
        let cpus = ids
            .into_iter()
            .map(|id| Cpu {
                id,
                node: node_of(id),
                sibling: sibling_of(id),
                allowed: allowed.contains(&id),
            })
            .collect();
        Topology { cpus, quota }
    }

    fn allowed(&self) -> Vec<usize> {
        let allowed = self.cpus.iter().filter(|cpu| cpu.allowed);
        allowed.map(|cpu| cpu.id).collect()
    }
}

fn read_list(path: &Path) -> Vec<usize> {
    fs::read_to_string(path).map_or_else(|_| Vec::new(), |text| parse_list(&text))
}

/// The kernel's list format, `0-3,8`; what does not parse is left out.
fn parse_list(text: &str) -> Vec<usize> {
    let mut list = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse(), last.trim().parse::<usize>()) {
            list.extend(first..=last);
        }
    }
    list
}

/// The inverse of [`parse_list`], for people.
fn ranges(cpus: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let texts: Vec<String> = runs
        .iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        })
        .collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two nodes of two physical cores with two threads each, numbered as Linux does on such a
    /// machine: siblings of 0..4 are 4..8.
    fn two_nodes() -> Topology {
        let cpus = (0..8).map(|id| Cpu {
            id,
            node: (id % 4) / 2,
            sibling: id / 4,
            allowed: true,
        });
        Topology {
            cpus: cpus.collect(),
            quota: 8,
        }
    }

    #[test]
    fn auto_takes_every_cpu_grouped_by_node() {
        let cpus = choose(&two_nodes(), &Wanted::Auto).unwrap();
        assert_eq!(cpus, [0, 1, 4, 5, 2, 3, 6, 7]);
    }

    #[test]
    fn auto_takes_no_more_than_the_quota_pays_for() {
        let mut topology = two_nodes();
        topology.quota = 2;
        assert_eq!(choose(&topology, &Wanted::Auto).unwrap(), [0, 1]);
    }

    #[test]
    fn few_workers_get_whole_cores_of_one_node_first() {
        let topology = two_nodes();
        assert_eq!(choose(&topology, &Wanted::Count(1)).unwrap(), [0]);
        assert_eq!(choose(&topology, &Wanted::Count(2)).unwrap(), [0, 1]);
        assert_eq!(choose(&topology, &Wanted::Count(4)).unwrap(), [0, 1, 2, 3]);
        assert_eq!(
            choose(&topology, &Wanted::Count(5)).unwrap(),
            [0, 1, 4, 2, 3]
        );
    }

    #[test]
    fn a_cpu_that_is_not_allowed_is_never_taken() {
        let mut topology = two_nodes();
        topology.cpus[0].allowed = false;
        topology.cpus[1].allowed = false;
        assert_eq!(choose(&topology, &Wanted::Count(2)).unwrap(), [2, 3]);
        assert_eq!(
            choose(&topology, &Wanted::List(vec![2, 1]))
                .unwrap_err()
                .to_string(),
            "workers: CPU 1 is not among those this process may use (2-7); \
             see taskset, a cpuset cgroup or systemd's CPUAffinity= and AllowedCPUs="
        );
    }

    #[test]
    fn a_list_is_kept_in_its_order() {
        let wanted = Wanted::List(vec![6, 0, 3]);
        assert_eq!(choose(&two_nodes(), &wanted).unwrap(), [6, 0, 3]);
    }

    #[test]
    fn what_the_machine_does_not_have_is_an_error_that_says_what_it_has() {
        let topology = two_nodes();
        let error = |wanted| choose(&topology, &wanted).unwrap_err().to_string();
        assert_eq!(
            error(Wanted::List(vec![0, 9])),
            "workers: CPU 9 does not exist or is offline (online: 0-7)"
        );
        assert!(error(Wanted::List(vec![1, 1])).contains("CPU 1 is listed twice"));
        assert!(error(Wanted::Count(9)).contains("may use 8 CPUs (0-7)"));
        assert!(error(Wanted::Count(0)).contains("at least one"));
        assert!(error(Wanted::List(vec![])).contains("at least one"));
    }

    #[test]
    fn the_kernels_lists_are_read_and_written() {
        assert_eq!(parse_list("0-2,5,7-8\n"), [0, 1, 2, 5, 7, 8]);
        assert_eq!(parse_list("\n"), Vec::<usize>::new());
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
    }

    #[test]
    fn the_tree_of_the_kernel_is_understood() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("cpu/online", "0-3\n");
        write("node/online", "0-1\n");
        write("node/node0/cpulist", "0,2\n");
        write("node/node1/cpulist", "1,3\n");
        for (cpu, siblings) in [(0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")] {
            write(
                &format!("cpu/cpu{cpu}/topology/thread_siblings_list"),
                siblings,
            );
        }
        let topology = Topology::from_sys(root.path(), &[0, 1, 2], 3);
        let seen: Vec<_> = topology
            .cpus
            .iter()
            .map(|cpu| (cpu.id, cpu.node, cpu.sibling, cpu.allowed))
            .collect();
        let expected = [
            (0, 0, 0, true),
            (1, 1, 0, true),
            (2, 0, 1, true),
            (3, 1, 1, false),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_masked_sys_leaves_one_node_of_whole_cores() {
        let root = tempfile::tempdir().unwrap();
        let topology = Topology::from_sys(root.path(), &[0, 1], 2);
        assert_eq!(choose(&topology, &Wanted::Auto).unwrap(), [0, 1]);
    }

    #[test]
    fn this_machine_can_be_read() {
        assert!(!choose(&Topology::read(), &Wanted::Auto).unwrap().is_empty());
    }
}
