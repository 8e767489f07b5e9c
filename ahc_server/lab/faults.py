"""The faults, by name. A new one is a function here and its row in ``FAULTS``.

Each function breaks one node of a running lab and says in one phrase how it did so. Where the machine does not allow the
real way, it takes one that needs no rights, and says that too.
"""

from __future__ import annotations

import signal

from ahc_agent.errors import CannotAnswer
from ahc_server.lab.fabric import FabricNetwork
from ahc_server.lab.governor import AGENT
from ahc_server.lab.model import Breakage, Fault, Health
from ahc_server.lab.network import LoopbackNetwork
from ahc_server.lab.parts import PLAIN_PART, Parts

#: What a program keeps of its CPU share where that stands for slow hardware. Less than ``Fault.factor``: without rights
#: healthy nodes differ more among themselves.
_HELD_FACTOR = 0.15
#: Of the frames of a bad cable.
LOST_SHARE = 0.02
#: What a switch port passes that was set up wrong, bytes of an IP packet.
HOLE_MTU = 1400
_NET = ("network",)


def _slow_nic(breakage: Breakage, parts: Parts, health: Health) -> str:
    if not isinstance(parts.network, LoopbackNetwork):
        parts.network.set_speed(breakage.name, breakage.factor)
        return (
            f"its cable carries {_mbits(parts.network.line_bits_per_s * breakage.factor)} in each direction"
        )
    return _hold(breakage, parts, health, "its network engine", AGENT, "iperf3")


def _slow_disk(breakage: Breakage, parts: Parts, health: Health) -> str:
    device = parts.disks[breakage.name].device
    if parts.cgroups is not None and device is not None:
        limit = health.disk.times(breakage.factor)
        parts.cgroups.limit_disk(breakage.name, device, limit)
        return f"its disk is throttled to {limit.bytes_per_s / 1e6:,.0f} MB/s and {limit.iops:,} IOPS"
    return _hold(breakage, parts, health, "its fio", "fio")


def _slow_cpu(breakage: Breakage, parts: Parts, health: Health) -> str:
    if parts.cgroups is not None:
        parts.cgroups.limit_cpu(breakage.name, health.cpus * breakage.factor)
        return f"it has {health.cpus * breakage.factor:.0%} of a CPU"
    return _hold(breakage, parts, health, "its sysbench", "sysbench")


def _hold(breakage: Breakage, parts: Parts, health: Health, what: str, *programs: str) -> str:
    cpus = health.cpus * PLAIN_PART * (breakage.asked or _HELD_FACTOR)
    for program in programs:
        parts.governor.hold(parts.agents[breakage.name].pid, program, cpus)
    return f"this machine offers no other way, so {what} is held to {cpus:.0%} of a CPU"


def _dead(breakage: Breakage, parts: Parts, health: Health) -> str:
    parts.agents[breakage.name].send_signal(signal.SIGKILL)
    return "its agent was killed (SIGKILL)"


def _cut(breakage: Breakage, parts: Parts, health: Health) -> str:
    if not isinstance(parts.network, LoopbackNetwork):
        parts.network.cut(breakage.name)
        return "its cable was pulled at the switch"
    parts.agents[breakage.name].send_signal(signal.SIGSTOP)
    return "no cable to pull here; instead its agent was frozen (SIGSTOP), as silent as a cut-off one"


def _fabric(parts: Parts) -> FabricNetwork:
    if not isinstance(parts.network, FabricNetwork):
        raise CannotAnswer("this lab has no leaf switches: add --leaves 2")
    return parts.network


def _slow_one_way(breakage: Breakage, parts: Parts, health: Health) -> str:
    network, sends = _fabric(parts), breakage.fault.direction == "tx"
    speeds = (breakage.factor, 1.0) if sends else (1.0, breakage.factor)
    network.set_speeds(breakage.name, *speeds)
    return (
        f"it {'sends' if sends else 'receives'} {_mbits(network.line_bits_per_s * breakage.factor)} at most"
    )


def _lossy(breakage: Breakage, parts: Parts, health: Health) -> str:
    _fabric(parts).lose(breakage.name, LOST_SHARE)
    return f"its cable loses {LOST_SHARE:.0%} of the frames in each direction"


def _black_hole(breakage: Breakage, parts: Parts, health: Health) -> str:
    _fabric(parts).set_port_mtu(breakage.name, HOLE_MTU)
    return f"its switch port passes no packets of more than {HOLE_MTU:,} bytes"


def _slow_uplink(breakage: Breakage, parts: Parts, health: Health) -> str:
    network = _fabric(parts)
    network.set_uplink(breakage.name, breakage.factor)
    speed = _mbits(network.uplink_bits_per_s(breakage.name) * breakage.factor)
    return f"its uplink carries {speed} in each direction"


def _down(breakage: Breakage, parts: Parts, health: Health) -> str:
    if breakage.kind == "leaf":
        _fabric(parts).unplug_uplink(breakage.name)
        return "its uplink was pulled"
    _fabric(parts).unplug(breakage.name)
    return "its data cable was pulled at the switch"


def _swapped(breakage: Breakage, parts: Parts, health: Health) -> str:
    one, other = breakage.nodes
    network = _fabric(parts)
    leaves = network.racks.of
    if leaves[one] == leaves[other]:
        raise CannotAnswer(f"{one} and {other} hang on the same leaf: choose nodes of two racks")
    network.swap(one, other)
    return f"the cable of {one} is in {leaves[other]}, that of {other} in {leaves[one]}"


def _mbits(bits_per_s: float) -> str:
    return f"{bits_per_s / 1e6:,.3g} Mbit/s"


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
        Fault(
            "slow-rx",
            "a card that receives slowly",
            _slow_one_way,
            0.4,
            components=_NET,
            direction="rx",
            fabric=True,
        ),
        Fault(
            "slow-tx",
            "a card that sends slowly",
            _slow_one_way,
            0.4,
            components=_NET,
            direction="tx",
            fabric=True,
        ),
        Fault("loss", "a cable that loses 2 % of the frames", _lossy, components=_NET, fabric=True),
        Fault("black-hole", "a switch port with a smaller MTU", _black_hole, components=_NET, fabric=True),
        Fault(
            "slow-uplink",
            "a leaf's uplink that runs slower",
            _slow_uplink,
            0.5,
            components=_NET,
            of=("leaf",),
            fabric=True,
        ),
        Fault(
            "down",
            "a link that is down: a node's data link, or a leaf's uplink",
            _down,
            components=_NET,
            of=("node", "leaf"),
            fabric=True,
        ),
        Fault(
            "swapped",
            "two nodes that are plugged into each other's leaf",
            _swapped,
            components=_NET,
            of=("pair",),
            fabric=True,
        ),
    )
}
