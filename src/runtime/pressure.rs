//! How much this process has of what can run out: descriptors, memory, and time its cgroup loses
//! waiting for memory.
//!
//! Each reading is one or two system calls on files that stay open, cheap enough for every core to
//! take its own ten times a second. Descriptors: since Linux 6.2 the size of `/proc/self/fd` is
//! their number, so none is listed. Memory of a cgroup: both versions are read; what the kernel
//! could take back at once (`inactive_file`, mostly the cache of written logs) does not count, as
//! in Kubernetes' working set, but it is only asked for where it could matter, because adding it up
//! is not cheap for the kernel.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

/// A limit of 2^62 bytes and more is none: version 1 writes the largest number there is.
const UNLIMITED: u64 = 1 << 62;

/// From which part of its limit on a cgroup is looked at closely, in thousandths.
const CLOSE_LOOK: u64 = 500;

/// Files that are read again and again.
#[derive(Debug)]
pub struct Gauges {
    descriptors: Option<File>,
    statm: Option<File>,
    page: u64,
    groups: Vec<MemoryGroup>,
    stall: Option<File>,
}

/// A cgroup with a limit: this process's own, or one above it.
#[derive(Debug)]
struct MemoryGroup {
    used: File,
    limit: File,
    stat: File,
    /// How `stat` calls what can be taken back.
    reclaimable: &'static str,
}

/// Memory of the process, and of the cgroup with the least room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes the process has in RAM.
    pub resident: u64,
    /// Bytes a cgroup has and cannot give back, and may have; zeros where nothing is limited.
    pub cgroup: (u64, u64),
    /// Thousandths of the last ten seconds in which something in the cgroup waited for memory.
    pub stall: u32,
}

impl Gauges {
    /// Those of this process.
    #[must_use]
    pub fn open() -> Gauges {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let folders = Folders::find(&own, &mounts);
        let mut groups = Vec::new();
        if let Some((root, inside)) = &folders.unified {
            groups.extend(each_above(root, inside).filter_map(|folder| MemoryGroup::v2(&folder)));
        }
        if let Some((root, inside)) = &folders.memory {
            groups.extend(each_above(root, inside).filter_map(|folder| MemoryGroup::v1(&folder)));
        }
        let stall = folders.unified.as_ref();
        let stall = stall
            .and_then(|(root, inside)| File::open(root.join(inside).join("memory.pressure")).ok());
        Gauges {
            descriptors: File::open("/proc/self/fd").ok(),
            statm: File::open("/proc/self/statm").ok(),
            page: rustix::param::page_size() as u64,
            groups,
            stall,
        }
    }

    /// Open descriptors, and how many may be open; zero where that is not known.
    #[must_use]
    pub fn descriptors(&self) -> (u64, u64) {
        let open = self
            .descriptors
            .as_ref()
            .and_then(|folder| folder.metadata().ok());
        let limit = getrlimit(Resource::Nofile).current;
        (open.map_or(0, |folder| folder.len()), limit.unwrap_or(0))
    }

    /// Memory now.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let pages = self.statm.as_ref().and_then(|statm| {
            let text = read(statm)?;
            text.split(' ').nth(1)?.parse::<u64>().ok()
        });
        let tightest = self.groups.iter().filter_map(MemoryGroup::read);
        let tightest = tightest.max_by_key(|(used, limit)| {
            u128::from(*used) * 1_000_000 / u128::from((*limit).max(1))
        });
        let stall = self.stall.as_ref().and_then(read);
        Memory {
            resident: pages.unwrap_or(0) * self.page,
            cgroup: tightest.unwrap_or_default(),
            stall: stall.as_deref().and_then(stalled).unwrap_or(0),
        }
    }
}

impl MemoryGroup {
    fn v2(folder: &Path) -> Option<MemoryGroup> {
        MemoryGroup::of(folder, ["memory.current", "memory.max"], "inactive_file")
    }

    fn v1(folder: &Path) -> Option<MemoryGroup> {
        let files = ["memory.usage_in_bytes", "memory.limit_in_bytes"];
        MemoryGroup::of(folder, files, "total_inactive_file")
    }

    fn of(
        folder: &Path,
        [used, limit]: [&str; 2],
        reclaimable: &'static str,
    ) -> Option<MemoryGroup> {
        Some(MemoryGroup {
            used: File::open(folder.join(used)).ok()?,
            limit: File::open(folder.join(limit)).ok()?,
            stat: File::open(folder.join("memory.stat")).ok()?,
            reclaimable,
        })
    }

    /// Bytes in use that cannot be taken back, and the limit; `None` without a limit.
    fn read(&self) -> Option<(u64, u64)> {
        let limit: u64 = read(&self.limit)?.trim().parse().ok()?;
        let used: u64 = read(&self.used)?.trim().parse().ok()?;
        if limit >= UNLIMITED {
            return None;
        }
        if u128::from(used) * 1000 < u128::from(limit) * u128::from(CLOSE_LOOK) {
            return Some((used, limit));
        }
        let stat = read(&self.stat).unwrap_or_default();
        let reclaimable = stat
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(name, _)| *name == self.reclaimable)
            .and_then(|(_, bytes)| bytes.parse::<u64>().ok());
        Some((used.saturating_sub(reclaimable.unwrap_or(0)), limit))
    }
}

/// The file from its beginning.
fn read(file: &File) -> Option<String> {
    /// `memory.stat` has about 2 KB, and what is looked for stands in its first half.
    const BYTES: usize = 8192;
    let mut bytes = [0; BYTES];
    let count = file.read_at(&mut bytes, 0).ok()?;
    String::from_utf8(bytes[..count].to_vec()).ok()
}

/// `some avg10=1.25 avg60=...` in thousandths.
fn stalled(text: &str) -> Option<u32> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let percent: f64 = line
        .split("avg10=")
        .nth(1)?
        .split(' ')
        .next()?
        .parse()
        .ok()?;
    Some((percent.clamp(0.0, 100.0) * 10.0).round() as u32)
}

/// `inside` of `root`, and every folder between them, the innermost first.
fn each_above(root: &Path, inside: &Path) -> impl Iterator<Item = PathBuf> {
    inside.ancestors().map(|folder| root.join(folder))
}

/// Where the cgroups of this process are: the mount, and the way from there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Folders {
    unified: Option<(PathBuf, PathBuf)>,
    memory: Option<(PathBuf, PathBuf)>,
}

impl Folders {
    /// By the texts of `/proc/self/cgroup` and `/proc/self/mounts`.
    fn find(own: &str, mounts: &str) -> Folders {
        let mut folders = Folders::default();
        for line in own.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(inside)) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let inside = PathBuf::from(inside.trim_start_matches('/'));
            let of_memory = controllers.split(',').any(|name| name == "memory");
            if controllers.is_empty() {
                let root = mount(mounts, "cgroup2", None);
                folders.unified = root.map(|root| (root, inside));
            } else if of_memory {
                let root = mount(mounts, "cgroup", Some("memory"));
                folders.memory = root.map(|root| (root, inside));
            }
        }
        folders
    }
}

/// Where a file system of this kind, with this option, is mounted.
fn mount(mounts: &str, kind: &str, option: Option<&str>) -> Option<PathBuf> {
    let found = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_, at, is, options) = (
            fields.next()?,
            fields.next()?,
            fields.next()?,
            fields.next()?,
        );
        let has = option.is_none_or(|option| options.split(',').any(|word| word == option));
        (is == kind && has).then_some(at)
    });
    found.map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_counted_as_they_come_and_go() {
        let gauges = Gauges::open();
        let (before, limit) = gauges.descriptors();
        assert!(before > 2 && limit > before, "{before} of {limit}");
        let held: Vec<File> = (0..200)
            .filter_map(|_| File::open("/dev/null").ok())
            .collect();
        let (after, _) = gauges.descriptors();
        // Other tests of this process open and close some, too.
        assert!(
            after + 100 >= before + held.len() as u64,
            "{before}, {after}"
        );
    }

    #[test]
    fn memory_of_the_process_is_counted() {
        let gauges = Gauges::open();
        assert!(gauges.memory().resident > 1 << 20, "{:?}", gauges.memory());
    }

    #[test]
    fn the_cgroups_are_found_in_both_versions() {
        let mounts = "proc /proc proc rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        let own = "4:memory:/a/b\n1:cpu:/\n0::/c:d\nnonsense\n";
        let found = Folders::find(own, mounts);
        let at = |root: &str, inside: &str| Some((PathBuf::from(root), PathBuf::from(inside)));
        assert_eq!(found.memory, at("/sys/fs/cgroup/memory", "a/b"));
        assert_eq!(found.unified, at("/sys/fs/cgroup/unified", "c:d"));
        assert_eq!(Folders::find("", mounts), Folders::default());
        assert_eq!(Folders::find(own, ""), Folders::default());
        let (root, inside) = found.memory.unwrap();
        let all: Vec<PathBuf> = each_above(&root, &inside).collect();
        let expected = ["/a/b", "/a", "/"].map(|end| format!("/sys/fs/cgroup/memory{end}"));
        assert_eq!(all, expected.map(PathBuf::from));
    }

    fn group(used: &str, limit: &str, stat: &str) -> Option<(u64, u64)> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("memory.current", used),
            ("memory.max", limit),
            ("memory.stat", stat),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        MemoryGroup::v2(folder.path()).unwrap().read()
    }

    #[test]
    fn what_can_be_taken_back_is_not_in_use() {
        let stat = "anon 100\nfile 800\ninactive_file 700\nactive_file 100\n";
        assert_eq!(group("900\n", "1000\n", stat), Some((200, 1000)));
        assert_eq!(
            group("400\n", "1000\n", stat),
            Some((400, 1000)),
            "not asked"
        );
        assert_eq!(group("900\n", "max\n", stat), None);
        assert_eq!(group("900\n", "9223372036854771712\n", stat), None);
        assert_eq!(group("x", "1000", stat), None);
        assert_eq!(group("900\n", "1000\n", ""), Some((900, 1000)));
    }

    #[test]
    fn stalls_are_thousandths() {
        let text = "some avg10=12.34 avg60=1.00 avg300=0.00 total=1\nfull avg10=99.00";
        assert_eq!(stalled(text), Some(123));
        assert_eq!(stalled("full avg10=1.00"), None);
        assert_eq!(stalled("some avg10="), None);
    }
}
