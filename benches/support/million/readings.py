"""What the machine and the processes have: memory of the kernel and of each, sockets, CPU."""

from dataclasses import dataclass
from pathlib import Path

from comparison.cpu import process_tree, stat_fields

PAGE = 4096
TICKS = 100


def meminfo():
    rows = (line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return {name: int(value.split()[0]) * 1024 for name, value in rows}


def sockets():
    """TCP sockets in use, those in TIME_WAIT, and the bytes waiting in their buffers."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        words = line.split()
        if words[0] == "TCP:":
            fields = dict(zip(words[1::2], map(int, words[2::2])))
            return fields["inuse"], fields["tw"], fields["mem"] * PAGE
    return 0, 0, 0


def private_bytes(pid):
    """Memory of a process that is its own: not files it has mapped."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in text.splitlines() if line.startswith("RssAnon:")), None)
    return int(line.split()[1]) * 1024 if line else 0


def descriptors(pid):
    try:
        return Path(f"/proc/{pid}/fd").stat().st_size
    except OSError:
        return 0


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        try:
            fields = stat_fields(f"/proc/{pid}/stat")
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


@dataclass(frozen=True)
class Reading:
    """The state of everything at one moment."""

    used: int
    proxies: int
    others: int
    sockets: int
    time_wait: int
    descriptors: int
    cpu: float

    def kernel(self):
        """Memory in use that is no process's own."""
        return self.used - self.proxies - self.others


def read(proxies, others):
    """`proxies` and `others` are the first processes of trees."""
    trees = process_tree(*proxies)
    info = meminfo()
    inuse, time_wait, _ = sockets()
    given_back = info["MemFree"] + info["Buffers"] + info["Cached"] + info["SReclaimable"]
    return Reading(
        used=info["MemTotal"] - given_back,
        proxies=sum(map(private_bytes, trees)),
        others=sum(map(private_bytes, others)),
        sockets=inuse,
        time_wait=time_wait,
        descriptors=sum(map(descriptors, trees)),
        cpu=cpu_seconds(trees),
    )
