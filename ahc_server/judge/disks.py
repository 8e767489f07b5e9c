"""Which disk of one node is to be compared with which of another.

The kernel numbers disks as it finds them, so the same disk is ``sda`` on one machine and ``sdb`` on its twin. Within a group,
disks are matched by what they are: size, kind and model, equal ones by the order of their names. A disk that has no like in the
group takes a place that is left, so that the wrong disk in the right place is seen beside those of its peers.
A place that is common to the group is called as most of its nodes call the disk there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter

from ahc_agent.facts import Disk, Inventory
from ahc_agent.order import natural_order
from ahc_server.judge.arrays import Ints
from ahc_server.judge.hardware import DiskClasses

#: What is read of a disk; machines of which all this is the same are matched once.
_read = attrgetter("name", "size_bytes", "rotational", "model")
_Layout = tuple[tuple[str, int | None, bool | None, str | None], ...]

#: What a disk is: the usual size of its class, whether it rotates, its model, the node's own name of it.
_What = tuple[int, str, str, str]

#: Disks take their places in these rounds: those that are alike in everything first, whatever is left last. Of equal disks that
#: of the place's name is taken first: where the third of ten is gone, the others stay where they are.
_ALIKE: tuple[Callable[[_What], object], ...] = (
    lambda what: what,
    lambda what: what[:3],
    lambda what: (*what[:2], what[3]),
    lambda what: what[:2],
    lambda what: what[1],
    lambda what: None,
)


@dataclass(frozen=True, slots=True)
class DiskNames:
    """For each row: a node's own name of a disk → the name of its place in the group, and back to the disk."""

    _common: dict[int, dict[str, str]] = field(default_factory=dict)
    _disks: dict[int, dict[str, Disk]] = field(default_factory=dict)

    def common(self, row: int, own: str) -> str:
        """The name of the place; a disk that the inventory does not know keeps its own, unless that is another's."""
        return _common(self._common.get(row, {}), own)

    def of(self, row: int) -> Callable[[str], str]:
        """``common`` for one row."""
        return partial(_common, self._common.get(row, {}))

    def disk(self, row: int, common: str) -> Disk | None:
        """The disk of a node that has this place in its group."""
        return self._disks.get(row, {}).get(common)

    def kinds(self, rows: Iterable[int], common: str) -> Hashable:
        """What the disks at one place of these nodes are, equal for places whose disks can be compared."""
        disks = [self.disk(row, common) for row in rows]
        return tuple(
            None if each is None else (each.size_bytes, each.rotational, each.model) for each in disks
        )

    def own(self, row: int, common: str) -> str:
        """What the node itself calls the disk."""
        disk = self.disk(row, common)
        return common if disk is None else disk.name


def _common(known: Mapping[str, str], own: str) -> str:
    return known.get(own) or (f"{own}~" if own in known.values() else own)


def match_disks(inventories: Sequence[Inventory | None], groups: Iterable[Ints]) -> DiskNames:
    """Match the disks of each group's nodes. The order of nodes makes no difference."""
    known = DiskClasses.of(disk for each in inventories if each is not None for disk in each.disks)
    common: dict[int, dict[str, str]] = {}
    disks: dict[int, dict[str, Disk]] = {}
    for group in groups:
        layouts = {
            int(row): tuple(map(_read, each.disks))
            for row in group
            if (each := inventories[int(row)]) is not None
        }
        places = _places(Counter(layouts.values()), known)
        for row, layout in layouts.items():
            of_node = places[layout]
            each = inventories[row]
            common[row] = of_node
            disks[row] = {of_node[disk.name]: disk for disk in each.disks} if each is not None else {}
    return DiskNames(common, disks)


def _places(layouts: Counter[_Layout], classes: DiskClasses) -> dict[_Layout, dict[str, str]]:
    """Layout → own name of a disk → the common name of its place. The places are the disks that most nodes have; what is more
    than those gets places behind them."""

    def what(name: str, size: int | None, rotational: bool | None, model: str | None) -> _What:
        usual_size, rotates = classes.kind(size, rotational)
        return usual_size, str(rotates), model or "", name

    whats = {layout: [what(*disk) for disk in layout] for layout in layouts}
    counted: Counter[tuple[_What, ...]] = Counter()
    for layout, many in layouts.items():
        counted[tuple(sorted(whats[layout]))] += many
    usual = _usual(counted)
    seats = {
        layout: _seated(sorted(disks, key=lambda each: natural_order(each[3])), usual)
        for layout, disks in whats.items()
    }
    names = _names((of_layout, layouts[layout]) for layout, of_layout in seats.items())
    return {layout: {name: names[place] for place, name in of.items()} for layout, of in seats.items()}


def _usual(layouts: Counter[tuple[_What, ...]]) -> tuple[_What, ...]:
    """The commonest layout whatever its names, with its commonest names."""
    nameless: Counter[tuple[tuple[int, str, str], ...]] = Counter()
    for layout, many in layouts.items():
        nameless[tuple(each[:3] for each in layout)] += many
    usual = max(nameless, key=lambda each: (nameless[each], each), default=())
    named = [layout for layout in layouts if tuple(each[:3] for each in layout) == usual]
    return max(named, key=lambda each: (layouts[each], each), default=())


def _seated(disks: list[_What], usual: tuple[_What, ...]) -> dict[int, str]:
    """Number of the place → own name of the disk, for one layout."""
    seated: dict[int, str] = {}
    standing = disks
    for key in _ALIKE:
        free: dict[object, list[int]] = defaultdict(list)
        for number in range(len(usual) - 1, -1, -1):
            if number not in seated:
                free[key(usual[number])].append(number)
        left = []
        for what in standing:
            places = free.get(key(what))
            if places:
                seated[places.pop()] = what[3]
            else:
                left.append(what)
        standing = left
    return seated | {len(usual) + number: what[3] for number, what in enumerate(standing)}


def _names(places: Iterable[tuple[dict[int, str], int]]) -> dict[int, str]:
    """The name that is commonest for each place; each name for one place, the most frequent first. ``places``: place → own name,
    and how many nodes have it so."""
    counted: dict[int, Counter[str]] = defaultdict(Counter)
    for of_layout, many in places:
        for place, name in of_layout.items():
            counted[place][name] += many
    wishes = [(-many, place, name) for place, of in counted.items() for name, many in of.items()]
    names: dict[int, str] = {}
    taken: set[str] = set()
    for _, place, name in sorted(wishes):
        if place not in names and name not in taken:
            names[place] = name
            taken.add(name)
    for place in sorted(counted.keys() - names.keys()):
        name = min(counted[place])
        while name in taken:
            name += "~"
        names[place] = name
        taken.add(name)
    return names
