"""The proxies that are compared: how each is configured and started, and what it can do.

Peers get the settings an expert would give them and only the features weir has on as well. Their
configurations are the templates in benches/support/peers; weir's are config/bench/*.toml, used
as they stand.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from .host import REPOSITORY, first_line_of

BACKEND_PORT = 9001
PORTS = {
    "l7": 8101,
    "l4": 8102,
    "l7-log": 8103,
    "shard": 8104,
    "cost-traces": 8106,
    "cost-log": 8107,
    "cost-log-decisions": 8108,
}
# Between the ports of proxies that run at the same time.
PORT_STEP = 10
ADMIN_PORT = 9901
TEMPLATES = REPOSITORY / "benches/support/peers"
WEIR_CONFIGS = REPOSITORY / "config/bench"
NGINX_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


@dataclass(frozen=True)
class Launch:
    argv: list
    output: Path
    access_log: Path
    environment: dict = field(default_factory=dict)


def fill_template(name, workdir, **values):
    """Writes a configuration to the work directory; an unknown @name@ is an error, never left as it
    is.
    """
    values["workdir"] = workdir
    text = re.sub(r"@(\w+)@", lambda found: str(values[found[1]]), (TEMPLATES / name).read_text())
    target = workdir / name
    target.write_text(text)
    return target


def peer_values(kind, workdir, port):
    return {
        "port": port,
        "admin_port": ADMIN_PORT,
        "backend_port": BACKEND_PORT,
        "log_path": workdir / "access.log",
    }


@dataclass(frozen=True)
class Weir:
    name: str
    binary: str
    environment: dict = field(default_factory=dict)
    family = "weir"
    is_judged = True

    def takes(self, scenario):
        return is_plain(scenario)

    def version(self):
        return first_line_of([self.binary, "--version"])

    def launch(self, kind, workdir, port):
        log = workdir / "access.log"
        text = (WEIR_CONFIGS / f"{kind}.toml").read_text()
        text = text.replace("/tmp/weir-access.log", str(log))
        return self.launch_with(text.replace(f":{PORTS[kind]}", f":{port}"), kind, workdir)

    def launch_with(self, text, kind, workdir):
        config = workdir / f"{kind}.toml"
        config.write_text(text)
        argv = [self.binary, "run", "-c", config]
        return Launch(
            argv, workdir / "proxy.out", workdir / "access.log", self.environment
        )


@dataclass(frozen=True)
class ShardedWeir(Weir):
    """weir with a map of so many keys, each of which leads to a group and a backend of its own.

    Every backend is the same nginx, so that only the size of the table differs.
    """

    tenants: int = 3

    def takes(self, scenario):
        return scenario.kind == "shard"

    def launch(self, kind, workdir, port):
        head = f"""workers = [0]

[[listener]]
name = "bench"
address = "127.0.0.1:{port}"
protocol = "http"
shard = "by-tenant"
forwarded = "none"
request_id = false
"""
        keys = ",\n".join(f'{{ key = "t{i}", group = "g{i}" }}' for i in range(self.tenants))
        rule = f"""
[[shard]]
name = "by-tenant"
key = {{ header = "x-tenant" }}
map = [
{keys}
]
"""
        groups = "".join(
            f'''
[[group]]
name = "g{i}"

[[group.backend]]
id = "b{i}"
address = "127.0.0.1:{BACKEND_PORT}"
'''
            for i in range(self.tenants)
        )
        return self.launch_with(head + rule + groups, kind, workdir)


LOG = """
[access_log]
path = "@workdir@/access.log"
format = "json"
"""
# What each kind of cost scenario switches on. The one backend is the collector of traces as well.
SEEING = {
    "cost-traces": f"""
[admin]
address = "127.0.0.1:{ADMIN_PORT}"

[tracing]
otlp = "http://127.0.0.1:{BACKEND_PORT}/v1/traces"
sample = 100
""",
    "cost-log": LOG,
    "cost-log-decisions": f"""{LOG}
[decision_log]
path = "@workdir@/decisions"
""",
}


@dataclass(frozen=True)
class CostedWeir(Weir):
    """weir as config/bench/l7.toml has it, with what the scenario is about, or without."""

    sees: bool = False
    is_judged: bool = True

    def takes(self, scenario):
        named = [target.peer for target in scenario.targets]
        return scenario.kind in SEEING and (self.is_judged or self.name in named)

    def scraped_at(self, kind):
        """The port of the metrics that are asked for all the time, if they are."""
        return ADMIN_PORT if self.sees and "[admin]" in SEEING[kind] else None

    def launch(self, kind, workdir, port):
        text = (WEIR_CONFIGS / "l7.toml").read_text().replace(f":{PORTS['l7']}", f":{port}")
        if self.sees:
            text += SEEING[kind].replace("@workdir@", str(workdir))
        return self.launch_with(text, kind, workdir)


def is_plain(scenario):
    """Whether every proxy can take part."""
    return scenario.kind in ("l4", "l7", "l7-log")


@dataclass(frozen=True)
class Haproxy:
    """With splice it is splice-response: splice-auto decided against splicing on this machine, even
    for 100 MB.
    """

    name: str
    binary: str
    descriptors: int
    splice: bool = False
    pipe_bytes: int | None = None
    family = "haproxy"

    def takes(self, scenario):
        return is_plain(scenario) and (scenario.large_bodies or not self.splice)

    def version(self):
        return first_line_of([self.binary, "-v"])

    def launch(self, kind, workdir, port):
        config = fill_template(
            f"haproxy-{kind}.cfg",
            workdir,
            connections_max=(self.descriptors - 400) // 2,
            splice="option splice-response" if self.splice else "",
            pipe_size=f"tune.pipesize {self.pipe_bytes}" if self.pipe_bytes else "",
            **peer_values(kind, workdir, port),
        )
        log = workdir / "access.log"  # HAProxy logs to its stdout
        return Launch([self.binary, "-db", "-f", config], log, log)


@dataclass(frozen=True)
class Nginx:
    name: str
    binary: str
    descriptors: int
    stream_module: Path
    log_buffered: bool = False
    family = "nginx"

    def takes(self, scenario):
        if self.log_buffered:
            return scenario.kind == "l7-log"
        return scenario.kind in ("l7", "l7-log") or (
            scenario.kind == "l4" and self.stream_module.exists()
        )

    def version(self):
        return first_line_of([self.binary, "-v"])

    def launch(self, kind, workdir, port):
        config = fill_template(
            f"nginx-{kind}.conf",
            workdir,
            descriptors=self.descriptors,
            load_stream_module=f"load_module {self.stream_module};",
            log_buffer=" buffer=64k flush=1s" if self.log_buffered else "",
            **peer_values(kind, workdir, port),
        )
        argv = [self.binary, "-p", workdir, "-e", "stderr", "-c", config]
        return Launch(argv, workdir / "proxy.out", workdir / "access.log")


@dataclass(frozen=True)
class Envoy:
    name: str
    binary: str
    family = "envoy"

    def takes(self, scenario):
        return is_plain(scenario)

    def version(self):
        return first_line_of([self.binary, "--version"])

    def launch(self, kind, workdir, port):
        config = fill_template(f"envoy-{kind}.yaml", workdir, **peer_values(kind, workdir, port))
        argv = [
            self.binary,
            "-c",
            config,
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "off",
        ]
        return Launch(argv, workdir / "proxy.out", workdir / "access.log")


@dataclass(frozen=True)
class Other:
    """Any proxy behind a script: `SCRIPT KIND PORT BACKEND` must exec it in the foreground on
    127.0.0.1:PORT.
    """

    name: str
    script: str

    @property
    def family(self):
        return self.name

    def takes(self, scenario):
        return scenario.kind in ("l4", "l7")

    def version(self):
        return self.script

    def launch(self, kind, workdir, port):
        argv = [self.script, kind, str(port), f"127.0.0.1:{BACKEND_PORT}"]
        return Launch(argv, workdir / "proxy.out", workdir / "access.log")
