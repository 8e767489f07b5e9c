"""How long a task may take before it is given up. Generous: it ends what hangs, it hurries nobody."""

from __future__ import annotations

from dataclasses import astuple

from ahc_agent.facts import Inventory
from ahc_agent.wire.messages import AnyTask, CpuTask, DiskTask, MemoryTask, PairTask
from ahc_server.conductor.model import Parts

#: A pair has so long until both ends are prepared.
READY_S = 30.0
#: Pairs start so long after their Go was made, and so much later for each of their ends: the store's commit and all sends are
#: to be over by then.
LEAD_S, LEAD_EACH_S = 0.1, 0.0003
#: After a task's own limit its agent has so long to send the result.
GRACE_S = 15.0
#: Both ends of a pair come to their end together: where one has, the other has so long to say the same.
PARTNER_S = 15.0
#: Who was told to cancel has so long to say how it ended.
CANCEL_S = 10.0
#: After a restart of the server agents have so long to join again.
REJOIN_S = 60.0
#: Where nobody is left, the session goes on without anybody after this.
DESERTED_S = 30.0
#: What is lost on the way is tried so often in its step: what a machine does alone, and a pair. A task goes on while the server
#: is down, and who loses it twice is to blame; a pair is lost with either end and with a killed server, and none need be. Nothing
#: is tried for ever: it could be what kills.
TRIES, TRIES_OF_A_PAIR = 2, 3
#: A machine that lets so many tasks in a row pass without a word counts as lost.
SILENT_TASKS = 2

#: No machine has more. A node may tell anything, and a step waits for it as long as its parts would take.
_MOST = Parts(sockets=64, cores=8192, numa_nodes=256, disks=1024)

_FACTOR = 1.5
_BASE_S = 60.0
_START_S = 3.0


def parts_of(inventory: Inventory) -> Parts:
    """What an inventory tells; where it is silent or boasts, more than most machines have."""
    told = (inventory.cpu.sockets, inventory.cpu.cores, len(inventory.numa), len(inventory.disks))
    known = zip(told, astuple(Parts()), astuple(_MOST), strict=True)
    return Parts(
        *(count if count is not None and 1 <= count <= most else usual for count, usual, most in known)
    )


def time_limit_s(task: AnyTask, parts: Parts) -> float:
    """Seconds from the receipt of Assign until the agent must have ended the task."""
    return min(1e6, _BASE_S + _FACTOR * _work_s(task, parts))


def _work_s(task: AnyTask, parts: Parts) -> float:
    if isinstance(task, PairTask):
        ways = len(task.directions) * (
            task.limits.runtime_s + task.limits.rampup_s + task.warmup_s + _START_S
        )
        return (
            READY_S
            + (ways if task.bandwidth else 0)
            + (20.0 + task.round_trips * 0.01 if task.latency else 0)
        )
    if isinstance(task, CpuTask):
        runs = {"socket": parts.sockets, "core": parts.cores, "all": 1}
        count = sum(runs[scope] for scope in task.scopes)
    elif isinstance(task, MemoryTask):
        nodes = parts.numa_nodes
        runs = {"socket": parts.sockets, "node": nodes, "all": 1, "cross": nodes * (nodes - 1)}
        count = sum(runs[scope] for scope in task.scopes) * len(task.block_sizes)
    elif isinstance(task, DiskTask):
        count = ((len(task.devices) or parts.disks) + task.simultaneous) * len(task.patterns)
    else:
        return _BASE_S
    return count * (task.limits.runtime_s + task.limits.rampup_s + _START_S)
