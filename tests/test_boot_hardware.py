"""Drivers and disks that are not there in time, or go while they are waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ahc_agent.boot import hardware
from ahc_agent.boot.console import Console


def until(condition: Callable[[], bool], until_s: float) -> bool:
    """As the main loop waits."""
    while not condition() and time.monotonic() < until_s:
        time.sleep(0.01)
    return condition()


def test_a_driver_that_stands_still_keeps_no_machine_from_its_server() -> None:
    lines: list[str] = []
    console = Console(lines.append)
    stands_still = hardware.Hardware(console, lambda: None)
    for _ in range(3):  # once for each server that is tried
        stands_still.wait(until, patience_s=0.1)
    assert console.troubles == ["drivers are not loaded after 0 s"] and len(lines) == 1


def test_what_is_settled_is_not_waited_for() -> None:
    console = Console(lambda line: None)
    settled = hardware.Hardware(console, lambda: None)
    threading.Timer(0.05, settled.settled.set).start()
    settled.wait(until, patience_s=60.0)
    assert console.troubles == []


def test_a_controller_that_goes_while_it_is_waited_for_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvme0" / "state").mkdir(parents=True)  # cannot be read, as one that has just gone
    monkeypatch.setattr(hardware, "_NVME", tmp_path)
    console = Console(lambda line: None)
    hardware.Hardware(console, lambda: None)._wait_for_disks()
    assert console.troubles == []
