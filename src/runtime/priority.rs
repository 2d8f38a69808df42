#![allow(unsafe_code)]
//! How the kernel's scheduler treats the threads that must not be in the way of workers.

use std::io;

/// Nice of the control thread and those it starts: a lower weight where CPU is short, never to
/// interrupt a thread that runs, and to be interrupted by one that wakes.
const NICE: i32 = 5;

/// Nice of who makes what nobody hurries for. Linux lets a thread that wakes in only while it has
/// not had more than its share, and a worker that was let in has had that until the other has made
/// up for it: with this weight that takes 9 times less of the other's time than with [`NICE`], and
/// a worker that comes back meanwhile waits for the next tick, 4 ms on many a kernel. There is
/// still a thirtieth of a CPU where a worker wants all of it.
const NICE_PATIENT: i32 = 15;

/// How long it may run at a time where nobody else wants to. Who asks for less (everybody else,
/// by default) is let in before it ends. Linux 6.12 and newer look at it; the longest there is.
const SLICE_NANOS: u64 = 100_000_000;

/// Makes the calling thread stand back behind workers: a change of a large table is milliseconds
/// of work, and where the control thread shares a CPU with a worker these would be added to the
/// requests of that worker. It keeps a share of the CPU all the same, so that checks of health and
/// changes go on while all CPUs are busy.
///
/// # Errors
/// When the kernel refuses; nothing depends on it but latency.
pub fn stand_back() -> io::Result<()> {
    be_nice(NICE)
}

/// Makes the calling thread stand back further still, for good: for tens of milliseconds of work
/// that may take seconds where CPU is short.
///
/// # Errors
/// As [`stand_back`].
pub fn stand_far_back() -> io::Result<()> {
    be_nice(NICE_PATIENT)
}

fn be_nice(nice: i32) -> io::Result<()> {
    // SAFETY: all fields are integers, for which zero is a value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    attributes.size = u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0);
    attributes.sched_policy = libc::SCHED_BATCH.cast_unsigned();
    // Whoever was told to be nicer still stays so: to be less nice is a privilege.
    attributes.sched_nice = nice.max(rustix::process::getpriority_process(None)?);
    attributes.sched_runtime = SLICE_NANOS;
    // SAFETY: the kernel reads `size` bytes of the struct, which lives through the call; thread 0
    // is the calling one.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nice value of the calling thread, as the kernel tells it.
    fn nice() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn only_the_calling_thread_and_its_children_stand_back() {
        let before = nice();
        let (own, patient) = std::thread::spawn(|| {
            stand_back().unwrap();
            let child = std::thread::spawn(nice).join().unwrap();
            stand_far_back().unwrap();
            (child, nice())
        })
        .join()
        .unwrap();
        assert_eq!(own, NICE.max(before));
        assert_eq!(patient, NICE_PATIENT.max(before));
        assert_eq!(nice(), before);
    }
}
