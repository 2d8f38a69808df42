"""One cell of the table: one proxy under one scenario, once; alone on its core, or beside all the
others in a scenario that says so.

A warm-up run ends before the CPU is first read, so start, first allocations and the filling of
the upstream pool do not count. A wrong answer, a socket error or a lost log line is a fault of
the cell, and no target is met by a faulty cell.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from . import cpu
from .backend import BODY_BYTES
from .contestants import PORT_STEP, PORTS
from .host import LOAD_CORE, PROXY_CORE, BenchError
from .load import IdleConnections, Scraping, probe_answer, run_download, run_wrk
from .scenarios import CPU, IDLE_BYTES
from .stage import Stage, tail_of

SETTLE_SECONDS = 1.0
IDLE_WARMUP_CONNECTIONS = 64
# When others take more than this of either core, the round is called disturbed.
FOREIGN_SHARE_MAX = 0.15
LOG_LINES_SHARE_MIN = 0.999


@dataclass(frozen=True)
class Bench:
    """What every cell of a run shares."""

    stage: Stage
    wrk: str
    backend_pid: int
    seconds: float
    warmup: float


@contextmanager
def proxy_on_stage(bench, contestant, scenario, place=0):
    """Its process, port and log. Those that run at the same time have different places."""
    workdir = bench.stage.workdir / f"proxy-{place}"
    workdir.mkdir(exist_ok=True)
    workdir.chmod(0o755)  # nginx's worker is another user
    port = PORTS[scenario.kind] + place * PORT_STEP
    launch = contestant.launch(scenario.kind, workdir, port)
    launch.access_log.unlink(missing_ok=True)
    process = bench.stage.start_listening(
        launch.argv, PROXY_CORE, launch.output, port, launch.environment
    )
    try:
        yield process.pid, port, launch.access_log
        if process.poll() is not None:
            raise BenchError(
                f"it ended under load with {process.returncode}{tail_of(launch.output)}"
            )
    finally:
        bench.stage.stop(process)


def measure_cell(bench, contestant, scenario):
    with proxy_on_stage(bench, contestant, scenario) as (pid, port, access_log):
        probe_answer(port, scenario.path)
        if scenario.load == "bulk":
            run = partial(run_download, bench.stage, port, scenario, bench.seconds)
            return measure_work(bench, pid, scenario, run)
        if scenario.load == "idle":
            run_wrk(
                bench, port, replace(scenario, connections=IDLE_WARMUP_CONNECTIONS), bench.warmup
            )
            return measure_idle(bench, pid, port, scenario)
        load = partial(run_wrk, bench, port, asked_of(contestant, scenario))
        warmed = load(bench.warmup)
        cell = measure_work(bench, pid, scenario, partial(load, bench.seconds))
    if scenario.kind == "l7-log":
        # Counted when the proxy has ended, so that nothing is still in a buffer.
        check_log(cell, access_log, warmed["requests"] + cell["requests"])
    return cell


def asked_of(contestant, scenario):
    """The scenario with no more keys than the contestant knows."""
    known = getattr(contestant, "tenants", None)
    if scenario.tenants is None or known is None:
        return scenario
    return replace(scenario, tenants=min(scenario.tenants, known))


def measure_together(bench, line_up, scenario):
    """{proxy: cell} of one round in which all of them are under load at the same time."""
    with ExitStack() as running:
        stages = [
            running.enter_context(proxy_on_stage(bench, contestant, scenario, place))
            for place, contestant in enumerate(line_up)
        ]
        for _, port, _ in stages:
            probe_answer(port, scenario.path)
        clients = running.enter_context(ThreadPoolExecutor(len(line_up)))
        scraped = [c.scraped_at(scenario.kind) for c in line_up if hasattr(c, "scraped_at")]
        for port in filter(None, scraped):
            running.enter_context(Scraping(port))

        def load_all(seconds):
            ports = [port for _, port, _ in stages]
            asked = [asked_of(contestant, scenario) for contestant in line_up]
            run = partial(run_wrk, bench, seconds=seconds)
            return list(clients.map(run, ports, asked))

        warmed = load_all(bench.warmup)
        pids = [pid for pid, _, _ in stages]
        neighbours = Neighbours(pids, bench.backend_pid)
        before = [cpu.read_cpu(pid) for pid in pids]
        results = load_all(bench.seconds)
        spent = [cpu.read_cpu(pid).since(earlier) for pid, earlier in zip(pids, before)]
        shares = neighbours.shares()
        cells = {
            contestant.name: figures(result, used, pid, scenario) | shares
            for contestant, result, used, pid in zip(line_up, results, spent, pids)
        }
        logs = [log for _, _, log in stages]
    for contestant, log, warm in zip(line_up, logs, warmed):
        # Counted when the proxy has ended, so that nothing is still in a buffer. A log of HAProxy is
        # its output, which is always there.
        if contestant.family == "weir" and log.exists():
            cell = cells[contestant.name]
            check_log(cell, log, warm["requests"] + cell["requests"])
    return cells


def failed_cell(error):
    """In the place of figures: what went wrong."""
    return {"faults": [" ".join(str(error).split())], "disturbed": False}


def measure_work(bench, pid, scenario, run):
    time_wait, neighbours = cpu.count_time_wait(), Neighbours([pid], bench.backend_pid)
    before = cpu.read_cpu(pid)
    result = run()
    spent = cpu.read_cpu(pid).since(before)
    shares = neighbours.shares()
    return figures(result, spent, pid, scenario) | shares | {"time_wait_before": time_wait}


def figures(result, spent, pid, scenario):
    done = max(result["requests"], 1)
    return {
        **result,
        "rps": result["requests"] / result["seconds"],
        CPU: spent.total_us() / done,
        "user_us": spent.total_us() * spent.user_share() / done,
        "system_us": spent.total_us() * (1 - spent.user_share()) / done,
        "cpu_us_by_schedstat": spent.scheduled_us / done,
        "cpu_us_by_ticks": (spent.user_us + spent.system_us) / done,
        "core_share": spent.total_us() / 1e6 / result["seconds"],
        "resident_bytes": cpu.read_memory(pid).resident,
        "faults": faults_of(result, scenario),
    }


class Neighbours:
    """How much of each core others took during a run: neither the proxies, nor the backend, nor the
    clients.
    """

    def __init__(self, proxy_pids, backend_pid):
        self.proxy_pids, self.backend_pid = proxy_pids, backend_pid
        self.before = self.read()

    def read(self):
        proxy_core, load_core = cpu.read_core(PROXY_CORE), cpu.read_core(LOAD_CORE)
        proxies_us = sum(cpu.read_cpu(pid).total_us() for pid in self.proxy_pids)
        load_us = cpu.read_cpu(self.backend_pid).total_us() + cpu.own_and_ended_children_us()
        return (
            time.monotonic() * 1e6,
            proxy_core.busy_us - proxies_us,
            load_core.busy_us - load_us,
            proxy_core.stolen_us + load_core.stolen_us,
        )

    def shares(self):
        elapsed_us, proxy_core_us, load_core_us, stolen_us = (
            after - before for after, before in zip(self.read(), self.before)
        )
        shares = {
            "foreign_share_proxy_core": max(0.0, proxy_core_us / elapsed_us),
            "foreign_share_load_core": max(0.0, load_core_us / elapsed_us),
            "stolen_share": stolen_us / elapsed_us,
        }
        return {**shares, "disturbed": max(shares.values()) > FOREIGN_SHARE_MAX}


def faults_of(result, scenario):
    """What makes the figures worthless."""
    faults = []
    if result["errors"]:
        faults.append(f"{result['errors']} socket errors")
    if result.get("status_errors"):
        faults.append(f"{result['status_errors']} error answers")
    if not result["requests"]:
        faults.append("no request done")
    elif "bytes" in result and result["bytes"] / result["requests"] < BODY_BYTES[scenario.path]:
        faults.append("answers shorter than the body")
    return faults


def check_log(cell, access_log, requests):
    with open(access_log, "rb") as log:
        lines = sum(piece.count(b"\n") for piece in iter(lambda: log.read(1 << 20), b""))
    cell["log_lines_per_request"] = lines / max(requests, 1)
    if cell["log_lines_per_request"] < LOG_LINES_SHARE_MIN:
        cell["faults"].append(
            f"only {cell['log_lines_per_request']:.1%} of the requests were logged"
        )


def measure_idle(bench, pid, port, scenario):
    """User memory that each further idle connection costs a proxy that is already warm."""
    time.sleep(SETTLE_SECONDS)
    before = cpu.read_memory(pid)
    with IdleConnections(bench.stage, port, scenario.connections) as idle:
        time.sleep(SETTLE_SECONDS)
        after = cpu.read_memory(pid)
        closed = idle.count_closed()
    held = max(idle.held, 1)
    missing = scenario.connections - idle.held + closed
    return {
        "connections": idle.held,
        IDLE_BYTES: (after.anonymous - before.anonymous) / held,
        "resident_per_connection": (after.resident - before.resident) / held,
        "resident_bytes": after.resident,
        "anonymous_bytes_before": before.anonymous,
        "faults": [f"{missing} connections refused or closed"] if missing else [],
        "disturbed": False,
    }
