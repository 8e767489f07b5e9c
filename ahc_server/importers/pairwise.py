"""Rates and round trips between pairs of nodes, ``ahc.pairwise/1``: the results of any tool that tests pairs in rounds.

The document::

    {"schema": "ahc.pairwise/1", "nodes": ["n1", ...], "topology": {"n1": "leaf1", ...}, "line_gbps": 25.0,
     "rounds": [[["n1", "n2", 23.2, 13.0], ...], ...]}

A flow is source, destination, Gbit/s and round trip in µs; 0 and null are no connection. ``schema``, ``topology`` and
``line_gbps`` may be absent. A million flows are read one round at a time, without keeping an object for each.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf, nan

import msgspec

from ahc_agent.errors import FileFormatError
from ahc_server.flows import packed_floats, packed_integers
from ahc_server.importers.files import Candidate, shown

SCHEMA = "ahc.pairwise/1"
NAME = "pairwise network results"
MAX_BYTES = 512 * 2**20
MAX_NODES, MAX_FLOWS, MAX_ROUNDS = 16_384, 20_000_000, 100_000
_MAX_NAME = 128
#: 10⁹ bits.
BYTES_PER_GBIT = 1e9 / 8
_MOST_GBPS, _MOST_US = 1e6, 1e9

_Flow = tuple[str, str, float | None, float | None]


class _Document(msgspec.Struct):
    nodes: list[str]
    rounds: list[msgspec.Raw]
    schema: str | None = None
    topology: dict[str, str | None] | None = None
    line_gbps: float | None = None


_NOT_THERE = msgspec.Raw()


class _Shape(msgspec.Struct):
    """What a document of ours has, whatever stands in it."""

    nodes: msgspec.Raw = _NOT_THERE
    rounds: msgspec.Raw = _NOT_THERE
    schema: msgspec.Raw = _NOT_THERE


@dataclass(frozen=True, slots=True)
class Round:
    """k flows that ran at once, as columns of ``FlowTable``."""

    source: bytes
    destination: bytes
    bytes_per_s: bytes
    rtt_us: bytes
    flows: int


@dataclass(frozen=True, slots=True)
class Pairwise:
    """``leaf``: node → the switch that it hangs on, of those that are told. ``line_bits_per_s``: of the cards, None unknown."""

    file: str
    at_unix_s: float
    nodes: tuple[str, ...]
    leaf: dict[str, str]
    line_bits_per_s: float | None
    rounds: list[Round]
    remarks: list[str] = field(default_factory=list)

    @property
    def flows(self) -> int:
        return sum(each.flows for each in self.rounds)


def split(candidates: Iterable[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """The documents of this format, and all other files."""
    mine: list[Candidate] = []
    others: list[Candidate] = []
    for each in candidates:
        (mine if _is_pairwise(each) else others).append(each)
    return mine, others


def _is_pairwise(candidate: Candidate) -> bool:
    """By content. What cannot be read is left to those who say why."""
    try:
        data = _read(candidate)[0]
    except FileFormatError:
        return False
    if b'"rounds"' not in data and SCHEMA.encode() not in data:
        return False
    try:
        shape = msgspec.json.decode(data, type=_Shape)
    except (msgspec.MsgspecError, RecursionError):
        # Broken in the middle: whose it is, its beginning tells.
        return SCHEMA.encode() in data[:200]
    told = bytes(shape.schema).strip(b'"')
    return told == SCHEMA.encode() or bool(bytes(shape.nodes) and bytes(shape.rounds))


def _read(candidate: Candidate) -> tuple[bytes, float]:
    """Content of a file that begins as a JSON object, else nothing, and when it was written. Raises FileFormatError."""
    if candidate.packed is not None:
        return candidate.packed
    name = shown(candidate.path)
    try:
        descriptor = os.open(candidate.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with open(descriptor, "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileFormatError(name, "is no regular file")
            head = file.read(256)
            if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                return b"", status.st_mtime
            if status.st_size > MAX_BYTES:
                raise FileFormatError(name, f"larger than {MAX_BYTES // 2**20} MiB")
            data = head + file.read(status.st_size + 1 - len(head))
    except OSError as error:
        raise FileFormatError(name, f"cannot be read: {error.strerror or error}") from error
    return data.removeprefix(b"\xef\xbb\xbf"), max(0.0, status.st_mtime)


def read(candidate: Candidate) -> Pairwise:
    """Raises FileFormatError with the place of what is wrong."""
    file = shown(candidate.path)
    data, at_unix_s = _read(candidate)
    try:
        document = msgspec.json.decode(data, type=_Document)
    except msgspec.ValidationError as error:
        raise FileFormatError(file, str(error), remedy=f"see {SCHEMA} in docs/network.md") from error
    except RecursionError as error:
        raise FileFormatError(file, "nested too deeply") from error
    except msgspec.DecodeError as error:
        raise FileFormatError(
            file, f"broken JSON: {error}", remedy="it is incomplete or was edited: copy it again"
        ) from error
    if document.schema not in (None, SCHEMA):
        raise FileFormatError(file, f"schema {_short(document.schema)}", remedy=f"this AHC reads {SCHEMA}")
    places = _places(file, document.nodes)
    if len(document.rounds) > MAX_ROUNDS:
        raise FileFormatError(file, f"more than {MAX_ROUNDS:,} rounds")
    rounds: list[Round] = []
    total = 0
    for number, raw in enumerate(document.rounds, 1):
        rounds.append(_round(file, number, raw, places))
        total += rounds[-1].flows
        if total > MAX_FLOWS:
            raise FileFormatError(file, f"more than {MAX_FLOWS:,} flows")
    if not total:
        raise FileFormatError(
            file, "holds no flows", remedy="a round is a list of [source, destination, Gbit/s, µs]"
        )
    leaf, remarks = _leaves(file, document.topology, places)
    return Pairwise(
        file=file,
        at_unix_s=at_unix_s,
        nodes=tuple(document.nodes),
        leaf=leaf,
        line_bits_per_s=_line(file, document.line_gbps),
        rounds=[each for each in rounds if each.flows],
        remarks=remarks,
    )


def _places(file: str, nodes: Sequence[str]) -> dict[str, int]:
    if not 2 <= len(nodes) <= MAX_NODES:
        raise FileFormatError(file, f"nodes: {len(nodes):,} of them; 2 to {MAX_NODES:,} are meant")
    places: dict[str, int] = {}
    for place, name in enumerate(nodes):
        if not (0 < len(name.strip()) == len(name) <= _MAX_NAME and name.isprintable()):
            raise FileFormatError(
                file,
                f"nodes[{place}]: {_short(name)} is no name",
                remedy=f"1 to {_MAX_NAME} printable characters without spaces at the ends",
            )
        if name in places:
            raise FileFormatError(file, f"nodes[{place}]: {_short(name)} stands there twice")
        places[name] = place
    return places


def _leaves(
    file: str, topology: dict[str, str | None] | None, places: dict[str, int]
) -> tuple[dict[str, str], list[str]]:
    told: dict[str, str] = {}
    strangers = 0
    for node, leaf in (topology or {}).items():
        if leaf is None:
            continue
        if not (0 < len(leaf.strip()) <= _MAX_NAME and leaf.isprintable()):
            raise FileFormatError(file, f"topology, {_short(node)}: {_short(leaf)} is no name of a switch")
        if node in places:
            told[node] = leaf
        else:
            strangers += 1
    remarks = [f"{file}: topology: {strangers:,} names are none of the nodes"] if strangers else []
    missing = len(places) - len(told)
    if told and missing:
        remarks.append(f"{file}: topology: of {missing:,} nodes no switch is told")
    return told, remarks


def _line(file: str, gbps: float | None) -> float | None:
    if gbps is None:
        return None
    if not 0 < gbps <= _MOST_GBPS:
        raise FileFormatError(file, f"line_gbps: {gbps:g} is no speed of a card")
    return gbps * 1e9


_decode = msgspec.json.Decoder(list[_Flow]).decode


def _round(file: str, number: int, raw: msgspec.Raw, places: dict[str, int]) -> Round:
    try:
        flows = _decode(raw)
    except msgspec.MsgspecError as error:
        raise FileFormatError(
            file,
            f"rounds[{number - 1}]: {error}",
            remedy="a flow is [source, destination, Gbit/s, µs or null]",
        ) from error
    for place, (source, destination, gbps, us) in enumerate(flows):
        wrong = _wrong(source, destination, gbps, us, places)
        if wrong:
            raise FileFormatError(file, f"rounds[{number - 1}][{place}]: {wrong}")
    return Round(
        packed_integers(places[flow[0]] for flow in flows),
        packed_integers(places[flow[1]] for flow in flows),
        packed_floats(nan if flow[2] is None else flow[2] * BYTES_PER_GBIT for flow in flows),
        packed_floats(flow[3] or nan for flow in flows),
        len(flows),
    )


def _wrong(
    source: str, destination: str, gbps: float | None, us: float | None, places: dict[str, int]
) -> str | None:
    for name in (source, destination):
        if name not in places:
            return f"{_short(name)} is none of the nodes"
    if source == destination:
        return f"{_short(source)} is its own peer"
    if gbps is not None and not 0 <= gbps <= _MOST_GBPS:
        return f"{gbps:g} Gbit/s is no possible rate"
    if us is not None and not 0 <= us < min(_MOST_US, inf):
        return f"{us:g} µs is no possible round trip"
    return None


def _short(text: str | None) -> str:
    shortened = repr(text)
    return shortened if len(shortened) <= 60 else f"{shortened[:57]}..."
