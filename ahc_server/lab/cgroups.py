"""Control groups: each node's share of CPU and the speed of its disk.

Version 1 (``cpu.cfs_quota_us``, ``blkio.throttle.read_bps_device``, ...) where its controllers are mounted, else version 2
(``cpu.max``, ``io.max``). Sources: kernel documents ``admin-guide/cgroup-v1/blkio-controller.rst``,
``scheduler/sched-bwc.rst`` and ``admin-guide/cgroup-v2.rst``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ahc_agent.errors import CannotAnswer
from ahc_server.lab.ledger import PREFIX, Ledger

#: How much more than an ordinary process a lab weighs when CPU is scarce: its nodes' shares are small, and should be
#: had also on a busy machine.
WEIGHT = 16
#: Short, so that a benchmark's sample of half a second holds many whole periods and quotas do not show as noise.
PERIOD_US = 10_000


@dataclass(frozen=True, slots=True)
class DiskLimit:
    """Speed of a throttled disk, the same for reads and writes."""

    bytes_per_s: int
    iops: int

    def times(self, factor: float) -> DiskLimit:
        return DiskLimit(round(self.bytes_per_s * factor), round(self.iops * factor))


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where new groups may be made: the folder for each controller (the same one in version 2)."""

    version: int
    cpu: Path
    io: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self.cpu,) if self.cpu == self.io else (self.cpu, self.io)


def find(mounts: str | None = None, membership: str | None = None) -> Hierarchy:
    """The hierarchies for CPU and disk limits, from ``/proc/self/mountinfo`` and ``/proc/self/cgroup``.

    New groups stand below the caller's own group in version 1, and below the root in version 2 (where only the root may hold
    both processes and groups with controllers). Raises CannotAnswer where a controller is missing.
    """
    mounts = Path("/proc/self/mountinfo").read_text() if mounts is None else mounts
    membership = Path("/proc/self/cgroup").read_text() if membership is None else membership
    first: dict[str, Path] = {}
    unified: Path | None = None
    for line in mounts.splitlines():
        head, _, tail = line.partition(" - ")
        mount_point = Path(head.split()[4])
        kind, _, options = tail.split(" ", 2)
        if kind == "cgroup":
            for controller in options.split(","):
                first.setdefault(controller, mount_point)
        elif kind == "cgroup2":
            unified = mount_point
    if "cpu" in first and "blkio" in first:
        return Hierarchy(1, _own(first["cpu"], "cpu", membership), _own(first["blkio"], "blkio", membership))
    if unified is not None:
        offered = (unified / "cgroup.controllers").read_text().split()
        if {"cpu", "io"} <= set(offered):
            return Hierarchy(2, unified, unified)
    raise CannotAnswer("no control groups for CPU and disk speed are mounted")


def _own(mount_point: Path, controller: str, membership: str) -> Path:
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        own = mount_point / path.lstrip("/")
        if controller in controllers.split(",") and own.is_dir():
            return own
    return mount_point


class Cgroups:
    """The groups of one lab: one for the lab, one for each node inside it."""

    def __init__(self, hierarchy: Hierarchy, ledger: Ledger) -> None:
        """Makes the lab's own groups. Raises OSError where that is not allowed."""
        self.hierarchy = hierarchy
        self._ledger = ledger
        self._name = f"{PREFIX}{ledger.entries.lab_id}"
        for folder in hierarchy.folders:
            if hierarchy.version == 2:
                _enable(folder)
            self._make(folder / self._name)
            if hierarchy.version == 2:
                _enable(folder / self._name)
        # Ordinary is 1024 in version 1 and 100 in version 2.
        if hierarchy.version == 1:
            (hierarchy.cpu / self._name / "cpu.shares").write_text(str(1024 * WEIGHT))
        else:
            (hierarchy.cpu / self._name / "cpu.weight").write_text(str(100 * WEIGHT))

    def add(self, node: str) -> tuple[Path, ...]:
        """Make a node's groups; returns the ``cgroup.procs`` files in which its processes sign up."""
        for folder in self.hierarchy.folders:
            self._make(folder / self._name / node)
        return tuple(folder / self._name / node / "cgroup.procs" for folder in self.hierarchy.folders)

    def limit_cpu(self, node: str, cpus: float) -> None:
        """``cpus``: CPU seconds per second, over all CPUs of the machine."""
        group = self.hierarchy.cpu / self._name / node
        quota = round(cpus * PERIOD_US)
        if self.hierarchy.version == 1:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")

    def limit_disk(self, node: str, device: str, limit: DiskLimit) -> None:
        """``device`` is "MAJOR:MINOR"."""
        group = self.hierarchy.io / self._name / node
        if self.hierarchy.version == 1:
            for way in ("read", "write"):
                (group / f"blkio.throttle.{way}_bps_device").write_text(f"{device} {limit.bytes_per_s}")
                (group / f"blkio.throttle.{way}_iops_device").write_text(f"{device} {limit.iops}")
        else:
            values = (
                f"rbps={limit.bytes_per_s} wbps={limit.bytes_per_s} riops={limit.iops} wiops={limit.iops}"
            )
            (group / "io.max").write_text(f"{device} {values}")

    def _make(self, path: Path) -> None:
        self._ledger.note_cgroup(path)
        path.mkdir()


def _enable(folder: Path) -> None:
    """Version 2: let the groups below have the controllers. Enabled ones stay enabled: others may rely on them by then."""
    (folder / "cgroup.subtree_control").write_text("+cpu +io")
