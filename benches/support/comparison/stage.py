"""Starts the processes of a comparison in one temporary directory and ends each of them by its
pid.

Whatever happens (failure, Ctrl-C, SIGTERM) leaving the stage ends everything it started and
removes the directory. Only pids started here, and their children, are ever signalled.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .cpu import process_tree
from .host import BenchError

READY_SECONDS_MAX = 10
STOP_SECONDS_MAX = 3


def raise_interrupt(_signal, _frame):
    raise KeyboardInterrupt


class Stage:
    def __init__(self):
        # Memory-backed where there is one, so that log files never wait for a disk.
        parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.workdir = Path(tempfile.mkdtemp(prefix="weir-bench-", dir=parent))
        self.workdir.chmod(0o755)  # nginx's worker is another user
        self.running = []

    def __enter__(self):
        signal.signal(signal.SIGTERM, raise_interrupt)
        return self

    def __exit__(self, *_):
        # A second Ctrl-C must not leave processes behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for process in reversed(list(self.running)):
            self.stop(process)
        shutil.rmtree(self.workdir, ignore_errors=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def start(self, argv, core, output, environment=None, **options):
        """Output is a path that takes stdout and stderr, or subprocess.PIPE for stdout alone."""
        command = ["taskset", "-c", str(core), *map(str, argv)]
        settings = {"stdin": subprocess.DEVNULL, **options}
        environment = {**os.environ, **(environment or {})}
        if output == subprocess.PIPE:
            process = self.spawn(
                command, environment, stdout=output, stderr=output, text=True, **settings
            )
        else:
            with open(output, "wb") as sink:
                process = self.spawn(
                    command, environment, stdout=sink, stderr=subprocess.STDOUT, **settings
                )
        return process

    def spawn(self, command, environment, **settings):
        process = subprocess.Popen(command, env=environment, start_new_session=True, **settings)
        self.running.append(process)
        return process

    def start_listening(self, argv, core, output, port, environment=None):
        process = self.start(argv, core, output, environment)
        wait_until_listening(process, port, argv[0], output)
        return process

    def stop(self, process):
        tree = process_tree(process.pid) if process.poll() is None else []
        for request in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(request)
                wait_for_end(process)
        for pid in tree[1:]:
            kill_orphan(pid, process.pid)
        self.running.remove(process)


def wait_for_end(process):
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        pass


def kill_orphan(pid, session):
    """A child outlives its parent only when the parent was killed; its session says that it is still
    ours.
    """
    try:
        if os.getsid(pid) == session:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def wait_until_listening(process, port, name, output=None, patience=READY_SECONDS_MAX):
    """Output is a file the process writes to; what it said is part of the error."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"{name} ended at once with {process.returncode}{tail_of(output)}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise BenchError(f"{name} does not listen on {port} after {patience} s{tail_of(output)}")


def tail_of(output):
    if output is None:
        return ""
    return ":\n" + Path(output).read_text(errors="replace")[-2000:]
