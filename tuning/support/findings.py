"""What is off, why it matters, and how to mend it. Each look is one function over the machine.

`bad` keeps weir from doing what it is asked to do; `advice` costs speed or latency; `fine` is what
was looked at and is as it should be.
"""

from dataclasses import dataclass

import hardware
from settings import REASONS, is_as_good

LEVELS = ("bad", "advice", "fine")
# Without these weir does not start, or clients are turned away.
NEEDED = {"kernel.io_uring_disabled", "net.ipv4.tcp_syncookies"}
# Kernel memory of an idle proxied connection: sockets of both sides and what waits on them
# (measured on loopback: 3.6 + 3.9 KB, and 256 to 864 bytes for a wait).
KERNEL_BYTES_PER_CONNECTION = 8500
# User memory of an idle connection in weir (benches/compare measures 245 for HTTP, 623 for TCP).
USER_BYTES_PER_CONNECTION = 1024
MEMLOCK_BYTES_MIN = 512 * 1024
CGROUP = "/sys/fs/cgroup"


@dataclass(frozen=True)
class Finding:
    level: str
    what: str
    why: str = ""
    fix: str = ""


def fine(what):
    return Finding("fine", what)


def look(machine, settings, needs):
    looks = [
        kernel(machine),
        *kernel_settings(machine, settings),
        *descriptors(machine, needs),
        *ports(machine, needs),
        *memory(machine, needs),
        *socket_table(machine, needs),
        *connection_tracking(machine, needs),
        *quota(machine),
        *hardware.look(machine, needs, Finding),
        *process(machine, needs),
    ]
    return sorted((f for f in looks if f), key=lambda finding: LEVELS.index(finding.level))


def kernel(machine):
    version = machine.kernel()
    if version is None:
        return None
    name = f"kernel {version[0]}.{version[1]}"
    if version < (6, 6):
        return Finding(
            "bad",
            name,
            "weir needs multishot receives and rings with deferred work as Linux 6.6 has them",
            "install a kernel of 6.6 or newer (Debian: bookworm-backports)",
        )
    if version < (6, 17):
        return Finding(
            "advice",
            name,
            "before 6.17 a receive cannot be bounded, so bodies of a megabyte cost three times as much",
            "a kernel of 6.17 or newer, if large bodies are what is served",
        )
    return fine(name)


def kernel_settings(machine, settings):
    for key, wanted in settings.items():
        now = machine.sysctl(key)
        if now is None:
            continue
        if is_as_good(key, now, wanted):
            yield fine(f"{key} = {now}")
            continue
        yield Finding(
            "bad" if key in NEEDED else "advice",
            f"{key} = {now}",
            REASONS[key],
            f"sysctl -w {key}='{wanted}'",
        )


def descriptors(machine, needs):
    wanted = needs.descriptors()
    for key in ("fs.nr_open", "fs.file-max"):
        now = machine.sysctl(key)
        if now is not None and int(now) < wanted:
            yield Finding(
                "bad",
                f"{key} = {now} is less than {needs.connections} connections take",
                f"they take {wanted} descriptors: one to the client and one to the backend each",
                f"sysctl -w {key}={wanted}",
            )


def ports(machine, needs):
    now = machine.sysctl("net.ipv4.ip_local_port_range")
    if now is None:
        return
    low, high = map(int, now.split())
    room = (high - low + 1) * needs.backends
    if room < needs.connections:
        yield Finding(
            "bad",
            f"{room} ports for connections to {needs.backends} backends",
            f"{needs.connections} TCP connections need one each; HTTP shares them and needs fewer",
            "more own addresses (source = [...] in the [[group]]), more backend addresses or ports, a wider "
            "net.ipv4.ip_local_port_range, more nodes",
        )
    else:
        yield fine(f"{room} ports for connections to {needs.backends} backends")


def memory(machine, needs):
    total = machine.memory_bytes()
    if total is None:
        return
    each = KERNEL_BYTES_PER_CONNECTION + USER_BYTES_PER_CONNECTION
    wanted = needs.connections * each
    if wanted > 0.8 * total:
        yield Finding(
            "bad",
            f"{total / 2**30:.1f} GiB of memory",
            f"{needs.connections} idle connections take {wanted / 2**30:.1f} GiB, most of it in the kernel",
            "more memory, or fewer connections per node (connections_max of [overload])",
        )


def socket_table(machine, needs):
    """Its size is fixed at boot; a network namespace that uses its parent's has it with a minus."""
    now = machine.sysctl("net.ipv4.tcp_ehash_entries")
    if now is None:
        return
    buckets, sockets = abs(int(now)), 2 * needs.connections
    if sockets <= 2 * buckets:
        yield fine(f"{buckets} buckets for sockets")
        return
    wanted = 1 << (sockets - 1).bit_length()
    yield Finding(
        "advice",
        f"{buckets} buckets for the {sockets} sockets of {needs.connections} connections",
        "the kernel looks at half of a bucket's sockets for every packet, each a miss of the caches",
        f"thash_entries={wanted} on the kernel's command line; in a network namespace of weir's own "
        f"sysctl -w net.ipv4.tcp_child_ehash_entries={wanted} before it is made",
    )


def connection_tracking(machine, needs):
    now = machine.sysctl("net.netfilter.nf_conntrack_max")
    if now is None:
        return
    if int(now) < 2 * needs.connections:
        yield Finding(
            "bad",
            f"net.netfilter.nf_conntrack_max = {now}",
            "the firewall tracks both sides of each connection; when its table is full, packets are dropped",
            "exempt weir's ports (nft: `notrack` in a raw prerouting and output chain), or "
            f"sysctl -w net.netfilter.nf_conntrack_max={4 * needs.connections}",
        )
    else:
        yield Finding(
            "advice",
            "connections are tracked by the firewall",
            "each packet pays a look-up in its table",
            "exempt weir's ports: nft `notrack` in a raw prerouting and output chain",
        )


def quota(machine):
    written = machine.read(f"{CGROUP}/cpu.max")
    if written and not written.startswith("max"):
        used, period = map(int, written.split())
        yield Finding(
            "advice",
            f"a CPU quota of {used / period:.1f} CPUs",
            "workers that have used it up stand still for the rest of every period, with all their clients",
            "give whole CPUs (AllowedCPUs=, cpuset) instead of a quota (CPUQuota=)",
        )


def process(machine, needs):
    """The limits of a process that runs."""
    if needs.pid is None:
        return
    limits = machine.read(f"/proc/{needs.pid}/limits")
    if limits is None:
        yield Finding(
            "bad", f"no process {needs.pid} that may be looked at", "", "run as its user or root"
        )
        return
    rows = {line[:26].strip(): line[26:].split() for line in limits.splitlines()}
    files = rows.get("Max open files", ["unlimited"])[0]
    if files != "unlimited" and int(files) < needs.descriptors():
        yield Finding(
            "bad",
            f"process {needs.pid} may open {files} files",
            f"{needs.connections} connections take {needs.descriptors()}",
            f"LimitNOFILE={needs.descriptors()} in its unit, then restart it",
        )
    locked = rows.get("Max locked memory", ["unlimited"])[0]
    if locked != "unlimited" and int(locked) < MEMLOCK_BYTES_MIN:
        yield Finding(
            "bad",
            f"process {needs.pid} may lock {locked} bytes",
            "rings and their buffers are locked memory",
            "LimitMEMLOCK=64M in its unit, then restart it",
        )
