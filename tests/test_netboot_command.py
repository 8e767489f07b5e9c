"""`ahc netboot` as an operator calls it: what it takes by itself, what it prints, what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ahc_agent.wire.keys import fingerprint, load_or_create
from ahc_agent.wire.tasks import read_tasks
from ahc_server.netboot.folder import LOG_LEVEL, PANIC
from tests.import_helpers import Ahc
from tests.netboot_helpers import HTTP, KEY, SERVER, image
from tests.server_helpers import Stage

WHERE = ("--server", SERVER, "--http", HTTP)


@pytest.fixture
def ahc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ahc:
    return Ahc(tmp_path / "ahc.db", monkeypatch, capsys)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return image(tmp_path / "image")


def test_the_key_is_that_of_the_stores_server(ahc: Ahc, source: Path, tmp_path: Path) -> None:
    key = load_or_create(tmp_path / "ahc.key", public_path=tmp_path / "ahc.pub", easy=True).public
    status, said, remarks = ahc("netboot", tmp_path / "out", "--image", source, *WHERE)
    assert status == 0, remarks
    assert f"kernel arguments: {LOG_LEVEL} {PANIC} ahc.server={SERVER} ahc.key={key}\n" in said
    assert f"key fingerprint: {fingerprint(key)}\n" in said
    assert f"ahc.key={key} " in (tmp_path / "out" / "boot.ipxe").read_text()


def test_before_the_server_has_a_key_it_is_said_what_to_do(ahc: Ahc, source: Path, tmp_path: Path) -> None:
    status, _, said = ahc("netboot", tmp_path / "out", "--image", source, *WHERE)
    assert status == 2 and "start `ahc serve` once, or give --key" in said
    assert not (tmp_path / "out").exists()


def test_a_plan_without_a_server_is_compiled_and_needs_no_key(ahc: Ahc, source: Path, tmp_path: Path) -> None:
    options = ["--http", HTTP, "--plan", "quick", "--upload", "--arg", "ahc.onsuccess=poweroff"]
    status, said, remarks = ahc("netboot", tmp_path / "out", "--image", source, *options)
    assert status == 0, remarks
    line = f"ahc.plan={HTTP}/plan.json ahc.upload={HTTP}/uploads/ ahc.onsuccess=poweroff"
    assert f"kernel arguments: {LOG_LEVEL} {PANIC} {line}\n" in said
    plan = read_tasks((tmp_path / "out" / "plan.json").read_bytes(), "plan.json")
    assert plan.plan == "quick" and plan.tasks
    assert "network: a pair of machines is needed" in remarks


def test_a_plan_and_a_server_do_not_go_together_and_that_is_said(
    ahc: Ahc, source: Path, tmp_path: Path
) -> None:
    options = [*WHERE, "--key", KEY, "--plan", "quick"]
    status, _, remarks = ahc("netboot", tmp_path / "out", "--image", source, *options)
    assert status == 0 and f"they will not join {SERVER}" in remarks


def test_the_server_says_the_fingerprint_that_the_scripts_show(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        server = stage.serve()
        assert server.stdout is not None
        assert server.stdout.readline().startswith(f"key fingerprint: {fingerprint(stage.key)} ")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--http", HTTP], "--server ENDPOINT: say where machines join"),
        (["--server", SERVER], "--http URL: say where machines will fetch the folder"),
        ([*WHERE, "--key", "short"], "not a CURVE public key"),
        ([*WHERE, "--key", KEY, "--console", "tty S0"], "--console"),
        ([*WHERE, "--key", KEY, "--arg", "x=${net0/mac}"], "cannot be written safely"),
        ([*WHERE, "--key", KEY, "--session", "a b"], "--session"),
        ([*WHERE, "--key", KEY, "--plan", "nowhere"], "neither a file nor a shipped plan"),
        ([*WHERE, "--key", KEY, "--interface", "eth0"], "belong to --serve"),
        ([*WHERE, "--key", KEY, "--proxy"], "belong to --serve"),
        ([*WHERE, "--key", KEY, "--serve"], "say on which --interface"),
        ([*WHERE, "--key", KEY, "--serve", "--interface", "no-such"], "there is none of that name"),
        (
            [*WHERE, "--key", KEY, "--serve", "--interface", "x", "--proxy", "--range", "10.0.0.2,10.0.0.3"],
            "--range: with",
        ),
    ],
)
def test_what_cannot_be_meant_is_wrong_use(
    ahc: Ahc, source: Path, tmp_path: Path, options: list[str], problem: str
) -> None:
    status, _, said = ahc("netboot", tmp_path / "out", "--image", source, *options)
    assert status == 2 and problem in said, said
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_no_answer(ahc: Ahc, source: Path) -> None:
    status, _, said = ahc("netboot", "/proc/netboot", "--image", source, *WHERE, "--key", KEY)
    assert status == 3 and "/proc/netboot" in said


def test_results_that_machines_sent_are_imported(ahc: Ahc, source: Path, tmp_path: Path) -> None:
    from ahc_server.netboot import web

    done = subprocess.run(
        [sys.executable, "-m", "ahc_agent", "bench", "--only", "cpu", "--budget", "2"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    result = json.loads(done.stdout)
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    for number in (1, 2):
        result["inventory"]["system"] |= {"serial": f"SER{number}", "uuid": None}
        web.keep(uploads, f"SER{number}", json.dumps(result).encode())
    status, _, said = ahc("import", uploads, "--session", "rack7")
    assert status == 0, said
    status, text, said = ahc("report", "--session", "rack7", "--format", "json")
    assert [each["id"] for each in json.loads(text)["nodes"]] == ["SER1", "SER2"], said
