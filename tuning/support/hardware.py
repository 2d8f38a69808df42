"""CPUs, their clocks and sleep, NUMA nodes, and the queues and interrupts of a network card."""

import re

from machine import span

CPU = "/sys/devices/system/cpu"
# A core that takes this long to wake up answers late when there is little to do.
WAKE_MICROS_MAX = 50


def look(machine, needs, finding):
    looks = [
        governor(machine, finding),
        idle_states(machine, finding),
        clock(machine, finding),
        huge_pages(machine, finding),
    ]
    if needs.device:
        looks += card(machine, needs.device, finding)
    return looks


def governor(machine, finding):
    found = {
        path.read_text().strip()
        for path in machine.list(CPU, "cpu[0-9]*/cpufreq/scaling_governor")
    }
    if not found:
        return None
    if found == {"performance"}:
        return finding("fine", "CPU governor performance")
    return finding(
        "advice",
        f"CPU governor {', '.join(sorted(found))}",
        "a core that has clocked down answers slower until it has noticed the load",
        "cpupower frequency-set -g performance",
    )


def idle_states(machine, finding):
    """The sleep that takes longest to wake from, of those that may be entered."""
    slowest = max(
        (
            (latency, machine.read(f"{state}/name") or state.name)
            for state in machine.list(CPU, "cpu0/cpuidle/state[0-9]*")
            if (latency := machine.number(f"{relative(machine, state)}/latency")) is not None
            and machine.number(f"{relative(machine, state)}/disable") != 1
        ),
        default=None,
    )
    if slowest is None:
        return None
    latency, name = slowest
    if latency <= WAKE_MICROS_MAX:
        return finding("fine", f"idle CPUs wake within {latency} us")
    return finding(
        "advice",
        f"idle CPUs may need {latency} us to wake ({name})",
        "it is added to the latency of requests when there are few of them",
        f"cpupower idle-set -D {WAKE_MICROS_MAX}",
    )


def relative(machine, path):
    return "/" + str(path.relative_to(machine.root))


def clock(machine, finding):
    name = machine.read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    if name is None:
        return None
    if name in ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"):
        return finding("fine", f"clock source {name}")
    return finding(
        "advice",
        f"clock source {name}",
        "each look at the clock is a system call that takes a microsecond",
        "find in the kernel's log why tsc was given up (`dmesg | grep -i tsc`)",
    )


def huge_pages(machine, finding):
    written = machine.read("/sys/kernel/mm/transparent_hugepage/enabled")
    if written is None or "[always]" not in written:
        return None
    return finding(
        "advice",
        "transparent huge pages: always",
        "the memory of a process that holds many small things grows by parts that it does not use",
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
    )


def card(machine, device, finding):
    base = f"/sys/class/net/{device}"
    if machine.read(f"{base}/operstate") is None:
        return [finding("bad", f"no network device {device}", "", "`ip link` lists them")]
    looks = [
        queues(machine, base, device, finding),
        sending(machine, base, device, finding),
        node(machine, base, device, finding),
    ]
    return [*looks, interrupts(machine, device, finding)]


def queues(machine, base, device, finding):
    received = len(machine.list(f"{base}/queues", "rx-*"))
    cpus = len(machine.cpus())
    spread = any(
        int((path.read_text().strip() or "0").replace(",", ""), 16)
        for path in machine.list(f"{base}/queues", "rx-*/rps_cpus")
    )
    if received >= cpus or spread:
        return finding("fine", f"{device}: {received} receive queues for {cpus} CPUs")
    return finding(
        "advice",
        f"{device}: {received} receive queues for {cpus} CPUs",
        "the CPUs that serve a queue do the TCP work of all others",
        f"ethtool -L {device} combined {cpus}; where the card has fewer, spread them: "
        f"echo ffff > {base}/queues/rx-0/rps_cpus (a mask of CPUs)",
    )


def sending(machine, base, device, finding):
    """Whether each CPU has its own queue to send by (XPS), where there are enough of them."""
    masks = [
        path.read_text().strip().replace(",", "") or "0"
        for path in machine.list(f"{base}/queues", "tx-*/xps_cpus")
    ]
    cpus = len(machine.cpus())
    if len(masks) < 2 or cpus < 2:
        return None
    if all(int(mask, 16) for mask in masks[:cpus]):
        return finding("fine", f"{device}: {len(masks)} queues to send by have their CPUs")
    return finding(
        "advice",
        f"{device}: CPUs have no queue of their own to send by (XPS)",
        "packets of one connection leave by queues that other CPUs use and lock",
        f"one CPU for each: echo 1 > {base}/queues/tx-0/xps_cpus, echo 2 > .../tx-1/xps_cpus and so on",
    )


def node(machine, base, device, finding):
    where = machine.number(f"{base}/device/numa_node")
    if where is None or where < 0 or len(machine.list("/sys/devices/system/node", "node[0-9]*")) < 2:
        return None
    near = machine.read(f"/sys/devices/system/node/node{where}/cpulist")
    return finding(
        "advice",
        f"{device} is on NUMA node {where} (CPUs {near})",
        "a worker on another node fetches every packet over the link between them",
        f"workers = [{', '.join(map(str, span(near or '')))}], or one weir for each node, each with its card",
    )


def interrupts(machine, device, finding):
    """Whether two queues are served by one CPU while another serves none."""
    lines = (machine.read("/proc/interrupts") or "").splitlines()
    numbers = [
        found[1]
        for line in lines
        if re.search(rf"\b{re.escape(device)}\b", line) and (found := re.match(r"\s*(\d+):", line))
    ]
    homes = [machine.read(f"/proc/irq/{number}/effective_affinity_list") for number in numbers]
    homes = [home for home in homes if home]
    if len(homes) < 2:
        return None
    if len(set(homes)) == len(homes):
        return finding("fine", f"{device}: {len(homes)} interrupts on as many CPUs")
    return finding(
        "advice",
        f"{device}: {len(homes)} interrupts on {len(set(homes))} CPUs",
        "queues that share a CPU share its time",
        "stop irqbalance or ban it from them, then one CPU for each: "
        "echo CPU > /proc/irq/N/smp_affinity_list",
    )
