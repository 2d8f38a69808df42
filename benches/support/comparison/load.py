"""The clients, on the load core: wrk for requests, a small reader for downloads, a holder for
idle connections.

wrk is a closed loop: with N connections there are never more than N requests under way, and on
two cores the client and the backend usually saturate their core before the proxy does. CPU per
request does not suffer from that; latency does, so p99 is also taken at an equal paced rate (see
wrk.lua).
"""

import http.client
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from .backend import BODY_BYTES, SMALL_BODY
from .host import LOAD_CORE, BenchError

HERE = Path(__file__).resolve().parent
WRK_GRACE_SECONDS = 10
HOLD_SECONDS_MAX = 120
SCRAPE_EVERY_SECONDS = 1.0


def probe_answer(port, path):
    """One whole answer, compared with what the backend holds: a fast proxy that answers wrongly is
    not fast.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        # The key is for scenarios that route by one; others do not look at it.
        connection.request("GET", path, headers={"x-tenant": "t0"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"no answer to GET {path}: {error!r}") from error
    finally:
        connection.close()
    expected = SMALL_BODY.encode() if path == "/" else b"weir" * (BODY_BYTES[path] // 4)
    if answer.status != 200 or body != expected:
        raise BenchError(f"wrong answer to GET {path}: {answer.status}, {len(body)} bytes")


def run_wrk(bench, port, scenario, seconds):
    command = [
        bench.wrk,
        "-t",
        1,
        "-c",
        scenario.connections,
        "-d",
        f"{math.ceil(seconds)}s",
        "--timeout",
        "5s",
    ]
    command += ["-s", HERE / "wrk.lua"]
    if scenario.close:
        command += ["-H", "Connection: close"]
    environment = {"PACED_RATE": str(scenario.rate)} if scenario.rate else {}
    if scenario.tenants:
        environment["TENANTS"] = str(scenario.tenants)
    command.append(f"http://127.0.0.1:{port}{scenario.path}")
    client = bench.stage.start(command, LOAD_CORE, subprocess.PIPE, environment)
    try:
        if seconds != int(seconds):
            time.sleep(seconds)
            client.send_signal(signal.SIGINT)  # wrk ends its run early and reports it
        output, complaint = client.communicate(timeout=seconds + WRK_GRACE_SECONDS)
    finally:
        bench.stage.stop(client)
    return parse_wrk(output, complaint)


def parse_wrk(output, complaint):
    for line in output.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    raise BenchError(f"wrk printed no result: {output[-500:]} {complaint[-500:]}")


class Scraping:
    """A Prometheus that asks as often as told (every second, which is fifteen times as often as is
    usual), the first time after half of that, until the block ends; a block without a page is an error. Prometheus is on another machine, so what
    it does here with its pages must not be in the way of clients: the thread is let in where
    nobody else wants to.
    """

    def __init__(self, port, every=SCRAPE_EVERY_SECONDS):
        self.port = port
        self.every = every
        self.pages = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.ask_on, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join()
        if kind is None and not self.pages:
            raise BenchError("no page of metrics was answered")

    def ask_on(self):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        wait = self.every / 2
        while not self.over.wait(wait):
            self.pages += scrape(self.port) > 0
            wait = self.every


def scrape(port):
    """The bytes of a page of metrics, 0 if there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        page = connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
    return len(page) if b"weir_build_info" in page[:4096] else 0


def run_download(stage, port, scenario, seconds):
    size = BODY_BYTES[scenario.path]
    command = [sys.executable, HERE / "download.py", port, scenario.path, size, seconds]
    client = stage.start(command, LOAD_CORE, subprocess.PIPE)
    try:
        output, complaint = client.communicate(timeout=seconds + 60)
    finally:
        stage.stop(client)
    if client.returncode != 0:
        raise BenchError(f"download failed: {complaint[-500:]}")
    return json.loads(output)


class IdleConnections:
    """Connections that were used once and stay open until the block ends."""

    def __init__(self, stage, port, count):
        self.stage = stage
        command = [sys.executable, HERE / "hold_idle.py", port, count]
        self.client = stage.start(command, LOAD_CORE, subprocess.PIPE, stdin=subprocess.PIPE)

    def __enter__(self):
        self.held = self.read_count()
        return self

    def __exit__(self, *_):
        self.stage.stop(self.client)

    def count_closed(self):
        self.client.stdin.write("\n")
        self.client.stdin.flush()
        return self.read_count()

    def read_count(self):
        line = self.client.stdout.readline()
        if not line.strip().isdigit():
            self.client.wait(HOLD_SECONDS_MAX)
            raise BenchError(f"the idle client failed: {self.client.stderr.read()[-500:]}")
        return int(line)
