"""The throttle collector: how often the processors slowed themselves down for heat since boot.

Source: ``/sys/devices/system/cpu/cpuN/thermal_throttle`` (x86; arch/x86/kernel/cpu/mce/therm_throt.c). Threads of a core
show the core's counter and CPUs of a package the package's, so each is counted once.
"""

from __future__ import annotations

from ahc_agent.errors import NotThere
from ahc_agent.facts import Throttle
from ahc_agent.inventory.cpuset import first_of
from ahc_agent.inventory.root import Root
from ahc_agent.inventory.topology import CPU_FOLDER, online_cpus, read_topology


def collect(root: Root) -> list[Throttle]:
    """For each socket the sum over its cores and the package's own. Raises NotThere where the CPUs keep no counters."""
    online = online_cpus(root)
    if not online or not root.exists(f"{CPU_FOLDER}/cpu{first_of(online)}/thermal_throttle"):
        raise NotThere("no thermal throttle counters")
    topology = read_topology(root)
    found: list[Throttle] = []
    for number, socket in enumerate(topology.sockets):
        cores = [first_of(core.cpus) for core in topology.cores if core.cpus & socket.cpus]
        counts = {
            "core": [_count(root, cpu, "core_throttle_count") for cpu in cores],
            "package": [_count(root, first_of(socket.cpus), "package_throttle_count")],
        }
        found += [
            Throttle(
                socket=socket.number if socket.number is not None else number,
                scope=scope,
                count=sum(count for count in values if count is not None),
            )
            for scope, values in counts.items()
            if any(count is not None for count in values)
        ]
    return found


def _count(root: Root, cpu: int, name: str) -> int | None:
    return root.integer(f"{CPU_FOLDER}/cpu{cpu}/thermal_throttle/{name}")
