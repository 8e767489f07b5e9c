"""The lab's hardware: network, disks and CPU shares, each real where the machine allows it, else plain."""

from __future__ import annotations

from dataclasses import dataclass, field

from ahc_server.lab import cgroups, disks
from ahc_server.lab.governor import Governor
from ahc_server.lab.network import Network
from ahc_server.lab.processes import Child, Place

#: Without control groups a lab has no precedence over what else runs: it asks for this part of the shares, so that it gets
#: them on a busy machine too.
PLAIN_PART = 0.6


@dataclass(slots=True)
class Parts:
    """What the nodes are made of. ``notes``: one sentence for each part that is plain, and why.

    ``agents``: each node's agent, once it was started.
    """

    network: Network
    disks: dict[str, disks.LabDisk]
    cgroups: cgroups.Cgroups | None
    places: dict[str, Place]
    governor: Governor = field(default_factory=Governor)
    agents: dict[str, Child] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def agent_started(self, node: str, agent: Child, cpus: float) -> None:
        """Without control groups the governor sees to the node's share of CPU."""
        self.agents[node] = agent
        if self.cgroups is None:
            for program in ("fio", "sysbench"):
                self.governor.hold(agent.pid, program, cpus * PLAIN_PART)

    def close(self) -> None:
        """Give back what is not in the ledger."""
        self.governor.close()
        for disk in self.disks.values():
            disk.close()
        self.network.close()
