"""What the localiser is given and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints

#: "rate": flows are slower than they should be; "rtt": round trips take longer; "dead": nothing comes through.
Witness = Literal["rate", "rtt", "dead"]
Kind = Literal["node", "leaf", "link", "pair"]
Way = Literal["tx", "rx"]


@dataclass(frozen=True, slots=True)
class Flows:
    """k flows, each from row ``source`` to row ``destination`` in round ``round``, all (k,).

    ``rate``: bytes/s, 0 where nothing came through, NaN where only times were measured. ``rtt_us``: NaN where not measured.
    Flows of one round ran at the same time.
    """

    round: Ints
    source: Ints
    destination: Ints
    rate: Floats
    rtt_us: Floats

    def __len__(self) -> int:
        return len(self.round)


@dataclass(frozen=True, slots=True)
class Network:
    """``leaf`` (n,): number into ``leaves`` of the switch that each node hangs on, −1 where it is not known. ``speed`` (n,): what
    each card could do at best in bytes/s, NaN where it is not known: flows between cards of different speeds are not
    like. ``host`` (n,): machines of one number are on one physical host, −1 each on its own."""

    nodes: int
    flows: Flows
    leaf: Ints
    leaves: Sequence[str] = ()
    speed: Floats | None = None
    host: Ints | None = None


@dataclass(frozen=True, slots=True)
class Culprit:
    """One element that explains what is wrong.

    ``nodes``: rows of the node, of the ends of the pair, of all nodes behind the leaf or the link. ``leaves``: names of the
    leaf, of both leaves of a link; of racks that were only inferred there is none. ``way``: None is both; of a pair "tx" is
    what the first of ``nodes`` sends to the other, "rx" what it receives from it. ``effect``: relative, −0.36 is 36 % slower,
    a round trip of 2.5 times the usual is −1.5. ``log_p``: ln of the chance that a healthy element looks so. ``value`` and
    ``expected``: of the flows through it, in bytes/s or µs. ``flows``: numbers of those that prove it, the clearest first,
    of ``seen`` that could have.
    """

    kind: Kind
    witness: Witness
    nodes: tuple[int, ...]
    way: Way | None
    effect: float
    log_p: float
    value: float
    expected: float
    flows: Ints
    seen: int
    leaves: tuple[str, ...] = ()
    also: tuple[Witness, ...] = ()


@dataclass(frozen=True, slots=True)
class Own:
    """Of one side of each of n nodes, all (n,): ``value`` in bytes/s or µs, NaN where fewer than two peers tell; ``effect``: ln
    of it against what is usual, negative is worse; ``spread`` of the flows it was read from, relative; ``flows``: how many;
    ``hidden``: peers that are bad themselves held all of them back."""

    value: Floats
    effect: Floats
    spread: Floats
    flows: Ints
    hidden: Bools


@dataclass(slots=True)
class Answer:
    """``culprits``, the clearest first; ``unclear``: nodes that would explain what is slow, though their own flows do not show
    it: they belong to something that was not found. ``unmet``: nodes of racks that were inferred though no two of them met,
    so that their cards may be the reason as well. ``odd``: numbers of flows that were slow alone, in the only test of their
    direction (a bad path, or a bad moment), or where nothing else tells whether it is the path or a card. ``slower``:
    rows of nodes whose cards are of a slower kind, as far as flows tell. ``sending``, ``receiving`` and ``answering`` (by
    protocol): what each node does for its own part, None where nothing was measured. ``usual`` (k,) in bytes/s,
    ``usual_times`` (by protocol, k,) in µs: what a healthy flow in the place of each would do, NaN where that was not reckoned.
    ``leaf`` (n,): the racks that it was reckoned with, told or inferred."""

    culprits: list[Culprit] = field(default_factory=list)
    unclear: list[Culprit] = field(default_factory=list)
    unmet: list[Culprit] = field(default_factory=list)
    odd: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    slower: list[int] = field(default_factory=list)
    sending: Own | None = None
    receiving: Own | None = None
    answering: dict[str, Own] = field(default_factory=dict)
    usual: Floats | None = None
    usual_times: dict[str, Floats] = field(default_factory=dict)
    leaf: Ints | None = None
