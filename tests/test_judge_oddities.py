"""What a machine is differently from its peers."""

from __future__ import annotations

import pytest

from ahc_agent.facts import Bios, Bmc, Dimm, Disk, Inventory, Nic
from tests.judge_helpers import Fleet, inventory, judge, verdicts

GIB = 2**30


def described(**changes: object) -> Inventory:
    """A machine that tells its firmware and its slots; ``changes``: bios, bmc, governor, empty (slots), mtu, disk_firmware."""
    known = inventory()
    known.system.bios = Bios(vendor="Dell", version=str(changes.get("bios", "2.1")))
    known.bmc = Bmc(firmware=str(changes.get("bmc", "4.40")))
    known.cpu.governor = str(changes.get("governor", "performance"))
    empty = changes.get("empty", ())
    assert isinstance(empty, tuple)
    known.memory.dimms = [
        Dimm(locator=f"A{slot}", size_bytes=0 if slot in empty or slot > 24 else 8 * GIB)
        for slot in range(1, 27)
    ]
    known.nics = [Nic(name="eth0", speed_mbps=25_000, carrier=True, mtu=int(str(changes.get("mtu", 9000))))]
    known.disks = [
        Disk(
            name="disk0",
            size_bytes=960 * 10**9,
            rotational=False,
            model="PM883",
            firmware=str(changes.get("disk_firmware", "HXT7")),
        )
    ]
    return known


def fleet(size: int, odd: dict[str, Inventory]) -> Fleet:
    made = Fleet(size).benchmarks()
    made.inventories.update(dict.fromkeys(made.names, described()) | odd)
    return made


@pytest.mark.parametrize(
    ("change", "component", "said"),
    [
        ({"bios": "1.9"}, "firmware", "BIOS: 1.9, where its peers have 2.1"),
        ({"bmc": "3.2"}, "firmware", "BMC firmware: 3.2, where its peers have 4.40"),
        ({"disk_firmware": "HXT5"}, "firmware", "firmware of PM883 disks: HXT5, where its peers have HXT7"),
        ({"governor": "powersave"}, "cpu", "frequency governor: powersave, where its peers have performance"),
        ({"mtu": 1500}, "network", "MTU: 1500, where its peers have 9000"),
    ],
)
@pytest.mark.parametrize("size", [5, 6])
def test_one_node_of_other_settings_is_told(
    change: dict[str, object], component: str, said: str, size: int
) -> None:
    [found] = judge(fleet(size, {"n2": described(**change)})).findings
    assert (found.element, found.component, found.kind, found.severity) == (
        *("node:n2", component, "config", "warn"),
    )
    assert said in found.summary
    assert f"its {size - 1} peers" in found.summary


def test_all_that_is_odd_about_the_firmware_is_one_finding() -> None:
    [found] = judge(fleet(5, {"n2": described(bios="1.9", bmc="3.2", disk_firmware="HXT5")})).findings
    assert found.cause is not None and found.cause.count("; ") == 2


def test_a_setting_is_the_cause_of_what_it_slows() -> None:
    made = fleet(6, {"n2": described(governor="powersave")}).slow("n2", "cpu", 0.6)
    [found] = judge(made).findings
    assert (found.kind, found.component) == ("slow", "cpu")
    assert found.cause == "its frequency governor: powersave, where its peers have performance"


def test_one_missing_dimm_of_24_is_told_though_it_is_few_of_the_memory() -> None:
    [found] = judge(fleet(6, {"n4": described(empty=(5,))})).findings
    assert (found.element, found.component, found.kind) == ("node:n4", "memory", "missing")
    assert found.severity == "fail"
    assert found.cause == "1 DIMM slot empty that 5 of 5 peers fill (A5); 184 GiB where they have 192 GiB"
    assert "every DIMM is seated" in found.summary


def test_slots_that_two_share_empty_are_told_of_both() -> None:
    report = judge(fleet(20, dict.fromkeys(("n1", "n2"), described(empty=(1, 2, 3)))))
    assert [each.cause for each in report.findings] == [
        "3 DIMM slots empty that 18 of 19 peers fill (A1, A2, A3); 168 GiB where they have 192 GiB"
    ] * 2


def test_half_of_a_group_with_other_firmware_is_a_remark_about_the_group() -> None:
    report = judge(fleet(8, dict.fromkeys(("n1", "n2", "n3"), described(bios="1.9"))))
    [found] = report.findings
    assert (found.element, found.severity) == ("group:g1", "info")
    assert found.summary == "g1: BIOS is not the same everywhere: 2.1 (5 nodes), 1.9 (3 nodes)"
    assert set(verdicts(report).values()) == {"pass"}


def test_what_machines_do_not_tell_is_no_difference() -> None:
    assert judge(fleet(6, {"n2": inventory()})).findings == []
