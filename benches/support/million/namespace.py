"""A network of its own, with a table of sockets as large as its sockets are many.

Linux finds the socket of each packet in a hash table whose size is fixed when the machine boots:
262,144 buckets on 24 GiB. A million proxied connections are four million sockets here, fifteen to a
bucket, and every packet walks past half of them. On a machine built for so many it is a boot
parameter (`thash_entries`); a new network namespace gets a table by
`net.ipv4.tcp_child_ehash_entries` without one.
"""

import os
import subprocess
import sys
from pathlib import Path

from comparison.host import BenchError, find_tool

ENTRIES = Path("/proc/sys/net/ipv4/tcp_ehash_entries")
ENTRIES_OF_CHILDREN = Path("/proc/sys/net/ipv4/tcp_child_ehash_entries")
ENTRIES_MAX = 1 << 24
INSIDE = "WEIR_MILLION_NAMESPACE"


def entries():
    """Buckets of the table in use. A namespace that shares its parent's says so by a minus."""
    return abs(int(ENTRIES.read_text()))


def entries_for(sockets):
    """As many as there are sockets, up to a power of two."""
    return min(1 << max(sockets - 1, 1).bit_length(), ENTRIES_MAX)


def enter(wanted):
    """Begins this program again in a namespace with so many buckets; returns there.

    None is the network as it is.
    """
    if wanted is None:
        return
    if INSIDE in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        if entries() < wanted:
            raise BenchError(f"the table has {entries()} buckets, not {wanted}")
        return
    unshare = find_tool("unshare", "for a network of its own, or --sockets-table as-is")
    try:
        before = ENTRIES_OF_CHILDREN.read_text()
        ENTRIES_OF_CHILDREN.write_text(str(wanted))
    except OSError as error:
        raise BenchError(
            f"{ENTRIES_OF_CHILDREN}: {error.strerror}; it needs root and Linux 6.1, "
            "or --sockets-table as-is"
        ) from None
    try:
        command = [unshare, "--net", sys.executable, *sys.argv]
        sys.exit(subprocess.run(command, env={**os.environ, INSIDE: "1"}, check=False).returncode)
    finally:
        ENTRIES_OF_CHILDREN.write_text(before)
