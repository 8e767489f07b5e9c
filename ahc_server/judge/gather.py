"""Which evidence a group's metrics give: the one place that knows what is compared with what."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ahc_server.judge.cores import Layout, cores, single_cores
from ahc_server.judge.evidence import Evidence, Gatherer, Values
from ahc_server.judge.readings import Kind, Reading

_DISK_KINDS: tuple[Kind, ...] = ("sequential", "random", "sequential writes", "random writes")
_PLAIN: tuple[tuple[Kind, str], ...] = (
    ("latency", "disk"),
    ("tail latency", "disk"),
    ("tx", "network"),
    ("rx", "network"),
    ("rtt", "network"),
)


def gather(
    values: Values, components: Sequence[str], read: Sequence[Reading], layouts: Sequence[Layout]
) -> list[Evidence]:
    """All evidence of one group. ``components``, ``read``: of each of its m metrics."""
    of = Gatherer(values, components, read)
    # Where single cores were measured, once each, what all of them do together is one more value that a glitch can spoil.
    has_cores = len(of.parts(lambda r: _is_core(r.part))) > 1
    is_enough = has_cores and not bool(np.any(values.sampled))
    _computing(of, layouts, is_enough)
    _memory(of, layouts, is_enough)
    for kind in _DISK_KINDS:
        of.disks(kind)
    of.whole_disks(_DISK_KINDS)
    for kind, component in _PLAIN:
        of.level(kind, component, of.parts(lambda r, kind=kind: r.kind == kind))  # type: ignore[misc]
    of.others()
    of.unsteady()
    return [each for each in of.found if not np.all(np.isnan(each.distance))]


def _computing(of: Gatherer, layouts: Sequence[Layout], is_enough: bool) -> None:
    single = of.parts(lambda r: r.kind == "compute" and _is_core(r.part))
    if len(single) > 1:
        computing = cores(of, "cpu", "cpu", "socket", single, layouts)
        small = of.parts(lambda r: r.kind == "cached" and r.part in single and not r.method)
        large = of.parts(lambda r: r.kind == "memory" and r.part in single and not r.method)
        also = [
            of.joined({part: each[part] for part in single})
            for each in (small, large)
            if len(each) == len(single)
        ]
        at_once = of.parts(lambda r: r.kind == "compute" and r.part == "all")
        together = of.joined(at_once).distance[:, 0] if at_once else None
        single_cores(of, computing, also if small else [], layouts, together)
    sockets = of.parts(lambda r: r.kind == "compute" and r.part.startswith("socket"))
    of.level("cpu", "cpu", sockets)
    of.contrast("socket", "cpu", sockets)
    if not is_enough:
        known = {*single, *sockets} if len(single) > 1 else set(sockets)
        of.level("cpu", "cpu", of.parts(lambda r: r.kind == "compute" and r.part not in known))


def _memory(of: Gatherer, layouts: Sequence[Layout], is_enough: bool) -> None:
    single = of.parts(lambda r: r.kind == "memory" and _is_core(r.part) and not r.method)
    if len(single) > 1:
        cores(of, "memory", "memory", "numa", single, layouts)
    nodes = of.parts(lambda r: r.kind == "memory" and re.fullmatch(r"node\d+", r.part) is not None)
    of.level("memory", "memory", nodes)
    of.contrast("numa", "memory", nodes)
    if not is_enough:
        known = {*single, *nodes} if len(single) > 1 else set(nodes)
        of.level("memory", "memory", of.parts(lambda r: r.kind == "memory" and r.part not in known))
        of.level("cached", "memory", of.parts(lambda r: r.kind == "cached" and not _is_core(r.part)))


def _is_core(part: str) -> bool:
    return re.fullmatch(r"core\d+", part) is not None
