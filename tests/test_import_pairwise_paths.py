"""A pair that is bad one way, from its file to the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.import_helpers import Ahc
from tests.network_helpers import all_pairs


@pytest.fixture
def ahc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ahc:
    return Ahc(tmp_path / "store.db", monkeypatch, capsys)


def report(ahc: Ahc, folder: Path, source: str, destination: str, gbps: float, times: int) -> dict[str, Any]:
    """All pairs of twelve nodes once, and one way so often that it was tried ``times``."""
    rounds = [[way for a, b in one for way in ((a, b), (b, a))] for one in all_pairs(12)]
    tests = [[(f"n{a}", f"n{b}") for a, b in one] for one in rounds]
    tests += [[(source, destination)]] * (times - 1)
    flows = [
        [[a, b, gbps if (a, b) == (source, destination) else 23.0, None] for a, b in one] for one in tests
    ]
    document = {"nodes": [f"n{row}" for row in range(12)], "rounds": flows}
    (folder / "pairs.json").write_text(json.dumps(document), encoding="utf-8")
    status, _, errors = ahc("import", folder / "pairs.json", "--session", "net")
    assert status == 0, errors
    found: dict[str, Any] = json.loads(ahc("report", "--session", "net", "--format", "json")[1])
    return found


@pytest.mark.parametrize(
    ("source", "destination", "direction"), [("n3", "n9", "tx"), ("n9", "n3", "rx")], ids=["there", "back"]
)
def test_a_way_that_is_slow_each_time_is_a_finding_that_says_which(
    ahc: Ahc, tmp_path: Path, source: str, destination: str, direction: str
) -> None:
    found = report(ahc, tmp_path, source, destination, 9.2, times=3)
    [finding] = found["findings"]
    assert (finding["element"], finding["nodes"], finding["direction"]) == (
        "pair:n3-n9",
        ["n3", "n9"],
        direction,
    )
    assert f"flows from {source} to {destination}: 9.20 Gbit/s" in finding["summary"]
    assert "the other way is well" in finding["summary"]
    verdicts = {node["id"]: node["verdict"] for node in found["nodes"]}
    assert {name for name, verdict in verdicts.items() if verdict != "pass"} == {"n3", "n9"}


def test_a_way_that_was_slow_once_is_a_note_and_everybody_passes(ahc: Ahc, tmp_path: Path) -> None:
    found = report(ahc, tmp_path, "n3", "n9", 9.2, times=1)
    assert found["findings"] == []
    assert any("n3 → n9 was slow in the only test of this way (−60 %)" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("times", "kind", "said"),
    [
        (1, "not-measured", "from n9 to n3 nothing came through in the one test of it"),
        (3, "missing", "from n9 to n3 nothing came through in 3 of 3 tests of it, though the other way did"),
    ],
)
def test_a_way_through_which_nothing_comes_is_said_with_its_tests(
    ahc: Ahc, tmp_path: Path, times: int, kind: str, said: str
) -> None:
    [finding] = report(ahc, tmp_path, "n9", "n3", 0.0, times)["findings"]
    assert (finding["element"], finding["kind"]) == ("pair:n3-n9", kind)
    assert finding["summary"].startswith(said)
