//! What this machine must have, and what to change where it does not.
//!
//! weir has one way to talk to the network and no slower one to fall back to in silence: a
//! balancer that is three times slower on the one machine whose container profile forbids
//! io_uring is found out during the next traffic peak. So it asks at start, by really doing each
//! thing once, and a refusal names the cause and the command that removes it.
//!
//! The asking ([`facts`]) is apart from the judging ([`diagnose`]), which is pure: every failure,
//! also those this machine cannot have, is tested.

use std::fmt;
use std::fs;

use crate::runtime::limits::{MEMLOCK_BYTES_MIN, raise_memlock};
use crate::runtime::probe_ring::try_ring;

/// Oldest kernel that has everything: `IORING_SETUP_NO_SQARRAY` came last.
const KERNEL_MIN: (u32, u32) = (6, 6);

const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
const ENOSYS: i32 = 38;

/// What was found out about this machine.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The kernel's release, as `uname -r` prints it.
    pub release: String,
    /// `kernel.io_uring_disabled`; 0 where the kernel does not have it.
    pub disabled: u32,
    /// Whether a seccomp filter is in force.
    pub filtered: bool,
    /// Bytes this process may lock, after raising the limit as far as allowed.
    pub memlock: Option<u64>,
    /// How far a ring could be made and used.
    pub ring: RingFacts,
}

/// How far a ring could be made and used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingFacts {
    /// The first step the kernel refused, with its error number.
    pub refused: Option<(Step, i32)>,
    /// Operations and features the kernel says it does not have.
    pub missing: Vec<&'static str>,
}

/// The steps of making and using a ring, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `io_uring_setup` without any flag.
    Setup,
    /// `io_uring_setup` with the flags a worker needs.
    SetupFlags,
    /// Asking which operations there are.
    Operations,
    /// Registering a ring of receive buffers.
    BufferRing,
    /// A multishot receive that really receives.
    MultishotRecv,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Setup => "io_uring_setup",
            Step::SetupFlags => {
                "io_uring_setup with SINGLE_ISSUER, DEFER_TASKRUN, COOP_TASKRUN and NO_SQARRAY"
            }
            Step::Operations => "IORING_REGISTER_PROBE",
            Step::BufferRing => "IORING_REGISTER_PBUF_RING",
            Step::MultishotRecv => "multishot IORING_OP_RECV",
        }
    }
}

/// Something this machine lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// A sysctl turns io_uring off, for all (2) or for the unprivileged (1).
    DisabledBySysctl(u32),
    /// Something between us and the kernel refuses the system call.
    Forbidden {
        /// Whether a seccomp filter is in force, which then is the cause.
        filtered: bool,
        /// The error number.
        errno: i32,
    },
    /// The kernel is older than what weir is made for.
    KernelTooOld {
        /// Its release.
        release: String,
        /// What it was seen not to have.
        missing: Vec<&'static str>,
    },
    /// Less locked memory is allowed than glommio starts with.
    Memlock(u64),
    /// The kernel is recent but lacks something all the same.
    Missing {
        /// Its release.
        release: String,
        /// What it was seen not to have.
        missing: Vec<&'static str>,
    },
    /// The kernel was built without io_uring.
    NotBuilt,
    /// Out of memory or descriptors while trying.
    Resources {
        /// At what.
        step: Step,
        /// The error number.
        errno: i32,
    },
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lack::DisabledBySysctl(level) => write!(
                f,
                "io_uring is turned off by a sysctl (kernel.io_uring_disabled = {level})\n  \
                 turn it on:  sysctl -w kernel.io_uring_disabled=0\n  \
                 for good:    echo 'kernel.io_uring_disabled = 0' > /etc/sysctl.d/60-weir.conf{}",
                match level {
                    1 => "\n  or run weir as a member of the group in kernel.io_uring_group",
                    _ => "",
                }
            ),
            Lack::Forbidden { filtered, errno } => forbidden(f, *filtered, *errno),
            Lack::KernelTooOld { release, missing } => write!(
                f,
                "the kernel is too old: {release}, needed is {}.{} or newer (it lacks: {})\n  \
                 Debian 12:   apt install -t bookworm-backports linux-image-amd64, and reboot\n  \
                 elsewhere:   a distribution of 2024 or later (Debian 13, Ubuntu 24.04, RHEL 10)",
                KERNEL_MIN.0,
                KERNEL_MIN.1,
                missing.join(", ")
            ),
            Lack::Memlock(bytes) => write!(
                f,
                "too little memory may be locked: {} KiB, needed are {} KiB (RLIMIT_MEMLOCK)\n  \
                 shell:       ulimit -l 65536   (as root, or after raising the hard limit)\n  \
                 systemd:     LimitMEMLOCK=64M in the [Service] section\n  \
                 container:   docker run --ulimit memlock=67108864 ...\n  \
                 login:       '* - memlock 65536' in /etc/security/limits.conf",
                bytes / 1024,
                MEMLOCK_BYTES_MIN / 1024
            ),
            Lack::Missing { release, missing } => write!(
                f,
                "the kernel ({release}) is recent enough but lacks: {}\n  \
                 it is patched or emulated (gVisor is known for it); run weir on a plain kernel",
                missing.join(", ")
            ),
            Lack::NotBuilt => write!(
                f,
                "this kernel has no io_uring (built without CONFIG_IO_URING, or emulated)\n  \
                 boot a distribution's kernel, or run the container without gVisor"
            ),
            Lack::Resources { step, errno } => write!(
                f,
                "{} failed: {}\n  \
                 the machine, the cgroup or the descriptor limit has no room for a ring",
                step.name(),
                std::io::Error::from_raw_os_error(*errno)
            ),
        }
    }
}

fn forbidden(f: &mut fmt::Formatter<'_>, filtered: bool, errno: i32) -> fmt::Result {
    let name = match errno {
        EPERM => "EPERM",
        EACCES => "EACCES",
        ENOSYS => "ENOSYS",
        _ => "refused",
    };
    if filtered {
        write!(
            f,
            "io_uring is forbidden by a seccomp filter (io_uring_setup: {name})\n  \
             docker:      --security-opt seccomp=FILE: the default profile, io_uring_setup,\n  \
             \x20            io_uring_enter and io_uring_register added ('unconfined' to try)\n  \
             kubernetes:  securityContext.seccompProfile of type Localhost with that file\n  \
             systemd:     SystemCallFilter=@aio beside the groups already allowed"
        )
    } else {
        write!(
            f,
            "io_uring is forbidden by a security module (io_uring_setup: {name})\n  \
             SELinux:     ausearch -m avc -c weir | audit2allow shows the rule that is missing\n  \
             AppArmor:    allow io_uring in the profile that confines weir"
        )
    }
}

/// What is lacking, worst first; empty when the machine has everything.
#[must_use]
pub fn diagnose(facts: &Facts) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let ring = &facts.ring;
    let mut missing = ring.missing.clone();
    match ring.refused {
        None => {}
        Some((Step::Setup, errno @ (EPERM | EACCES | ENOSYS))) => {
            lacks.push(refused_at_once(facts, errno));
        }
        Some((step, errno @ (ENOMEM | EMFILE | ENFILE))) => {
            lacks.push(Lack::Resources { step, errno });
        }
        Some((_, errno @ (EPERM | EACCES))) if facts.filtered => {
            lacks.push(Lack::Forbidden {
                filtered: true,
                errno,
            });
        }
        Some((step, _)) => missing.push(step.name()),
    }
    if !missing.is_empty() {
        let release = facts.release.clone();
        lacks.push(match version(&release) {
            Some(version) if version < KERNEL_MIN => Lack::KernelTooOld { release, missing },
            _ => Lack::Missing { release, missing },
        });
    }
    match facts.memlock {
        Some(bytes) if bytes < MEMLOCK_BYTES_MIN => lacks.push(Lack::Memlock(bytes)),
        _ => {}
    }
    lacks
}

/// Why not even a plain ring can be made. The sysctl comes first, because it is known for sure;
/// a filter may also answer ENOSYS, so only without one does that mean what it says.
fn refused_at_once(facts: &Facts, errno: i32) -> Lack {
    if facts.disabled > 0 && errno == EPERM {
        return Lack::DisabledBySysctl(facts.disabled);
    }
    match version(&facts.release) {
        Some(version) if version < KERNEL_MIN && errno == ENOSYS => Lack::KernelTooOld {
            release: facts.release.clone(),
            missing: vec![Step::Setup.name()],
        },
        _ if errno == ENOSYS && !facts.filtered => Lack::NotBuilt,
        _ => Lack::Forbidden {
            filtered: facts.filtered,
            errno,
        },
    }
}

/// Major and minor of a release such as `6.18.44-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

/// Asks this machine. Makes and uses one ring, then drops it.
#[must_use]
pub fn facts() -> Facts {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let filtered = status.lines().any(|line| {
        let mode = line.strip_prefix("Seccomp:").map(str::trim);
        mode == Some("2")
    });
    let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    let uname = rustix::system::uname();
    Facts {
        release: uname.release().to_string_lossy().into_owned(),
        disabled,
        filtered,
        memlock: raise_memlock(),
        ring: try_ring(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Facts {
        Facts {
            release: "6.12.0-amd64".to_owned(),
            disabled: 0,
            filtered: false,
            memlock: None,
            ring: RingFacts::default(),
        }
    }

    fn refused(step: Step, errno: i32) -> RingFacts {
        RingFacts {
            refused: Some((step, errno)),
            missing: Vec::new(),
        }
    }

    fn only(facts: &Facts) -> Lack {
        let mut lacks = diagnose(facts);
        assert_eq!(lacks.len(), 1, "{lacks:?}");
        lacks.remove(0)
    }

    #[test]
    fn a_sound_machine_lacks_nothing() {
        assert_eq!(diagnose(&sound()), []);
    }

    #[test]
    fn the_sysctl_is_named_with_the_command_that_undoes_it() {
        for level in [1, 2] {
            let facts = Facts {
                disabled: level,
                ring: refused(Step::Setup, EPERM),
                ..sound()
            };
            let lack = only(&facts);
            assert_eq!(lack, Lack::DisabledBySysctl(level));
            let text = lack.to_string();
            assert!(
                text.contains("sysctl -w kernel.io_uring_disabled=0"),
                "{text}"
            );
            assert_eq!(text.contains("io_uring_group"), level == 1, "{text}");
        }
    }

    #[test]
    fn a_sysctl_that_spares_the_privileged_is_no_lack_when_the_ring_works() {
        let facts = Facts {
            disabled: 1,
            ..sound()
        };
        assert_eq!(diagnose(&facts), []);
    }

    #[test]
    fn a_seccomp_filter_is_named_whichever_error_it_answers() {
        for errno in [EPERM, ENOSYS, EACCES] {
            let facts = Facts {
                filtered: true,
                ring: refused(Step::Setup, errno),
                ..sound()
            };
            let text = only(&facts).to_string();
            assert!(text.contains("seccomp"), "{text}");
            assert!(text.contains("docker"), "{text}");
        }
    }

    #[test]
    fn without_a_filter_eperm_is_a_security_module_and_enosys_a_kernel_without_it() {
        let mut facts = sound();
        facts.ring = refused(Step::Setup, EPERM);
        assert!(only(&facts).to_string().contains("SELinux"));
        facts.ring = refused(Step::Setup, ENOSYS);
        assert_eq!(only(&facts), Lack::NotBuilt);
    }

    #[test]
    fn an_old_kernel_is_named_with_what_it_lacks() {
        let facts = Facts {
            release: "6.1.0-28-amd64".to_owned(),
            ring: refused(Step::SetupFlags, 22),
            ..sound()
        };
        let text = only(&facts).to_string();
        assert!(text.contains("6.1.0-28-amd64"), "{text}");
        assert!(text.contains("needed is 6.6"), "{text}");
        assert!(text.contains("NO_SQARRAY"), "{text}");
    }

    #[test]
    fn a_recent_kernel_that_lacks_an_operation_is_not_called_old() {
        let mut facts = sound();
        facts.ring.missing = vec!["IORING_OP_ACCEPT"];
        let text = only(&facts).to_string();
        assert!(text.contains("lacks: IORING_OP_ACCEPT"), "{text}");
    }

    #[test]
    fn little_locked_memory_is_named_beside_the_rest() {
        let facts = Facts {
            memlock: Some(64 * 1024),
            disabled: 2,
            ring: refused(Step::Setup, EPERM),
            ..sound()
        };
        let lacks = diagnose(&facts);
        assert_eq!(lacks, [Lack::DisabledBySysctl(2), Lack::Memlock(64 * 1024)]);
        let text = lacks[1].to_string();
        assert!(text.contains("64 KiB, needed are 512 KiB"), "{text}");
        assert!(text.contains("LimitMEMLOCK="), "{text}");
    }

    #[test]
    fn no_room_for_a_ring_is_not_blamed_on_the_kernel() {
        let facts = Facts {
            ring: refused(Step::BufferRing, ENOMEM),
            ..sound()
        };
        let lack = only(&facts);
        let errno = ENOMEM;
        let step = Step::BufferRing;
        assert_eq!(lack, Lack::Resources { step, errno });
    }

    #[test]
    fn releases_are_read() {
        assert_eq!(version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(version("5.14.0-427.el9"), Some((5, 14)));
        assert_eq!(version("6.6"), Some((6, 6)));
        assert_eq!(version("rolling"), None);
    }
}
