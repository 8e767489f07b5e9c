"""What machines say of their health that means something beside their peers only."""

from __future__ import annotations

import pytest

from ahc_agent.facts import Inventory, PciDevice, Sensor, Throttle
from ahc_server.judge.health_peers import beside_peers
from ahc_server.judge.model import Finding
from tests.judge_helpers import Fleet, inventory, judge


def of_group(*machines: Inventory) -> list[Finding]:
    return beside_peers(range(len(machines)), "g1", [f"n{row}" for row in range(len(machines))], machines)


def throttling(count: int) -> Inventory:
    known = inventory()
    known.health.throttle = [Throttle(socket=0, scope="package", count=count)]
    return known


@pytest.mark.parametrize(("usual", "mine", "told"), [(0, 5_000, True), (0, 20, False), (3_000, 5_000, False)])
def test_throttling_counts_beside_what_peers_do(usual: int, mine: int, told: bool) -> None:
    made = Fleet(5).benchmarks()
    made.inventories.update(dict.fromkeys(made.names, throttling(usual)) | {"n2": throttling(mine)})
    found = judge(made).findings
    assert [(each.element, each.component, each.kind, each.severity) for each in found] == [
        ("node:n2", "cpu", "health", "warn")
    ] * told


def flapping(count: int) -> Inventory:
    known = inventory()
    known.nics[0].carrier_changes = count
    return known


@pytest.mark.parametrize(("usual", "mine", "told"), [(1, 60, True), (1, 6, False), (30, 60, False)])
def test_a_link_that_goes_up_and_down_is_told(usual: int, mine: int, told: bool) -> None:
    found = of_group(flapping(mine), *[flapping(usual)] * 5)
    assert [(each.element, each.component) for each in found] == [("node:n0", "network")] * told
    assert all(
        "eth0: its link changed 60 times since boot where its 5 peers' did 1 times" in each.summary
        for each in found
    )


def sensing(value: float | None, *, kind: str = "fan", alarm: bool | None = None) -> Inventory:
    known = inventory()
    known.health.sensors = [Sensor(name="fan3", kind=kind, unit="rpm", value=value, alarm=alarm)]
    return known


def test_a_fan_that_stands_still_is_told_where_those_of_its_peers_turn() -> None:
    [found] = of_group(sensing(0.0), *[sensing(6000.0)] * 3)
    assert (found.element, found.component, found.severity) == ("node:n0", "health", "warn")
    assert "fan fan3 stands still (0.00 rpm), which on 3 peers it does not" in found.summary


def test_a_fan_that_nobody_has_fitted_is_no_finding() -> None:
    assert of_group(*[sensing(0.0)] * 4) == []
    assert of_group(sensing(0.0)) == []


def test_an_alarm_is_told_where_it_is_not_the_model_s_own() -> None:
    [found] = of_group(
        sensing(1.1, kind="voltage", alarm=True), *[sensing(1.2, kind="voltage", alarm=False)] * 3
    )
    assert "fan3 raises an alarm" in found.summary
    assert (
        of_group(*[sensing(1.1, kind="voltage", alarm=True)] * 3, sensing(1.2, kind="voltage", alarm=False))
        == []
    )


def linked(width: int, speed: float = 8.0, kind: str = "020000") -> Inventory:
    known = inventory()
    known.pci = [
        PciDevice(
            address=f"0000:3b:00.{function}",
            class_id=kind,
            class_name="Ethernet controller",
            vendor_id="8086",
            device_id="1572",
            accelerator=kind.startswith("12"),
            link_width=width,
            link_width_max=8,
            link_speed_gtps=speed,
            link_speed_max_gtps=8.0,
        )
        for function in (0, 1)
    ]
    return known


def test_a_narrow_link_needs_no_peers() -> None:
    [found] = of_group(linked(4))
    assert (found.element, found.component, found.kind, found.severity) == (
        "node:n0",
        "network",
        "health",
        "warn",
    )
    assert "PCIe link of 0000:3b:00.0 runs as x4 at 8 GT/s and could as x8 at 8 GT/s" in found.summary


def test_a_slow_link_may_be_the_board_s_and_is_told_beside_peers_only() -> None:
    assert of_group(linked(8, speed=5.0)) == []
    assert [each.element for each in of_group(linked(8, speed=5.0), linked(8), linked(8))] == ["node:n0"]


def test_accelerators_lower_their_speed_while_they_idle() -> None:
    assert of_group(linked(8, speed=2.5, kind="120000"), *[linked(8, kind="120000")] * 2) == []


def test_what_most_have_is_how_the_machine_is_made() -> None:
    [found] = of_group(*[linked(4)] * 4)
    assert (found.element, found.severity) == ("group:g1", "info")


def test_in_a_group_a_narrow_link_is_one_finding() -> None:
    made = Fleet(8).benchmarks()
    made.inventories.update(dict.fromkeys(made.names, linked(8)) | {"n2": linked(4)})
    [found] = judge(made).findings
    assert (found.element, found.component, found.severity) == ("node:n2", "network", "warn")
    assert (
        "its PCIe link of Ethernet controllers 8086:1572: 1 × x4 at 8 GT/s, where its peers have 1 × x8"
        in (found.cause or "")
    )
