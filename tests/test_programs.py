"""The door to outside programs: argument lists, time limits, typed errors, nothing left behind."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from ahc_agent import programs
from ahc_agent.errors import ProgramFailed, ProgramMissing, ProgramTimeout


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_output_and_duration_of_a_program_that_ends_well() -> None:
    finished = programs.run(["echo", "one two", "$HOME"], time_limit_s=5)
    assert finished.text() == "one two $HOME\n"  # no shell has seen it
    assert finished.exit_status == 0
    assert finished.duration_s > 0


def test_a_missing_program_is_named_with_the_package_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProgramMissing, match="no-such-program: not installed"):
        programs.run(["no-such-program"], time_limit_s=5)
    assert "apt-get install smartmontools" in str(ProgramMissing("smartctl"))


def test_a_failure_carries_exit_status_and_the_last_line_of_what_was_said() -> None:
    with pytest.raises(ProgramFailed, match=r"sh: exit status 7: second"):
        programs.run(["sh", "-c", "echo first >&2; echo second >&2; exit 7"], time_limit_s=5)


def test_programs_that_speak_by_exit_status_can_be_taken_as_they_are() -> None:
    assert programs.run(["sh", "-c", "exit 4"], time_limit_s=5, ok_statuses=None).exit_status == 4


def test_the_time_limit_kills_the_program_and_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(ProgramTimeout, match="time limit"):
        programs.run(["sh", "-c", f"sleep 60 & echo $! > {note}; wait"], time_limit_s=0.5)
    grandchild = int(note.read_text())
    end = time.monotonic() + 5
    while is_alive(grandchild) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_alive(grandchild)


def test_a_cancelled_program_ends_early() -> None:
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(ProgramTimeout, match="cancelled"):
        programs.run(["sleep", "60"], time_limit_s=60, cancelled=cancelled)
    assert time.monotonic() - started < 30


def test_input_larger_than_a_pipe_arrives_whole_even_when_reading_is_slow() -> None:
    data = os.urandom(300_000)
    finished = programs.run(["sh", "-c", "sleep 0.5; cat"], time_limit_s=20, stdin=data)
    assert finished.stdout == data


def test_a_program_can_be_pinned_to_a_cpu() -> None:
    cpu = max(os.sched_getaffinity(0))
    finished = programs.run(["grep", "Cpus_allowed_list", "/proc/self/status"], time_limit_s=5, cpus=[cpu])
    assert finished.text().split()[-1] == str(cpu)
