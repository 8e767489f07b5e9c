"""Reading eDeploy's files: our grammar beside ``ast.literal_eval`` on the same texts, and whole files into results."""

from __future__ import annotations

import ast
import pprint
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ahc_server.collector import no_collector
from ahc_server.importers import read_file
from ahc_server.importers.literal import read_rows
from ahc_server.importers.session import Gathering
from benchmarks.fleets import hw
from benchmarks.fleets.generate import generate

FILES = 100
#: The grammar is to read at least so many times as fast as Python's own parser.
FASTER = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of one large group, each with its own serial number."""
    made = tmp_path_factory.mktemp("hw")
    group = max((g for seed in range(5) for g in generate(seed).groups), key=lambda g: len(g.metrics))
    for number in range(FILES):
        lines = [
            line for line in hw.lines(group, number % len(group.nodes)) if line[2] not in ("serial", "uuid")
        ]
        lines.append(("system", "product", "serial", f"S{number:06d}"))
        (made / f"n{number}.hw").write_text(pprint.pformat(lines))
    return made


def cpu_s(work: Callable[[], object]) -> float:
    """CPU time of the best of three runs: others use this machine too."""
    took = []
    for _ in range(3):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return min(took)


def test_reading_rows(benchmark: BenchmarkFixture, folder: Path) -> None:
    texts = [path.read_text() for path in sorted(folder.iterdir())]
    ours = cpu_s(lambda: [read_rows(text, "x") for text in texts])
    python = cpu_s(lambda: [ast.literal_eval(text) for text in texts])
    benchmark.pedantic(lambda: [read_rows(text, "x") for text in texts], rounds=3)  # type: ignore[no-untyped-call]
    ratio = python / ours
    benchmark.extra_info.update(ratio=round(ratio, 1), rows=len(read_rows(texts[0], "x")[0]))
    print(
        f"\n{FILES} files: ours {1e3 * ours:.0f} ms, ast.literal_eval {1e3 * python:.0f} ms, {ratio:.1f} times as fast"
    )
    assert ratio >= FASTER


def test_importing_files(benchmark: BenchmarkFixture, folder: Path) -> None:
    def gather() -> Gathering:
        gathering = Gathering("s")
        with no_collector():
            for path in sorted(folder.iterdir()):
                for _, source, imported in read_file(path):
                    gathering.add(source, imported)
        return gathering

    took = cpu_s(gather)
    gathering = benchmark.pedantic(gather, rounds=3)  # type: ignore[no-untyped-call]
    size = len(gathering.taken[0].kept.payload)
    benchmark.extra_info.update(ms_a_file=round(1e3 * took / FILES, 2), bytes_a_machine=size)
    print(f"\n{1e3 * took / FILES:.2f} ms CPU a file, {size:,} bytes a machine in the store")
