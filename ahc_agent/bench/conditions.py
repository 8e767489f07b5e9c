"""What disturbs a benchmark while it runs: the hypervisor, other processes, heat.

CPU time comes from ``/proc/stat`` (man 5 proc_stat: user, nice, system, idle, iowait, irq, softirq, steal, in
ticks of 1/100 s), the benchmark's own from ``getrusage(RUSAGE_CHILDREN)``: programs are waited for, so whatever ran
between two looks is in it. What is busy, and not the benchmark's, is the others'.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from dataclasses import dataclass

from ahc_agent.errors import NotThere
from ahc_agent.inventory.root import Root
from ahc_agent.measure import Conditions

#: From these parts of all CPU time on a sample counts as disturbed ...
STEAL_LIMIT = 0.02
OTHERS_LIMIT = 0.10
#: ... if it is also more than this: ticks of short samples are too coarse to accuse anybody.
_NOISE_S = 0.035

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Look:
    """Counters at one moment; CPU times in seconds, summed over the watched CPUs."""

    all_s: float
    busy_s: float
    steal_s: float
    own_s: float
    involuntary_switches: int
    throttle_events: int | None


class Watch:
    """Watches some CPUs during one benchmark: ``start``, ``lap`` after every step, ``total`` at the end.

    ``kernel_work_is_own``: the time that the kernel spends counts as the benchmark's (a disk's I/O is done by kernel
    threads and interrupts), so that only the user time of others accuses them.
    """

    def __init__(self, cpus: Iterable[int], *, kernel_work_is_own: bool = False, root: Root | None = None):
        self.cpus = frozenset(cpus)
        self.kernel_work_is_own = kernel_work_is_own
        self.root = root or Root("/")
        self._first: _Look | None = None
        self._last: _Look | None = None

    def start(self) -> None:
        """Begin: what was before does not count."""
        self._first = self._last = self._look()

    def lap(self) -> str:
        """What disturbed since the last look ("steal 0.12, others 0.30"); "" for nothing."""
        before, self._last = self._last, self._look()
        if before is None or self._last is None:
            return ""
        return ", ".join(_accusations(before, self._last))

    def total(self) -> Conditions | None:
        """The conditions from the start until now."""
        first, last = self._first, self._look()
        if first is None or last is None:
            return None
        all_s = last.all_s - first.all_s
        throttled = _difference(first.throttle_events, last.throttle_events)
        return Conditions(
            steal_fraction=_part(last.steal_s - first.steal_s, all_s),
            others_cpu_fraction=_part(_others_s(first, last), all_s),
            involuntary_switches=last.involuntary_switches - first.involuntary_switches,
            throttle_events=throttled,
            frequency_hz=frequency_hz(self.root, self.cpus),
            temperature_celsius=hottest_celsius(self.root),
        )

    def _look(self) -> _Look | None:
        times = cpu_times(self.root.text("/proc/stat") or "", self.cpus)
        if times is None:
            return None
        user, nice, system, idle, iowait, irq, softirq, steal = (ticks * _TICK_S for ticks in times)
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        kernel = 0.0 if self.kernel_work_is_own else system + irq + softirq
        return _Look(
            all_s=user + nice + system + idle + iowait + irq + softirq + steal,
            busy_s=user + nice + kernel,
            steal_s=steal,
            own_s=own.ru_utime + (0.0 if self.kernel_work_is_own else own.ru_stime),
            involuntary_switches=own.ru_nivcsw,
            throttle_events=throttle_events(self.root),
        )


def cpu_times(stat: str, cpus: frozenset[int]) -> tuple[int, ...] | None:
    """The eight counters of ``/proc/stat`` summed over ``cpus``, in ticks; None where it names none of them."""
    total = [0] * 8
    seen = False
    for line in stat.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cpus and len(fields) >= 8:
            seen = True
            for index, ticks in enumerate(fields[:8]):
                total[index] += int(ticks)
    return tuple(total) if seen else None


def throttle_events(root: Root) -> int | None:
    """Thermal throttle events of all CPUs since boot; None where the machine does not count them."""
    from ahc_agent.inventory.throttle import collect

    try:
        return sum(counter.count for counter in collect(root))
    except NotThere:
        return None


def hottest_celsius(root: Root) -> float | None:
    """The hottest of all temperature sensors, None without sensors."""
    from ahc_agent.inventory.sensors import collect

    try:
        found = collect(root)
    except NotThere:
        return None
    return max(
        (each.value for each in found if each.kind == "temperature" and each.value is not None), default=None
    )


def frequency_hz(root: Root, cpus: Iterable[int]) -> int | None:
    """Mean of the CPUs' frequencies (cpufreq's ``scaling_cur_freq``, kHz); None where the kernel does not tell."""
    found = [
        khz
        for cpu in cpus
        if (khz := root.integer(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"))
    ]
    return round(sum(found) / len(found) * 1000) if found else None


def _accusations(before: _Look, after: _Look) -> list[str]:
    all_s = after.all_s - before.all_s
    found = []
    for name, taken_s, limit in (
        ("steal", after.steal_s - before.steal_s, STEAL_LIMIT),
        ("others", _others_s(before, after), OTHERS_LIMIT),
    ):
        if taken_s > max(limit * all_s, _NOISE_S):
            found.append(f"{name} {taken_s / all_s:.2f}")
    if _difference(before.throttle_events, after.throttle_events):
        found.append("throttled")
    return found


def _others_s(before: _Look, after: _Look) -> float:
    return max(0.0, (after.busy_s - before.busy_s) - (after.own_s - before.own_s))


def _part(part_s: float, all_s: float) -> float | None:
    return round(min(max(part_s / all_s, 0.0), 1.0), 4) if all_s > 0 else None


def _difference(before: int | None, after: int | None) -> int | None:
    return max(0, after - before) if before is not None and after is not None else None
