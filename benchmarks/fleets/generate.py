"""From a seed to a fleet with labels.

Every draw comes from a stream named by the seed and what it is for, so the same fleet without its faults has the same
noise (``generate(seed, broken=False)``). Seeds 0 to 199 are for development; 900 to 999 are kept for a last look.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.fleets import oracle
from benchmarks.fleets.faults import KINDS, Damage, DimmFact, DiskFact, FaultKind, NicFact, Node
from benchmarks.fleets.noise import (
    FLEETING,
    LASTING,
    Effect,
    Floats,
    Weather,
    covariance,
    draw,
    effects_of,
    modes,
)
from benchmarks.fleets.platforms import (
    CACHED_SIZES,
    OTHER_MODEL,
    PLATFORMS,
    DiskKind,
    Metric,
    Platform,
    metrics_of,
)
from benchmarks.fleets.scenarios import Scenario, scenario_of

LAST_LOOK = range(900, 1000)

#: Faults that have goals of their own come up more often.
_WEIGHTS = {"slow socket": 2.0, "slow CPU": 2.0, "slow disk": 2.0, "random IOPS only": 2.0, "throttling": 1.5}
#: What a whole part of a fleet may suffer from together.
_COMMON = (
    ("slow CPU", 0.10),
    ("slow CPU", 0.30),
    ("slow memory", 0.10),
    ("slow memory", 0.30),
    ("slow disk", 0.30),
)
_COMMON_CAUSE = 0.5
#: Drift is rare among its peers, else it is a batch.
_RAREST_DRIFT = 0.05
_CLEAN = 0.3
_LOST_VALUE, _LOST_TEST, _GLITCH = 0.003, 0.015, 0.02
_GLITCHES = (0.02, 0.3, 0.5, 0.7, 1.5, 2.0)
_HIDDEN_LOSS = 0.03


class KeptSeedError(ValueError):
    """A seed of the last look was asked for in development."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is wrong with one node. ``size``: loss as a part of the healthy level. ``distance``: see ``oracle``."""

    node: str
    kind: str
    components: frozenset[str]
    part: str
    size: float
    visible: bool
    distance: float


@dataclass(slots=True)
class Group:
    """Machines of one platform. ``values`` (nodes, metrics) as eDeploy writes them, NaN where there is none."""

    platform: Platform
    metrics: tuple[Metric, ...]
    nodes: list[Node]
    values: Floats


@dataclass(slots=True)
class Fleet:
    """``labels`` by serial; ``populations``: serials of the part that is so large that it is a population of its own, which no
    judge can call faulty: to be told apart, not accused. ``notes``: batches and halves, in words."""

    seed: int
    scenario: Scenario
    groups: list[Group]
    labels: dict[str, Label] = field(default_factory=dict)
    populations: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)

    @property
    def nodes(self) -> list[Node]:
        return [node for group in self.groups for node in group.nodes]


def generate(seed: int, *, broken: bool = True, last_look: bool = False) -> Fleet:
    """The fleet of a seed. ``broken`` False leaves its faults out.

    Raises KeptSeedError for a seed of the last look, unless this is it.
    """
    if seed in LAST_LOOK and not last_look:
        raise KeptSeedError(f"seed {seed} is kept for the last look: say --last-look if this is it")
    scenario = scenario_of(seed)
    chance = _stream(seed, "fleet")
    total = round(float(np.exp(chance.uniform(*np.log(scenario.nodes)))))
    clean = bool(chance.random() < _CLEAN)
    weather = Weather(
        scale=float(chance.uniform(*scenario.weather)),
        lasting=str(chance.choice(LASTING)),
        fleeting=str(chance.choice(FLEETING)),
        uneven=float(chance.uniform(0.0, 0.35)),
        two_modes=bool(chance.random() < 0.4),
    )
    fleet = Fleet(seed, scenario, [])
    for number, (platform, nodes) in enumerate(_platforms(seed, scenario, total)):
        group = _healthy(seed, number, platform, nodes, weather, fleet)
        noise = covariance(group.metrics, _effects(group, weather), weather)
        damages = _break(seed, number, group, fleet) if broken else {}
        _measure(seed, number, group, clean)
        for row, (kind, size, damage) in damages.items():
            reach = oracle.distance(damage, group.values[row], group.metrics, noise, nodes)
            serial = group.nodes[row].serial
            fleet.labels[serial] = Label(
                node=serial,
                kind=kind.name,
                components=kind.components,
                part=damage.part,
                size=size,
                visible=oracle.visible(kind, reach, damage.places, weather, nodes),
                distance=reach,
            )
    if scenario.common:
        fleet.populations = frozenset(fleet.labels)
    return fleet


def _stream(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, *name.encode()]))


def _platforms(seed: int, scenario: Scenario, total: int) -> Iterator[tuple[Platform, int]]:
    chance = _stream(seed, "platforms")
    kinds = int(chance.integers(scenario.platforms[0], scenario.platforms[1] + 1))
    chosen = chance.permutation(len(PLATFORMS))[:kinds]
    parts = chance.dirichlet([2.0] * kinds)
    for number, part in zip(chosen, parts, strict=True):
        yield PLATFORMS[number], max(round(float(part) * total), 6) if kinds > 1 else total


def _effects(group: Group, weather: Weather) -> list[Effect]:
    return effects_of(group.metrics, [kind.rotational for _, kind in group.platform.disks], weather)


def _healthy(seed: int, number: int, platform: Platform, count: int, weather: Weather, fleet: Fleet) -> Group:
    """A group of healthy nodes, with noise, batches and hidden halves, not yet rounded."""
    metrics = metrics_of(platform)
    facts = _stream(seed, f"facts {number}")
    nodes = [_node(facts, platform, fleet.seed, number, row) for row in range(count)]
    group = Group(platform, metrics, nodes, np.empty((count, len(metrics))))
    relative = draw(_stream(seed, f"noise {number}"), _effects(group, weather), count, weather)
    relative *= modes(_stream(seed, f"modes {number}"), metrics, count, weather)
    group.values = relative * np.array([metric.usual for metric in metrics])
    _batches(_stream(seed, f"batches {number}"), group, fleet)
    fleet.groups.append(group)
    return group


def _node(chance: np.random.Generator, platform: Platform, seed: int, number: int, row: int) -> Node:
    letters = "".join(chance.choice(list("BCDFGHJKLMNPQRSTVWXZ0123456789"), 4))
    vendor, product = ("Samsung", f"M393A{platform.dimm_gib}G40")
    per_bank = platform.slots // platform.sockets
    filled = platform.dimms // platform.sockets
    dimms = []
    for slot in range(platform.slots):
        name = f"DIMM_{chr(65 + slot // per_bank)}{slot % per_bank + 1}"
        serial = f"{int(chance.integers(16**8)):08X}"
        if slot % per_bank < filled:
            dimms.append(DimmFact(name, platform.dimm_gib, platform.dimm_mhz, vendor, product, serial))
        else:
            dimms.append(DimmFact(name, 0, 0, "", "", ""))
    _, _, driver, ports, speed = platform.nics
    mac = int(chance.integers(2**40))
    nics = [
        NicFact(
            name=f"eth{port}",
            mac=":".join(f"{byte:02x}" for byte in (0x0200_0000_0000 + mac + port).to_bytes(6, "big")),
            firmware={"tg3": "5719-v1.38", "ixgbe": "0x61c10001"}[driver],
            speed_mbps=speed if driver == "ixgbe" or port == 0 else 0,
        )
        for port in range(ports)
    ]
    return Node(
        serial=f"{platform.name.upper()}{number}{row:04d}{letters}",
        uuid=f"{seed:08x}-{number:04x}-4{row % 4096:03x}-8000-{mac:012x}",
        platform=platform,
        bios=platform.bios,
        dimms=dimms,
        disks=[DiskFact(name, kind, not kind.rotational) for name, kind in platform.disks],
        nics=nics,
        address=f"10.{number}.{row // 250}.{row % 250 + 1}",
    )


def _batches(chance: np.random.Generator, group: Group, fleet: Fleet) -> None:
    """Legitimate differences that cover a fifth to a half of the nodes."""
    count = len(group.nodes)
    kinds = ["BIOS", "DIMM vendor", "NIC firmware"]
    if any(disk in OTHER_MODEL for _, disk in group.platform.disks):
        kinds.append("disk model")
    for kind in chance.permutation(kinds)[: fleet.scenario.batches if count >= 10 else 0]:
        rows = np.flatnonzero(chance.permutation(count) < round(chance.uniform(0.2, 0.5) * count))
        fleet.notes.append(f"{len(rows)} of {count} {group.platform.name} have another {kind}")
        shift = float(chance.uniform(0.0, 0.015)) if chance.random() < 0.5 else 0.0
        for row in rows:
            _renew(group, int(row), str(kind), shift)
    if fleet.scenario.hidden_half and count >= 10:
        rows = np.flatnonzero(chance.permutation(count) < round(chance.uniform(0.45, 0.55) * count))
        part = str(chance.choice(["cpu", "memory", "disk"]))
        hit = [_part_of(metric) == part for metric in group.metrics]
        group.values[rows] *= np.where(hit, 1 - _HIDDEN_LOSS, 1.0)
        fleet.notes.append(f"{len(rows)} of {count} {group.platform.name} are 3 % slower: {part}")


def _part_of(metric: Metric) -> str:
    if metric.disk >= 0:
        return "disk"
    if metric.kind in ("loops", "all") or metric.what in CACHED_SIZES:
        return "cpu"
    return "" if metric.kind == "bogomips" else "memory"


def _renew(group: Group, row: int, kind: str, shift: float) -> None:
    """Give one node what its batch has; ``shift``: what its memory loses by it."""
    node = group.nodes[row]
    in_memory = [_part_of(metric) == "memory" for metric in group.metrics]
    if kind == "BIOS":
        node.bios = (f"{node.bios[0]}b", "10/05/2017")
        group.values[row] *= np.where(in_memory, 1 - shift, 1.0)
    elif kind == "DIMM vendor":
        node.dimms = [
            replace(d, vendor="Micron", product="36ASF2G72") if d.size_gib else d for d in node.dimms
        ]
        group.values[row] *= np.where(in_memory, 1 - shift, 1.0)
    elif kind == "NIC firmware":
        node.nics = [replace(nic, firmware=f"{nic.firmware}.4") for nic in node.nics]
    else:
        for column, metric in enumerate(group.metrics):
            old = node.disks[metric.disk].kind if metric.disk >= 0 else None
            if old is not None and old in OTHER_MODEL:
                group.values[row, column] *= _rate(OTHER_MODEL[old], metric.what) / _rate(old, metric.what)
        node.disks = [replace(disk, kind=OTHER_MODEL.get(disk.kind, disk.kind)) for disk in node.disks]


def _rate(kind: DiskKind, what: str) -> float:
    rates = {
        "read_1M": kind.read_kbps,
        "write_1M": kind.write_kbps,
        "randread_4k": kind.randread_iops,
        "randwrite_4k": kind.randwrite_iops,
    }
    return float(rates[what])


def _break(seed: int, number: int, group: Group, fleet: Fleet) -> dict[int, tuple[FaultKind, float, Damage]]:
    """Break some nodes; row → what was done to it."""
    chance = _stream(seed, f"faults {number}")
    count, scenario = len(group.nodes), fleet.scenario
    expected = float(chance.uniform(*scenario.faulty)) * count
    broken = int(expected) if scenario.common else int(expected + chance.random())
    if scenario.common and broken <= 0.30 * count:
        broken = int(0.30 * count) + 1
    kinds = {kind.name: kind for kind in KINDS}
    drifted: dict[str, int] = {}
    done: dict[int, tuple[FaultKind, float, Damage]] = {}
    common = _COMMON[int(chance.integers(len(_COMMON)))]
    with_cause = chance.random() < _COMMON_CAUSE
    for row in chance.permutation(count)[:broken]:
        node = group.nodes[row]
        if scenario.common:
            kind, size = kinds[common[0]], common[1]
            damage = kind.inflict(_stream(seed, f"common {number}"), node, group.metrics, size)
            if with_cause:
                node.bios = (f"{node.bios[0]}a", "02/14/2012")
        else:
            kind, size = _choose(chance, group.platform, count, drifted)
            damage = kind.inflict(chance, node, group.metrics, size)
        group.values[row] *= damage.factor
        done[int(row)] = (kind, size, damage)
    return done


def _choose(
    chance: np.random.Generator, platform: Platform, count: int, drifted: dict[str, int]
) -> tuple[FaultKind, float]:
    allowed = max(1, int(_RAREST_DRIFT * count)) if count >= 5 else 0
    kinds = [
        kind
        for kind in KINDS
        if kind.possible(platform) and (not kind.is_drift or drifted.get(kind.name, 0) < allowed)
    ]
    weights = np.array([0.6 if kind.is_drift else _WEIGHTS.get(kind.name, 1.0) for kind in kinds])
    kind = kinds[int(chance.choice(len(kinds), p=weights / weights.sum()))]
    if kind.is_drift:
        drifted[kind.name] = drifted.get(kind.name, 0) + 1
    return kind, float(chance.choice(kind.sizes))


def _measure(seed: int, number: int, group: Group, clean: bool) -> None:
    """Glitches, rounding, lost values and lost tests, in place."""
    chance = _stream(seed, f"measuring {number}")
    count, width = group.values.shape
    glitched = np.flatnonzero(chance.random(count) < _GLITCH)
    columns = np.asarray(chance.integers(0, width, size=count), dtype=np.int64)
    factors = chance.choice(_GLITCHES, size=count)
    lost = chance.random((count, width)) < _LOST_VALUE
    untested = np.flatnonzero(chance.random(count) < _LOST_TEST)
    which = np.asarray(chance.integers(0, width, size=count), dtype=np.int64).tolist()
    if not clean:
        group.values[glitched, columns[glitched]] *= factors[glitched]
    step = np.array([metric.step for metric in group.metrics])
    group.values = np.round(np.floor(group.values / step) * step, 2)
    if clean:
        return
    tests = [(m.kind, m.what, m.run if m.disk >= 0 else -1) for m in group.metrics]
    for row in untested.tolist():
        lost[row] |= [test == tests[which[row]] for test in tests]
    group.values[lost] = np.nan
