"""The machine a comparison runs on: which tools it has, what it is, and the limits it sets.

Nothing is installed here. A missing tool is an error with its name in it, never a silent gap in
the table.
"""

import atexit
import datetime
import fcntl
import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
PROXY_CORE = 0  # config/bench/*.toml pin weir's worker to the same core
LOAD_CORE = 1
LOCK_PATH = "/tmp/weir-bench.lock"
CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")


class BenchError(Exception):
    """Something the person at the keyboard has to mend; printed without a trace."""


def find_tool(name, reason):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise BenchError(f"{name} is not installed: it is needed {reason}")
    return path


def require_two_cores():
    if len(os.sched_getaffinity(0)) < 2:
        raise BenchError(
            "two cores are needed: the proxy alone on one, client and backend on the other"
        )


def raise_descriptor_limit():
    """Children inherit it. Returns how many descriptors one process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def lock_machine():
    """Two comparisons at a time would measure each other. The lock falls with this process."""
    lock = open(LOCK_PATH, "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BenchError(f"another comparison holds {LOCK_PATH}; run one at a time") from None
    return lock


def require_free_ports(ports):
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise BenchError(
                    f"127.0.0.1:{port} is in use; find its owner with ss -ltnp"
                ) from None


def add_congestion_argument(parser):
    parser.add_argument(
        "--congestion",
        metavar="NAME",
        help="TCP's congestion control for all ends, set until this ends (needs root); default: as it is",
    )


def congestion_control():
    return CONGESTION_CONTROL.read_text().strip()


def use_congestion_control(name):
    """Sets it for every connection made from now on, and back when this process ends. None leaves
    it as it is.
    """
    if name is None:
        return
    before = congestion_control()
    try:
        CONGESTION_CONTROL.write_text(name)
    except OSError as error:
        raise BenchError(
            f"congestion control {name}: {error.strerror}; "
            "sysctl net.ipv4.tcp_available_congestion_control lists what there is"
        ) from None
    atexit.register(CONGESTION_CONTROL.write_text, before)


def first_line_of(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except OSError as error:
        return f"unknown ({error})"
    text = (done.stdout + done.stderr).strip()
    return text.splitlines()[0] if text else "unknown"


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def machine_facts():
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory_bytes / 2**30, 1),
        "kernel": platform.release(),
        "congestion_control": congestion_control(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "revision": first_line_of(
            ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"]
        ),
    }
