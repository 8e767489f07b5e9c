"""Who a machine says it is, from trees that the tests build."""

from __future__ import annotations

from pathlib import Path

import pytest

from ahc_agent.identity import own_addresses, program_versions, read_identity


def machine(root: Path, dmi: dict[str, str] | None = None) -> Path:
    for name, text in {"sys_vendor": "Dell Inc.", "product_name": "PowerEdge R640", **(dmi or {})}.items():
        path = root / "sys/class/dmi/id" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (root / "proc/sys/kernel").mkdir(parents=True, exist_ok=True)
    (root / "proc/sys/kernel/hostname").write_text("node-17\n")
    return root


def nic(
    root: Path,
    name: str,
    mac: str,
    *,
    device: bool = True,
    assigned: int = 0,
    own: str | None = None,
    kind: int = 1,
) -> None:
    folder = root / "sys/class/net" / name
    folder.mkdir(parents=True)
    (folder / "type").write_text(f"{kind}\n")
    (folder / "address").write_text(f"{mac}\n")
    (folder / "addr_assign_type").write_text(f"{assigned}\n")
    if device:
        (folder / "device").mkdir()
    if own is not None:
        (folder / "bonding_slave").mkdir()
        (folder / "bonding_slave/perm_hwaddr").write_text(f"{own}\n")


UUID = "4C4C4544-0042-3510-8052-B7C04F564433"


def test_serial_uuid_macs_and_hostname_are_read(tmp_path: Path) -> None:
    root = machine(tmp_path, {"product_serial": "B5RVD3", "product_uuid": UUID})
    nic(root, "eth1", "24:6E:96:00:00:02")
    nic(root, "eth0", "24:6e:96:00:00:01")
    identity = read_identity(root)
    assert (identity.serial, identity.uuid, identity.hostname) == ("B5RVD3", UUID.lower(), "node-17")
    assert identity.macs == ["24:6e:96:00:00:01", "24:6e:96:00:00:02"]
    assert identity.physical_host is None
    assert identity.machine == f"{UUID.lower()}/B5RVD3/24:6e:96:00:00:01"


def test_the_operators_word_stands(tmp_path: Path) -> None:
    identity = read_identity(machine(tmp_path, {"product_serial": "B5RVD3"}), "rack4-u7", "blade-center-2")
    assert (identity.machine, identity.physical_host) == ("rack4-u7", "blade-center-2")


def test_only_the_machines_own_ethernet_cards_count_with_the_address_they_were_made_with_first(
    tmp_path: Path,
) -> None:
    root = machine(tmp_path)
    nic(root, "lo", "00:00:00:00:00:00", device=False, kind=772)
    nic(root, "br0", "02:00:00:00:00:01", device=False)
    nic(root, "ib0", "80:00:02:08:fe:80:00:00", kind=32)
    nic(root, "zero", "00:00:00:00:00:00")
    nic(root, "a-virtual", "02:aa:00:00:00:01", assigned=1)
    nic(root, "eth0", "24:6e:96:00:00:09", assigned=2, own="24:6e:96:00:00:03")
    nic(root, "eth1", "24:6e:96:00:00:09", assigned=2, own="24:6e:96:00:00:04")
    nic(root, "eth2", "24:6e:96:00:00:05")
    assert read_identity(root).macs == [
        *(f"24:6e:96:00:00:0{last}" for last in (3, 4, 5)),
        "02:aa:00:00:00:01",
    ]


def test_virtual_machines_of_one_hypervisor_share_its_serial_as_their_physical_host(tmp_path: Path) -> None:
    """OpenStack shows its guests the hypervisor's serial number, and a UUID of their own."""
    openstack = {
        "sys_vendor": "Red Hat",
        "product_name": "OpenStack Compute",
        "product_serial": "HV-SERIAL-1",
    }
    root = machine(tmp_path, {**openstack, "product_uuid": UUID})
    identity = read_identity(root)
    assert (identity.physical_host, identity.serial, identity.uuid) == (
        "HV-SERIAL-1",
        "HV-SERIAL-1",
        UUID.lower(),
    )


def test_a_virtual_machine_that_is_told_nothing_has_no_physical_host(tmp_path: Path) -> None:
    root = machine(tmp_path, {"sys_vendor": "QEMU", "product_serial": "Not Specified", "board_serial": "0"})
    assert (read_identity(root).physical_host, read_identity(root).serial) == (None, None)


def test_the_boards_serial_stands_in_for_the_products(tmp_path: Path) -> None:
    root = machine(tmp_path, {"product_serial": "To Be Filled By O.E.M.", "board_serial": "MB-0815"})
    assert read_identity(root).serial == "MB-0815"


def test_a_machine_that_tells_nothing_is_known_by_its_host_name(tmp_path: Path) -> None:
    identity = read_identity(tmp_path)
    assert identity.serial is identity.uuid is identity.hostname is None
    assert identity.machine == "unknown"
    assert read_identity(machine(tmp_path)).machine == "node-17"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("product_serial", "Default string"),
        ("product_serial", "0123456789"),
        ("product_serial", "System Serial Number"),
        ("product_uuid", "00000000-0000-0000-0000-000000000000"),
        ("product_uuid", "03000200-0400-0500-0006-000700080009"),
    ],
)
def test_placeholders_name_no_machine(tmp_path: Path, field: str, text: str) -> None:
    identity = read_identity(machine(tmp_path, {field: text}))
    assert (identity.serial, identity.uuid) == (None, None)


def test_addresses_are_found_with_their_prefix_and_loopback_only_towards_a_server_on_this_machine() -> None:
    assert own_addresses("tcp://127.0.0.1:5570")[0] == "127.0.0.1/8"
    assert not any(text.startswith(("127.", "::1")) for text in own_addresses("tcp://192.0.2.1:5570"))


def test_versions_of_installed_programs_are_numbers() -> None:
    versions = program_versions()
    assert set(versions) <= {"ethtool", "fio", "ipmitool", "iperf3", "smartctl", "sysbench"}
    assert all(version == "unknown" or version[0].isdigit() for version in versions.values())
