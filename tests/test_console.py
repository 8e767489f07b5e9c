"""What both command lines do with errors: an exit code that cannot be taken for an answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ahc_agent.errors import CannotAnswer
from ahc_server.store import Store

#: A command line of one command, which does what its argument says.
PROGRAM = """
import sys
import click
from ahc_agent.console import LazyGroup, run_main

@click.command()
@click.argument("what")
def command(what):
    if what == "crash":
        raise ZeroDivisionError("seven")
    click.echo("answer " * 100000)
    click.get_current_context().exit(1)

sys.modules["one"] = sys.modules["__main__"]
run_main(LazyGroup(table={"do": ("one", "command", "")}), "one")
"""


def ran(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", PROGRAM, "do", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        **more,
    )


def test_an_answer_has_its_own_exit_code() -> None:
    assert ran("answer", stdout=subprocess.DEVNULL).returncode == 1


def test_a_crash_is_no_answer() -> None:
    done = ran("crash", stdout=subprocess.DEVNULL)
    assert done.returncode == 3
    assert "ZeroDivisionError" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("one: a mistake in the program itself")


def test_a_full_disk_is_no_answer_and_said_in_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = ran("answer", stdout=full)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "one: [Errno 28] No space left on device (check free space and rights)"
    ]


def test_a_reader_that_went_away_has_not_heard_that_all_is_well() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "do", "answer"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_store_that_may_not_be_looked_at_or_is_a_folder_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CannotAnswer, match="is a folder"):
        Store(tmp_path)

    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(CannotAnswer, match="Permission denied"):
        Store(tmp_path / "ahc.db")
