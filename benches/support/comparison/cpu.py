"""CPU time and memory of a proxy: every thread of every process it has, read from /proc.

The total is the scheduler's own count in nanoseconds (schedstat); /proc/PID/stat gives how it
divides into user and system, and is the cross-check, because a thread that ended takes its
schedstat with it. io_uring's worker threads are threads of the process and so are counted.
Kernel work done on the proxy's core by others (ksoftirqd, neighbours) is read beside it and
reported as foreign.
"""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Below this the 10 ms ticks of /proc/PID/stat cannot contradict schedstat.
TICK_DOUBT_US = 50_000


def stat_fields(path):
    """Fields of a stat file after the name, which may itself hold blanks and brackets."""
    return Path(path).read_text().rpartition(")")[2].split()


def process_tree(*roots):
    """These processes and all below them."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents[int(entry)] = int(stat_fields(f"/proc/{entry}/stat")[1])
            except OSError:
                continue  # it ended while we looked
    tree = list(roots)
    for pid in tree:
        tree.extend(child for child, parent in parents.items() if parent == pid)
    return tree


@dataclass(frozen=True)
class CpuReading:
    """All CPU a proxy has used so far, in microseconds."""

    scheduled_us: float
    user_us: float
    system_us: float

    def since(self, earlier):
        return CpuReading(
            self.scheduled_us - earlier.scheduled_us,
            self.user_us - earlier.user_us,
            self.system_us - earlier.system_us,
        )

    def total_us(self):
        ticks_us = self.user_us + self.system_us
        lost_threads = ticks_us > self.scheduled_us * 1.05 + TICK_DOUBT_US
        return ticks_us if lost_threads else self.scheduled_us

    def user_share(self):
        ticks_us = self.user_us + self.system_us
        return self.user_us / ticks_us if ticks_us else 0.0


def read_cpu(root):
    scheduled_ns = user_ticks = system_ticks = 0
    for pid in process_tree(root):
        fields = stat_fields(f"/proc/{pid}/stat")
        user_ticks += int(fields[11])
        system_ticks += int(fields[12])
        scheduled_ns += sum(
            thread_runtime_ns(pid, task) for task in os.listdir(f"/proc/{pid}/task")
        )
    tick_us = 1e6 / TICKS_PER_SECOND
    return CpuReading(scheduled_ns / 1e3, user_ticks * tick_us, system_ticks * tick_us)


def thread_runtime_ns(pid, task):
    try:
        return int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    except OSError:
        return 0  # ended between listing and reading; /proc/PID/stat still has its time


def own_and_ended_children_us():
    """Of this script and the clients it waited for; not of what still runs."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages) * 1e6


@dataclass(frozen=True)
class CoreReading:
    """What a whole core did so far, in microseconds."""

    busy_us: float
    stolen_us: float


def read_core(core):
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, stolen = (int(v) for v in values[:8])
            tick_us = 1e6 / TICKS_PER_SECOND
            return CoreReading((user + nice + system + irq + softirq) * tick_us, stolen * tick_us)
    raise OSError(f"core {core} is not in /proc/stat")


@dataclass(frozen=True)
class MemoryReading:
    """Resident memory of all processes of a proxy, in bytes."""

    resident: int
    anonymous: int


def read_memory(root):
    totals = {"VmRSS": 0, "RssAnon": 0}
    for pid in process_tree(root):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key in totals:
                totals[key] += int(value.split()[0]) * 1024
    return MemoryReading(totals["VmRSS"], totals["RssAnon"])


def count_threads_named(root, prefix):
    found = 0
    for pid in process_tree(root):
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                found += Path(f"/proc/{pid}/task/{task}/comm").read_text().startswith(prefix)
            except OSError:
                continue
    return found


def count_time_wait():
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        words = line.split()
        if words[0] == "TCP:":
            return int(words[words.index("tw") + 1])
    return 0
