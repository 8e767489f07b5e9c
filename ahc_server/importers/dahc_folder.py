"""Results of DAHC among the files that an operator named: found by their places, whatever the folder is called.

::

    ROOT/STEP/JOB/*.hw, metrics     STEP: how many machines ran at once; JOB: component and name, "network-tcp_bandwidth"
    ROOT/*.yaml, hosts, affinity    the plan, the hypervisors, and which machines were connected

(``health-server`` of eDeploy: ``prepare_log_dir``, ``compute_metrics``. Some versions of it write "network-" before a storage
job: its ``metrics`` tell.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ahc_server.importers.files import Candidate

METRICS = "metrics"
_STEP = re.compile(r"[0-9]{1,6}")
_JOB = re.compile(r"(?:cpu|memory|storage|network)-.+", re.DOTALL)


@dataclass(slots=True)
class JobFolder:
    """ROOT/STEP/JOB. ``hosts``: what STEP says."""

    path: Path
    hosts: int
    results: list[Candidate] = field(default_factory=list)
    metrics: Candidate | None = None


@dataclass(slots=True)
class Folder:
    """One run of DAHC. ``jobs``: by their names below the root; ``beside``: other files in and below it."""

    root: Path
    jobs: dict[str, JobFolder] = field(default_factory=dict)
    beside: list[Candidate] = field(default_factory=list)


def split(candidates: Sequence[Candidate]) -> tuple[list[Folder], list[Candidate]]:
    """The runs of DAHC, and all that belongs to none."""
    here = Path.cwd()
    placed = [(here / each.path, each) for each in candidates]
    folders: dict[Path, Folder] = {}
    rest: list[tuple[Path, Candidate]] = []
    for path, each in placed:
        job, step = path.parent, path.parent.parent
        is_result = path.suffix == ".hw"
        is_placed = _STEP.fullmatch(step.name) and _JOB.fullmatch(job.name)
        if not is_placed or not (is_result or path.name == METRICS):
            rest.append((path, each))
            continue
        folder = folders.setdefault(step.parent, Folder(step.parent))
        of = folder.jobs.setdefault(f"{step.name}/{job.name}", JobFolder(job, int(step.name)))
        if is_result:
            of.results.append(each)
        else:
            of.metrics = each
    # A metrics file alone makes no run: other tools have files of that name too.
    for path, folder in list(folders.items()):
        if not any(of.results for of in folder.jobs.values()):
            del folders[path]
            rest += [(of.path, of.metrics) for of in folder.jobs.values() if of.metrics is not None]
    others = []
    for path, each in rest:
        root = next((parent for parent in path.parents if parent in folders), None)
        if root is not None:
            folders[root].beside.append(each)
        else:
            others.append(each)
    return list(folders.values()), others
