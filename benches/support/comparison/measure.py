"""One cell of the table: one proxy, alone on its core, under one scenario, once.

A warm-up run ends before the CPU is first read, so start, first allocations and the filling of the upstream
pool do not count. A wrong answer, a socket error or a lost log line is a fault of the cell, and no target is met by a faulty cell.
"""

import time
from contextlib import contextmanager
from dataclasses import replace

from . import cpu
from .backend import BODY_BYTES
from .contestants import PORTS
from .host import PROXY_CORE
from .load import IdleConnections, probe_answer, run_download, run_wrk
from .scenarios import CPU, IDLE_BYTES

SETTLE_SECONDS = 1.0
IDLE_WARMUP_CONNECTIONS = 64
FOREIGN_SHARE_NOTED = 0.10
STOLEN_SHARE_NOTED = 0.02
LOG_LINES_SHARE_MIN = 0.999


@contextmanager
def proxy_on_stage(stage, contestant, scenario):
    launch = contestant.launch(scenario.kind, stage.workdir)
    launch.access_log.unlink(missing_ok=True)
    port = PORTS[scenario.kind]
    process = stage.start_listening(launch.argv, PROXY_CORE, launch.output, port, launch.environment)
    try:
        yield process.pid, port, launch.access_log
    finally:
        stage.stop(process)


def measure_cell(stage, wrk, contestant, scenario, seconds, warmup):
    with proxy_on_stage(stage, contestant, scenario) as (pid, port, access_log):
        probe_answer(port, scenario.path)
        if scenario.load == "bulk":
            return measure_work(pid, scenario, lambda: run_download(stage, port, scenario, seconds))
        if scenario.load == "idle":
            run_wrk(stage, wrk, port, replace(scenario, connections=IDLE_WARMUP_CONNECTIONS), warmup)
            return measure_idle(stage, pid, port, scenario)
        warmed = run_wrk(stage, wrk, port, scenario, warmup)
        cell = measure_work(pid, scenario, lambda: run_wrk(stage, wrk, port, scenario, seconds))
    if scenario.kind == "l7-log":
        # Counted when the proxy has ended, so that nothing is still in a buffer.
        check_log(cell, access_log, warmed["requests"] + cell["requests"])
    return cell


def failed_cell(error):
    """In the place of figures: what went wrong."""
    return {"faults": [" ".join(str(error).split())], "doubts": []}


def measure_work(pid, scenario, run):
    time_wait = cpu.count_time_wait()
    core_before, cpu_before, begin = cpu.read_core(PROXY_CORE), cpu.read_cpu(pid), time.monotonic()
    result = run()
    spent = cpu.read_cpu(pid).since(cpu_before)
    elapsed_us = (time.monotonic() - begin) * 1e6
    core_after = cpu.read_core(PROXY_CORE)
    done = max(result["requests"], 1)
    cell = {
        **result,
        "rps": result["requests"] / result["seconds"],
        CPU: spent.total_us() / done,
        "user_us": spent.total_us() * spent.user_share() / done,
        "system_us": spent.total_us() * (1 - spent.user_share()) / done,
        "cpu_us_by_schedstat": spent.scheduled_us / done,
        "cpu_us_by_ticks": (spent.user_us + spent.system_us) / done,
        "core_share": spent.total_us() / elapsed_us,
        "foreign_share": max(0.0, core_after.busy_us - core_before.busy_us - spent.total_us()) / elapsed_us,
        "stolen_share": (core_after.stolen_us - core_before.stolen_us) / elapsed_us,
        "resident_bytes": cpu.read_memory(pid).resident,
        "time_wait_before": time_wait,
        "faults": faults_of(result, scenario),
    }
    cell["doubts"] = doubts_of(cell)
    return cell


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


def doubts_of(cell):
    """What makes them less certain: somebody else was on the proxy's core."""
    doubts = []
    if cell["foreign_share"] > FOREIGN_SHARE_NOTED:
        doubts.append(f"others used {cell['foreign_share']:.0%} of the core")
    if cell["stolen_share"] > STOLEN_SHARE_NOTED:
        doubts.append(f"{cell['stolen_share']:.0%} of the core was stolen by the host")
    return doubts


def check_log(cell, access_log, requests):
    with open(access_log, "rb") as log:
        lines = sum(piece.count(b"\n") for piece in iter(lambda: log.read(1 << 20), b""))
    cell["log_lines_per_request"] = lines / max(requests, 1)
    if cell["log_lines_per_request"] < LOG_LINES_SHARE_MIN:
        cell["faults"].append(f"only {cell['log_lines_per_request']:.1%} of the requests were logged")


def measure_idle(stage, pid, port, scenario):
    """User memory that each further idle connection costs a proxy that is already warm."""
    time.sleep(SETTLE_SECONDS)
    before = cpu.read_memory(pid)
    with IdleConnections(stage, port, scenario.connections) as idle:
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
        "doubts": [],
    }
