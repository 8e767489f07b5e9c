"""sysbench 1.0: runs of a fixed amount of work, and its memory test second by second.

One run of fixed work is one sample: starting sysbench costs 10 ms, its own clock starts after that, and every run has new
pages and a new layout of memory, so that their luck averages out within a measurement. Where a run has to allocate much
memory first (blocks of GiB, many threads), one long run that reports every second gives the samples instead.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ahc_agent import programs
from ahc_agent.errors import ProgramFailed, UsageError

#: sysbench counts primes up to this for one event; the same everywhere, or values could not be compared (its own default).
CPU_MAX_PRIME = 10000

#: How long a run may take beyond what it was planned for before it is killed.
GRACE_S = 1.0

_MIB = 1024 * 1024
_EVENTS_RATE = re.compile(r"^\s*events per second:\s+([0-9.]+)\s*$", re.M)
_MEMORY_RATE = re.compile(r"MiB transferred \(([0-9.]+) MiB/sec\)")
_TOTAL_TIME = re.compile(r"^\s*total time:\s+([0-9.]+)s\s*$", re.M)
_INTERVAL = re.compile(r"^\[ \d+s \] ([0-9.]+) MiB/sec\s*$", re.M)
_SIZE = re.compile(r"([1-9]\d{0,9})([KMG]?)", re.I)
_FACTOR = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


@dataclass(frozen=True, slots=True)
class Timed:
    """A run of fixed work: work per second (events or bytes), and how long the work took."""

    rate: float
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where one sysbench process runs: pinned to ``cpus``, with ``threads``, its memory on NUMA node ``memory_node``
    (None: the node where it runs, because that is where its first touch happens)."""

    cpus: tuple[int, ...]
    threads: int
    memory_node: int | None = None


def cpu_work(place: Place, events: int, time_limit_s: float, cancelled: threading.Event) -> Timed:
    """Compute ``events`` events."""
    argv = ["sysbench", "cpu", f"--cpu-max-prime={CPU_MAX_PRIME}", f"--threads={place.threads}"]
    argv += [f"--events={events}", "--time=0", "run"]
    text = programs.run(argv, time_limit_s=time_limit_s, cpus=place.cpus, cancelled=cancelled).text()
    return Timed(_number(_EVENTS_RATE, text), _number(_TOTAL_TIME, text))


#: The arguments that say how much a process shall do.
Amount = Callable[[Place], list[str]]


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory test on one or several places at once; rates in bytes/s are summed over them.

    ``--memory-scope=local``: a buffer of its own for each thread. The default, one buffer for all, measures how caches
    fight over the same lines: on a 2-core machine 4.7 or 12 GB/s for 1K blocks, as it happened to fall.
    """

    places: Sequence[Place]
    operation: str
    block_bytes: int
    cancelled: threading.Event

    @property
    def threads(self) -> int:
        """Of all places."""
        return sum(place.threads for place in self.places)

    def work(self, blocks_per_thread: int, time_limit_s: float) -> Timed:
        """Move this many blocks with every thread."""
        texts = self._run_all(
            lambda place: [
                f"--memory-total-size={self.block_bytes * blocks_per_thread * place.threads}",
                "--time=0",
            ],
            time_limit_s,
        )
        rates = [_number(_MEMORY_RATE, text) * _MIB for text in texts]
        return Timed(sum(rates), max(_number(_TOTAL_TIME, text) for text in texts))

    def seconds(self, count: int, time_limit_s: float) -> list[float]:
        """Rates of ``count`` seconds in a row (one fewer where the last one was cut short)."""
        texts = self._run_all(
            lambda place: [
                f"--memory-total-size={2**62}",
                f"--time={count}",
                "--report-interval=1",
            ],
            time_limit_s,
        )
        columns = [[float(rate) * _MIB for rate in _INTERVAL.findall(text)] for text in texts]
        if not all(columns):
            # Blocks that take longer than the interval: the whole run is the sample.
            return [sum(_number(_MEMORY_RATE, text) * _MIB for text in texts)]
        return [sum(row) for row in zip(*columns, strict=False)]

    def _run_all(self, amount: Amount, time_limit_s: float) -> list[str]:
        def run(place: Place) -> str:
            argv = [] if place.memory_node is None else ["numactl", f"--membind={place.memory_node}"]
            argv += ["sysbench", "memory", "--memory-scope=local", f"--memory-oper={self.operation}"]
            argv += [f"--memory-block-size={self.block_bytes}", f"--threads={place.threads}"]
            argv += [*amount(place), "run"]
            return programs.run(
                argv, time_limit_s=time_limit_s, cpus=place.cpus, cancelled=self.cancelled
            ).text()

        if len(self.places) == 1:
            return [run(self.places[0])]
        with ThreadPoolExecutor(max_workers=len(self.places)) as pool:
            return list(pool.map(run, self.places))


def parse_size(text: str) -> int:
    """Bytes of "4K", "1M", "2G" (factors of 1024). Raises UsageError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"block size {text!r}: write a number and K, M or G, such as 4K or 1M")
    return int(found[1]) * _FACTOR[found[2].upper()]


def format_size(size: int) -> str:
    """The shortest form of a size: "4K", "1M", "1536"."""
    for unit in ("G", "M", "K"):
        if size % _FACTOR[unit] == 0:
            return f"{size // _FACTOR[unit]}{unit}"
    return str(size)


def _number(pattern: re.Pattern[str], text: str) -> float:
    found = pattern.search(text)
    if found is None or float(found[1]) <= 0:
        raise ProgramFailed("sysbench", "printed no rate that can be right; is this sysbench 1.0?")
    return float(found[1])
