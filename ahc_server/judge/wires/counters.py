"""Counters of cards and of the network stack that rose during pair tests on one node, and not on its peers.

A counter says something where it rose by more than a floor, in number and as a part of the packets, and by far more than those
of the peers. Frames with a wrong checksum and links that go down are told without peers: healthy wires have none. All
other counters are told of few nodes only: where many have them, the network between them is to blame and not the nodes.

A cable that loses packets makes whoever sends over it repeat them, whichever end is the bad one. So the retransmissions of a
node are those of its own tests and those that its peers had with it, each as the median over its partners: of a
healthy node's partners at most a few are bad. Uplinks that are full lose packets too, some percent where many flows share
them, and no cable of the nodes behind them is bad: of partners in the same rack and of those elsewhere the better median counts.
A bad cable shows with both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ahc_server.judge import wording
from ahc_server.judge.health import Ill
from ahc_server.judge.model import Finding
from ahc_server.judge.wires.model import Seen, port_of
from ahc_server.session import NodeRecord


@dataclass(frozen=True, slots=True)
class _Kind:
    """Counters that mean the same. Drivers count one event under several names, so the largest of them is taken.

    ``least``: events, ``least_share``: of the packets, below which nothing is said. ``is_error``: healthy wires have none.
    """

    key: str
    title: str
    names: frozenset[str]
    of_packets: tuple[str, ...]
    least: int
    least_share: float
    is_error: bool
    do: str


_CABLE = "check its cable, transceiver and switch port"
_HOST = "check its ring buffers, interrupts and what else runs on it"
_RX, _TX = ("rx_packets",), ("tx_packets",)
#: Of each card, the most telling first: of one card only the first that applies is told, and links that went down.
_KINDS = (
    _Kind("crc", "CRC errors", frozenset((
        "rx_crc_errors", "rx_crc_errors_phy", "port.rx_crc_errors", "rx_fcs_err_frames", "rx_symbol_err_phy",
        "rx_pcs_symbol_err_phy", "port.illegal_bytes", "rx_align_errors", "rx_frame_errors")),
        _RX, 10, 1e-7, is_error=True, do=_CABLE),
    _Kind("errors", "receive errors", frozenset(("rx_errors", "rx_length_errors", "rx_long_length_errors")),
        _RX, 100, 1e-6, is_error=True, do=_CABLE),
    _Kind("tx_errors", "transmit errors", frozenset(("tx_errors", "tx_carrier_errors", "tx_fifo_errors", "collisions")),
        _TX, 100, 1e-6, is_error=True, do="check its duplex setting, cable and transceiver"),
    _Kind("rx_dropped", "frames that it dropped on receipt", frozenset((
        "rx_dropped", "rx_missed_errors", "rx_fifo_errors", "rx_out_of_buffer", "rx_no_dma_resources", "rx_no_buffer_count",
        "rx_discards_phy", "port.rx_dropped")),
        _RX, 1000, 1e-3, is_error=False, do=_HOST),
    _Kind("tx_dropped", "frames that it dropped before sending", frozenset(("tx_dropped",)),
        _TX, 1000, 1e-3, is_error=False, do="check its queues and shaping"),
    _Kind("tx_pause", "pause frames that it sent (it cannot take what comes)", frozenset((
        "tx_pause", "tx_flow_control_xoff", "tx_flow_control_xoff.nic", "tx_link_xoff", "port.link_xoff_tx", "tx_pause_ctrl_phy",
        "tx_pause_frames")),
        _RX, 1000, 1e-4, is_error=False, do=_HOST),
    _Kind("rx_pause", "pause frames that its switch port sent it", frozenset((
        "rx_pause", "rx_flow_control_xoff", "rx_flow_control_xoff.nic", "rx_link_xoff", "port.link_xoff_rx", "rx_pause_ctrl_phy",
        "rx_pause_frames")),
        _TX, 1000, 1e-4, is_error=False, do="check flow control and the speed of its switch port"),
)  # fmt: skip
_DOWN = _Kind(
    "carrier", "its link", frozenset(("carrier_changes", "link_down_events_phy")), (), 2, 0, True, _CABLE
)
_CHECKSUMS = _Kind("checksums", "packets that arrived with a wrong checksum", frozenset((
    "IpExtInCsumErrors", "TcpInCsumErrors", "UdpInCsumErrors")), (), 10, 0, True,
    "something on the way, or its card's checksum offload, changes data: check cable, card and driver")  # fmt: skip
_RETRANSMITTED, _SENT = "TcpRetransSegs", "TcpOutSegs"
#: The key of what TCP sent again.
RETRANSMITTED = "retransmitted"
#: So many segments have to be sent again in all tests of a node and of its peers with it, so many in a test before that test
#: counts, and of all segments this part. (A sender's segments are acknowledgements too: of lost frames about half shows.)
_LEAST_RETRANSMITTED, _LEAST_IN_TEST, _LEAST_SHARE = 200, 10, 0.005

#: Far more than the peers: this many times their median.
_FACTOR = 10
_LEAST_PEERS = 3
#: Of counters that are no proof by themselves, no more nodes than this are told beside those that are slow; of few nodes, one.
_FEW = 0.10


@dataclass(frozen=True, slots=True)
class Rise:
    """A counter that rose on ``row``; ``card`` is None for the stack's. ``usual``: the peers' median rise."""

    row: int
    card: str | None
    key: str
    said: str
    count: int
    usual: float
    do: str


def ill_links(rises: Sequence[Rise], records: Sequence[NodeRecord]) -> list[Finding]:
    """One finding for each card, and for the stack, of each node."""
    ills: dict[tuple[int, str | None], Ill] = {}
    for rise in rises:
        ill = ills.setdefault((rise.row, rise.card), Ill("network", rise.card or "stack", "network", rise.do))
        ill.add("warn", rise.said, f"{rise.key}_rise", rise.count, "events", rise.usual)
    return [ill.finding(records[row].node) for (row, _), ill in ills.items()]


def risen(
    ways: Sequence[Seen],
    records: Sequence[NodeRecord],
    racks: Mapping[int, str] | None = None,
    slow: Collection[int] = (),
) -> list[Rise]:
    """Everything that rose where it should not have, by row. ``racks``: row → the switch that it hangs on, where it is known;
    ``slow``: rows whose network was accused before, which makes them and their peers drop and repeat packets."""
    rises = [*_of_cards(ways, records, slow), *_of_stacks(ways), *_retransmitted(ways, racks or {}, slow)]
    return sorted(rises, key=lambda rise: (rise.row, rise.card or "~", rise.key))


def _of_cards(ways: Sequence[Seen], records: Sequence[NodeRecord], slow: Collection[int]) -> Iterator[Rise]:
    cards: dict[int, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for seen in ways:
        for link in seen.path.links:
            for name, rise in link.rises.items():
                cards[seen.row][link.card][name] += rise
    for seen in ways:
        cards[seen.row]  # a node without any rise is a peer all the same
    told: set[tuple[int, str]] = set()
    for kind in (_DOWN, *_KINDS):
        standing = _standing_out(kind, cards, slow)
        for row, card, count, usual in standing:
            if (row, card) in told:
                continue
            if kind is not _DOWN:
                told.add((row, card))
            port = port_of(records[row], card)
            yield Rise(row, card, kind.key, _said(kind, card, count, port), count, usual, kind.do)


def _said(kind: _Kind, card: str, count: int, port: str | None) -> str:
    where = f" ({port})" if port else ""
    if kind is _DOWN:
        return f"the link of {card}{where} changed {count:,} times during the network tests"
    return f"{kind.title} on {card}{where} rose by {count:,} during the network tests"


def _standing_out(
    kind: _Kind, cards: Mapping[int, Mapping[str, Mapping[str, int]]], slow: Collection[int]
) -> list[tuple[int, str, int, float]]:
    """Row, card, count, and the peers' median count: the worst card of each node against those of the others."""
    shares: dict[int, float] = {}
    worst: dict[int, tuple[int, str]] = {}
    for row, of_card in cards.items():
        best = (0.0, 0, "")
        for card, rises in of_card.items():
            count = max((rises[name] for name in kind.names & rises.keys()), default=0)
            packets = sum(rises.get(name, 0) for name in kind.of_packets)
            share = count / max(packets, count, 1) if kind.of_packets else float(count)
            if count >= kind.least and share >= kind.least_share:
                best = max(best, (share, count, card))
        shares[row], worst[row] = best[0], best[1:]
    usual = _medians_of_others({row: float(count) for row, (count, _) in worst.items()})
    return [
        (row, worst[row][1], worst[row][0], usual[row])
        for row in _outstanding(shares, None if kind.is_error else slow)
    ]


def _outstanding(
    values: Mapping[int, float], slow: Collection[int] | None, usual: Mapping[int, float] | None = None
) -> list[int]:
    """Rows whose value is far above the ``usual`` one, by default the median of the others. ``slow``: None where a value is a
    proof by itself, else rows that do not count towards how many are told."""
    medians = _medians_of_others(values) if usual is None else usual
    found = [row for row, value in sorted(values.items()) if value > _FACTOR * medians[row]]
    if slow is None:
        return found
    others = sum(row not in slow for row in found)
    return found if len(values) > _LEAST_PEERS and others <= max(1, _FEW * len(values)) else []


def _medians_of_others(values: Mapping[int, float]) -> dict[int, float]:
    """Row → median of all values but its own; 0 where there are no others."""
    mine = np.fromiter(values.values(), dtype=np.float64)
    if len(mine) < 2:
        return dict.fromkeys(values, 0.0)
    ordered = np.sort(mine)
    place = np.searchsorted(ordered, mine)
    low, high = (len(mine) - 2) // 2, (len(mine) - 1) // 2
    middle = (ordered[low + (low >= place)] + ordered[high + (high >= place)]) / 2
    return dict(zip(values, middle.tolist(), strict=True))


def _of_stacks(ways: Sequence[Seen]) -> Iterator[Rise]:
    counts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for seen in ways:
        for name in _CHECKSUMS.names:
            counts[seen.row][name] += seen.path.stack_rises.get(name, 0)
    # Layers may count one packet each, so the largest is taken.
    worst = {row: max(of_name.values()) for row, of_name in counts.items()}
    large = {row: float(count) if count >= _CHECKSUMS.least else 0.0 for row, count in worst.items()}
    usual = _medians_of_others({row: float(count) for row, count in worst.items()})
    for row in _outstanding(large, None):
        said = f"{worst[row]:,} packets arrived with a wrong checksum during the network tests"
        yield Rise(row, None, _CHECKSUMS.key, said, worst[row], usual[row], _CHECKSUMS.do)


def _retransmitted(ways: Sequence[Seen], racks: Mapping[int, str], slow: Collection[int]) -> Iterator[Rise]:
    shares: dict[int, _Shares] = defaultdict(_Shares)
    for seen in ways:
        rises = seen.path.stack_rises
        sent, repeated = rises.get(_SENT, 0), rises.get(_RETRANSMITTED, 0)
        is_near = seen.row in racks and racks[seen.row] == racks.get(seen.peer)
        for row, is_own in ((seen.row, True), (seen.peer, False)):
            shares[row].add(is_own, is_near, sent, repeated)
    # What is usual has no least count: ten repeated segments of one node are not far above nine of all others.
    usual = _medians_of_others({row: each.part() for row, each in shares.items()})
    parts = {row: each.part(_LEAST_IN_TEST) for row, each in shares.items()}
    large = {
        row: part if part >= _LEAST_SHARE and shares[row].repeated >= _LEAST_RETRANSMITTED else 0.0
        for row, part in parts.items()
    }
    for row in _outstanding(large, slow, usual):
        theirs, total = wording.plain_percent(usual[row]), shares[row].repeated
        said = f"{wording.plain_percent(parts[row])} of the TCP segments in its tests were sent again, {theirs} in its peers'"
        yield Rise(row, None, RETRANSMITTED, said, total, usual[row] * total / parts[row], _CABLE)


class _Shares:
    """What was sent again in the tests of one node: its own and its peers' with it, near (in its rack) and far."""

    def __init__(self) -> None:
        self._tests: dict[tuple[bool, bool], list[tuple[int, int]]] = defaultdict(list)
        self.repeated = 0

    def add(self, is_own: bool, is_near: bool, sent: int, repeated: int) -> None:
        self._tests[is_own, is_near].append((sent, repeated))
        self.repeated += repeated

    def part(self, least: int = 1) -> float:
        """Of all segments, in the median test: near or far, whichever is better, and of the two ends the worse one. Tests with
        less than ``least`` repeated segments count as without any."""
        best: dict[bool, float] = {}
        for (is_own, _), tests in self._tests.items():
            parts = [again / (sent + again) if again >= least else 0.0 for sent, again in tests]
            best[is_own] = min(best.get(is_own, 1.0), float(np.median(parts)))
        return max(best.values())
