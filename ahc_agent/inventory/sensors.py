"""The sensor collector: temperatures, fans, voltages, power and currents that kernel drivers read.

Sources: ``/sys/class/hwmon`` (kernel: Documentation/hwmon/sysfs-interface.rst), and ``/sys/class/thermal`` where no chip gives a
temperature (kernel: Documentation/driver-api/thermal/sysfs-api.rst).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from ahc_agent.errors import NotThere
from ahc_agent.facts import Sensor
from ahc_agent.inventory.root import Root

HWMON_FOLDER = "/sys/class/hwmon"
THERMAL_FOLDER = "/sys/class/thermal"


@dataclass(frozen=True, slots=True)
class _Kind:
    """``scale`` turns sysfs units into ours; ``readings`` are the attributes to try, the instantaneous one first."""

    kind: str
    unit: str
    scale: float
    readings: tuple[str, ...] = ("input",)


_KINDS = {
    "temp": _Kind("temperature", "celsius", 1e-3),
    "fan": _Kind("fan", "rpm", 1),
    "in": _Kind("voltage", "volts", 1e-3),
    "power": _Kind("power", "watts", 1e-6, ("input", "average")),
    "curr": _Kind("current", "amperes", 1e-3),
}
_ATTRIBUTE = re.compile(r"(temp|fan|in|power|curr)(\d{1,3})_(input|average)")
_CHIP = re.compile(r"hwmon\d{1,5}")
_ZONE = re.compile(r"thermal_zone\d{1,5}")
_TRIP = re.compile(r"trip_point_(\d{1,3})_type")
_ALARMS = ("alarm", "crit_alarm", "max_alarm", "min_alarm", "fault")


def collect(root: Root) -> list[Sensor]:
    """All readings. Raises NotThere where the kernel drives no sensor."""
    sensors = _chips(root)
    if not any(sensor.kind == "temperature" for sensor in sensors):
        sensors += _zones(root)
    if not sensors:
        raise NotThere("no hwmon chip and no thermal zone")
    return sensors


def _chips(root: Root) -> list[Sensor]:
    names: dict[str, str | None] = {}
    for chip in root.names(HWMON_FOLDER):
        if _CHIP.fullmatch(chip):
            # Drivers of kernels before 3.15 put their attributes beside the device, not into the hwmon folder.
            folder = f"{HWMON_FOLDER}/{chip}"
            folder = folder if root.exists(f"{folder}/name") else f"{folder}/device"
            names[folder] = root.text(f"{folder}/name")
    repeated = {name for name, times in Counter(names.values()).items() if times > 1}
    return [
        sensor
        for folder, name in names.items()
        for sensor in _readings(root, folder, _full_name(root, folder, name) if name in repeated else name)
    ]


def _full_name(root: Root, folder: str, name: str | None) -> str:
    """Two sockets have two "coretemp", ten disks ten "nvme": the device tells them apart ("nvme nvme3")."""
    device = root.real(f"{folder}/device").rsplit("/", 1)[-1]
    return f"{name or 'chip'} {device}"


def _readings(root: Root, folder: str, chip: str | None) -> list[Sensor]:
    offered: dict[str, set[str]] = {}
    for found in map(_ATTRIBUTE.fullmatch, root.names(folder)):
        if found:
            offered.setdefault(found[1] + found[2], set()).add(found[3])
    return [
        _reading(root, f"{folder}/{sensor}", sensor, chip, _KINDS[sensor.rstrip("0123456789")], attributes)
        for sensor, attributes in offered.items()
    ]


def _reading(root: Root, path: str, sensor: str, chip: str | None, kind: _Kind, offered: set[str]) -> Sensor:
    attribute = next(name for name in kind.readings if name in offered)
    alarms = [root.integer(f"{path}_{alarm}") for alarm in _ALARMS if root.exists(f"{path}_{alarm}")]
    return Sensor(
        name=root.text(f"{path}_label") or sensor,
        chip=chip,
        kind=kind.kind,
        value=_scaled(root.integer(f"{path}_{attribute}"), kind),
        unit=kind.unit,
        critical=_scaled(root.integer(f"{path}_crit"), kind),
        alarm=any(alarms) if any(alarm is not None for alarm in alarms) else None,
    )


def _zones(root: Root) -> list[Sensor]:
    kind = _KINDS["temp"]
    return [
        Sensor(
            name=root.text(f"{THERMAL_FOLDER}/{zone}/type") or zone,
            chip=zone,
            kind=kind.kind,
            value=_scaled(root.integer(f"{THERMAL_FOLDER}/{zone}/temp"), kind),
            unit=kind.unit,
            critical=_critical_trip(root, f"{THERMAL_FOLDER}/{zone}", kind),
        )
        for zone in root.names(THERMAL_FOLDER)
        if _ZONE.fullmatch(zone)
    ]


def _critical_trip(root: Root, zone: str, kind: _Kind) -> float | None:
    for found in map(_TRIP.fullmatch, root.names(zone)):
        if found and root.text(f"{zone}/{found[0]}") == "critical":
            return _scaled(root.integer(f"{zone}/trip_point_{found[1]}_temp"), kind)
    return None


def _scaled(number: int | None, kind: _Kind) -> float | None:
    return round(number * kind.scale, 3) if number is not None else None
