"""Kernel settings: what 60-weir.conf wants, whether what is in force is as good, and setting it."""

# Where more is as good.
AT_LEAST = {
    "fs.file-max",
    "fs.nr_open",
    "net.core.somaxconn",
    "net.ipv4.tcp_max_syn_backlog",
}
# Least, at first, at most: only the last is a limit that matters.
WINDOWS = {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}

REASONS = {
    "fs.nr_open": "no process can be given more descriptors than this, and a connection takes two",
    "fs.file-max": "it bounds the open files of the whole machine",
    "kernel.io_uring_disabled": "weir does not start without io_uring",
    "net.core.somaxconn": "the accept queue of every listener is cut to it; a full one costs clients a second",
    "net.ipv4.tcp_max_syn_backlog": "beyond it handshakes are answered by cookies, which lose options",
    "net.ipv4.tcp_syncookies": "without it a flood of SYNs shuts everybody out",
    "net.ipv4.ip_local_port_range": "each connection to one backend address takes a port of it",
    "net.ipv4.tcp_tw_reuse": "without it a port that was used stays unusable for a minute",
    "net.ipv4.tcp_rmem": "its last number is the ceiling of what one connection can receive per round trip",
    "net.ipv4.tcp_wmem": "its last number is the ceiling of what one connection can send per round trip",
    "net.ipv4.tcp_slow_start_after_idle": "a kept-alive connection that paused starts small again",
    "net.ipv4.tcp_notsent_lowat": "without a bound each slow client may fill its whole send buffer",
}


def wanted_settings(text):
    """{key: value} of a sysctl.d file."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.split("=", 1) for line in lines if line and line[0] not in "#;")
    return {key.strip(): " ".join(value.split()) for key, value in pairs}


def is_as_good(key, now, wanted):
    if key in AT_LEAST:
        return int(now) >= int(wanted)
    if key in WINDOWS:
        return int(now.split()[-1]) >= int(wanted.split()[-1])
    if key == "net.ipv4.ip_local_port_range":
        (low, high), (want_low, want_high) = map(str.split, (now, wanted))
        return int(high) - int(low) >= 0.9 * (int(want_high) - int(want_low))
    if key == "net.ipv4.tcp_notsent_lowat":
        return int(now) <= 4 * int(wanted)
    return now == wanted


def apply(machine, settings):
    """Sets what is off; a line for each."""
    for key, wanted in settings.items():
        now = machine.sysctl(key)
        if now is None or is_as_good(key, now, wanted):
            continue
        try:
            machine.write(machine.sysctl_path(key), wanted)
            yield f"   set  {key} = {wanted} (was {now})"
        except OSError as error:
            yield f"failed  {key} = {wanted}: {error.strerror or error}"
