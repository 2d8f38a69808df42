"""What is compared, and what weir promises in each scenario.

A target is a limit for weir's figure as a share of a peer's, or an absolute limit when it names
no peer.
"""

from dataclasses import dataclass, replace

CPU = "cpu_us"
P99 = "p99_us"
IDLE_BYTES = "anonymous_per_connection"

PACED_RATE = 10_000
SHARED_RATE = 3_000
# A proxied connection takes two descriptors of the proxy, and 20,000 is a usual hard limit: a run
# lowers this then, to where weir does not close idle ones for want of descriptors yet.
IDLE_CONNECTIONS_MAX = 10_000
SHARD_TENANTS = 10_000


@dataclass(frozen=True)
class Target:
    measure: str
    limit: float
    peer: str | None = None


@dataclass(frozen=True)
class Scenario:
    name: str
    kind: str  # "l4", "l7", "l7-log", "shard" or "cost-...": which listener and which features
    load: str  # "requests", "bulk" or "idle"
    connections: int
    path: str = "/"
    close: bool = False
    rate: int | None = None
    together: bool = False  # all proxies at the same time, each with a client of its own
    tenants: int | None = None  # so many different keys are asked for
    targets: tuple = ()

    @property
    def large_bodies(self):
        return self.path in ("/1m", "/100m")


def requests(name, kind, connections, cpu=None, **options):
    """A wrk scenario: the given CPU targets, and a p99 that is never worse than HAProxy's."""
    targets = [Target(CPU, limit, peer) for peer, limit in (cpu or {}).items()]
    targets.append(Target(P99, 1.0, "haproxy"))
    return Scenario(name, kind, "requests", connections, targets=tuple(targets), **options)


def together(name, kind, connections, cpu, **options):
    """Whatever disturbs one proxy disturbs all of them, so the ratio of their CPU is steadier than
    when they take turns; latency says nothing, because they share a core that has no rest.
    """
    targets = tuple(Target(CPU, limit, peer) for peer, limit in cpu.items())
    return Scenario(
        name, kind, "requests", connections, targets=targets, together=True, **options
    )


def paced_together(name, kind):
    """The same load for all, little enough that they hardly meet: here latency is compared."""
    targets = (Target(P99, 1.0, "haproxy"),)
    return Scenario(
        name, kind, "requests", 64, rate=SHARED_RATE, targets=targets, together=True
    )


def sharded(name, tenants):
    """weir with a table of 10,000 backends and keys against weir with one of 3, side by side."""
    targets = (Target(CPU, 1.05, "weir-3"),)
    return Scenario(
        name, "shard", "requests", 64, targets=targets, tenants=tenants, together=True
    )


def cost(kind, limit, peers=("weir-plain",)):
    """weir with something switched on against weir with nothing of the kind, side by side: what
    seeing costs. What counting costs shows beside a weir that does not even count.
    """
    targets = tuple(Target(CPU, limit, peer) for peer in peers)
    return Scenario(kind, kind, "requests", 64, targets=targets, together=True)


def bulk(name, kind):
    return Scenario(name, kind, "bulk", 1, "/100m", targets=(Target(CPU, 1.0, "haproxy-splice"),))


def idle(name, kind):
    return Scenario(name, kind, "idle", IDLE_CONNECTIONS_MAX, targets=(Target(IDLE_BYTES, 1024),))


L4_BUSY = {"haproxy": 0.90}
L7_BUSY = {"haproxy": 0.65, "nginx": 0.75}

SCENARIOS = (
    requests("l4-ka-8", "l4", 8),
    requests("l4-ka-64", "l4", 64, L4_BUSY),
    requests("l4-ka-256", "l4", 256, L4_BUSY),
    requests("l4-close", "l4", 64, {"haproxy": 1.0}, close=True),
    requests("l4-paced", "l4", 64, rate=PACED_RATE),
    requests("l7-ka-8", "l7", 8, {"haproxy": 0.80}),
    requests("l7-ka-64", "l7", 64, L7_BUSY),
    requests("l7-ka-256", "l7", 256, L7_BUSY),
    requests("l7-ka-1000", "l7", 1000, L7_BUSY),
    requests("l7-close", "l7", 64, {"haproxy": 0.85}, close=True),
    requests("l7-paced", "l7", 64, rate=PACED_RATE),
    requests("l7-10k", "l7", 64, path="/10k"),
    requests("l7-1m", "l7", 16, path="/1m"),
    requests("l7-log", "l7-log", 64, {"haproxy": 0.75}),
    together("l4-together-8", "l4", 8, {}),
    together("l4-together-64", "l4", 64, L4_BUSY),
    together("l4-together-256", "l4", 256, L4_BUSY),
    together("l4-together-close", "l4", 64, {"haproxy": 1.0}, close=True),
    paced_together("l4-together-paced", "l4"),
    together("l7-together-8", "l7", 8, {"haproxy": 0.80}),
    together("l7-together-64", "l7", 64, L7_BUSY),
    together("l7-together-256", "l7", 256, L7_BUSY),
    together("l7-together-1000", "l7", 1000, L7_BUSY),
    together("l7-together-close", "l7", 64, {"haproxy": 0.85}, close=True),
    paced_together("l7-together-paced", "l7"),
    sharded("shard-hot", 3),
    sharded("shard-spread", SHARD_TENANTS),
    cost("cost-traces", 1.03, ("weir-plain", "weir-uncounted")),
    cost("cost-log", 1.05),
    cost("cost-log-decisions", 1.05),
    bulk("l4-bulk", "l4"),
    bulk("l7-bulk", "l7"),
    idle("idle-mem-l4", "l4"),
    idle("idle-mem-l7", "l7"),
)

QUICK = ("l7-ka-64", "l7-ka-8", "l4-ka-64", "l7-close", "l4-close")


def within_descriptors(scenario, descriptors):
    if scenario.load != "idle":
        return scenario
    return replace(scenario, connections=min(scenario.connections, descriptors * 4 // 5 // 2))


def choose(names):
    """Scenarios by name; a name that is the beginning of several means all of them (idle-mem,
    l7-ka).
    """
    chosen = []
    for name in names:
        found = [s for s in SCENARIOS if s.name == name] or [
            s for s in SCENARIOS if s.name.startswith(name)
        ]
        if not found:
            raise ValueError(
                f"no scenario {name}; there are: {', '.join(s.name for s in SCENARIOS)}"
            )
        chosen += [scenario for scenario in found if scenario not in chosen]
    return chosen
