"""Watchdogs: petted, disarmed by their magic word, and armed when they come; devices are files here."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from ahc_agent.boot.console import Console
from ahc_agent.boot.watchdog import Watchdog, Watchdogs
from ahc_agent.programs import find


class Machine:
    """Its watchdogs, the time, and what its console says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = 0.0
        self.lines: list[str] = []
        console = Console(self.lines.append)
        self.dogs = Watchdogs(console, folder, folder / "names", clock=lambda: self.now_s)

    def plug(self, name: str, identity: str = "") -> Path:
        (self.folder / name).touch()
        if identity:
            (self.folder / "names" / name).mkdir(parents=True)
            (self.folder / "names" / name / "identity").write_text(f"{identity}\n")
        return self.folder / name

    def said(self, text: str) -> int:
        return sum(text in line for line in self.lines)


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_watchdog_is_petted_now_and_then_and_disarmed_by_its_magic_word(here: Machine) -> None:
    device = here.plug("watchdog0")
    here.dogs.arm()
    opened = device.read_bytes()
    here.dogs.pet()
    assert device.read_bytes() == opened, "so soon after the first that nothing is written"
    here.now_s += 6
    here.dogs.pet()
    assert device.read_bytes() == opened + b"\0"
    here.dogs.close()
    assert device.read_bytes() == opened + b"\0V"


def test_the_machines_own_joins_the_kernels_when_its_driver_is_there(here: Machine) -> None:
    soft = here.plug("watchdog0", "Software Watchdog")
    here.plug("watchdog")  # the same as watchdog0
    here.dogs.arm()
    own = here.plug("watchdog1", "iTCO_wdt")
    here.now_s += 6
    here.dogs.pet()
    assert here.said("hardware  watchdog: Software Watchdog resets this machine") == 1
    assert here.said("hardware  watchdog: iTCO_wdt resets this machine") == 1
    here.dogs.close()
    assert soft.read_bytes().endswith(b"V") and own.read_bytes().endswith(b"V")
    assert (here.folder / "watchdog").read_bytes() == b""


def test_one_without_a_number_is_taken_where_it_is_the_only_one(here: Machine) -> None:
    device = here.plug("watchdog")
    here.dogs.arm()
    assert device.read_bytes() and here.said("watchdog: watchdog resets")


def test_one_that_cannot_be_used_is_disarmed_and_told_once(
    here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    device = here.plug("watchdog0")
    monkeypatch.setattr(fcntl, "ioctl", fails)
    for _ in range(3):
        here.now_s += 6
        here.dogs.pet()
    assert here.said(f"no watchdog: {device}: Input/output error. A machine that hangs") == 1
    assert device.read_bytes() == b"V"


def test_one_that_is_too_impatient_is_left_alone(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def allows(_: int, __: int, wanted: list[int]) -> None:
        wanted[0] = 10

    device = here.plug("watchdog0")
    monkeypatch.setattr(fcntl, "ioctl", allows)
    here.dogs.pet()
    assert here.said("allows 10 s only; left alone") == 1
    assert device.read_bytes() == b"\0V"


@pytest.mark.parametrize(("most_s", "petted"), [(10, False), (600, True), (0, True)])
def test_one_that_could_not_be_disarmed_is_not_opened_where_it_is_too_impatient(
    here: Machine, most_s: int, petted: bool
) -> None:
    device = here.plug("watchdog0", "Odd Timer")
    for name, value in (("nowayout", 1), ("max_timeout", most_s)):
        (here.folder / "names" / "watchdog0" / name).write_text(f"{value}\n")
    here.dogs.pet()
    assert (device.read_bytes() != b"") == petted
    assert here.said("allows 10 s only, and cannot be disarmed; left alone") == (not petted)


def test_one_that_fails_for_a_while_is_told_once_and_petted_on_as_are_the_others(
    here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is armed still: were it left alone, it would reset a machine that is well."""
    devices = [here.plug(f"watchdog{number}") for number in range(2)]
    here.dogs.pet()
    first = here.dogs._dogs[devices[0]]
    assert first is not None
    before = [device.read_bytes() for device in devices]

    def busy() -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(first, "pet", busy)
        for _ in range(2):
            here.now_s += 6
            here.dogs.pet()
    assert here.said(f"watchdog {devices[0]}: Input/output error. It is tried on") == 1
    here.now_s += 6
    here.dogs.pet()
    assert [device.read_bytes() for device in devices] == [before[0] + b"\0", before[1] + b"\0\0\0"]


def test_one_that_cannot_be_disarmed_keeps_no_machine_from_its_end(here: Machine) -> None:
    devices = [here.plug(f"watchdog{number}") for number in range(2)]
    here.dogs.pet()
    last = here.dogs._dogs[devices[1]]
    assert last is not None
    os.close(last._handle)
    last._handle = os.open("/dev/full", os.O_WRONLY)
    here.dogs.close()
    assert here.said(f"watchdog {devices[1]}: cannot be disarmed: No space left on device") == 1
    assert devices[0].read_bytes().endswith(b"V")


@pytest.mark.skipif(find("modprobe") is None, reason="needs modprobe (kmod)")
def test_a_machine_without_a_watchdog_says_why(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODPROBE_OPTIONS", "--dirname=/nonexistent")  # whatever this machine could load
    here.dogs.arm()
    assert here.said("trouble   no watchdog: modprobe: ") == 1


def test_its_time_is_what_the_hardware_made_of_the_wish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def longer(_: int, __: int, wanted: list[int]) -> None:
        wanted[0] += 4

    (tmp_path / "watchdog0").touch()
    monkeypatch.setattr(fcntl, "ioctl", longer)
    dog = Watchdog(tmp_path / "watchdog0")
    assert dog.timeout_s == 64
    dog.close()
