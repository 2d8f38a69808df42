"""Generators of load: how each is called, and what it says, brought to one form.

A result is {"tool", "what", "per_second", "failed", "latency_us": {percentile: value}, "open_loop"}.
"""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from comparison.host import BenchError

HERE = Path(__file__).resolve().parent

HOW_TO_GET = {
    "wrk": "apt install wrk",
    "h2load": "apt install nghttp2-client",
    "tcpkali": "build it: https://github.com/satori-com/tcpkali (it is in no Debian release)",
}


def require(name):
    path = shutil.which(name)
    if path is None:
        raise BenchError(f"{name} is not installed; {HOW_TO_GET[name]}")
    return path


def call(command, environment=None):
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env=environment,
        timeout=3600,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr)[-800:]
        raise BenchError(f"{command[0]} ended with {done.returncode}: {said}")
    return done.stdout


def wrk(run):
    import os

    script = HERE / ("mixed.lua" if run.mixed else "report.lua")
    command = [require("wrk"), "-t", run.threads, "-c", run.connections]
    command += ["-d", f"{max(1, round(run.seconds))}s", "--latency", "-s", script, run.url]
    said = call(command, {**os.environ, "LUA_FOLDER": str(HERE)})
    line = next((line for line in said.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise BenchError(f"wrk printed no result: {said[-500:]}")
    told = json.loads(line.removeprefix("RESULT "))
    return result("wrk", run, told["requests"] / told["seconds"], told["failed"], told["latency_us"])


def h2load(run):
    """HTTP/1.1 unless the run asks for HTTP/2 in clear text."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [require("h2load"), "-c", run.connections, "-t", run.threads, "-D", round(run.seconds)]
        command += ["--log-file", log]
        command += [] if run.h2 else ["--h1"]
        said = call([*command, run.url])
        rows = [line.split("\t") for line in log.read_text().splitlines()]
    took = sorted(int(row[2]) for row in rows if len(row) >= 3)
    failed = sum(1 for row in rows if len(row) < 3 or not row[1].startswith("2"))
    rate = re.search(r"finished in [^,]*, ([\d.]+) req/s", said)
    per_second = float(rate[1]) if rate else len(took) / run.seconds
    return result("h2load", run, per_second, failed, percentiles(took))


def tcpkali(run):
    path = require("tcpkali")
    message = "x" * run.bytes
    command = [path, "-c", run.connections, "-w", run.threads, "-T", f"{run.seconds}s"]
    command += ["-m", message, "--latency-marker", message[:8]]
    command += ["--latency-percentiles", "50,90,95,99,99.9"]
    if run.rate:
        command += ["-r", run.rate / run.connections]
    said = call([*command, run.address])
    latency = {}
    found = re.search(r"Message latency[^:]*:\s*([\d./ ]+)ms \(([\d./% ]+)", said)
    if found:
        values = [float(value) for value in re.findall(r"[\d.]+", found[1])]
        names = re.findall(r"[\d.]+", found[2])
        latency = {f"p{name}": value * 1000 for name, value in zip(names, values)}
    sent = re.search(r"Total data received:.*\((\d+) bytes\)", said)
    per_second = int(sent[1]) / run.bytes / run.seconds if sent else 0
    return result("tcpkali", run, per_second, 0, latency)


def bench(run):
    what = ["tcp", run.address, "--bytes", run.bytes] if run.kind == "tcp" else ["http", run.url]
    command = [run.weir, "bench", *what, "-c", run.connections, "-t", run.threads]
    command += ["-d", run.seconds, "--json"]
    command += ["--rate", run.rate] if run.rate else []
    told = json.loads(call(command))
    requests = told["requests"]
    failed = sum(requests["errors"].values()) + requests["unsent"]
    failed += sum(n for code, n in requests["statuses"].items() if code not in ("0", "200"))
    latency = {name: value for name, value in told["latency_us"].items() if name[0] in "pm"}
    latency.pop("mean", None)
    return result("weir bench", run, requests["answered_per_second"], failed, latency)


def result(tool, run, per_second, failed, latency):
    return {
        "tool": tool,
        "what": run.name,
        "per_second": per_second,
        "failed": failed,
        "latency_us": latency,
        "open_loop": run.rate,
    }


def percentiles(took):
    if not took:
        return {}
    wanted = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
    told = {name: took[min(int(len(took) * part), len(took) - 1)] for name, part in wanted.items()}
    return {**told, "max": took[-1]}


TOOLS = {"wrk": wrk, "h2load": h2load, "tcpkali": tcpkali, "bench": bench}
