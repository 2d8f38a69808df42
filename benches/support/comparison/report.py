"""Medians over the undisturbed rounds, verdicts on the targets, written as Markdown for people
and JSON for scripts.

A ratio is the median of the ratios of single rounds (paired.py). A verdict is `met` where it is
within the limit, `missed` where it is not, `missed, not surely` where the limit lies within the
interval of 95 %, `invalid` (a cell had faults) or `not measured`. When a side had only disturbed
rounds the verdict says so.
"""

import json
from statistics import median

from . import paired
from .scenarios import CPU, IDLE_BYTES, P99

MEASURE_NAMES = {CPU: "CPU", P99: "p99", IDLE_BYTES: "bytes per idle connection"}


def summarise(cells):
    """One row from the rounds of one scenario and proxy; disturbed rounds count only when there are
    no others.
    """
    measured = [cell for cell in cells if CPU in cell or IDLE_BYTES in cell]
    undisturbed = [cell for cell in measured if not cell["disturbed"]]
    used = undisturbed or measured
    row = {
        "faults": sorted({fault for cell in cells for fault in cell["faults"]}),
        "rounds": len(cells),
        "rounds_undisturbed": len(undisturbed),
    }
    return {**row, **medians(used)} if used else row


def medians(cells):
    numbers = {
        key: median(cell[key] for cell in cells)
        for key, value in cells[0].items()
        if isinstance(value, (int, float)) and key != "disturbed"
    }
    spread = [cell[CPU if CPU in numbers else IDLE_BYTES] for cell in cells]
    return {**numbers, "spread": [min(spread), max(spread)]}


def judge(scenario, rows, cells, subjects):
    """Every target of the scenario against every weir in it; rows is {proxy name: summary}, cells
    {proxy name: [one cell per round]}.
    """
    verdicts = []
    for subject in (name for name in subjects if name in rows):
        for target in (target for target in scenario.targets if target.peer != subject):
            verdicts.append(judge_target(scenario, target, subject, rows, cells))
    return verdicts


def judge_target(scenario, target, subject, rows, cells):
    own = rows[subject]
    peer = rows.get(target.peer) if target.peer else None
    value, peer_value = own.get(target.measure), peer and peer.get(target.measure)
    verdict = {
        "scenario": scenario.name,
        "proxy": subject,
        "measure": MEASURE_NAMES[target.measure],
        "value": value,
        "peer": target.peer,
        "peer_value": peer_value,
        "limit": target.limit,
        "ratio": None,
        "interval": None,
    }
    if own["faults"] or (peer and peer["faults"]):
        return {**verdict, "verdict": "invalid"}
    if value is None or (target.peer and not peer_value):
        return {**verdict, "verdict": "not measured"}
    if target.peer is None:
        reached, interval = value, None
    else:
        rounds = paired.ratios(cells[subject], cells[target.peer], target.measure)
        reached, *interval = paired.middle(rounds)
    disturbed = (
        "" if all(row["rounds_undisturbed"] for row in (own, peer) if row) else " (disturbed)"
    )
    return {
        **verdict,
        "ratio": reached,
        "interval": interval,
        "verdict": word(reached, interval, target.limit) + disturbed,
    }


def word(reached, interval, limit):
    if reached <= limit:
        return "met"
    return "missed, not surely" if interval and interval[0] <= limit else "missed"


def row_notes(row):
    notes = [f"INVALID: {fault}" for fault in row["faults"]]
    if "spread" in row and row["rounds_undisturbed"] < row["rounds"]:
        notes.append(f"{row['rounds_undisturbed']} of {row['rounds']} rounds undisturbed")
    return "; ".join(notes)


def request_cells(row):
    low, high = row["spread"]
    return [
        f"{row['rps']:,.0f}",
        f"**{row[CPU]:.2f}**",
        f"{low:.2f} - {high:.2f}",
        f"{row['user_us']:.1f}",
        f"{row['system_us']:.1f}",
        f"{row['core_share']:.0%}",
        f"{row['p50_us']:,.0f}",
        f"{row[P99]:,.0f}",
        f"{row['p999_us']:,.0f}",
        f"{row['resident_bytes'] / 2**20:.1f}",
    ]


def bulk_cells(row):
    low, high = (value / 1e3 for value in row["spread"])
    return [
        f"{row['rps'] * 100:,.0f}",
        f"**{row[CPU] / 1e3:.1f}**",
        f"{low:.1f} - {high:.1f}",
        f"{row['user_us'] / 1e3:.1f}",
        f"{row['system_us'] / 1e3:.1f}",
        f"{row['resident_bytes'] / 2**20:.1f}",
    ]


def idle_cells(row):
    return [
        f"{row['connections']:,.0f}",
        f"**{row[IDLE_BYTES]:,.0f}**",
        f"{row['resident_per_connection']:,.0f}",
        f"{row['resident_bytes'] / 2**20:.1f}",
    ]


TABLES = {
    "requests": (
        "Requests",
        "scenario | proxy | req/s | CPU us/req | spread | user | system | core used | p50 us | p99 us | p99.9 us "
        "| RSS MiB | notes",
        request_cells,
    ),
    "bulk": (
        "Downloads of 100 MB over one connection",
        "scenario | proxy | MB/s | CPU ms per 100 MB | spread | user | system | RSS MiB | notes",
        bulk_cells,
    ),
    "idle": (
        "Memory of idle connections, each of which had one exchange",
        "scenario | proxy | connections | anonymous bytes each | resident bytes each | RSS MiB in all | notes",
        idle_cells,
    ),
}


def row_line(scenario, name, row):
    _, header, cells_of = TABLES[scenario.load]
    figures = cells_of(row) if "spread" in row else ["-"] * (header.count("|") - 2)
    return "| " + " | ".join([scenario.name, name, *figures, row_notes(row)]) + " |"


def table_text(load, scenarios, summaries):
    title, header, _ = TABLES[load]
    lines = [
        row_line(scenario, name, row)
        for scenario in scenarios
        if scenario.load == load
        for name, row in summaries.get(scenario.name, {}).items()
    ]
    if not lines:
        return ""
    columns = header.count("|") + 1
    return "\n".join([f"## {title}", "", f"| {header} |", "|" + " --- |" * columns, *lines])


def verdict_line(verdict):
    peer = verdict["peer"] or "absolute"
    ratio = "-" if verdict["ratio"] is None else f"{verdict['ratio']:.2f}"
    interval = "-" if not verdict["interval"] else "{:.2f} - {:.2f}".format(*verdict["interval"])
    value = "-" if verdict["value"] is None else f"{verdict['value']:,.1f}"
    peer_value = f"{verdict['peer_value']:,.1f}" if verdict["peer_value"] else "-"
    cells = [
        verdict["scenario"],
        verdict["proxy"],
        verdict["measure"],
        value,
        peer,
        peer_value,
        ratio,
        interval,
        f"<= {verdict['limit']:g}",
        f"**{verdict['verdict']}**",
    ]
    return "| " + " | ".join(cells) + " |"


def verdicts_text(verdicts):
    if not verdicts:
        return "## Targets\n\nweir was not among the contestants: nothing to judge.\n"
    met = sum(verdict["verdict"].startswith("met") for verdict in verdicts)
    header = (
        "| scenario | proxy | measure | value | against | its value | ratio | 95 % | target | verdict |"
    )
    return "\n".join(
        [
            "## Targets",
            "",
            f"{met} of {len(verdicts)} met.",
            "",
            header,
            "|" + " --- |" * 10,
            *map(verdict_line, verdicts),
            "",
        ]
    )


def facts_text(facts, versions):
    rows = [f"- {key.replace('_', ' ')}: {value}" for key, value in facts.items()]
    rows += [f"- {name}: {version}" for name, version in versions.items()]
    return "\n".join(rows)


EXPLANATION = """\
The proxy is alone on core 0 with one worker; client (wrk) and backend (nginx) share core 1. Figures are medians over
rounds, without those in which others used more than 15 % of a core; the proxies take turns in each round. Targets are
judged by the median of the ratios within single rounds, with the interval that holds the true one with 95 %. CPU is
user and system time of all threads of all processes of the proxy (schedstat), without warm-up. Kernel work for loopback
is part of it and the same for every proxy. In the `-together-` scenarios all proxies run on core 0 at the same time, each
with a client of its own: what disturbs one disturbs all, so there the ratios of CPU are steadier; latency means something there only
where the rate is fixed and low (`-together-paced`).
Unpaced scenarios are closed loops in which core 1 often saturates first: req/s and latency there say as much about
client and backend as about the proxy. The `-paced` scenarios send the same fixed rate to every proxy."""


def markdown(facts, versions, scenarios, summaries, verdicts):
    tables = [table_text(load, scenarios, summaries) for load in TABLES]
    parts = [
        "# weir against its peers",
        EXPLANATION,
        facts_text(facts, versions),
        *filter(None, tables),
    ]
    return "\n\n".join([*parts, verdicts_text(verdicts)])


def write_results(directory, text, document):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "latest.md").write_text(text)
    (directory / "latest.json").write_text(json.dumps(document, indent=1) + "\n")
