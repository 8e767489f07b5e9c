"""A fleet from its files to its report, through the commands: four faults of 24 machines, word for word."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import msgspec
import pytest

from ahc_server.judge.model import Report
from tests import golden_fleet
from tests.golden_fleet import FOLDER, reports, write_files

printed = functools.cache(reports)


@pytest.mark.parametrize("name", ["fleet.txt", "fleet.json"])
def test_the_report_says_what_it_said(name: str) -> None:
    """Where a change is meant: ``python -m tests.golden_fleet --write``, and read the difference."""
    assert printed()[name] == (FOLDER / name).read_text(encoding="utf-8")


def test_four_faults_and_nothing_else() -> None:
    report = msgspec.json.decode(printed()["fleet.json"], type=Report)
    told = {each.id: each.verdict for each in report.nodes if each.verdict != "pass"}
    faults = (
        golden_fleet.BAD_CORE,
        golden_fleet.SLOW_DISK,
        golden_fleet.LESS_MEMORY,
        golden_fleet.SLOW_SOCKET,
    )
    assert sorted(told) == [f"CZ33{machine:04d}" for machine in faults]
    assert {each.element for each in report.findings if each.severity != "info"} == {
        f"node:{name}" for name in told
    }


def test_the_files_are_the_same_on_every_machine(tmp_path: Path) -> None:
    write_files(tmp_path)
    files = sorted(tmp_path.iterdir())
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    assert len(files) == golden_fleet.MACHINES
    assert digest == "5e78d913fce19faa8500655517a1d6cc40d257edd09b4dfb6d98686c9831de81"
