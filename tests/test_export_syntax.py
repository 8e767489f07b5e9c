"""What the exports stand on: Ironic's syntax of capabilities and traits, and telling which registration is which machine."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.facts import Disk, Inventory, Memory, Nic
from ahc_server.export import capabilities
from ahc_server.export.hardware import macs_of, properties_of
from ahc_server.export.registered import Registered, host_of, keys, pair
from tests.export_helpers import GIB, fleet, machine


def test_what_is_there_keeps_its_place_and_the_profile_takes_that_of_the_old_one() -> None:
    there = capabilities.parse("boot_option:local,profile:old,node:control-0")
    assert there is not None
    assert capabilities.text_of(capabilities.merge(there, {"profile": "compute", "x": "1"})) == (
        "boot_option:local,profile:compute,node:control-0,x:1"
    )


def test_a_key_that_stands_twice_is_told_and_only_the_wanted_one_is_written_once() -> None:
    there = capabilities.parse("node:a,profile:x,boot_mode:uefi,node:b,profile:y,boot_mode:uefi")
    assert there is not None
    assert capabilities.doubled(there) == {"node": ["a", "b"], "profile": ["x", "y"]}
    merged = capabilities.merge(there, {"profile": "control"})
    assert capabilities.text_of(merged) == "node:a,profile:control,boot_mode:uefi,node:b,boot_mode:uefi"
    assert capabilities.merge(merged, {"profile": "control"}) == merged


@pytest.mark.parametrize("nothing", [None, "", {}])
def test_no_capabilities_are_no_pairs(nothing: object) -> None:
    assert capabilities.parse(nothing) == ()


@pytest.mark.parametrize("other", ["profile", "a:b,,c:d", ":x", 7, ["a:b"]])
def test_what_is_no_capabilities_is_told_from_none(other: object) -> None:
    assert capabilities.parse(other) is None


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=6))
def test_what_fits_comes_back_as_it_was(pairs: dict[str, str]) -> None:
    fitting = {key: value for key, value in pairs.items() if capabilities.fit(key, value)}
    assert capabilities.parse(capabilities.text_of(capabilities.merge((), fitting))) == tuple(fitting.items())


@pytest.mark.parametrize(
    ("name", "trait"),
    [
        ("fast-disk", "CUSTOM_FAST_DISK"),
        ("CUSTOM_GPU", "CUSTOM_GPU"),
        ("HW_CPU_X86_VMX", "HW_CPU_X86_VMX"),
        ("größe", "CUSTOM_GR_SSE"),
        ("---", None),
        ("X" * 300, None),
    ],
)
def test_traits_are_written_as_os_traits_wants_them(name: str, trait: str | None) -> None:
    assert capabilities.trait(name) == trait


def test_memory_is_that_of_the_dimms_and_the_disk_the_smallest_that_can_be_a_root() -> None:
    found = properties_of(machine(1))
    assert (found.cpus, found.memory_mb, found.local_gb, found.cpu_arch) == (16, 65536, 99, "x86_64")


def test_what_a_machine_does_not_tell_is_not_guessed() -> None:
    found = properties_of(Inventory(collected_at=""))
    assert (found.cpus, found.memory_mb, found.local_gb, found.cpu_arch) == (None, None, None, None)


def test_memory_is_the_kernels_where_no_dimm_is_told() -> None:
    assert properties_of(Inventory(collected_at="", memory=Memory(total_bytes=2 * GIB))).memory_mb == 2048


def test_removable_disks_and_small_ones_are_no_root_disk() -> None:
    disks = [
        Disk(name="sda", size_bytes=16 * GIB, removable=True),
        Disk(name="sdb", size_bytes=2 * GIB),
        Disk(name="sr0", size_bytes=8 * GIB, kind="rom"),
        Disk(name="sdc", size_bytes=200 * GIB),
    ]
    assert properties_of(Inventory(collected_at="", disks=disks)).local_gb == 199


def test_macs_are_those_of_cards_the_burnt_in_ones_too() -> None:
    nics = [
        Nic(name="lo", kind="loopback", mac="00:00:00:00:00:00"),
        Nic(name="eno1", mac="AA:00:00:00:00:01", permanent_mac="aa:00:00:00:00:02"),
    ]
    assert macs_of(Inventory(collected_at="", nics=nics)) == ["aa:00:00:00:00:02", "aa:00:00:00:00:01"]


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("ipmi://10.0.0.1:6230", "10.0.0.1"),
        ("redfish+https://bmc7.lan/redfish/v1/Systems/1", "bmc7.lan"),
        ("[fd00::1]:623", "fd00::1"),
        ("fd00::1", "fd00::1"),
        ("127.0.0.1", None),
        ("ipmi://localhost:6230", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_the_host_of_a_bmcs_address(address: object, host: str | None) -> None:
    assert host_of(address) == host


def _one(**known: str | list[str] | None) -> Registered:
    return Registered("x", keys(**known))


@pytest.mark.parametrize(
    "known",
    [
        {"mac": "52:54:00:00:02:02"},
        {"mac": "52:54:00:00:02:02".upper()},
        {"serial": "SN0002"},
        {"uuid": "4c4c4544-0000-0000-0000-000000000002"},
        {"bmc": "10.0.0.2"},
        {"name": "sn0002"},
        {"mac": "52:54:00:00:02:01", "name": "SN0003"},
    ],
)
def test_any_of_these_tells_which_machine_it_is(known: dict[str, str]) -> None:
    pairing = pair([_one(**known)], fleet())
    assert pairing.node == {0: "SN0002"}
    assert pairing.by == {0: next(iter(known))}
    assert pairing.notes == []


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({}, "no node of the session"),
        ({"mac": "00:11:22:33:44:55"}, "no node of the session"),
        ({"mac": ["52:54:00:00:01:01", "52:54:00:00:02:01"]}, "its MACs are those of SN0001 and SN0002"),
        ({"mac": "52:54:00:00:01:01", "serial": "SN0002"}, "contradicting"),
    ],
)
def test_where_nothing_or_too_much_is_told_nothing_is_matched(known: dict[str, str], why: str) -> None:
    pairing = pair([_one(**known)], fleet())
    assert pairing.node == {}
    assert why in pairing.notes[0]


def test_a_machine_that_is_registered_twice_is_matched_by_neither() -> None:
    pairing = pair([_one(serial="SN0001"), _one(mac="52:54:00:00:01:01"), _one(serial="SN0002")], fleet())
    assert pairing.node == {2: "SN0002"}
    assert [note for note in pairing.notes if "more than once" in note] == pairing.notes


def test_a_bmc_address_that_two_machines_tell_decides_nothing() -> None:
    inventories = fleet()
    for inventory in inventories.values():
        assert inventory.bmc is not None
        inventory.bmc.address = "10.0.0.1"
    assert pair([_one(bmc="10.0.0.1")], inventories).node == {}


_WORDS = {
    "mac": [f"52:54:00:00:{number:02x}:01" for number in range(1, 5)],
    "serial": [f"SN{number:04}" for number in range(1, 5)],
    "bmc": [f"10.0.0.{number}" for number in range(1, 5)],
    "name": [f"sn{number:04}" for number in range(1, 5)],
}
_REGISTRATIONS = st.lists(
    st.fixed_dictionaries({}, optional={kind: st.sampled_from(words) for kind, words in _WORDS.items()}),
    max_size=6,
)


@given(_REGISTRATIONS, st.randoms(use_true_random=False))
def test_no_machine_is_matched_twice_and_the_order_of_registrations_changes_nothing(
    registrations: list[dict[str, str]], chance: random.Random
) -> None:
    machines = [Registered(str(index), keys(**known)) for index, known in enumerate(registrations)]
    pairing = pair(machines, fleet())
    assert len(set(pairing.node.values())) == len(pairing.node)
    assert len(pairing.notes) == len(machines) - len(pairing.node)
    turned = list(enumerate(machines))
    chance.shuffle(turned)
    again = pair([machine for _, machine in turned], fleet())
    assert {turned[place][0]: node for place, node in again.node.items()} == pairing.node


@given(_REGISTRATIONS)
def test_a_machine_is_matched_to_no_node_that_a_mac_serial_or_bmc_speaks_against(
    registrations: list[dict[str, str]],
) -> None:
    pairing = pair([Registered("x", keys(**known)) for known in registrations], fleet())
    for index, node in pairing.node.items():
        known = registrations[index]
        number = int(node[2:])
        for kind in ("mac", "serial", "bmc"):
            told = known.get(kind)
            assert told is None or told == _WORDS[kind][number - 1] or told == _WORDS[kind][3]  # nobody's
