"""Health counters and sensors: EDAC, throttling, machine checks, hwmon."""

from __future__ import annotations

from pathlib import Path

import pytest

from ahc_agent.errors import NotThere
from ahc_agent.facts import EdacController, EdacDimm, Mce, Sensor, Throttle
from ahc_agent.inventory import edac, mce, sensors, throttle
from tests.inventory_helpers import Machine, build

MC = "/sys/devices/system/edac/mc"
CPU = "/sys/devices/system/cpu"


def test_edac_counts_each_dimm(tmp_path: Path) -> None:
    files = {
        f"{MC}/mc0/mc_name": "Intel_Sky Lake Socket#0 IMC#0",
        f"{MC}/mc0/size_mb": "32768",
        f"{MC}/mc0/ce_count": "12",
        f"{MC}/mc0/ue_count": "0",
        f"{MC}/mc0/dimm0/dimm_label": "CPU_SrcID#0_MC#0_Chan#0_DIMM#0",
        f"{MC}/mc0/dimm0/dimm_location": "channel 0 slot 0",
        f"{MC}/mc0/dimm0/dimm_ce_count": "12",
        f"{MC}/mc0/dimm0/dimm_ue_count": "0",
        f"{MC}/mc0/csrow0/ce_count": "12",
        f"{MC}/power/control": "auto",
    }
    assert edac.collect(build(tmp_path, files)) == [
        EdacController(
            controller="mc0",
            name="Intel_Sky Lake Socket#0 IMC#0",
            size_bytes=32 * 1024**3,
            correctable_errors=12,
            uncorrectable_errors=0,
            dimms=[
                EdacDimm(
                    label="CPU_SrcID#0_MC#0_Chan#0_DIMM#0",
                    location="channel 0 slot 0",
                    correctable_errors=12,
                    uncorrectable_errors=0,
                )
            ],
        )
    ]


def test_edac_of_old_kernels_has_rows_and_channels(tmp_path: Path) -> None:
    row = f"{MC}/mc0/csrow1"
    files = {
        f"{row}/ce_count": "5",
        f"{row}/ue_count": "1",
        f"{row}/ch0_ce_count": "2",
        f"{row}/ch0_dimm_label": "DIMM_A1",
        f"{row}/ch1_ce_count": "3",
        f"{row}/ch1_dimm_label": "DIMM_B1",
    }
    (controller,) = edac.collect(build(tmp_path, files))
    assert [
        (one.label, one.location, one.correctable_errors, one.uncorrectable_errors)
        for one in controller.dimms
    ] == [
        ("DIMM_A1", "csrow1 channel 0", 2, None),
        ("DIMM_B1", "csrow1 channel 1", 3, None),
    ]


def test_throttling_counts_a_core_once_and_a_package_once(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (0, 0), (0, 1), (1, 0)]).files()
    for number, (core, package) in enumerate(((5, 7), (5, 7), (2, 7), (0, 1))):
        files[f"{CPU}/cpu{number}/thermal_throttle/core_throttle_count"] = str(core)
        files[f"{CPU}/cpu{number}/thermal_throttle/package_throttle_count"] = str(package)
    assert throttle.collect(build(tmp_path, files)) == [
        Throttle(socket=0, scope="core", count=7),
        Throttle(socket=0, scope="package", count=7),
        Throttle(socket=1, scope="core", count=0),
        Throttle(socket=1, scope="package", count=1),
    ]


def test_processors_without_a_package_counter(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0)]).files() | {f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3"}
    assert throttle.collect(build(tmp_path, files)) == [Throttle(socket=0, scope="core", count=3)]


INTERRUPTS = """           CPU0       CPU1
  0:         44          0   IO-APIC   2-edge      timer
NMI:         10         20   Non-maskable interrupts
MCE:          1          2   Machine check exceptions
MCP:        300        301   Machine check polls
ERR:          0
"""


def test_machine_checks(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"/sys/devices/system/machinecheck/machinecheck0/bank{n}": "ff" for n in range(20)
    }
    files["/proc/interrupts"] = INTERRUPTS
    assert mce.collect(build(tmp_path, files)) == Mce(banks=20, exceptions=3, polls=601)


@pytest.mark.parametrize(
    ("name", "total"), [("MCE", 3), ("NMI", 30), ("ERR", 0), ("TRM", None), ("M.E", None)]
)
def test_interrupt_totals(name: str, total: int | None) -> None:
    assert mce.interrupt_total(INTERRUPTS, name) == total


def hwmon(number: int, **attributes: str) -> dict[str, str | bytes]:
    return {f"/sys/class/hwmon/hwmon{number}/{name}": value for name, value in attributes.items()}


def test_sensors_of_every_kind_in_their_units(tmp_path: Path) -> None:
    files = hwmon(
        0,
        name="nct6798",
        temp1_input="41500",
        temp1_label="SYSTIN",
        temp1_crit="95000",
        temp1_crit_alarm="0",
        fan2_input="1180",
        fan2_alarm="1",
        in0_input="1032",
        power1_average="95250000",
        curr1_input="12500",
        temp1_max="80000",
    )
    assert sensors.collect(build(tmp_path, files)) == [
        Sensor(name="curr1", chip="nct6798", kind="current", value=12.5, unit="amperes"),
        Sensor(name="fan2", chip="nct6798", kind="fan", value=1180, unit="rpm", alarm=True),
        Sensor(name="in0", chip="nct6798", kind="voltage", value=1.032, unit="volts"),
        Sensor(name="power1", chip="nct6798", kind="power", value=95.25, unit="watts"),
        Sensor(
            name="SYSTIN",
            chip="nct6798",
            kind="temperature",
            value=41.5,
            unit="celsius",
            critical=95.0,
            alarm=False,
        ),
    ]


def test_chips_of_one_name_are_told_apart_by_their_device(tmp_path: Path) -> None:
    files = hwmon(0, name="coretemp", temp1_input="40000") | hwmon(1, name="coretemp", temp1_input="50000")
    for number in range(2):
        files[f"/sys/devices/platform/coretemp.{number}/modalias"] = "platform:coretemp"
    root = build(tmp_path, files)
    for number in range(2):
        (tmp_path / f"sys/class/hwmon/hwmon{number}/device").symlink_to(
            f"../../../devices/platform/coretemp.{number}"
        )
    assert [one.chip for one in sensors.collect(root)] == ["coretemp coretemp.0", "coretemp coretemp.1"]


def test_drivers_of_old_kernels_put_their_readings_beside_the_device(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "/sys/class/hwmon/hwmon0/device/name": "k10temp",
        "/sys/class/hwmon/hwmon0/device/temp1_input": "30125",
    }
    (found,) = sensors.collect(build(tmp_path, files))
    assert (found.chip, found.value) == ("k10temp", 30.125)


def test_thermal_zones_serve_where_no_chip_gives_a_temperature(tmp_path: Path) -> None:
    zone = "/sys/class/thermal/thermal_zone0"
    files = hwmon(0, name="fans", fan1_input="900") | {
        f"{zone}/type": "x86_pkg_temp",
        f"{zone}/temp": "47000",
        f"{zone}/trip_point_0_type": "passive",
        f"{zone}/trip_point_0_temp": "80000",
        f"{zone}/trip_point_1_type": "critical",
        f"{zone}/trip_point_1_temp": "105000",
    }
    assert sensors.collect(build(tmp_path / "no chip", files))[1:] == [
        Sensor(
            name="x86_pkg_temp",
            chip="thermal_zone0",
            kind="temperature",
            value=47.0,
            unit="celsius",
            critical=105.0,
        )
    ]
    files |= hwmon(1, name="coretemp", temp1_input="40000")
    assert {one.chip for one in sensors.collect(build(tmp_path / "chip", files))} == {"fans", "coretemp"}


def test_a_sensor_that_tells_no_number_has_no_value(tmp_path: Path) -> None:
    (found,) = sensors.collect(build(tmp_path, hwmon(0, name="chip", temp1_input="n/a")))
    assert (found.value, found.alarm, found.critical) == (None, None, None)


@pytest.mark.parametrize("collect", [edac.collect, throttle.collect, mce.collect, sensors.collect])
def test_machines_without_the_part(tmp_path: Path, collect: object) -> None:
    root = build(
        tmp_path, Machine(cpus=[(0, 0)]).files() | {"/proc/interrupts": "           CPU0\n 11: 5 GICv3 timer"}
    )
    with pytest.raises(NotThere):
        collect(root)  # type: ignore[operator]
    assert root.trouble == []
