"""The local part of the plan ``standard`` against the fixed schedule that eDeploy's AHC runs on every node.

The fixed schedule, with the same programs and the same options: sysbench CPU 10 s on one core of each socket and on all;
sysbench memory 5 s for each of 7 block sizes on one core of each socket, on all CPUs by threads, on all by processes;
fio 15 s for sequential and random reads of each disk, and of all at once. Both take turns on the same node; the spread is
that of a metric's value from run to run. The node's disk is a loop device with its speed set by a control group: without,
it would be the page cache that is measured.

``AHC_BENCH_RUNS`` (default 5) runs of each take about 4 minutes a run, and want a machine that does nothing else.
"""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import ahc_server.plan
from ahc_agent import programs
from ahc_agent.bench import fio, run_task, sysbench, topology
from ahc_agent.bench.sysbench import Memory, Place
from ahc_agent.task import Device, TaskContext
from ahc_agent.wire.messages import CpuTask, DiskTask, MemoryTask
from ahc_server.plan.parser import read_plan
from tests.bench_helpers import loop_device

RUNS = int(os.environ.get("AHC_BENCH_RUNS", "5"))
BLKIO = Path("/sys/fs/cgroup/blkio")
DISK_BYTES_PER_S = 200 * 1024 * 1024
DISK_IOPS = 4000
MIB = 1024 * 1024

CPU_S, MEMORY_S, DISK_S = 10, 5, 15
SIZES = ("1K", "4K", "1M", "16M", "128M", "1G", "2G")

#: A spread from five runs is itself only known to about a fifth, over all metrics together.
TOLERANCE = 1.25

Values = dict[str, float]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        not (BLKIO / "blkio.throttle.read_bps_device").exists(),
        reason="needs blkio control groups (version 1)",
    ),
    pytest.mark.skipif(
        programs.find("fio") is None or programs.find("sysbench") is None, reason="needs fio, sysbench"
    ),
    pytest.mark.timeout(600 * RUNS + 300),
]


@contextlib.contextmanager
def throttled_disk(folder: Path) -> Iterator[str]:
    """A loop device with a disk's speed for this process and its children."""
    group, before = BLKIO / "ahc-bench-schedule", BLKIO / "cgroup.procs"
    with loop_device(folder, "disk.img", 1024 * MIB, "--direct-io=on") as disk:
        number = Path(disk.path).stat().st_rdev
        device = f"{os.major(number)}:{os.minor(number)}"
        group.mkdir()
        try:
            (group / "blkio.throttle.read_bps_device").write_text(f"{device} {DISK_BYTES_PER_S}")
            (group / "blkio.throttle.read_iops_device").write_text(f"{device} {DISK_IOPS}")
            (group / "cgroup.procs").write_text(str(os.getpid()))
            yield disk.path
        finally:
            before.write_text(str(os.getpid()))
            group.rmdir()


def fixed_schedule(disk: str) -> Values:
    """One run of what AHC runs; the metrics by our names."""
    found = topology.read()
    never = threading.Event()
    one_core = {socket.name: Place(socket.cpus[:1], 1) for socket in found.sockets}
    everything = Place(found.cpus, len(found.cpus))
    values: Values = {}
    for name, place in {**one_core, "all": everything}.items():
        argv = ["sysbench", "cpu", f"--cpu-max-prime={sysbench.CPU_MAX_PRIME}", f"--threads={place.threads}"]
        text = programs.run(
            [*argv, f"--time={CPU_S}", "run"], time_limit_s=CPU_S + 20, cpus=place.cpus
        ).text()
        values[f"cpu.{name}.events_per_s"] = sysbench._number(sysbench._EVENTS_RATE, text)
    processes = [Place(found.cpus, 1) for _ in found.cpus]
    for name, places in {
        **{key: [place] for key, place in one_core.items()},
        "all": [everything],
        "forked": processes,
    }.items():
        for size in SIZES:
            test = Memory(places, "write", sysbench.parse_size(size), never)
            texts = test._run_all(
                lambda place: [f"--memory-total-size={2**62}", f"--time={MEMORY_S}"], MEMORY_S + 120
            )
            rate = sum(sysbench._number(sysbench._MEMORY_RATE, text) * MIB for text in texts)
            values[f"memory.{name}.write_{size}_bytes_per_s"] = rate
    for _ in ("alone", "all at once"):
        for pattern, block, depth, name in (
            ("read", MIB, 8, "read_1M_bytes_per_s"),
            ("randread", 4096, 32, "randread_4k_iops"),
        ):
            (outcome,) = fio.run([fio.Job(disk, pattern, block, depth)], 1, DISK_S, never)
            seconds = sum(window.seconds for window in outcome.windows)
            ios = sum(window.ios for window in outcome.windows)
            values.setdefault(f"disk.d0.{name}", ios / seconds * (block if pattern == "read" else 1))
    return values


def standard_plan(disk: str) -> Values:
    """One run of the local jobs of ``standard``."""
    plan = read_plan(Path(ahc_server.plan.__path__[0]) / "shipped" / "standard.yaml")
    context = TaskContext(only_disks=(Device("d0", disk),))
    values: Values = {}
    for job in plan.jobs:
        if isinstance(job.task, CpuTask | MemoryTask | DiskTask):
            for measured in run_task(job.task, context):
                assert measured.value is not None, f"{measured.name}: {measured.error}"
                values[measured.name] = measured.value
    return values


def spread(values: list[float]) -> float:
    """Coefficient of variation."""
    return statistics.stdev(values) / statistics.fmean(values)


def test_standard_plan_against_the_fixed_schedule(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    ours: list[Values] = []
    fixed: list[Values] = []
    seconds: dict[str, list[float]] = {"ours": [], "fixed": []}

    def run_ours() -> None:
        begun = time.monotonic()
        ours.append(standard_plan(disk))
        seconds["ours"].append(time.monotonic() - begun)

    def run_fixed() -> None:
        begun = time.monotonic()
        fixed.append(fixed_schedule(disk))
        seconds["fixed"].append(time.monotonic() - begun)

    with throttled_disk(tmp_path) as disk:
        benchmark.pedantic(run_ours, setup=run_fixed, rounds=RUNS, iterations=1)  # type: ignore[no-untyped-call]

    common = [name for name in ours[0] if name in fixed[0]]
    time_ratio = statistics.fmean(seconds["ours"]) / statistics.fmean(seconds["fixed"])
    print(f"\n{'metric':44}{'standard':>14}{'fixed':>14}{'ratio':>8}{'spread':>9}{'fixed':>9}")
    for name in common:
        mine, theirs = [run[name] for run in ours], [run[name] for run in fixed]
        means = statistics.fmean(mine), statistics.fmean(theirs)
        print(
            f"{name:44}{means[0]:14.4g}{means[1]:14.4g}{means[0] / means[1]:8.3f}"
            + (f"{spread(mine):9.2%}{spread(theirs):9.2%}" if RUNS > 1 else "")
        )
    print(
        f"time: standard {statistics.fmean(seconds['ours']):.1f} s, fixed {statistics.fmean(seconds['fixed']):.1f} s,"
        f" ratio {time_ratio:.3f} ({len(ours[0])} metrics against {len(fixed[0])})"
    )
    benchmark.extra_info["time_ratio"] = round(time_ratio, 3)
    assert time_ratio <= 1 / 3
    if RUNS < 3:
        return
    together = [
        math.sqrt(statistics.fmean([spread([run[name] for run in runs]) ** 2 for name in common]))
        for runs in (ours, fixed)
    ]
    better = sum(spread([run[n] for run in ours]) <= spread([run[n] for run in fixed]) for n in common)
    print(
        f"spread over {RUNS} runs (root mean square over the metrics in common): standard {together[0]:.2%}, "
        f"fixed {together[1]:.2%}; standard is as narrow or narrower in {better} of {len(common)}"
    )
    benchmark.extra_info |= {"spread": round(together[0], 4), "spread_fixed": round(together[1], 4)}
    assert together[0] <= together[1] * TOLERANCE
