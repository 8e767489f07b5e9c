"""Health of disks, as ``smartctl --json`` tells it (smartmontools 7.0 and later).

Counters come from ATA attributes 5, 197, 198 and 199, from the NVMe health log (NVM Express 1.4, 5.14.1.2), or from
SCSI's grown defect list and error counter logs (SPC-4, 7.3).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from ahc_agent.errors import ProgramError, ProgramFailed, ProgramMissing
from ahc_agent.facts import Disk, Smart
from ahc_agent.inventory.root import NUMBER_LIMIT, Root, whole_number
from ahc_agent.programs import find, run

PROGRAM = "smartctl"
TIME_LIMIT_S = 10.0
AT_ONCE = 16

#: Disks that have no SMART by nature: asking would only bring "Unable to detect device type".
_NO_SMART = {"virtio", "xen", "mmc", "nvdimm", "vmbus", "loop", "file", "iscsi", None}

#: smartctl's exit status is a bit mask: it was called wrongly, or the device could not be opened. The other
#: bits (failing, logged errors, ...) are findings, told in the JSON itself.
_NOT_ASKED = 0b11

_REALLOCATED, _PENDING, _UNCORRECTABLE, _CRC_ERRORS = 5, 197, 198, 199


def add(root: Root, disks: list[Disk]) -> None:
    """Fill ``smart`` of each disk that can have it, asking all at once; what goes wrong is in ``root.trouble``.

    smartctl also knows serial, model, firmware and name where sysfs keeps them to itself: they fill gaps.
    """
    asked = [disk for disk in disks if disk.kind == "disk" and disk.transport not in _NO_SMART]
    if not asked:
        return
    if find(PROGRAM) is None:
        root.trouble.append(str(ProgramMissing(PROGRAM)))
        return
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(asked))) as pool:
        answers = [(disk, pool.submit(ask, disk)) for disk in asked]
        for disk, answer in answers:
            try:
                told = answer.result()
            except ProgramError as error:
                root.trouble.append(f"{disk.name}: {error}")
                continue
            disk.smart = health(told)
            disk.serial = disk.serial or _text(told, "serial_number")
            disk.model = disk.model or _text(told, "model_name") or _text(told, "scsi_model_name")
            disk.firmware = _text(told, "firmware_version") or disk.firmware


def ask(disk: Disk) -> dict[str, Any]:
    """smartctl's answer about one disk. Raises ProgramError with smartctl's own words where it could not ask."""
    done = run(
        [PROGRAM, "--json=c", "-i", "-H", "-A", "-l", "error", disk.path or ""],
        time_limit_s=TIME_LIMIT_S,
        ok_statuses=None,
    )
    return parse(done.stdout)


def parse(output: bytes) -> dict[str, Any]:
    """smartctl's JSON as a dictionary. Raises ProgramFailed."""
    try:
        told = msgspec.json.decode(output, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProgramFailed(PROGRAM, f"said what is no JSON ({error})") from error
    status = _number(told, "smartctl", "exit_status")
    if status is None or status & _NOT_ASKED:
        raise ProgramFailed(PROGRAM, _messages(told) or f"exit status {status}")
    return told


def health(told: dict[str, Any]) -> Smart | None:
    """The health in an answer; None where the disk has no SMART at all."""
    attributes = _attributes(told)
    defects = _number(told, "scsi_grown_defect_list")
    smart = Smart(
        passed=_passed(told),
        temperature_celsius=_temperature(told),
        power_on_hours=_number(told, "power_on_time", "hours"),
        reallocated_sectors=attributes.get(_REALLOCATED, defects),
        pending_sectors=attributes.get(_PENDING),
        uncorrectable_errors=attributes.get(_UNCORRECTABLE, _scsi_uncorrected(told)),
        crc_errors=attributes.get(_CRC_ERRORS),
        media_errors=_nvme(told, "media_errors"),
        critical_warning=_nvme(told, "critical_warning"),
        available_spare_percent=_nvme(told, "available_spare"),
        unsafe_shutdowns=_nvme(told, "unsafe_shutdowns"),
        percentage_used=_percentage_used(told),
    )
    return smart if smart != Smart() else None


def _passed(told: dict[str, Any]) -> bool | None:
    passed = _at(told, "smart_status", "passed")
    return passed if isinstance(passed, bool) else None


def _temperature(told: dict[str, Any]) -> float | None:
    celsius = _number(told, "temperature", "current")
    # Disks that do not know answer 0 or 255.
    return float(celsius) if celsius is not None and 0 < celsius < 200 else None


def _attributes(told: dict[str, Any]) -> dict[int, int]:
    """Raw values of ATA attributes by number.

    ``raw.value`` is all 48 bits, in which some vendors pack several counters; ``raw.string`` is the value as the drive
    database reads it, with the count in front ("8 (0 12)").
    """
    table = _at(told, "ata_smart_attributes", "table")
    found: dict[int, int] = {}
    for row in table if isinstance(table, list) else []:
        number, text = _number(row, "id"), _at(row, "raw", "string")
        value = whole_number(text.split(" ")[0]) if isinstance(text, str) else _number(row, "raw", "value")
        if number is not None and value is not None and value >= 0:
            found[number] = value
    return found


def _scsi_uncorrected(told: dict[str, Any]) -> int | None:
    counts = [
        _number(told, "scsi_error_counter_log", kind, "total_uncorrected_errors")
        for kind in ("read", "write", "verify")
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _percentage_used(told: dict[str, Any]) -> int | None:
    places = (
        ("nvme_smart_health_information_log", "percentage_used"),
        ("scsi_percentage_used_endurance_indicator",),
        ("endurance_used", "current_percent"),
    )
    return next((value for keys in places if (value := _number(told, *keys)) is not None), None)


def _nvme(told: dict[str, Any], key: str) -> int | None:
    return _number(told, "nvme_smart_health_information_log", key)


def _messages(told: dict[str, Any]) -> str:
    messages = _at(told, "smartctl", "messages")
    texts = [_text(message, "string") for message in messages] if isinstance(messages, list) else []
    return "; ".join(text for text in texts if text)[:300]


def _at(value: Any, *keys: str) -> Any:
    """What lies under nested keys, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _number(value: Any, *keys: str) -> int | None:
    found = _at(value, *keys)
    return (
        found
        if isinstance(found, int) and not isinstance(found, bool) and abs(found) <= NUMBER_LIMIT
        else None
    )


def _text(value: Any, *keys: str) -> str | None:
    found = _at(value, *keys)
    return found.strip()[:256] or None if isinstance(found, str) else None
