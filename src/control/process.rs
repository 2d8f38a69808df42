//! What the operating system says of this process, from /proc and the CPU clock.

use std::fs;
use std::time::SystemTime;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::telemetry::exposition::ProcessFacts;

/// The facts now; what cannot be read is zero.
#[must_use]
pub fn facts(started: SystemTime) -> ProcessFacts {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let started = started
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    ProcessFacts {
        cpu_micros: u64::try_from(cpu.tv_sec * 1_000_000 + cpu.tv_nsec / 1000).unwrap_or(0),
        resident_bytes: kib_of(&status, "VmRSS:") * 1024,
        virtual_bytes: kib_of(&status, "VmSize:") * 1024,
        threads: number_of(&status, "Threads:"),
        open_fds: open_fds(),
        max_fds: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        started_unix_micros: u64::try_from(started.as_micros()).unwrap_or(0),
    }
}

fn kib_of(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or(0)
}

fn number_of(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0)
}

/// What the kernel gave a thread: CPU time, and time it waited for a CPU though it could run, both
/// in microseconds. None where the kernel does not tell.
#[must_use]
pub fn thread_times(thread: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    let mut nanos = text.split_whitespace().map_while(|part| part.parse().ok());
    let (ran, waited): (u64, u64) = (nanos.next()?, nanos.next()?);
    Some((ran / 1000, waited / 1000))
}

/// Since Linux 6.2 the size of the directory is the number of descriptors; before that it is 0
/// and they are counted, which takes long when there are many.
fn open_fds() -> u64 {
    match fs::metadata("/proc/self/fd").map(|fds| fds.len()) {
        Ok(0) | Err(_) => fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64),
        Ok(count) => count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_has_had_a_cpu() {
        let own = rustix::thread::gettid().as_raw_pid().unsigned_abs();
        let (before, _) = thread_times(own).expect("a kernel that tells");
        let mut sum = 0_u64;
        let began = std::time::Instant::now();
        while thread_times(own).is_none_or(|(ran, _)| ran <= before) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
            assert!(began.elapsed().as_secs() < 60, "no CPU time in a minute");
        }
        assert_eq!(thread_times(0), None);
    }

    #[test]
    fn a_running_process_has_cpu_time_memory_and_descriptors() {
        let facts = facts(SystemTime::now());
        assert!(facts.resident_bytes > 1 << 20);
        assert!(
            facts.open_fds >= 3 && facts.open_fds <= facts.max_fds,
            "{facts:?}"
        );
        assert!(facts.virtual_bytes >= facts.resident_bytes);
        assert!(facts.threads >= 1);
        assert!(facts.cpu_micros > 0);
        assert!(facts.started_unix_micros > 1_700_000_000_000_000);
    }
}
