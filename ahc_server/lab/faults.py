"""The faults, by name. A new one is a function here and its row in ``FAULTS``.

Each function breaks one node of a running lab and says in one phrase how it did so. Where the machine does not allow the
real way, it takes one that needs no rights, and says that too.
"""

from __future__ import annotations

import signal

from ahc_server.lab.governor import AGENT
from ahc_server.lab.model import Breakage, Fault, Health
from ahc_server.lab.network import LINE_BITS_PER_S, SwitchedNetwork
from ahc_server.lab.parts import PLAIN_PART, Parts

#: What a program keeps of its CPU share where that stands for slow hardware. Less than ``Fault.factor``: without rights
#: healthy nodes differ more among themselves.
_HELD_FACTOR = 0.15


def _slow_nic(breakage: Breakage, parts: Parts, health: Health) -> str:
    if isinstance(parts.network, SwitchedNetwork):
        parts.network.set_speed(breakage.node, breakage.factor)
        return f"its cable carries {LINE_BITS_PER_S * breakage.factor / 1e6:,.0f} Mbit/s in each direction"
    return _hold(breakage, parts, health, "its network engine", AGENT, "iperf3")


def _slow_disk(breakage: Breakage, parts: Parts, health: Health) -> str:
    device = parts.disks[breakage.node].device
    if parts.cgroups is not None and device is not None:
        limit = health.disk.times(breakage.factor)
        parts.cgroups.limit_disk(breakage.node, device, limit)
        return f"its disk is throttled to {limit.bytes_per_s / 1e6:,.0f} MB/s and {limit.iops:,} IOPS"
    return _hold(breakage, parts, health, "its fio", "fio")


def _slow_cpu(breakage: Breakage, parts: Parts, health: Health) -> str:
    if parts.cgroups is not None:
        parts.cgroups.limit_cpu(breakage.node, health.cpus * breakage.factor)
        return f"it has {health.cpus * breakage.factor:.0%} of a CPU"
    return _hold(breakage, parts, health, "its sysbench", "sysbench")


def _hold(breakage: Breakage, parts: Parts, health: Health, what: str, *programs: str) -> str:
    cpus = health.cpus * PLAIN_PART * (breakage.asked or _HELD_FACTOR)
    for program in programs:
        parts.governor.hold(parts.agents[breakage.node].pid, program, cpus)
    return f"this machine offers no other way, so {what} is held to {cpus:.0%} of a CPU"


def _dead(breakage: Breakage, parts: Parts, health: Health) -> str:
    parts.agents[breakage.node].send_signal(signal.SIGKILL)
    return "its agent was killed (SIGKILL)"


def _cut(breakage: Breakage, parts: Parts, health: Health) -> str:
    if isinstance(parts.network, SwitchedNetwork):
        parts.network.cut(breakage.node)
        return "its cable was pulled at the switch"
    parts.agents[breakage.node].send_signal(signal.SIGSTOP)
    return "no cable to pull here; instead its agent was frozen (SIGSTOP), as silent as a cut-off one"


FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "slow-nic",
            "a network card that negotiated a lower speed",
            _slow_nic,
            0.4,
            components=("network",),
        ),
        Fault("slow-disk", "a disk that reads slowly", _slow_disk, 0.4, components=("disk",)),
        Fault(
            "slow-cpu", "a processor that is held back", _slow_cpu, 0.6, components=("cpu", "memory", "numa")
        ),
        Fault("dead", "the agent dies in the middle of the plan", _dead, midway=True),
        Fault("cut", "the cable is pulled in the middle of the plan", _cut, midway=True),
    )
}
