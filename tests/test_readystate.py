"""The ready state: what a profile wants of firmware, BIOS and RAID, and what the machine shows of it."""

from __future__ import annotations

import pytest

from ahc_agent.facts import Disk, Inventory, NumaNode
from ahc_server.profiles.model import Yields
from ahc_server.readystate import Drift, compare, findings, wants
from ahc_server.readystate.firmware import meets
from tests.export_helpers import GIB, machine, match, matches


def _compare(yields: Yields, inventory: Inventory) -> list[Drift]:
    return compare(matches(match("SN0001", yields=yields)), {"SN0001": inventory})


@pytest.mark.parametrize(
    ("found", "expected", "met"),
    [
        ("2.19.1", "2.19.1", True),
        ("2.19.1", "2.18", False),
        ("14.27.1016 (MT_2420110034)", "14.27.1016", True),
        ("0x8000a4c1, 1.2684.0", "1.2684.0", True),
        ("U30", "u30", True),
        ("2.19.1", ">=2.9.5", True),
        ("2.9.5", ">= 2.19.1", False),
        ("2.0", ">=2", True),
        ("P89 v2.76 (10/21/2019)", ">=2.60", True),
        ("0x8000a4c1, 1.2684.0", ">=1.3000", False),
        ("U30", ">=2", None),
        ("", ">=2", None),
        (" ", "2", None),
    ],
)
def test_versions_are_compared_as_numbers_and_found_in_what_drivers_say(
    found: str, expected: str, met: bool | None
) -> None:
    assert meets(found, expected) is met


def test_a_machine_that_is_as_wanted_has_no_drift() -> None:
    yields = Yields(
        firmware={"bios": "2.19.1", "bmc": ">=6", "nic:i40e": "9.20", "disk:mz7lh*": "HXT7404Q"},
        bios={"LogicalProc": "Enabled", "Proc Turbo Mode": "on"},
        raid={"logical_disks": [{"size_gb": 100, "raid_level": "1"}]},
    )
    assert _compare(yields, machine(1)) == []
    assert len(wants(match("SN0001", yields=yields), machine(1))) == 7


@pytest.mark.parametrize(
    ("name", "expected", "found"),
    [
        ("bios", "2.20.0", "2.19.1"),
        ("bmc", ">=7", "6.10"),
        ("nic:i40e", "9.30", "eno1 9.20 0x8000d95e 22.0.9, eno2 9.20 0x8000d95e 22.0.9"),
        ("disk:MZ7LH480", "X", "HXT7404Q"),
    ],
)
def test_other_firmware_is_drift_with_expected_and_found(name: str, expected: str, found: str) -> None:
    (drift,) = _compare(Yields(firmware={name: expected}), machine(1))
    assert (drift.subject, drift.name, drift.expected, drift.found) == ("firmware", name, expected, found)
    assert not drift.unknown


def test_one_card_of_two_that_is_behind_is_named_alone() -> None:
    inventory = machine(1)
    inventory.nics[1].firmware = "8.10"
    (drift,) = _compare(Yields(firmware={"nic:i40e": "9.20"}), inventory)
    assert drift.found == "eno2 8.10"


@pytest.mark.parametrize("name", ["bios", "bmc", "nic:mlx5_core", "disk:none", "cpld"])
def test_what_is_not_told_is_neither_drift_nor_in_order(name: str) -> None:
    (drift,) = _compare(Yields(firmware={name: "1"}), Inventory(collected_at=""))
    assert drift.unknown
    assert drift.found is None


@pytest.mark.parametrize(
    ("setting", "wanted", "found"),
    [
        ("LogicalProc", "Disabled", "Enabled"),
        ("ProcHyperthreading", "Disabled", "Enabled"),
        ("ProcTurboMode", "off", "Enabled"),
        ("NodeInterleave", "Enabled", "Disabled"),
    ],
)
def test_settings_whose_doing_the_kernel_shows_are_held_against_it(
    setting: str, wanted: str, found: str
) -> None:
    inventory = machine(1)
    inventory.numa = [NumaNode(node=0, cpus="0-7"), NumaNode(node=1, cpus="8-15")]
    (drift,) = _compare(Yields(bios={setting: wanted}), inventory)
    assert (drift.expected, drift.found, drift.unknown) == (wanted, found, False)


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("BootMode", "Uefi"),  # no sign of it
        ("LogicalProc", "$threads"),  # no switch
        ("ProcVirtualization", "Disabled"),  # the flag stays where firmware switched it off
        ("SriovGlobalEnable", "Enabled"),  # cards that offer none prove nothing
    ],
)
def test_settings_without_a_sign_are_left_to_the_bmc(setting: str, wanted: str) -> None:
    (drift,) = _compare(Yields(bios={setting: wanted}), machine(1))
    assert drift.unknown


@pytest.mark.parametrize(
    ("setting", "wanted", "found"),
    [
        ("address", "10.0.0.0/24", None),
        ("address", "10.0.0.1", None),
        ("channel", "1", None),
        ("address", "10.0.1.0/24", "10.0.0.1"),
        ("address", "fd00::/64", "10.0.0.1"),
        ("address", "10.0.0.2", "10.0.0.1"),
        ("channel", "8", "1"),
    ],
)
def test_the_bmcs_address_and_channel_are_held_against_what_the_machine_sees_of_it(
    setting: str, wanted: str, found: str | None
) -> None:
    inventory = machine(1)
    assert inventory.bmc is not None
    inventory.bmc.channel = 1
    assert [drift.found for drift in _compare(Yields(bmc={setting: wanted}), inventory)] == (
        [found] if found else []
    )


@pytest.mark.parametrize("setting", ["address", "channel", "dhcp"])
def test_a_bmc_that_is_not_seen_and_a_setting_that_no_machine_tells_are_unknown(setting: str) -> None:
    (drift,) = _compare(Yields(bmc={setting: "1"}), Inventory(collected_at=""))
    assert drift.unknown
    assert findings([drift])[0].component == "bmc"


def _volumes(*sizes: int) -> Inventory:
    disks = [Disk(name=f"sd{i}", size_bytes=s * GIB, model="LOGICAL VOLUME") for i, s in enumerate(sizes)]
    return Inventory(collected_at="", disks=disks)


def _raid(*sizes: object) -> Yields:
    return Yields(raid={"logical_disks": [{"size_gb": size, "raid_level": "1"} for size in sizes]})


@pytest.mark.parametrize(
    ("wanted", "found"), [((100,), (99,)), ((100, "MAX"), (100, 900)), (("MAX", 100), (100, 900))]
)
def test_volumes_of_the_wanted_sizes_are_in_order(wanted: tuple[object, ...], found: tuple[int, ...]) -> None:
    assert _compare(_raid(*wanted), _volumes(*found)) == []


@pytest.mark.parametrize(
    ("wanted", "found", "names"),
    [
        ((100,), (200,), ["volume 1", "volumes"]),
        ((100, 100), (100,), ["volume 2"]),
        ((100,), (100, 300), ["volumes"]),
    ],
)
def test_volumes_of_other_sizes_missing_ones_and_more_of_them_are_drift(
    wanted: tuple[object, ...], found: tuple[int, ...], names: list[str]
) -> None:
    drifts = _compare(_raid(*wanted), _volumes(*found))
    assert [drift.name for drift in drifts] == names
    assert not any(drift.unknown for drift in drifts)


def test_plain_disks_are_no_volumes() -> None:
    inventory = Inventory(collected_at="", disks=[Disk(name="sda", size_bytes=100 * GIB, model="MZ7LH480")])
    (drift,) = _compare(_raid(100), inventory)
    assert drift.found == "no volume of a RAID controller"


def test_a_machine_whose_disks_are_not_known_has_no_drift_of_raid_but_tells_nothing() -> None:
    (drift,) = _compare(_raid(100), Inventory(collected_at=""))
    assert drift.unknown


def test_a_node_without_a_profile_has_no_wishes_and_one_without_inventory_tells_nothing() -> None:
    asked = matches(match("SN0001", None), match("SN0002", yields=Yields(firmware={"bios": "1"})))
    (drift,) = compare(asked, {"SN0001": machine(1)})
    assert (drift.node, drift.unknown) == ("SN0002", True)


def test_drifts_are_findings_that_say_expected_and_found() -> None:
    yields = Yields(firmware={"bmc": "7", "bios": "2.19.1"}, bios={"BootMode": "Uefi"}, raid=_raid(50).raid)
    found = findings(_compare(yields, machine(1)))
    assert [(f.component, f.kind, f.severity) for f in found] == [
        ("bmc", "config", "warn"),
        ("firmware", "not-measured", "info"),
        ("disk", "config", "warn"),
        ("disk", "config", "warn"),
    ]
    assert found[0].element == "node:SN0001"
    assert found[0].summary == "SN0001: firmware bmc: control wants 7, found 6.10"
    assert found[1].summary.endswith("found not told by the machine (the BMC knows it)")
