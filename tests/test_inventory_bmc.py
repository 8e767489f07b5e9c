"""The BMC, as ipmitool, the driver and SMBIOS tell it. The texts are of ipmitool 1.8.19."""

from __future__ import annotations

from pathlib import Path

import pytest

from ahc_agent.errors import CannotAnswer, NotThere
from ahc_agent.facts import Bmc
from ahc_agent.identity import read_identity
from ahc_agent.inventory import bmc
from ahc_agent.inventory.root import Root
from tests.inventory_helpers import build, server_table, smbios_files

LAN_PRINT = """\
Set in Progress         : Set Complete
Auth Type Support       : MD5
Auth Type Enable        : Callback : MD5
                        : User     : MD5
                        : Operator : MD5
                        : Admin    : MD5
IP Address Source       : Static Address
IP Address              : 10.12.0.17
Subnet Mask             : 255.255.255.0
MAC Address             : B0:7B:25:D8:91:4E
SNMP Community String   : public
Default Gateway IP      : 10.12.0.1
802.1q VLAN ID          : Disabled
"""
MC_INFO = """\
Device ID                 : 32
Device Revision           : 1
Firmware Revision         : 7.00
IPMI Version              : 2.0
Manufacturer ID           : 674
Manufacturer Name         : Dell Inc.
Product ID                : 256 (0x0100)
Product Name              : Unknown (0x100)
Device Available          : yes
"""
DRIVER = "/sys/devices/platform/ipmi_bmc.0"


def test_lan_print() -> None:
    assert bmc.parse_lan_print(LAN_PRINT, 1) == Bmc(address="10.12.0.17", mac="b0:7b:25:d8:91:4e", channel=1)


@pytest.mark.parametrize("address", ["0.0.0.0", "", "garbage; rm -rf /", "999.1.1.1"])
def test_an_address_that_is_none(address: str) -> None:
    assert bmc.parse_lan_print(LAN_PRINT.replace("10.12.0.17", address), 1).address is None


def test_mc_info() -> None:
    assert bmc.parse_mc_info(MC_INFO) == Bmc(firmware="7.00", manufacturer_id=674, product_id=256)


@pytest.mark.parametrize(
    "text", ["", "Get Device ID command failed", "Product ID : \nManufacturer ID : x (y)"]
)
def test_nonsense_of_ipmitool_is_nothing(text: str) -> None:
    assert bmc.parse_mc_info(text) == Bmc()
    assert bmc.parse_lan_print(text, 3) == Bmc(channel=3)


def test_the_driver_tells_firmware_and_ids_of_a_saved_tree(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"{DRIVER}/firmware_revision": "7.0",
        f"{DRIVER}/manufacturer_id": "0x0002a2",
        f"{DRIVER}/product_id": "0x0100",
    }
    assert bmc.collect(build(tmp_path, files)) == Bmc(firmware="7.0", manufacturer_id=674, product_id=256)


def test_a_bmc_without_a_driver_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CannotAnswer, match="modprobe ipmi_si"):
        bmc.collect(build(tmp_path, smbios_files(server_table(bmc=True))))


def test_a_machine_without_a_bmc(tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        bmc.collect(build(tmp_path, smbios_files(server_table())))


def install_ipmitool(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, lan_channel: int, body: str = ""
) -> None:
    """An ipmitool that answers with the texts above, on one LAN channel."""
    folder.mkdir()
    (folder / "mc").write_text(MC_INFO)
    (folder / "lan").write_text(LAN_PRINT)
    program = folder / "ipmitool"
    program.write_text(
        f"""#!/bin/sh
{body}
case "$*" in
  "mc info") cat {folder}/mc ;;
  "lan print {lan_channel}") cat {folder}/lan ;;
  *) echo "Channel $3 is not a LAN channel"; exit 1 ;;
esac
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_ipmitool_is_asked_on_every_channel_that_can_be_a_lan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_ipmitool(tmp_path / "bin", monkeypatch, lan_channel=8)
    root = Root(tmp_path)
    assert bmc.ask_ipmitool(root, Bmc()) == Bmc(
        address="10.12.0.17",
        mac="b0:7b:25:d8:91:4e",
        channel=8,
        firmware="7.00",
        manufacturer_id=674,
        product_id=256,
    )
    assert root.trouble == []


def test_the_first_message_to_a_server_tells_the_address_of_the_bmc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_ipmitool(tmp_path / "bin", monkeypatch, lan_channel=8)
    assert read_identity().bmc_address is None, "there is no device here"
    (tmp_path / "ipmi0").touch()
    monkeypatch.setattr(bmc, "_DEVICES", (str(tmp_path / "ipmi0"),))
    assert read_identity().bmc_address == "10.12.0.17"
    assert read_identity(build(tmp_path / "saved", {"/etc/hostname": "n"}).path).bmc_address is None, (
        "a saved tree's BMC is not this machine's"
    )


def test_a_bmc_that_does_not_answer_holds_no_agent_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_ipmitool(tmp_path / "bin", monkeypatch, lan_channel=15)
    (tmp_path / "ipmi0").touch()
    monkeypatch.setattr(bmc, "_DEVICES", (str(tmp_path / "ipmi0"),))
    assert read_identity().bmc_address is None


def test_what_the_driver_knows_is_kept_where_ipmitool_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_ipmitool(
        tmp_path / "bin", monkeypatch, lan_channel=1, body="echo 'Could not open device' >&2; exit 1"
    )
    root = Root(tmp_path)
    assert bmc.ask_ipmitool(root, Bmc(firmware="7.0")) == Bmc(firmware="7.0")
    assert root.trouble == ["ipmitool: exit status 1: Could not open device"]


def test_a_bmc_without_a_lan_channel_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_ipmitool(tmp_path / "bin", monkeypatch, lan_channel=15)
    root = Root(tmp_path)
    assert bmc.ask_ipmitool(root, Bmc()).firmware == "7.00"
    assert root.trouble == ["ipmitool: no LAN channel answers"]


def test_a_bmc_that_stops_answering_has_told_its_firmware(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_ipmitool(
        tmp_path / "bin", monkeypatch, lan_channel=1, body='case "$*" in "lan print"*) sleep 60 ;; esac'
    )
    monkeypatch.setattr(bmc, "_TIME_LIMIT_S", 0.5)
    root = Root(tmp_path)
    assert bmc.ask_ipmitool(root, Bmc()) == Bmc(firmware="7.00", manufacturer_id=674, product_id=256)
    assert root.trouble == ["ipmitool: did not end within its time limit and was killed"]
