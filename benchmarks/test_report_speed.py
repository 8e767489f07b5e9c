"""From files to a report: ``ahc import`` and ``ahc report`` beside eDeploy's cardiff, and how both grow with the fleet.

CPU seconds of whole processes, interpreter and imports included, on the same files. The peer's last release with cardiff is
installed into ``.venv-peers/cardiff`` at the first run.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ahc_server.importers import edeploy, session
from ahc_server.importers.model import Imported, Row, Source
from ahc_server.measured import Measured
from ahc_server.store import Store
from benchmarks.fleets import hw
from benchmarks.fleets.faults import Node
from benchmarks.fleets.generate import Fleet, Group, generate

REPOSITORY = Path(__file__).resolve().parent.parent
PEER = "hardware==0.24.0"
PEER_FOLDER = REPOSITORY / ".venv-peers" / "cardiff"

#: The fleet of the comparison: a seed whose first group is of R630, of 333 metrics a node.
SEED = 111
NODES = 950
#: What the same machine measures in two runs differs by so much here.
JITTER = 0.002
ROUNDS = 3

REPORT_FASTER = 10
TOGETHER_FASTER = 3
#: The first is what starting costs.
LARGE = (10, 1_000, 10_000)
LARGE_LIMIT_S = 15.0
LARGE_LIMIT_MIB = 2048
#: Where many nodes are sick: every so manieth, and what is left of one of its disks.
SICK_EVERY, SICK_LEFT = 7, 0.6
#: Ten times the nodes may cost so many times as much as ten times would.
LINEAR = 1.3


#: Run ``ahc`` and tell, on standard error, the peak of this process's resident memory. ``VmHWM`` belongs to the memory image of
#: this program alone; ``ru_maxrss`` of a child also counts the image it was forked from.
AHC = """
import re, sys
from pathlib import Path
from ahc_server.cli import group
group.main(sys.argv[1:], standalone_mode=False)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One process: user and system CPU seconds, and its peak of resident memory (0: not told)."""

    cpu_s: float
    peak_mib: float


def run(*argv: str | Path) -> Run:
    """Run a program to its end."""
    # One thread a program: what idle threads of a matrix library burn is no work.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [str(each) for each in argv], stdout=subprocess.DEVNULL, stderr=said, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        words = said.read().decode(errors="replace")
    assert process.returncode == 0, words
    last = words.split()[-1:]
    peak_kib = int(last[0]) if last and last[0].isdigit() else 0
    return Run(usage.ru_utime + usage.ru_stime, peak_kib / 1024)


def ahc(store: Path, *words: str | Path) -> Run:
    return run(sys.executable, "-c", AHC, "--store", store, *words)


def best(work: Callable[[], Run]) -> Run:
    """The run of the least CPU time: others use this machine too."""
    return min((work() for _ in range(ROUNDS)), key=lambda each: each.cpu_s)


def group() -> Group:
    return next(each for each in generate(SEED).groups if each.platform.name == "R630")


def node_of(node: Node, number: int) -> Node:
    """The same machine under identities of its own."""
    made = copy.copy(node)
    made.serial, made.uuid = f"S{number:06d}", f"{number:08x}-0000-4000-8000-0000000000aa"
    mac = f"02:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}:00"
    made.nics = [replace(nic, mac=f"{mac}:{place:02x}") for place, nic in enumerate(node.nics)]
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each of 950 nodes."""
    base, chance = group(), np.random.default_rng(SEED)
    places = np.arange(NODES) % len(base.nodes)
    made = Group(
        base.platform,
        base.metrics,
        [node_of(base.nodes[place], number) for number, place in enumerate(places.tolist())],
        base.values[places] * chance.normal(1, JITTER, (NODES, len(base.metrics))),
    )
    folder = tmp_path_factory.mktemp("fleet")
    hw.write(Fleet(SEED, generate(SEED).scenario, [made]), folder)
    return folder


@pytest.fixture(scope="module")
def cardiff() -> Path:
    """The peer's program."""
    program = PEER_FOLDER / "bin" / "hardware-cardiff"
    if not program.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", PEER_FOLDER], check=True, timeout=300)
            subprocess.run([PEER_FOLDER / "bin" / "pip", "install", "-q", PEER], check=True, timeout=600)
        except subprocess.SubprocessError as error:
            shutil.rmtree(PEER_FOLDER, ignore_errors=True)
            pytest.skip(f"the peer cannot be installed: {error}")
    return program


def test_import_and_report_beside_cardiff(
    benchmark: BenchmarkFixture, files: Path, cardiff: Path, tmp_path: Path
) -> None:
    numbers = iter(range(100))

    def take() -> Run:
        store = tmp_path / f"{next(numbers)}.db"
        return ahc(store, "import", files, "--session", "fleet")

    peer = best(lambda: run(cardiff, "-p", f"{files}/*.hw"))
    taken = best(take)
    told = best(lambda: ahc(tmp_path / "0.db", "report"))
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: ahc(tmp_path / "0.db", "report"), rounds=1
    )
    report, together = peer.cpu_s / told.cpu_s, peer.cpu_s / (taken.cpu_s + told.cpu_s)
    benchmark.extra_info.update(report_ratio=round(report, 1), together_ratio=round(together, 1))
    print(
        f"\n{NODES} nodes × {len(group().metrics)} metrics, CPU s: cardiff {peer.cpu_s:.2f}, import {taken.cpu_s:.2f},"
        f" report {told.cpu_s:.2f}: report {report:.1f} times as fast, import and report {together:.1f} times"
    )
    assert report >= REPORT_FASTER
    assert together >= TOGETHER_FASTER


def imported(count: int, *, sick: bool) -> Iterator[tuple[Source, Imported]]:
    """What the import reads of so many files, without the files: a few read, the rest made from them. ``sick``: many nodes have a
    slow disk."""
    base, chance = group(), np.random.default_rng(SEED)
    read: list[tuple[Imported, Measured]] = []
    for row in range(min(200, len(base.nodes))):
        source = Source("", "", None, 1_700_000_000.0, "")
        rows: list[Row] = [*hw.lines(base, row)]
        one = edeploy.read(rows, [], source)
        read.append((one, one.columns))
    for number in range(count):
        one, measured = read[number % len(read)]
        system = msgspec.structs.replace(one.inventory.system, serial=f"S{number:06d}", uuid=None)
        values = np.frombuffer(measured.numbers) * chance.normal(1, JITTER, len(measured.numbers) // 8)
        if sick and number % SICK_EVERY == 0:
            disks = np.array([name.part if name.component == "disk" else "" for name in measured.names])
            values[disks == max(disks)] *= SICK_LEFT
        text = f"S{number:06d}"
        yield (
            Source(f"{text}.hw", text, None, 1_700_000_000.0, text),
            Imported(
                inventory=msgspec.structs.replace(one.inventory, system=system),
                taken=msgspec.structs.replace(measured, numbers=values.tobytes()),
            ),
        )


def store_of(count: int, path: Path, *, sick: bool) -> Path:
    gathering = session.Gathering("fleet")
    for source, one in imported(count, sick=sick):
        gathering.add(source, one)
    with Store(path, write=True) as store:
        session.write(store, gathering)
    return path


@pytest.mark.parametrize("sick", [False, True], ids=["healthy", "sick"])
def test_the_report_grows_with_the_fleet_and_no_faster(
    benchmark: BenchmarkFixture, tmp_path: Path, sick: bool
) -> None:
    stores = {count: store_of(count, tmp_path / f"{count}.db", sick=sick) for count in LARGE}
    runs = {count: best(partial(ahc, store, "report")) for count, store in stores.items()}
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: ahc(stores[LARGE[1]], "report"), rounds=1
    )
    start, small, large = (runs[count] for count in LARGE)
    growth = (large.cpu_s - start.cpu_s) / (small.cpu_s - start.cpu_s) / (LARGE[2] / LARGE[1])
    benchmark.extra_info.update(cpu_s=round(large.cpu_s, 1), peak_mib=round(large.peak_mib))
    for count in LARGE:
        print(
            f"\n{count:,} nodes: {runs[count].cpu_s:.2f} s CPU, {runs[count].peak_mib:.0f} MiB peak", end=""
        )
    print(f"; {growth:.2f} times linear")
    assert large.cpu_s <= LARGE_LIMIT_S and large.peak_mib <= LARGE_LIMIT_MIB
    assert growth <= LINEAR
