"""The same machine, and the same disk in it, in several sessions.

A machine is known again by its key (what it calls itself, or UUID, serial and first MAC together); where that changed (an
inventory that came from a file, another network card) by its id, its serial, its UUID, or any of its MACs, as far as these
tell it from all others of both sessions. A disk is known again by its WWN or serial, else by its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ahc_agent.facts import Disk, Inventory
from ahc_agent.order import natural_order
from ahc_server.session import NodeRecord

_MACHINE_KEYS: tuple[Callable[[NodeRecord], Iterable[str | None]], ...] = (
    lambda record: (record.machine,),
    lambda record: (record.node,),
    lambda record: (record.identity.serial,),
    lambda record: (record.identity.uuid,),
    lambda record: record.identity.macs,
)


@dataclass(slots=True)
class Machine:
    """``records``: one for each session, None where it took no part; ``id``: its newest display id."""

    records: list[NodeRecord | None]

    @property
    def newest(self) -> NodeRecord:
        return next(record for record in reversed(self.records) if record is not None)

    @property
    def id(self) -> str:
        return self.newest.node

    @property
    def inventory(self) -> Inventory | None:
        """The newest that there is."""
        known = (record.inventory for record in reversed(self.records) if record is not None)
        return next((inventory for inventory in known if inventory is not None), None)


def same_machines(sessions: Sequence[Sequence[NodeRecord]]) -> list[Machine]:
    """The machines of all sessions (oldest first), in natural order of their ids."""
    machines: list[Machine] = []
    for number, records in enumerate(sessions):
        known = _known_again(records, machines)
        for place, record in enumerate(records):
            machine = known.get(place)
            if machine is None:
                machine = Machine([None] * len(sessions))
                machines.append(machine)
            machine.records[number] = record
    return sorted(machines, key=lambda machine: (natural_order(machine.id), machine.newest.machine))


def _known_again(records: Sequence[NodeRecord], machines: Sequence[Machine]) -> dict[int, Machine]:
    """Place in ``records`` → the machine that it is. The surest key first; a key that two carry tells nothing."""
    found: dict[int, Machine] = {}
    taken: set[int] = set()
    for keys in _MACHINE_KEYS:
        left = [place for place in range(len(records)) if place not in found]
        if not left:
            break
        old = _only({n: keys(m.newest) for n, m in enumerate(machines) if n not in taken})
        new = _only({place: keys(records[place]) for place in left})
        for key, place in new.items():
            number = old.get(key)
            if number is not None and place not in found and number not in taken:
                found[place] = machines[number]
                taken.add(number)
    return found


def _only(keys: dict[int, Iterable[str | None]]) -> dict[str, int]:
    """Key → whose it is, of the keys that only one has."""
    owned = [(key, owner) for owner, each in keys.items() for key in dict.fromkeys(each) if key]
    counted = Counter(key for key, _ in owned)
    return {key: owner for key, owner in owned if counted[key] == 1}


def disk_identity(disk: Disk) -> str | None:
    """What a disk keeps wherever it is put."""
    return disk.wwn or disk.serial or None


def disk_labels(inventories: Sequence[Inventory | None]) -> list[dict[str, str]]:
    """For each session of one machine (oldest first): a disk's name there → the name that it has in the newest session.

    A disk in the place of one that was taken out continues that one's name: what is compared is then the place.
    """
    label_of: dict[str, str] = {}
    size_of: dict[str, int | None] = {}
    labels: list[dict[str, str]] = []
    for inventory in reversed(inventories):
        of_session: dict[str, str] = {}
        for disk in inventory.disks if inventory is not None else ():
            identity = disk_identity(disk)
            if identity is not None and identity in label_of:
                of_session[disk.name] = label_of[identity]
        for disk in inventory.disks if inventory is not None else ():
            if disk.name not in of_session:
                label = _free_label(disk, set(of_session.values()), size_of)
                of_session[disk.name] = label
                size_of.setdefault(label, disk.size_bytes)
                if identity := disk_identity(disk):
                    label_of[identity] = label
        labels.append(of_session)
    return labels[::-1]


def _free_label(disk: Disk, taken: set[str], size_of: dict[str, int | None]) -> str:
    """Its own name, unless that is another's; without serial numbers a disk of the same size is it."""
    same_name = disk.name not in taken
    if same_name and size_of.get(disk.name, disk.size_bytes) == disk.size_bytes:
        return disk.name
    if disk_identity(disk) is None:
        alike = [label for label, size in size_of.items() if size == disk.size_bytes and label not in taken]
        if alike:
            return min(alike, key=natural_order)
    label = disk.name
    while label in taken:
        label += "~"
    return label
