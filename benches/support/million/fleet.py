"""Processes of one run: backends, proxies and generators, each below the limit of descriptors."""

import json
import os
import resource
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from comparison.host import BenchError
from comparison.stage import wait_until_listening

PROXY_PORT, BACKEND_PORT = 20_000, 30_000
# Descriptors a process needs beside its connections.
RESERVE = 300
PATIENCE = 60


def descriptors_max():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        hard = int(Path("/proc/sys/fs/nr_open").read_text())
    return hard


def begin():
    """In a process of the fleet: all descriptors, and the first to go if memory ends."""
    take_descriptors()
    Path("/proc/self/oom_score_adj").write_text("1000")


def take_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors_max(), descriptors_max()))


@dataclass
class Plan:
    """How many processes of each kind, and connections of each."""

    kind: str
    connections: int
    per_proxy: int
    per_end: int

    @staticmethod
    def of(kind, proxy, wanted, limit):
        room = limit - RESERVE
        # HAProxy reserves a descriptor to a backend for each client, whether it comes to that or not.
        per_proxy = room // 2 if kind == "tcp" or proxy == "haproxy" else room
        # A generator and a backend serve as many whole proxies as they have room for.
        per_end = room // per_proxy * per_proxy
        return Plan(kind, wanted, min(per_proxy, wanted), min(per_end, wanted))

    def proxies(self):
        return -(-self.connections // self.per_proxy)

    def ends(self):
        return -(-self.connections // self.per_end)

    def proxies_of(self, end):
        each = self.per_end // self.per_proxy
        return range(end * each, min((end + 1) * each, self.proxies()))

    def connections_of(self, end):
        return min(self.per_end, self.connections - end * self.per_end)


@dataclass
class Fleet:
    weir: str
    plan: Plan
    proxy: str
    workdir: Path
    backends: list = field(default_factory=list)
    proxies: list = field(default_factory=list)
    generators: list = field(default_factory=list)

    def start(self):
        cpus = sorted(os.sched_getaffinity(0))
        echo = ["--echo"] if self.plan.kind == "tcp" else []
        for end in range(self.plan.ends()):
            address = f"127.0.0.1:{BACKEND_PORT + end}"
            command = [self.weir, "bench", "serve", address, *echo]
            self.backends.append(
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=begin)
            )
        for backend in self.backends:
            if not backend.stdout.readline().startswith("listening"):
                raise BenchError("a backend does not listen")
        for end in range(self.plan.ends()):
            for number in self.plan.proxies_of(end):
                cpu = cpus[number % len(cpus)]
                self.proxies.append(self.start_proxy(number, BACKEND_PORT + end, cpu))
        for number, process in enumerate(self.proxies):
            log = self.workdir / f"{number}.log"
            wait_until_listening(process, PROXY_PORT + number, self.proxy, log, PATIENCE)

    def start_proxy(self, number, backend, cpu):
        folder = self.workdir / str(number)
        folder.mkdir()
        text = CONFIGURATIONS[self.proxy, self.plan.kind].format(
            port=PROXY_PORT + number,
            backend=backend,
            cpu=cpu,
            source=f"127.2.{number // 250}.{number % 250 + 1}",
            most=self.plan.per_proxy + 50,
            descriptors=descriptors_max(),
            folder=folder,
        )
        path = folder / "config"
        path.write_text(text)
        command = {
            "weir": [self.weir, "run", "-c", path],
            "haproxy": ["haproxy", "-db", "-f", path],
            "nginx": ["nginx", "-c", path, "-p", folder, "-g", "daemon off;"],
        }[self.proxy]
        log = open(self.workdir / f"{number}.log", "w")
        return subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=begin)

    def load(self, seconds, rate, active):
        """Starts the generators, which begin to connect at once."""
        for end in range(self.plan.ends()):
            count = self.plan.connections_of(end)
            ports = [PROXY_PORT + number for number in self.plan.proxies_of(end)]
            if self.plan.kind == "tcp":
                what = ["tcp", *(f"127.0.0.1:{port}" for port in ports)]
            else:
                what = ["http", *(f"http://127.0.0.1:{port}/" for port in ports)]
            command = [self.weir, "bench", *what, "--connections", str(count)]
            command += ["--source", f"127.1.{end}.0/24", "--duration", str(seconds)]
            command += ["--rate", str(max(rate * count / self.plan.connections, 1))]
            command += ["--active", str(active), "--connect-burst", "128", "--timeout", "60"]
            command += ["--steps", "--json"]
            self.generators.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    preexec_fn=begin,
                )
            )

    def hear(self):
        """The next line of each generator."""
        lines = [generator.stdout.readline().strip() for generator in self.generators]
        if not all(lines):
            raise BenchError(f"generators ended before they were done (--limit?): {lines}")
        return lines

    @contextmanager
    def limited(self, seconds):
        """Ends the generators if they take longer: a proxy that takes no more connections keeps them
        waiting."""
        timer = threading.Timer(seconds, lambda: [each.kill() for each in self.generators])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def go_on(self):
        for generator in self.generators:
            generator.stdin.write("\n")
            generator.stdin.flush()

    def results(self):
        """What each generator tells at its end."""
        told = [json.loads(line) for line in self.hear()]
        for generator in self.generators:
            generator.wait(PATIENCE)
        return told

    def pids(self):
        others = [*self.backends, *self.generators]
        return [p.pid for p in self.proxies], [p.pid for p in others if p.poll() is None]

    def stop(self):
        for process in [*self.generators, *self.proxies, *self.backends]:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + 10
        for process in [*self.generators, *self.proxies, *self.backends]:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


WEIR = """workers = [{cpu}]
[log]
level = "error"
[overload]
stop_keep_alive = "never"
close_idle = "never"
refuse = 100
[[listener]]
name = "l"
address = "127.0.0.1:{port}"
protocol = "{protocol}"
group = "g"
backlog = 65535
timeouts = {{ idle = "1h"{head} }}
[[group]]
name = "g"
backends = ["127.0.0.1:{backend}"]
source = ["{source}"]
timeouts = {{ connect = "60s" }}
breaker = {{ requests_max = 1000000, connections_max = 1000000 }}
"""
HAPROXY = """global
    nbthread 1
    cpu-map 1/1 {cpu}
    maxconn {most}
defaults
    mode {mode}
    timeout connect 60s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
    timeout http-request 1h
frontend f
    bind 127.0.0.1:{port} backlog 65535
    default_backend b
backend b
    server s 127.0.0.1:{backend} source {source}
"""
# Its workers stay with the user that begins: `fs.file-max` counts for all but root, and the ends of so
# many connections are more than it usually permits.
NGINX = """user root;
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {folder}/pid;
error_log {folder}/error crit;
events {{ worker_connections {descriptors}; multi_accept on; }}
"""
NGINX_TCP = """load_module /usr/lib/nginx/modules/ngx_stream_module.so;
""" + NGINX + """stream {{
    proxy_timeout 1h;
    proxy_connect_timeout 60s;
    server {{
        listen 127.0.0.1:{port} backlog=65535;
        proxy_bind {source};
        proxy_pass 127.0.0.1:{backend};
    }}
}}
"""
NGINX_HTTP = NGINX + """http {{
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000;
    client_header_timeout 1h;
    upstream u {{ server 127.0.0.1:{backend}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} backlog=65535;
        location / {{
            proxy_pass http://u;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_bind {source};
        }}
    }}
}}
"""


def filled(text, **words):
    """`text` with some of its places filled, the others still to fill."""
    for name, value in words.items():
        text = text.replace("{" + name + "}", value)
    return text


CONFIGURATIONS = {
    ("weir", "tcp"): filled(WEIR, protocol="tcp", head=""),
    ("weir", "http"): filled(WEIR, protocol="http", head=', head = "1h"'),
    ("haproxy", "tcp"): filled(HAPROXY, mode="tcp"),
    ("haproxy", "http"): filled(HAPROXY, mode="http"),
    ("nginx", "tcp"): NGINX_TCP,
    ("nginx", "http"): NGINX_HTTP,
}
