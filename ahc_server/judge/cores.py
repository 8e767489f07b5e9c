"""Evidence from single cores: the level of a node, its sockets against each other, a bad core, throttling.

The level of a node is the middle of its cores. A *socket* is compared with the other sockets of the same node, which
cancels what the node as a whole does; a *core* with its node's cores, in computing and in blocks that fit its caches alike;
how far cores stray from each other tells of *throttling*.

Results of others name cores and not their sockets. Kernels number them in one of three ways: sockets one after the other,
sockets in turn, or (with threads) both threads of a core side by side. All are tried: in a wrong one a slow socket
shows less.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ahc_agent.facts import Inventory
from ahc_server.judge.arrays import MAD_TO_SIGMA, Bools, Floats, Ints
from ahc_server.judge.evidence import Evidence, Gatherer, Parts, against_others, nearest
from ahc_server.judge.noise import medians, middles

#: How far a single core counts for the unrest of its node: one bad core is no throttling.
_MOST_UNREST = 0.3
_LEAST_CORES_OF_UNREST = 4
#: A socket needs so many of its cores measured to be compared.
_LEAST_CORES = 2
#: A core that is slow in computing alone: by at least this, and by so many spreads of what cores stray.
_LONE_LOSS, _LONE_SPREADS = 0.06, 10.0
#: Blocks that lost this part of what computing lost agree with it.
_AGREES = 0.5
#: The two threads of a core lose alike: within this ratio.
_TWINS_ALIKE = 1.5
#: What all cores do together falls by the share of the slow ones, within these factors, and by so many spreads.
_SHARE, _SHARE_SPREADS, _LEAST_SPREAD = (0.5, 2.0), 3.0, 0.0005


@dataclass(frozen=True, slots=True)
class Layout:
    """Which core belongs to which socket. ``known``: the machines tell; else it is one of the usual numberings."""

    socket_of: dict[int, int]
    known: bool


def layouts_of(inventories: Iterable[Inventory | None]) -> list[Layout]:
    """How the cores of a group's machines are spread over their sockets: what most of them tell, else what is usual."""
    cpus = [each.cpu for each in inventories if each is not None]
    told = Counter(tuple(cpu.socket_cpus) for cpu in cpus if cpu.socket_cpus)
    if told:
        lists = max(told, key=lambda each: (told[each], each))
        return [Layout({core: s for s, text in enumerate(lists) for core in _cpu_list(text)}, True)]
    counted = Counter(
        (cpu.sockets, cpu.logical_present, cpu.threads_per_core or 1)
        for cpu in cpus
        if cpu.sockets and cpu.sockets > 1 and cpu.logical_present
    )
    if not counted:
        return []
    sockets, logical, threads = max(counted, key=lambda each: (counted[each], each))
    physical = logical // threads
    if physical < 2 * sockets or physical % sockets:
        return []
    numberings = [
        {core: core % physical // (physical // sockets) for core in range(logical)},
        {core: core % physical % sockets for core in range(logical)},
    ]
    if threads > 1:
        numberings.append({core: core // (logical // sockets) for core in range(logical)})
    return [Layout(each, False) for each in numberings]


def _cpu_list(text: str) -> list[int]:
    """A kernel's list of CPUs, "0-5,48-53". What is not one is no CPU."""
    cpus: list[int] = []
    for first, last in re.findall(r"(\d{1,6})(?:-(\d{1,6}))?", text):
        cpus += range(int(first), min(int(last or first), int(first) + 65_536) + 1)
    return cpus


def cores(
    of: Gatherer, kind: str, component: str, contrast: str, parts: Parts, layouts: Sequence[Layout]
) -> Evidence:
    """Add the level of the node's cores, and its sockets against each other. Answers the cores, each for itself."""
    each = of.joined(parts)
    count = np.maximum(np.sum(~np.isnan(each.distance), axis=1), 1)
    of.found.append(
        Evidence(
            kind=kind,
            component=component,
            parts=["all"],
            columns=[np.concatenate(each.columns)],
            distance=_level(each.distance)[:, None],
            own=(np.nan_to_num(medians(each.own, 1)) / np.sqrt(count))[:, None],
            excuse=np.nan_to_num(medians(each.excuse, 1))[:, None],
            single=(count == 1)[:, None],
        )
    )
    for layout in layouts:
        sockets = _sockets(each, layout)
        if len(sockets) < 2 or min(map(len, sockets.values())) < _LEAST_CORES:
            continue
        members = list(sockets.values())
        socket = Evidence(
            kind=contrast,
            component=component,
            parts=[
                f"socket{s}"
                if layout.known
                else "cores " + ranges(_number(each.parts[place]) for place in places)
                for s, places in sockets.items()
            ],
            columns=[np.concatenate([each.columns[place] for place in places]) for places in members],
            distance=np.stack([_level(each.distance[:, places]) for places in members], axis=1),
            own=np.stack(
                [medians(each.own[:, places], 1) / len(places) ** 0.5 for places in members], axis=1
            ),
            excuse=np.stack([medians(each.excuse[:, places], 1) for places in members], axis=1),
            single=np.stack([_known(each.distance[:, places]) == 1 for places in members], axis=1),
        )
        of.found.append(against_others(socket))
    return each


def _known(distance: Floats) -> Ints:
    return np.asarray(np.sum(~np.isnan(distance), axis=1), dtype=np.int64)


def _level(distance: Floats) -> Floats:
    """Of each node's cores, the middle; of two the less odd, so that one spoilt value moves nothing."""
    level = middles(distance, 1)
    if np.any(two := _known(distance) == 2):
        level[two] = nearest(distance[two])
    return level


def _sockets(each: Evidence, layout: Layout) -> dict[int, list[int]]:
    """Socket → places of its cores."""
    members: dict[int, list[int]] = {}
    for place, part in enumerate(each.parts):
        number = _number(part)
        if number in layout.socket_of:
            members.setdefault(layout.socket_of[number], []).append(place)
    return dict(sorted(members.items()))


def _number(part: str) -> int:
    return int(part.removeprefix("core"))


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as a person writes them: "0–3, 8"; every second one as "0, 2, … 14"."""
    ordered = sorted(numbers)
    steps = set(np.diff(ordered).tolist())
    if len(ordered) > 3 and len(steps) == 1 and steps != {1}:
        return f"{ordered[0]}, {ordered[1]}, … {ordered[-1]}"
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def single_cores(
    of: Gatherer,
    computing: Evidence,
    also: Sequence[Evidence],
    layouts: Sequence[Layout],
    together: Floats | None = None,
) -> None:
    """Add each core against its node's cores, and their unrest. ``also``: what blocks of memory say of the same cores, those
    that fit the caches first; ``together`` (n,): what all cores do at once. Two of all have to agree: a core is as bad as
    the second worst says, unless it is slow in computing alone: see ``_alone_slow``."""
    stray = computing.distance - medians(computing.distance, 1)[:, None]
    agreed, single, columns = stray, computing.single, list(computing.columns)
    if also:
        others = [each.distance - medians(each.distance, 1)[:, None] for each in also]
        ordered = np.sort(np.stack([stray, *others]), axis=0)
        # What does not fit the caches need not follow the clock: where one of the first two is lost, the other must do.
        lost = np.isnan(stray) | np.isnan(others[0])
        agreed = np.where(lost, np.fmax(stray, others[0]), ordered[1])
        slow = _alone_slow(stray, agreed, lost)
        backed = _backed(slow, stray, together, _level(computing.distance)) | ~computing.single
        agreed = np.where(slow, stray, agreed)
        single = computing.single & (lost | slow) & ~(slow & backed)
        columns = [np.concatenate(each) for each in zip(columns, *(one.columns for one in also), strict=True)]
    of.found.append(
        Evidence(
            "core", "cpu", computing.parts, columns, agreed, computing.own * 2**0.5, computing.excuse, single
        )
    )
    if len(computing.parts) < _LEAST_CORES_OF_UNREST:
        return
    # A slow socket is no throttling either: in the numbering that explains most, sockets keep their own level.
    unrest = _unrest(stray)
    for layout in layouts:
        level = stray.copy()
        for places in _sockets(computing, layout).values():
            level[:, places] -= medians(level[:, places], 1)[:, None]
        unrest = np.fmin(unrest, _unrest(level))
    nothing = np.zeros((len(unrest), 1))
    of.found.append(
        Evidence(
            kind="throttling",
            component="cpu",
            parts=["all"],
            columns=[np.concatenate(computing.columns)],
            distance=-unrest[:, None],
            own=np.nan_to_num(medians(computing.own, 1))[:, None],
            excuse=nothing,
            single=nothing.astype(bool),
        )
    )


def _alone_slow(stray: Floats, agreed: Floats, lost: Bools) -> Bools:
    """Cores (n, cores) of which computing alone tells that they are far slower than the others, one or two of a node.

    One value of one run may be spoilt. It is a fault where something else shows it (``_backed``), and else in doubt.
    """
    spread = MAD_TO_SIGMA * float(np.nan_to_num(medians(np.abs(stray).ravel(), 0)))
    with np.errstate(invalid="ignore"):
        slow = stray < -max(_LONE_LOSS, _LONE_SPREADS * spread)
        slow &= lost | ~(agreed < _AGREES * stray)
    return np.asarray(slow & (np.sum(slow, axis=1, keepdims=True) <= 2), dtype=bool)


def _backed(slow: Bools, stray: Floats, together: Floats | None, level: Floats) -> Bools:
    """Nodes (n, 1) whose slow cores show twice: two of them lost alike, as the threads of a core do, or what all cores do
    together (n,) lost their share. ``level`` (n,): of the node's cores."""
    loss = np.where(slow, -stray, 0.0)
    least = np.min(np.where(slow, loss, np.inf), axis=1)
    backed = (np.sum(slow, axis=1) == 2) & (np.max(loss, axis=1) < _TWINS_ALIKE * least)
    if together is not None:
        share = np.sum(-np.expm1(-loss), axis=1) / np.maximum(_known(stray), 1)
        fell = level - together
        fell = fell - medians(fell, 0)
        spread = max(float(np.nan_to_num(MAD_TO_SIGMA * medians(np.abs(fell), 0))), _LEAST_SPREAD)
        with np.errstate(invalid="ignore"):
            backed |= (fell > np.maximum(_SHARE[0] * share, _SHARE_SPREADS * spread)) & (
                fell < _SHARE[1] * share
            )
    return np.asarray(backed[:, None], dtype=bool)


def _unrest(stray: Floats) -> Floats:
    """Mean distance of the cores from their middle, without the two farthest: one bad core, and its twin."""
    away = np.sort(np.abs(np.clip(stray, -_MOST_UNREST, _MOST_UNREST)), axis=1)
    known = np.sum(~np.isnan(away), axis=1)
    kept = np.arange(away.shape[1])[None, :] < (known - 2)[:, None]
    total = np.sum(np.where(kept, away, 0.0), axis=1)
    return np.where(known > 2, total / np.maximum(known - 2, 1), np.nan)
