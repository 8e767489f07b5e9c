"""``ahc compare``, ``ahc baseline`` and ``ahc history`` on a real store: answers and exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.import_helpers import WRITTEN_AT, Ahc, machine, write_hw

DAY_S = 86_400
NODES = 8


class Deliveries:
    """A store that is filled with sessions of the same eight machines."""

    def __init__(self, ahc: Ahc, folder: Path) -> None:
        self.ahc, self.folder = ahc, folder
        self.sessions = 0

    def take(
        self,
        name: str,
        *,
        slow: dict[int, float] | None = None,
        disks: float = 1.0,
        nodes: int = NODES,
        bios: str = "P71",
    ) -> None:
        """Import a session. ``slow``: machine → what is left of its CPU; ``disks``: what is left of all disks' rates."""
        folder = self.folder / name
        folder.mkdir()
        random = np.random.default_rng(self.sessions)
        self.sessions += 1
        for number in range(nodes):
            left = (slow or {}).get(number, 1.0)
            rows: list[tuple[Any, ...]] = []
            for row in machine(number, loops=()):
                if row[1:3] == ("logical", "loops_per_sec"):
                    row = (*row[:3], str(round(80_000 * left * random.normal(1, 0.003))))
                elif row[0] == "disk" and row[2].startswith("standalone"):
                    row = (*row[:3], str(round(100_000 * disks * random.normal(1, 0.003))))
                elif row[:2] == ("firmware", "bios"):
                    row = (*row[:3], bios)
                rows.append(row)
            file = write_hw(folder / f"n{number}.hw", rows)
            at = WRITTEN_AT + self.sessions * DAY_S
            os.utime(file, (at, at))
        assert self.ahc("import", folder, "--session", name)[0] == 0


@pytest.fixture
def deliveries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Deliveries:
    return Deliveries(Ahc(tmp_path / "state" / "ahc.db", monkeypatch, capsys), tmp_path)


def test_compare_names_what_changed_and_gates_on_it(deliveries: Deliveries) -> None:
    ahc = deliveries.ahc
    deliveries.take("before")
    deliveries.take("same")
    deliveries.take("after", slow={3: 0.7}, bios="P72")
    status, out, err = ahc("compare", "before", "same", "--fail-on", "warn")
    assert (status, err) == (0, "")
    assert "8 nodes in both, 2 metrics: no difference that matters" in out
    status, out, _ = ahc("compare", "before", "after")
    assert status == 0
    assert "FAIL  CZ00000003  CPU −30 % where its 7 peers" in out
    assert "all 8 nodes  BIOS: P71 → P72" in out
    assert ahc("compare", "before", "after", "--fail-on", "fail")[0] == 1
    status, out, _ = ahc("compare", "before", "after", "--format", "json")
    answer = json.loads(out)
    assert (status, answer["schema"], answer["before"]["session"]) == (0, "ahc.comparison/1", "before")
    assert [(each["node"], each["component"]) for each in answer["changed"]] == [("CZ00000003", "cpu")]


def test_compare_cannot_answer_for_what_is_not_there(deliveries: Deliveries) -> None:
    ahc = deliveries.ahc
    deliveries.take("before")
    deliveries.take("fewer", nodes=NODES - 1)
    assert ahc("compare", "before", "fewer")[0] == 0
    status, out, _ = ahc("compare", "before", "fewer", "--fail-on", "warn")
    assert status == 3
    assert "not in fewer: CZ00000007" in out
    assert ahc("compare", "before", "nowhere")[0] == 3
    assert ahc("compare", "before", "before")[0] == 2
    assert ahc("compare", "before")[0] == 2


def test_the_same_data_gives_the_same_bytes(deliveries: Deliveries) -> None:
    deliveries.take("before")
    deliveries.take("after", slow={1: 0.8, 2: 1.2}, disks=0.9)
    first, second = (deliveries.ahc("compare", "before", "after", "--full")[1] for _ in range(2))
    assert first == second and "Every metric, medians" in first


def test_a_baseline_is_saved_shown_checked_and_removed(deliveries: Deliveries) -> None:
    ahc = deliveries.ahc
    deliveries.take("first")
    deliveries.take("second", disks=0.85)
    assert "No baselines" in ahc("baseline", "list")[1]
    status, out, _ = ahc("baseline", "save", "dl360", "--session", "first")
    assert status == 0 and "8 nodes, 2 metrics: HP ProLiant DL360p Gen8" in out
    assert ahc("baseline", "save", "dl360")[0] == 2
    assert "dl360  first" in ahc("baseline", "list")[1]
    assert "disk.sda.read_1M_bytes_per_s" in ahc("baseline", "show", "dl360")[1]
    assert ahc("baseline", "check", "dl360", "--session", "first", "--fail-on", "warn")[0] == 0
    status, out, _ = ahc("baseline", "check", "dl360", "--session", "second", "--fail-on", "warn")
    assert status == 1
    assert "disks, sequential reads of all its nodes −15 % against baseline dl360 (8 nodes)" in out
    status, out, _ = ahc("baseline", "check", "dl360", "--session", "second", "--format", "json")
    answer = json.loads(out)
    assert (status, answer["schema"]) == (0, "ahc.baseline-check/1")
    assert [(f["element"], f["component"], f["kind"]) for f in answer["findings"]] == [
        ("group:g1", "disk", "slow")
    ]
    status, shown, _ = ahc("baseline", "show", "dl360", "--format", "json")
    copy = deliveries.folder / "copy.json"
    copy.write_text(shown)
    assert ahc("baseline", "check", copy, "--session", "second", "--fail-on", "warn")[0] == 1
    assert ahc("baseline", "remove", "dl360")[0] == 0
    assert ahc("baseline", "check", "dl360")[0] == 3


def test_history_dates_a_change_and_what_all_share(deliveries: Deliveries) -> None:
    ahc = deliveries.ahc
    deliveries.take("a")
    deliveries.take("b")
    assert ahc("history")[0] == 3
    deliveries.take("c")
    for name in "def":
        deliveries.take(name, slow={3: 0.78}, disks=0.88, bios="P72")
    status, out, err = ahc("history")
    assert (status, err) == (0, "")
    assert "6 sessions, a (2014-05-14) to f (2014-05-19); 8 nodes, 2 metrics" in out
    assert "CZ00000003: CPU −22 % between c and d (2014-05-17), stable since then (3 sessions)" in " ".join(
        out.split()
    )
    assert "all 8 nodes of g1: disks, sequential reads" not in out
    assert "all 8 nodes of g1: disk sda, sequential reads −12 % between c and d" in " ".join(out.split())
    assert "BIOS changed from P71 to P72" in " ".join(out.split())
    status, out, _ = ahc("history", "--node", "CZ00000003", "--metric", "cpu.*", "--sessions", "5")
    assert status == 0
    assert "all 8 nodes" not in out and "Levels" in out
    assert ahc("history", "--fail-on", "warn")[0] == 1
    assert ahc("history", "--node", "nobody")[0] == 3
    answer = json.loads(ahc("history", "--format", "json")[1])
    assert answer["schema"] == "ahc.history/1" and len(answer["points"]) == 2


@pytest.mark.parametrize("command", ["compare", "baseline", "baseline save", "baseline check", "history"])
def test_help_shows_an_example(deliveries: Deliveries, command: str) -> None:
    status, out, _ = deliveries.ahc(*command.split(), "--help")
    assert status == 0 and "Example: ahc " in out
