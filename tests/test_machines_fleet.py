"""Four equal machines boot from the network, but for a throttled disk, a throttled card, and less memory: all three are named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ramdisk.machines.hardware import Disk, Machine, machine
from ramdisk.machines.site import site
from tests.machines_helpers import BOOT_S, image

pytestmark = [pytest.mark.root, pytest.mark.machines, pytest.mark.timeout(900)]

#: A disk and a cable that emulation can follow: what is measured is then the limit, not the emulator.
_IOPS, _SLOW_IOPS = 800, 200
_LINE_BITS_PER_S, _SLOW_LINE_BITS_PER_S = 8_000_000, 2_000_000


def _node(number: int, *, iops: int = _IOPS, line: int = _LINE_BITS_PER_S, memory_mib: int = 1024) -> Machine:
    disks = (Disk(f"DISK{number}", 512, iops_limit=iops),)
    return machine(number, disks=disks, card_limit_bits_per_s=line, memory_mib=memory_mib)


FLEET = (
    _node(1),
    _node(2, iops=_SLOW_IOPS),
    _node(3, line=_SLOW_LINE_BITS_PER_S),
    _node(4, memory_mib=768),
)
HEALTHY, SLOW_DISK, SLOW_CARD, LESS_MEMORY = (each.serial for each in FLEET)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with site(tmp_path_factory.mktemp("fleet"), image("virtual")) as here:
        here.start_server()
        here.start_netboot()
        guests = [here.power_on(each) for each in FLEET]
        for guest in guests:
            guest.wait_for("joined the server", 2 * BOOT_S)
            guest.limit_cards()
        here.ahc("run", "quick", "--session", "rack", "--nodes", "4", "--confirm", time_limit_s=600)
        yield json.loads(here.ahc("report", "--session", "rack", "--format", "json").stdout)


def _against(report: dict[str, Any], node: str) -> set[tuple[str, str]]:
    """What is said against a node itself: component and kind. Four guests share two cores: that nobody's processor could be
    told from the others' may be said of the group."""
    return {
        (finding["component"], finding["kind"])
        for finding in report["findings"]
        if finding["element"] == f"node:{node}" and finding["severity"] in ("fail", "warn")
    }


def test_the_throttled_disk_is_named(report: dict[str, Any]) -> None:
    assert ("disk", "slow") in _against(report, SLOW_DISK)


def test_the_throttled_card_is_named(report: dict[str, Any]) -> None:
    assert ("network", "slow") in _against(report, SLOW_CARD)


def test_the_missing_memory_is_named(report: dict[str, Any]) -> None:
    assert "memory" in {component for component, _ in _against(report, LESS_MEMORY)}


def test_nobody_is_accused_of_anything_else(report: dict[str, Any]) -> None:
    assert _against(report, HEALTHY) == set()
    assert {component for component, _ in _against(report, SLOW_DISK)} == {"disk"}
    assert {component for component, _ in _against(report, SLOW_CARD)} == {"network"}
    assert {component for component, _ in _against(report, LESS_MEMORY)} == {"memory"}


def test_each_finding_says_how_much_and_why(report: dict[str, Any]) -> None:
    disk = next(
        each for each in report["findings"] if each["component"] == "disk" and SLOW_DISK in each["nodes"]
    )
    assert disk["effect"] == pytest.approx(_SLOW_IOPS / _IOPS - 1, abs=0.12)
    card = next(
        each for each in report["findings"] if each["component"] == "network" and SLOW_CARD in each["nodes"]
    )
    assert card["effect"] == pytest.approx(_SLOW_LINE_BITS_PER_S / _LINE_BITS_PER_S - 1, abs=0.2)
