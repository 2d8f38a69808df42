"""Who takes part: the options that name the proxies, and the contestants that follow from them."""

import os
import sys
from pathlib import Path

from . import host
from .contestants import (
    ADMIN_PORT,
    BACKEND_PORT,
    NGINX_STREAM_MODULE,
    PORTS,
    CostedWeir,
    Envoy,
    Haproxy,
    Nginx,
    Other,
    ShardedWeir,
    Weir,
)
from .host import BenchError, find_tool
from .scenarios import SHARD_TENANTS


def add_proxy_arguments(parser):
    parser.add_argument(
        "--weir", default=str(host.REPOSITORY / "target/release/weir"), help="path of the binary"
    )
    parser.add_argument(
        "--weir-io", choices=["epoll"], help="also run weir with WEIR_IO set to this"
    )
    parser.add_argument(
        "--weir-uncounted",
        metavar="PATH",
        help="a weir built with RUSTFLAGS='--cfg weir_uncounted', for the cost scenarios",
    )
    parser.add_argument("--envoy", metavar="PATH", help="also compare this Envoy")
    parser.add_argument(
        "--other", action="append", default=[], metavar="NAME=SCRIPT", help="also compare this"
    )
    parser.add_argument(
        "--nginx-stream-module", type=Path, default=NGINX_STREAM_MODULE, metavar="PATH"
    )
    host.add_congestion_argument(parser)


def prepare_machine(congestion):
    """Takes the lock and the ports, raises limits, sets the congestion control, and leaves the
    proxy's core. Returns lock and descriptors.
    """
    host.require_two_cores()
    lock = host.lock_machine()
    descriptors = host.raise_descriptor_limit()
    host.require_free_ports([BACKEND_PORT, ADMIN_PORT, *PORTS.values()])
    host.use_congestion_control(congestion)
    os.sched_setaffinity(0, {host.LOAD_CORE})
    return lock, descriptors


def choose_contestants(arguments, wanted, descriptors):
    """Those that were asked for, by family, or else all that can run."""
    offered = [
        *offer_weir(arguments),
        *offer_peers(arguments, wanted or ["haproxy", "nginx"], descriptors),
    ]
    wanted = wanted or {contestant.family for contestant in offered}
    missing = set(wanted) - {contestant.family for contestant in offered}
    if missing:
        raise BenchError(f"no such proxy here: {', '.join(sorted(missing))}")
    return [contestant for contestant in offered if contestant.family in wanted]


def offer_weir(arguments):
    if not os.access(arguments.weir, os.X_OK):
        print(
            f"weir is not at {arguments.weir} (cargo build --release, or --weir PATH): without it",
            file=sys.stderr,
        )
        return []
    offered = [
        Weir("weir", arguments.weir),
        ShardedWeir("weir-3", arguments.weir, tenants=3),
        ShardedWeir(f"weir-{SHARD_TENANTS}", arguments.weir, tenants=SHARD_TENANTS),
        CostedWeir("weir-plain", arguments.weir, is_judged=False),
        CostedWeir("weir-seeing", arguments.weir, sees=True),
    ]
    if arguments.weir_uncounted:
        offered.append(CostedWeir("weir-uncounted", arguments.weir_uncounted, is_judged=False))
    if arguments.weir_io:
        offered.append(
            Weir(f"weir-{arguments.weir_io}", arguments.weir, {"WEIR_IO": arguments.weir_io})
        )
    return offered


def offer_peers(arguments, wanted, descriptors):
    offered = []
    if "haproxy" in wanted:
        haproxy = find_tool("haproxy", "as a peer (or leave it out with --proxies)")
        offered += [
            Haproxy("haproxy", haproxy, descriptors),
            Haproxy("haproxy-splice", haproxy, descriptors, splice=True),
            Haproxy(
                "haproxy-splice-512k", haproxy, descriptors, splice=True, pipe_bytes=512 * 1024
            ),
        ]
    if "nginx" in wanted:
        nginx, module = (
            find_tool("nginx", "as a peer and as the backend"),
            arguments.nginx_stream_module,
        )
        offered += [
            Nginx("nginx", nginx, descriptors, module),
            Nginx("nginx-logbuf", nginx, descriptors, module, log_buffered=True),
        ]
    if arguments.envoy:
        offered.append(Envoy("envoy", arguments.envoy))
    return offered + [Other(*pair.split("=", 1)) for pair in arguments.other]
