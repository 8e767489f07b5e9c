"""Makes the lab's hardware. There is no table of what a machine can do: each part is tried, and what does not go is said."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ahc_agent.errors import AhcError
from ahc_server.lab import cgroups, disks
from ahc_server.lab.fabric import FabricNetwork
from ahc_server.lab.ledger import Ledger
from ahc_server.lab.model import LabSpec
from ahc_server.lab.network import LoopbackNetwork, Network, SwitchedNetwork
from ahc_server.lab.parts import Parts
from ahc_server.lab.processes import Place


def build(spec: LabSpec, ledger: Ledger, folder: Path) -> Parts:
    """Make the hardware of a lab, healthy; ``folder`` takes the files behind the disks. Raises OSError."""
    notes: list[str] = []
    with contextlib.ExitStack() as undo:
        network = _network(spec, notes)
        undo.callback(network.close)
        made: dict[str, disks.LabDisk] = {}
        for node in spec.nodes:
            made[node] = _disk(spec, folder, node, notes)
            undo.callback(made[node].close)
        groups = _cgroups(spec, ledger, notes)
        places = {node: Place(network.descriptor(node), node) for node in spec.nodes}
        if groups is not None:
            for node in spec.nodes:
                places[node] = Place(network.descriptor(node), node, groups.add(node))
                groups.limit_cpu(node, spec.health.cpus)
                device = made[node].device
                if device is not None:
                    groups.limit_disk(node, device, spec.health.disk)
        undo.pop_all()
    return Parts(network, made, groups, places, notes=notes)


def _network(spec: LabSpec, notes: list[str]) -> Network:
    if spec.leaves:
        return FabricNetwork(spec.nodes, spec.leaves, spec.line_bits_per_s)
    if not spec.plain:
        try:
            return SwitchedNetwork(spec.nodes)
        except (OSError, AhcError) as error:
            notes.append(f"no network namespaces here ({error}): the nodes share the loopback interface")
    return LoopbackNetwork(spec.nodes)


def _disk(spec: LabSpec, folder: Path, node: str, notes: list[str]) -> disks.LabDisk:
    if not spec.plain:
        try:
            return disks.attach(folder, node)
        except OSError as error:
            note = f"no loop devices here ({error}): files stand in for disks"
            if note not in notes:
                notes.append(note)
    return disks.LabDisk(str(disks.make_file(folder, node)))


def _cgroups(spec: LabSpec, ledger: Ledger, notes: list[str]) -> cgroups.Cgroups | None:
    if not spec.plain:
        try:
            return cgroups.Cgroups(cgroups.find(), ledger)
        except (OSError, AhcError) as error:
            notes.append(
                f"no control groups here ({error}): disks are not throttled, and benchmark programs are held to"
                " their node's share of CPU by stopping and continuing them"
            )
    return None
