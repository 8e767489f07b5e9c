"""``ahc match``: formats, explanations, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ahc_server.commands.match import EXPORTS
from ahc_server.export import FORMATS
from tests.import_helpers import Ahc, machine, write_hw


@pytest.fixture
def ahc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ahc:
    """A store with three machines of 8 GiB each."""
    called = Ahc(tmp_path / "state" / "ahc.db", monkeypatch, capsys)
    folder = tmp_path / "results"
    folder.mkdir()
    for number in range(3):
        write_hw(folder / f"n{number}.hw", machine(number))
    assert called("import", folder, "--session", "old")[0] == 0
    return called


def profiles(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(f"profile: {name}\n{text}\n")
    return folder


def test_all_placed_is_exit_0(ahc: Ahc, tmp_path: Path) -> None:
    folder = profiles(tmp_path / "p", small="requires: [memory.total_bytes: {at-most: 8 GiB}]")
    status, out, err = ahc("match", "--profiles", folder)
    assert (status, err) == (0, "")
    assert "3 of 3 nodes have a profile" in out and "the only one that fits" in out


def test_a_node_left_or_a_quota_unfilled_is_exit_1(ahc: Ahc, tmp_path: Path) -> None:
    big = profiles(tmp_path / "a", big="requires: [memory.total_bytes: {at-least: 64 GiB}]")
    status, out, _ = ahc("match", "--profiles", big)
    assert status == 1
    assert "big: memory.total_bytes: expected at least 64 GiB, found 8 GiB" in out
    many = profiles(tmp_path / "b", many="quota: {min: 4}\nrequires: [memory.total_bytes: {at-least: 1 GiB}]")
    status, out, _ = ahc("match", "--profiles", many)
    assert status == 1 and "3 of 4" in out


def test_what_cannot_be_told_is_exit_3(ahc: Ahc, tmp_path: Path) -> None:
    folder = profiles(tmp_path / "p", virtual="requires: [cpu.virtualization: true]")
    status, out, _ = ahc("match", "--profiles", folder)
    assert status == 3
    assert "expected yes, found not told" in out


def test_one_node_is_explained_by_itself(ahc: Ahc, tmp_path: Path) -> None:
    folder = profiles(
        tmp_path / "p",
        big="requires: [memory.total_bytes: {at-least: 64 GiB}]",
        small="quota: {min: 9}\nrequires: [memory.total_bytes: {at-least: 1 GiB}]",
    )
    status, out, _ = ahc("match", "--profiles", folder, "--node", "CZ00000001")
    assert (status, out.splitlines()[0]) == (0, "CZ00000001: small: the only one that fits")
    assert f"[{folder}/big.yaml:2]" in out and "CZ00000000" not in out
    status, _, err = ahc("match", "--profiles", folder, "--node", "CZ9")
    assert status == 2 and "no such node" in err


def test_json_is_ahc_match_1_and_goes_into_a_file_whole(ahc: Ahc, tmp_path: Path) -> None:
    folder = profiles(tmp_path / "p", any="requires: [id: {matches: 'CZ.*'}]")
    status, out, _ = ahc("match", "--profiles", folder, "--format", "json")
    told = json.loads(out)
    assert (status, told["schema"], told["session"]) == (0, "ahc.match/1", "old")
    assert [node["profile"] for node in told["nodes"]] == ["any"] * 3
    target = tmp_path / "match.json"
    assert ahc("match", "--profiles", folder, "--format", "json", "--output", target)[1] == ""
    assert target.read_text() == out


def test_the_shipped_profiles_are_the_default(ahc: Ahc) -> None:
    status, out, _ = ahc("match")
    assert status in (1, 3) and "ceph-storage" in out and "compute-numa" in out


def test_a_report_names_the_profiles_where_it_is_asked_to(ahc: Ahc, tmp_path: Path) -> None:
    folder = profiles(tmp_path / "p", one="quota: 1\nrequires: [memory.total_bytes: {at-least: 1 GiB}]")
    _, out, _ = ahc("report", "--format", "json", "--profiles", folder)
    assert [node["profile"] for node in json.loads(out)["nodes"]] == ["one", None, None]
    _, out, _ = ahc("report", "--format", "json")
    assert {node["profile"] for node in json.loads(out)["nodes"]} == {None}


def test_wrong_use_and_no_data(ahc: Ahc, tmp_path: Path) -> None:
    bad = profiles(tmp_path / "p", bad="requires: [cpu.core: 1]")
    status, out, err = ahc("match", "--profiles", bad)
    assert (status, out) == (2, "")
    assert f"{bad}/bad.yaml:2: unknown fact 'cpu.core' in facts (did you mean 'cpu.cores'?)" in err
    assert ahc("match", "--apply")[0] == 2
    assert ahc("match", "--state", "x")[0] == 2
    assert ahc("match", "--session", "nobody")[0] == 3


def test_the_forms_of_other_programs_are_those_that_can_be_drawn() -> None:
    assert set(EXPORTS) == set(FORMATS)
