//! `tuning/check` on machines made of files: what is off is found, what is fine is left alone, and
//! nothing changes unless it is told to change it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A machine as its files in /proc and /sys tell of it.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    /// One on which nothing is off.
    fn tuned() -> Machine {
        let machine = Machine {
            root: tempfile::tempdir().unwrap(),
        };
        machine.has("/proc/sys/kernel/osrelease", "6.18.1");
        machine.has(
            "/proc/meminfo",
            "MemTotal:       65000000 kB\nMemFree: 1 kB",
        );
        machine.has("/sys/devices/system/cpu/online", "0-3");
        machine.has(
            "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
            "performance",
        );
        let settings = fs::read_to_string("tuning/60-weir.conf").unwrap();
        for line in settings.lines().filter(|line| line.contains(" = ")) {
            let (key, value) = line.split_once(" = ").unwrap();
            machine.has(&sysctl(key), value);
        }
        machine
    }

    fn has(&self, file: &str, text: &str) -> &Machine {
        let path = self.root.path().join(file.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
        self
    }

    fn says(&self, file: &str) -> String {
        let path = self.root.path().join(file.trim_start_matches('/'));
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    fn check(&self, arguments: &[&str]) -> Output {
        let root = self.root.path().to_str().unwrap();
        let mut command = Command::new(Path::new("tuning/check"));
        command.args(["--root", root]).args(arguments);
        command.output().expect("python3 is needed for this test")
    }

    /// (level, what, fix) of all that is not fine.
    #[track_caller]
    fn findings(&self, arguments: &[&str]) -> Vec<(String, String, String)> {
        let output = self.check(&[arguments, &["--json"]].concat());
        let found: Vec<Value> = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
        found
            .iter()
            .filter(|finding| finding["level"] != "fine")
            .map(|f| (text(f, "level"), text(f, "what"), text(f, "fix")))
            .collect()
    }
}

fn sysctl(key: &str) -> String {
    format!("/proc/sys/{}", key.replace('.', "/"))
}

#[test]
fn a_tuned_machine_is_left_alone() {
    let machine = Machine::tuned();
    assert_eq!(machine.findings(&[]), []);
    assert!(machine.check(&[]).status.success());
}

#[test]
fn what_keeps_weir_from_serving_is_bad() {
    let cases = [
        (
            "/proc/sys/kernel/io_uring_disabled",
            "2",
            "io_uring_disabled = 2",
        ),
        ("/proc/sys/kernel/osrelease", "6.1.0-21-amd64", "kernel 6.1"),
        ("/proc/sys/fs/nr_open", "1024", "fs.nr_open = 1024 is less"),
        (
            "/proc/sys/net/ipv4/ip_local_port_range",
            "50000 50999",
            "10000 ports",
        ),
        ("/proc/meminfo", "MemTotal: 500000 kB", "0.5 GiB of memory"),
        (
            "/proc/sys/net/netfilter/nf_conntrack_max",
            "65536",
            "nf_conntrack_max = 65536",
        ),
    ];
    for (file, text, said) in cases {
        let machine = Machine::tuned();
        machine.has(file, text);
        let found = machine.findings(&[]);
        assert!(
            found
                .iter()
                .any(|(level, what, _)| level == "bad" && what.contains(said)),
            "{file} = {text}: {found:?}"
        );
        assert_eq!(machine.check(&[]).status.code(), Some(1), "{file}");
    }
}

#[test]
fn more_connections_need_more_of_everything() {
    let machine = Machine::tuned();
    assert_eq!(machine.findings(&["--connections", "500000"]), []);
    let found = machine.findings(&["--connections", "9000000", "--backends", "20"]);
    let bad: Vec<&str> = found.iter().map(|(_, what, _)| what.as_str()).collect();
    for said in ["fs.nr_open", "fs.file-max", "ports", "GiB of memory"] {
        assert!(
            bad.iter().any(|what| what.contains(said)),
            "{said}: {bad:?}"
        );
    }
}

#[test]
fn a_table_of_sockets_is_as_large_as_they_are_many() {
    let machine = Machine::tuned();
    // A namespace that shares the table of its parent says so by a minus.
    for buckets in ["262144", "-262144"] {
        machine.has(&sysctl("net.ipv4.tcp_ehash_entries"), buckets);
        assert_eq!(machine.findings(&["--connections", "262144"]), []);
        let found = machine.findings(&["--connections", "1000000", "--backends", "20"]);
        let [(level, what, fix)] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(level, "advice");
        assert!(what.starts_with("262144 buckets for the 2000000 sockets"));
        assert!(fix.starts_with("thash_entries=2097152 "), "{fix}");
    }
}

#[test]
fn what_costs_speed_is_advice_and_says_the_command() {
    let machine = Machine::tuned();
    machine
        .has("/proc/sys/net/core/somaxconn", "4096")
        .has(
            "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
            "powersave",
        )
        .has("/sys/fs/cgroup/cpu.max", "150000 100000")
        .has("/sys/class/net/eth7/operstate", "up")
        .has("/sys/class/net/eth7/queues/rx-0/rps_cpus", "0")
        .has(
            "/sys/class/net/eth7/queues/tx-0/xps_cpus",
            "00000000,00000001",
        )
        .has(
            "/sys/class/net/eth7/queues/tx-1/xps_cpus",
            "00000000,00000000",
        );
    let found = machine.findings(&["--device", "eth7"]);
    assert!(
        found.iter().all(|(level, ..)| level == "advice"),
        "{found:?}"
    );
    let fixes: Vec<&str> = found.iter().map(|(.., fix)| fix.as_str()).collect();
    for fix in [
        "somaxconn='65535'",
        "frequency-set -g performance",
        "AllowedCPUs",
        "ethtool -L eth7",
        "queues/tx-0/xps_cpus",
    ] {
        assert!(fixes.iter().any(|f| f.contains(fix)), "{fix}: {fixes:?}");
    }
    assert!(machine.check(&["--device", "eth7"]).status.success());
}

#[test]
fn limits_of_a_process_are_looked_at() {
    let machine = Machine::tuned();
    machine.has(
        "/proc/42/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n\
         Max locked memory         65536                65536                bytes     \n\
         Max open files            1024                 524288               files     ",
    );
    let found = machine.findings(&["--pid", "42"]);
    let fixes: Vec<&str> = found.iter().map(|(.., fix)| fix.as_str()).collect();
    assert!(fixes[0].starts_with("LimitNOFILE=200256"), "{found:?}");
    assert!(fixes[1].starts_with("LimitMEMLOCK="), "{found:?}");
    assert_eq!(machine.findings(&["--pid", "43"]).len(), 1);
}

#[test]
fn only_apply_changes_anything_and_only_what_is_off() {
    let machine = Machine::tuned();
    let (off, better) = (sysctl("net.core.somaxconn"), sysctl("fs.file-max"));
    machine.has(&off, "128").has(&better, "99999999");
    machine.check(&[]);
    assert_eq!(machine.says(&off), "128");
    let output = machine.check(&["--apply"]);
    assert_eq!(machine.says(&off), "65535");
    assert_eq!(machine.says(&better), "99999999");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("net.core.somaxconn = 65535 (was 128)"),
        "{said}"
    );
    assert_eq!(said.matches("(was ").count(), 1, "{said}");
}
