"""fio (3.33 or newer): one run on one or several devices, cut into windows of half a second or less.

fio needs a third of a second to start and end, so that a run per sample would waste much of the time. Instead a run
writes a histogram of its completion latencies for every window (``--write_hist_log``, ``--log_hist_msec``; fio's HOWTO, "Log
File Formats"): the number of I/Os in it is the window's rate, and its percentiles are the window's. A line is::

    milliseconds since the start, direction, block size, count of bin 0, count of bin 1, ...

The bins are fio's (``plat_idx_to_val`` in stat.c): 64 to each power of two of nanoseconds, exact below 128 ns. The log is
checked against the totals of the JSON output; where it does not agree (fio before 3.17 lost entries), the whole run
is the one window.

Random offsets are new in every run (``--randrepeat=0``) and sequential runs go on where the last one ended: the same blocks
again would come from the caches of the disk or its controller.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ahc_agent import programs
from ahc_agent.errors import ProgramFailed

#: Lengths of windows are multiples of this: quotas and token buckets work in periods of 100 ms.
PERIOD_S = 0.1
#: The usual length of a window.
WINDOW_S = 0.5
#: What fio takes on top of the run time before it is killed. A stuck disk holds it longer than it should.
GRACE_S = 5.0

_READS = ("read", "randread")
_LOG_HEAD = 3
_EXACT_BINS = 128
_BIN_BITS = 6


@dataclass(frozen=True, slots=True)
class Job:
    """What to do to one device. ``offset_bytes``: where a sequential run begins."""

    path: str
    pattern: str
    block_bytes: int
    queue_depth: int
    offset_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a run: its length, its I/Os, and how long they took (bin of fio's histogram → count)."""

    seconds: float
    ios: int
    latencies: dict[int, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One device's windows, and the bytes moved. ``error``: fio's word on what went wrong, "" for nothing."""

    windows: list[Window]
    bytes: int
    error: str = ""


def run(jobs: Sequence[Job], windows: int, window_s: float, cancelled: threading.Event) -> list[Outcome]:
    """Run all jobs at once for so many windows of this length. Raises ProgramError where fio as a whole could not do it."""
    with tempfile.TemporaryDirectory(prefix="ahc-fio-") as folder:
        argv = ["fio", "--output-format=json", "--thread"]
        if all(job.pattern in _READS for job in jobs):
            argv.append("--readonly")
        for index, job in enumerate(jobs):
            argv += _arguments(job, index, windows, window_s, folder)
        limit_s = windows * window_s + GRACE_S
        finished = programs.run(argv, time_limit_s=limit_s, ok_statuses=None, cancelled=cancelled)
        reports = _reports(finished, len(jobs))
        return [
            _outcome(job, report, _log(folder, index))
            for index, (job, report) in enumerate(zip(jobs, reports, strict=True))
        ]


def percentile_ns(latencies: dict[int, int], part: float) -> float:
    """Latency that ``part`` of the I/Os did not exceed, in nanoseconds (the middle of its bin, as fio has it)."""
    wanted = part * sum(latencies.values())
    seen = 0
    last = 0
    for last in sorted(latencies):
        seen += latencies[last]
        if seen >= wanted:
            break
    return bin_ns(last)


def bin_ns(index: int) -> float:
    """Middle of a bin of fio's histogram in nanoseconds."""
    if index < _EXACT_BINS:
        return float(index)
    shift = (index >> _BIN_BITS) - 1
    return float((1 << (shift + _BIN_BITS)) + ((index % (1 << _BIN_BITS)) + 0.5) * (1 << shift))


def merged(windows: Iterable[Window]) -> dict[int, int]:
    """The latencies of several windows together."""
    total: dict[int, int] = {}
    for window in windows:
        for index, count in window.latencies.items():
            total[index] = total.get(index, 0) + count
    return total


def parse_log(text: str) -> list[Window]:
    """Windows of a histogram log. Raises ValueError where it is none."""
    windows = []
    before_ms = 0
    for line in text.splitlines():
        fields = [int(field) for field in line.split(",")]
        counts = {index: count for index, count in enumerate(fields[_LOG_HEAD:]) if count}
        if len(fields) <= _LOG_HEAD or fields[0] < before_ms or any(count < 0 for count in counts.values()):
            raise ValueError("not a histogram log of fio")
        if fields[0] > before_ms:
            windows.append(Window((fields[0] - before_ms) / 1000, sum(counts.values()), counts))
            before_ms = fields[0]
    return windows


def _arguments(job: Job, index: int, windows: int, window_s: float, folder: str) -> list[str]:
    """One job. fio takes a colon in a file name for a separator unless it is escaped."""
    filename = job.path.replace("\\", "\\\\").replace(":", "\\:")
    # The last window's line is written by the first I/O after its end.
    milliseconds = round(windows * window_s * 1000) + 30
    arguments = [
        f"--name=job{index}",
        f"--filename={filename}",
        f"--rw={job.pattern}",
        f"--bs={job.block_bytes}",
        f"--iodepth={job.queue_depth}",
        "--ioengine=libaio",
        "--direct=1",
        "--time_based",
        f"--runtime={milliseconds}ms",
        "--allow_file_create=0",
        "--randrepeat=0",
        # A map of the blocks seen would take hundreds of MiB on a large disk; drawing blocks twice does no harm.
        "--norandommap",
        "--random_generator=tausworthe64",
        f"--write_hist_log={folder}/job{index}",
        f"--log_hist_msec={round(window_s * 1000)}",
    ]
    if job.offset_bytes:
        arguments.append(f"--offset={job.offset_bytes}")
    if job.pattern not in _READS:
        arguments.append("--allow_mounted_write=0")
    return arguments


def _reports(finished: programs.Finished, count: int) -> list[dict[str, object]]:
    """The jobs of the JSON output. fio may print warnings before it, and fails with messages on either output."""
    text = finished.text()
    start = text.find("{")
    try:
        document = json.loads(text[start:]) if start >= 0 else None
        jobs = document["jobs"] if isinstance(document, dict) else None
    except (ValueError, KeyError):
        jobs = None
    if not isinstance(jobs, list) or len(jobs) != count or not all(isinstance(job, dict) for job in jobs):
        raise ProgramFailed("fio", _complaint(finished, text[: max(start, 0)] or text))
    return jobs


def _complaint(finished: programs.Finished, printed: str) -> str:
    lines = [
        line.strip().removeprefix("fio: ")
        for line in (finished.stderr.decode("utf-8", "replace") + printed).splitlines()
        if line.strip()
    ]
    return "; ".join(lines[:3])[:500] or f"exit status {finished.exit_status} and no result"


def _outcome(job: Job, report: dict[str, object], log: str) -> Outcome:
    side = report.get("read" if job.pattern in _READS else "write")
    if not isinstance(side, dict):
        raise ProgramFailed("fio", "printed a result without the side that was measured")
    try:
        ios, moved = int(side["total_ios"]), int(side["io_bytes"])
        runtime_ms, error = int(side["runtime"]), int(str(report.get("error", 0)))
    except (KeyError, TypeError, ValueError) as problem:
        raise ProgramFailed("fio", f"printed a result that cannot be read: {problem}") from problem
    if error:
        return Outcome([], moved, f"I/O failed: {_error_name(error)}")
    windows = _checked(log, ios)
    if not windows:
        windows = [Window(runtime_ms / 1000, ios, {})] if runtime_ms > 0 and ios > 0 else []
    return Outcome(windows, moved, "" if windows else "not a single I/O was finished in time")


def _checked(log: str, ios: int) -> list[Window]:
    """The log's windows if it tells of nearly as many I/Os as the totals (the last window is cut), else none."""
    try:
        windows = parse_log(log)
    except ValueError:
        return []
    logged = sum(window.ios for window in windows)
    longest = max((window.ios for window in windows), default=0)
    return windows if 0 < logged <= ios <= logged + 2 * longest + 64 else []


def _log(folder: str, index: int) -> str:
    found = sorted(Path(folder).glob(f"job{index}_clat_hist*.log"))
    return found[0].read_text("ascii", "replace") if found else ""


def _error_name(number: int) -> str:
    return os.strerror(number)
