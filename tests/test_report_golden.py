"""The golden reports: the same fleet gives the same bytes, in every format, on every run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.golden_reports import FOLDER, REPORTS


@pytest.mark.parametrize("name", REPORTS)
def test_the_report_looks_as_recorded(name: str) -> None:
    """Where a change is meant: ``python -m tests.golden_reports --write``, and read the difference."""
    assert REPORTS[name]() == (FOLDER / name).read_text(encoding="utf-8")


def test_no_hash_seed_changes_a_byte() -> None:
    told = [
        subprocess.run(
            [sys.executable, "-m", "tests.golden_reports"],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert len(told[0].splitlines()) == len(REPORTS)
