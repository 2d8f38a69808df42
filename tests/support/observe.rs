//! A process seen from outside, through /proc.

use std::collections::BTreeSet;
use std::fs;

/// State letter of a process; none if it is gone.
pub fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

/// Open descriptors.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Sockets of this machine that listen, by what the kernel numbers them with.
pub fn listening() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let words = table.lines().map(|line| line.split_whitespace());
    let numbers = words.filter_map(|mut words| {
        let is_listening = words.nth(3) == Some("0A");
        words.nth(5).filter(|_| is_listening).map(str::to_owned)
    });
    numbers.collect()
}

/// Those of them that a process has.
pub fn listening_of(pid: u32) -> BTreeSet<String> {
    let opened = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let names = opened.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let numbers = names.filter_map(|name| {
        let inside = name.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(inside.to_owned())
    });
    let numbers: BTreeSet<String> = numbers.collect();
    &numbers & &listening()
}

/// Resident memory in bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// Names of all its threads, kernel workers included.
pub fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    let names = tasks.filter_map(|task| name(task.ok()?));
    names.map(|name| name.trim_end().to_owned()).collect()
}
