"""Disks: fio on the block device, past the page cache; each disk alone, then all at once.

Alone shows a slow disk; all at once shows what they share (controller, backplane, PCIe link). Reads run with ``--readonly``
and change nothing. Writes need ``destructive`` and pass the write guard for every single run.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ahc_agent.bench import fio, latency, topology, writeguard
from ahc_agent.bench.conditions import Watch
from ahc_agent.bench.sampling import Run, sample
from ahc_agent.bench.series import Metric
from ahc_agent.bench.sysbench import format_size, parse_size
from ahc_agent.errors import AhcError, ProgramFailed
from ahc_agent.inventory.root import Root
from ahc_agent.measure import Measurement
from ahc_agent.task import Device, TaskContext
from ahc_agent.wire.messages import BenchLimits, DiskTask


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a pattern of fio is run by default: as AHC always did, 1 MiB in sequence and 4 KiB at random."""

    block: str
    queue_depth: int
    random: bool
    writes: bool


PATTERNS = {
    "read": Pattern("1M", 8, random=False, writes=False),
    "randread": Pattern("4k", 32, random=True, writes=False),
    "write": Pattern("1M", 8, random=False, writes=True),
    "randwrite": Pattern("4k", 32, random=True, writes=True),
}

#: Starting and ending fio, which measures nothing.
_FIO_COST_S = 0.35
#: A sequential run begins again at the start of the disk when less than this is left.
_TAIL_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Trial:
    """One pattern with its block size."""

    name: str
    pattern: Pattern
    block_bytes: int

    def metric(self, device: Device, *, together: bool = False) -> Metric:
        """The rate: bytes/s of sequential patterns, IOPS of random ones."""
        middle = "_together" if together else ""
        if self.pattern.random:
            return Metric("disk", device.name, f"{self._prefix}{middle}_iops", "IOPS")
        return Metric("disk", device.name, f"{self._prefix}{middle}_bytes_per_s", "bytes/s")

    def latency_metric(self, device: Device, name: str) -> Metric:
        """A percentile of the completion latency, in microseconds."""
        return Metric("disk", device.name, f"{self._prefix}_{name}_us", "us", higher_is_better=False)

    @property
    def _prefix(self) -> str:
        return f"{self.name}_{format_size(self.block_bytes).replace('K', 'k')}"


def measure(task: DiskTask, context: TaskContext) -> list[Measurement]:
    """``disk.sda.read_1M_bytes_per_s``, ``disk.sda.randread_4k_iops``, ``..._p99_us``, and the same ``_together``."""
    trials = [_trial(name, task.block_sizes.get(name)) for name in task.patterns]
    devices = _devices(task, context)
    usable: list[Device] = []
    found: list[Measurement] = []
    steps = len(devices) * len(trials) + (len(trials) if task.simultaneous and len(devices) > 1 else 0)
    done = 0
    for device in devices:
        trouble = _trouble(device)
        if trouble:
            found += [trial.metric(device).failed(trouble) for trial in trials]
            done += len(trials)
            continue
        alone: list[Measurement] = []
        for trial in trials:
            context.progress(done / steps, f"disk.{device.name} {trial.name}")
            alone += _alone(trial, device, task, context)
            done += 1
        found += alone
        if any(each.value is not None for each in alone):
            usable.append(device)
    if task.simultaneous and len(usable) > 1:
        for trial in trials:
            context.progress(done / steps, f"all disks at once, {trial.name}")
            found += _together(trial, usable, task, context)
            done += 1
    return found


def count(task: DiskTask, context: TaskContext) -> int:
    """How many measurements the task will take one after the other."""
    devices = len(_devices(task, context))
    return len(task.patterns) * (devices + (1 if task.simultaneous and devices > 1 else 0))


def _trial(name: str, block: str | None) -> Trial:
    pattern = PATTERNS[name]
    return Trial(name, pattern, parse_size(block or pattern.block))


def _devices(task: DiskTask, context: TaskContext) -> list[Device]:
    """The disks to measure, in the inventory's order; one that was asked for and is not there is kept, to be told."""
    if context.only_disks is not None:
        there = list(context.only_disks)
    else:
        from ahc_agent.inventory import disks

        # Not the whole collector: that asks every disk for its SMART health, which takes its time.
        root = Root("/")
        facts = [disk for name in disks.names(root) if (disk := disks.read(root, name)) is not None]
        there = [
            Device(disk.name, disk.path)
            for disk in facts
            if disk.kind == "disk" and disk.size_bytes and disk.path
        ]
    if not task.devices:
        return there
    by_name = {device.name: device for device in there}
    return [by_name.get(name, Device(name, "")) for name in dict.fromkeys(task.devices)]


def _trouble(device: Device) -> str | None:
    """Why this device cannot be opened, in plain words; fio's own are hard to read."""
    if not device.path:
        return f"no disk {device.name} that may be measured on this machine"
    try:
        handle = os.open(device.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"{device.path}: {error.strerror}"
    try:
        if not (stat.S_ISBLK(mode := os.fstat(handle).st_mode) or stat.S_ISREG(mode)):
            return f"{device.path}: is neither a block device nor a file"
        if os.lseek(handle, 0, os.SEEK_END) == 0:
            return f"{device.path}: has no medium, or is empty"
    except OSError as error:
        return f"{device.path}: {error.strerror}"
    finally:
        os.close(handle)
    return None


def _alone(trial: Trial, device: Device, task: DiskTask, context: TaskContext) -> list[Measurement]:
    metric = trial.metric(device)
    if trial.pattern.writes and not task.destructive:
        return [metric.failed(f"{device.path}: not written to: the plan does not say destructive: true")]
    try:
        run = _run(trial, [device], task.limits, context)
    except AhcError as error:
        return [metric.failed(str(error))]
    found = [metric.measured(run.samples(_column(trial, 0)), run)]
    if trial.pattern.random and run.error is None:
        windows = [(each.row[0], each.at_s, each.disturbed) for each in run.taken]
        for name, samples in latency.percentiles(windows).items():
            found.append(trial.latency_metric(device, name).measured(samples, run))
    return found


def _together(
    trial: Trial, devices: Sequence[Device], task: DiskTask, context: TaskContext
) -> list[Measurement]:
    metrics = [trial.metric(device, together=True) for device in devices]
    if trial.pattern.writes and not task.destructive:
        return []
    try:
        run = _run(trial, devices, task.limits, context)
    except AhcError as error:
        return [metric.failed(str(error)) for metric in metrics]
    return [metric.measured(run.samples(_column(trial, index)), run) for index, metric in enumerate(metrics)]


def _run(
    trial: Trial, devices: Sequence[Device], limits: BenchLimits, context: TaskContext
) -> Run[Sequence[fio.Window]]:
    step = _Step(trial, devices, limits, context)
    watch = Watch(topology.read().cpus, kernel_work_is_own=True)
    return sample(step, lambda row: [_rate(trial, window) for window in row], limits, context, watch)


def _column(trial: Trial, index: int) -> Callable[[Sequence[fio.Window]], float]:
    return lambda row: _rate(trial, row[index])


def _rate(trial: Trial, window: fio.Window) -> float:
    return window.ios / window.seconds * (1 if trial.pattern.random else trial.block_bytes)


class _Step:
    """Runs fio for some windows; a row is one window of each device.

    The first run has ``min_samples`` windows, a later one three: each costs a third of a second that measures nothing.
    """

    _LATER_WINDOWS = 3

    def __init__(self, trial: Trial, devices: Sequence[Device], limits: BenchLimits, context: TaskContext):
        self._trial = trial
        self._devices = devices
        self._context = context
        self._windows = limits.min_samples
        self._window_s = _window_s(limits)
        self._offsets = [0] * len(devices)
        self._taken = False

    def __call__(self, left_s: float) -> list[Sequence[fio.Window]]:
        windows = min(self._windows, math.floor((left_s - _FIO_COST_S) / self._window_s + 1e-6))
        if windows < 1:
            if self._taken:
                return []
            windows = 1
        self._taken = True
        self._windows = self._LATER_WINDOWS
        jobs = [
            fio.Job(
                device.path,
                self._trial.name,
                self._trial.block_bytes,
                self._trial.pattern.queue_depth,
                offset,
            )
            for device, offset in zip(self._devices, self._offsets, strict=True)
        ]
        with contextlib.ExitStack() as held:
            if self._trial.pattern.writes:
                for device in self._devices:
                    held.enter_context(writeguard.hold(device.path))
            outcomes = fio.run(jobs, windows, self._window_s, self._context.cancelled)
        for device, outcome in zip(self._devices, outcomes, strict=True):
            if outcome.error:
                raise ProgramFailed("fio", f"{device.path}: {outcome.error}")
        if not self._trial.pattern.random:
            self._go_on(outcomes)
        return list(zip(*(outcome.windows for outcome in outcomes), strict=False))

    def _go_on(self, outcomes: Sequence[fio.Outcome]) -> None:
        """Where the next sequential run begins: the same blocks again would come from a cache."""
        for index, (device, outcome) in enumerate(zip(self._devices, outcomes, strict=True)):
            size = _size_bytes(device.path)
            block = self._trial.block_bytes
            offset = (self._offsets[index] + outcome.bytes) // block * block
            self._offsets[index] = offset if offset + max(_TAIL_BYTES, block) <= size else 0


def _window_s(limits: BenchLimits) -> float:
    """Half a second, or less where the run time would not hold ``min_samples`` of them."""
    longest = (limits.runtime_s - _FIO_COST_S) / limits.min_samples
    return (
        max(1, min(math.floor(longest / fio.PERIOD_S + 1e-6), round(fio.WINDOW_S / fio.PERIOD_S)))
        * fio.PERIOD_S
    )


def _size_bytes(path: str) -> int:
    with Path(path).open("rb") as device:
        return device.seek(0, os.SEEK_END)
