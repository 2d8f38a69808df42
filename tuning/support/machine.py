"""What the machine says of itself: files of /proc and /sys below a root, which tests replace."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Needs:
    """What is asked of the machine."""

    connections: int
    backends: int
    device: str | None
    pid: int | None

    def descriptors(self):
        """Two for each connection, and what weir holds besides."""
        return 2 * self.connections + 256


class Machine:
    def __init__(self, root):
        self.root = Path(root)

    def path(self, name):
        return self.root / name.lstrip("/")

    def read(self, name):
        """The text of a file, or None where there is none that can be read."""
        try:
            return self.path(name).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None

    def write(self, name, text):
        self.path(name).write_text(text)

    def number(self, name):
        text = self.read(name)
        return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else None

    def list(self, directory, pattern="*"):
        return sorted(self.path(directory).glob(pattern))

    def sysctl_path(self, key):
        return "/proc/sys/" + key.replace(".", "/")

    def sysctl(self, key):
        """The value in force, its words separated by one space."""
        text = self.read(self.sysctl_path(key))
        return None if text is None else " ".join(text.split())

    def kernel(self):
        """(major, minor)"""
        found = re.match(r"(\d+)\.(\d+)", self.read("/proc/sys/kernel/osrelease") or "")
        return (int(found[1]), int(found[2])) if found else None

    def memory_bytes(self):
        found = re.search(r"MemTotal:\s+(\d+) kB", self.read("/proc/meminfo") or "")
        return int(found[1]) * 1024 if found else None

    def cpus(self):
        return span(self.read("/sys/devices/system/cpu/online") or "")


def span(text):
    """The numbers of a list such as `0-3,8`."""
    numbers = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
