"""Sizes of packets that do not pass, though the cards at both ends have them (black holes, RFC 2923): which node, which pairs.

The fewest elements that explain it: all pairs, then nodes of whose pairs nearly all have the hole, then the pairs that are left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ahc_server.judge import wording
from ahc_server.judge.model import Direction, Evidence, Finding
from ahc_server.judge.wires.model import Seen, port_of
from ahc_server.session import NodeRecord

#: (source, destination) → (what should pass, what passes), IP packet lengths in bytes.
_Ways = Mapping[tuple[int, int], tuple[int, int]]

#: This part of the pairs has the hole: the network has it.
_EVERYWHERE = 0.5
_LEAST_NODES = 3
#: This part of a node's pairs has it, and so many at least: the node's port has it.
_OF_A_NODE, _LEAST_PAIRS = 0.8, 2
#: More pairs than this are one finding.
_MOST_PAIRS = 3


def holes(ways: Sequence[Seen], records: Sequence[NodeRecord]) -> list[Finding]:
    """Findings about packets that vanish, the fewest that explain them."""
    tested = _tested(ways)
    open_ = {way: sizes for way, sizes in tested.items() if sizes[1] < sizes[0]}
    if not open_:
        return []
    partners = _partners(tested)
    holed = _partners(open_)
    pairs = {frozenset(way) for way in tested}
    if len(holed) >= _LEAST_NODES and len({frozenset(way) for way in open_}) > _EVERYWHERE * len(pairs):
        return [_everywhere(open_, len(pairs), records)]
    found: list[Finding] = []
    while True:
        worst = max(holed, key=lambda row: (len(holed[row]), -row), default=None)
        if worst is None or len(holed[worst]) < max(_LEAST_PAIRS, _OF_A_NODE * len(partners[worst])):
            break
        mine = {way: sizes for way, sizes in open_.items() if worst in way}
        found.append(_node(worst, mine, len(partners[worst]), records))
        open_ = {way: sizes for way, sizes in open_.items() if worst not in way}
        holed = _partners(open_)
    return found + _pairs(open_, records)


def _tested(ways: Sequence[Seen]) -> dict[tuple[int, int], tuple[int, int]]:
    """Of several tests of one way the best: a hole is there every time."""
    tested: dict[tuple[int, int], tuple[int, int]] = {}
    for seen in ways:
        mtu = seen.path.mtu
        if mtu is None:
            continue
        for way, passed in (((seen.row, seen.peer), mtu.sent), ((seen.peer, seen.row), mtu.received)):
            if passed:
                before = tested.get(way, (mtu.wanted, 0))
                tested[way] = max(before, (mtu.wanted, passed), key=lambda sizes: sizes[1] / max(sizes[0], 1))
    return tested


def _partners(ways: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for source, destination in ways:
        found[source].add(destination)
        found[destination].add(source)
    return dict(found)


def _sizes(ways: _Ways) -> tuple[int, int]:
    """The usual size that should pass, and the largest that does on the worst way."""
    return min(ways.values(), key=lambda sizes: (sizes[1], -sizes[0]))


def _finding(
    element: str,
    rows: Iterable[int],
    ways: _Ways,
    records: Sequence[NodeRecord],
    summary: str,
    direction: Direction | None = None,
) -> Finding:
    wanted, passes = _sizes(ways)
    return Finding(
        element=element,
        nodes=[records[row].node for row in sorted(rows)],
        component="network",
        kind="config",
        direction=direction,
        severity="fail",
        metrics=[
            Evidence(name="network.path.mtu_bytes", value=passes, expected=wanted, unit="bytes", effect=None)
        ],
        cause=f"packets of more than {passes:,} bytes vanish on the way",
        summary=summary,
    )


def _vanish(ways: _Ways) -> str:
    wanted, passes = _sizes(ways)
    return f"packets of {wanted:,} bytes, as the cards at both ends have them, do not pass, {passes:,} do"


def _everywhere(ways: _Ways, pairs: int, records: Sequence[NodeRecord]) -> Finding:
    rows = sorted(_partners(ways))
    first, second = sorted(next(iter(sorted(ways))))
    broken = len({frozenset(way) for way in ways})
    return _finding(
        f"pair:{records[first].node}-{records[second].node}",
        rows,
        ways,
        records,
        f"between {broken:,} of {pairs:,} pairs {_vanish(ways)}; the switches have a smaller MTU than the cards: raise theirs or "
        f"lower the cards'",
    )


def _node(row: int, ways: _Ways, partners: int, records: Sequence[NodeRecord]) -> Finding:
    record = records[row]
    sends, receives = any(row == source for source, _ in ways), any(row == to for _, to in ways)
    direction: Direction | None = None if sends and receives else "tx" if sends else "rx"
    peers = len(_partners(ways)) - 1
    where = {None: "to and from", "tx": "to", "rx": "from"}[direction]
    ports = [
        port
        for nic in (record.inventory.nics if record.inventory else ())
        if (port := port_of(record, nic.name))
    ]
    port = f" ({ports[0]})" if len(ports) == 1 else ""
    return _finding(
        f"node:{record.node}",
        [row],
        ways,
        records,
        f"{record.node}: network: {where} {peers:,} of its {partners:,} peers {_vanish(ways)}; check the MTU of its switch "
        f"port{port}",
        direction,
    )


def _pairs(ways: _Ways, records: Sequence[NodeRecord]) -> list[Finding]:
    of_pair: dict[tuple[int, int], dict[tuple[int, int], tuple[int, int]]] = defaultdict(dict)
    for way, sizes in sorted(ways.items()):
        of_pair[min(way), max(way)][way] = sizes
    if len(of_pair) > _MOST_PAIRS:
        (one, other), *_ = of_pair
        return [
            _finding(
                f"pair:{records[one].node}-{records[other].node}",
                _partners(ways),
                ways,
                records,
                f"between {len(of_pair):,} pairs ({wording.listed([_said(each, records) for each in of_pair.values()], most=3)}) "
                f"{_vanish(ways)}; check the MTU of the switches between these nodes",
            )
        ]
    return [
        _finding(
            f"pair:{records[one].node}-{records[other].node}",
            (one, other),
            mine,
            records,
            f"{_said(mine, records)}: {_vanish(mine)}; check the MTU of the switches between them",
        )
        for (one, other), mine in of_pair.items()
    ]


def _said(ways: _Ways, records: Sequence[NodeRecord]) -> str:
    """ "n3 → n7", or with both ways "n3 ↔ n7"."""
    source, destination = next(iter(ways))
    arrow = "→" if len(ways) == 1 else "↔"
    return f"{records[source].node} {arrow} {records[destination].node}"
