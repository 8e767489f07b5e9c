"""The inventory as text for a person."""

from __future__ import annotations

from pathlib import Path

from ahc_agent.facts import (
    Bios,
    Bmc,
    Cache,
    CollectorError,
    Cpu,
    Dimm,
    Disk,
    EdacController,
    Health,
    Inventory,
    Lldp,
    Mce,
    Memory,
    Nic,
    NumaNode,
    PciDevice,
    Sensor,
    Smart,
    System,
    Throttle,
)
from ahc_agent.inventory.text import binary_size, decimal_size, render

GIB = 1024**3


def server() -> Inventory:
    dimm = Dimm(
        locator="A1",
        size_bytes=32 * GIB,
        type="DDR4",
        speed_mtps=3200,
        manufacturer="Samsung",
        part_number="M393A4K40DB3",
    )
    return Inventory(
        collected_at="2024-05-01T12:00:00Z",
        errors=[CollectorError(collector="bmc", error="ipmitool: not installed")],
        system=System(
            vendor="Dell Inc.",
            product="PowerEdge R650",
            serial="7X3K9",
            uuid="4c4c4544-0058-3310-804b-b7c04f4b3933",
            bios=Bios(vendor="Dell Inc.", version="1.4.4", date="10/07/2021"),
            kernel="6.1.0-13-amd64",
            hostname="n1",
            virtualization="none",
        ),
        cpu=Cpu(
            model="Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz",
            sockets=2,
            cores=56,
            logical_present=112,
            logical_online=112,
            caches=[
                Cache(level=1, type="Data", size_bytes=48 * 1024, instances=56),
                Cache(level=3, type="Unified", size_bytes=42 * 1024**2, instances=2),
            ],
            frequency_max_hz=3_100_000_000,
            governor="performance",
            microcode="0xd0003b9",
            vulnerabilities={
                "retbleed": "Not affected",
                "mmio_stale_data": "Vulnerable: Clear CPU buffers attempted",
            },
        ),
        numa=[
            NumaNode(node=0, cpus="0-27,56-83", memory_bytes=128 * GIB, distances=[10, 20]),
            NumaNode(node=1, cpus="28-55,84-111", memory_bytes=96 * GIB, distances=[20, 10]),
        ],
        memory=Memory(total_bytes=224 * GIB, dimms=[dimm] * 7 + [Dimm(locator="B8", size_bytes=0)]),
        disks=[
            Disk(
                name="nvme0n1",
                size_bytes=3_840_755_982_336,
                rotational=False,
                transport="nvme",
                model="SAMSUNG MZQLB3T8HALS-00007",
                serial="S438NA0M500123",
                firmware="EDA5602Q",
                numa_node=1,
                smart=Smart(passed=True, temperature_celsius=38.0, percentage_used=4, media_errors=0),
            ),
            Disk(
                name="sda",
                size_bytes=4_000_787_030_016,
                rotational=True,
                transport="sata",
                model="ST4000NM000A",
                serial="WS20FFFF",
                smart=Smart(passed=False, reallocated_sectors=2104, pending_sectors=312),
            ),
            Disk(name="sr0", kind="rom", transport="sata"),
            Disk(name="vda", size_bytes=20 * GIB, rotational=True, transport="virtio"),
        ],
        nics=[
            Nic(
                name="ens1f0",
                mac="b4:96:91:00:00:01",
                driver="ice",
                firmware="4.20",
                speed_mbps=25000,
                duplex="full",
                carrier=True,
                mtu=9000,
                pci_address="0000:17:00.0",
                numa_node=0,
                addresses=["10.0.0.3/24"],
                lldp=Lldp(chassis_id="00:11:22:33:44:55", port_id="Ethernet1/7", system_name="leaf1"),
            ),
            Nic(name="ens1f1", mac="b4:96:91:00:00:02", driver="ice", carrier=False, mtu=1500),
        ],
        pci=[
            PciDevice(address="0000:17:00.0", class_id="020000", class_name="Ethernet controller"),
            PciDevice(
                address="0000:17:00.1",
                class_id="020000",
                class_name="Ethernet controller",
                vendor_id="8086",
                device_id="1593",
                link_speed_gtps=8.0,
                link_width=16,
                link_speed_max_gtps=16.0,
                link_width_max=16,
            ),
            PciDevice(
                address="0000:ca:00.0",
                class_id="030200",
                class_name="3D controller",
                vendor_id="10de",
                device_id="20b5",
                numa_node=1,
                accelerator=True,
                link_speed_gtps=16.0,
                link_width=8,
                link_speed_max_gtps=16.0,
                link_width_max=16,
            ),
        ],
        bmc=Bmc(address="10.1.0.3", mac="b4:96:91:00:00:ff", firmware="5.10"),
        health=Health(
            edac=[EdacController(controller="mc0", correctable_errors=12, uncorrectable_errors=0)],
            mce=Mce(exceptions=0),
            throttle=[Throttle(socket=0, scope="core", count=214), Throttle(socket=1, scope="core", count=0)],
            sensors=[
                Sensor(name="in0", chip="nct6775", kind="voltage", value=0.9, unit="volts", alarm=True),
                Sensor(
                    name="Core 0",
                    chip="coretemp",
                    kind="temperature",
                    value=50.0,
                    unit="celsius",
                    alarm=False,
                ),
            ],
        ),
    )


EXPECTED = Path(__file__).parent / "golden" / "inventory.txt"


def test_a_server_on_one_screen() -> None:
    assert render(server()) == EXPECTED.read_text()


def test_an_empty_inventory_is_empty_text() -> None:
    assert render(Inventory(collected_at="2024-05-01T12:00:00Z")).strip() == ""


def test_nothing_of_the_machine_can_paint_the_terminal() -> None:
    hostile = Inventory(collected_at="", disks=[Disk(name="sda", model="\x1b[2J\r\nevil")], errors=[
        CollectorError(collector="x", error="line\nbreak")
    ])  # fmt: skip
    text = render(hostile)
    assert "\x1b" not in text
    assert len(text.splitlines()) == 2


def test_memory_is_counted_in_binary_and_disks_in_decimal_units() -> None:
    assert binary_size(32 * GIB) == "32 GiB"
    assert binary_size(1023 * 1024**2) == "1023 MiB"
    assert binary_size(0) == "0 B"
    assert decimal_size(3_840_755_982_336) == "3.841 TB"
    assert decimal_size(999) == "999 B"
    assert decimal_size(None) == "-"
