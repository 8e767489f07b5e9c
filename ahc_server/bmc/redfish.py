"""One BMC over Redfish, by sushy (the extra ``ahc[redfish]``). Runs in a process of its own (``workers``).

Sources: DMTF DSP0268 (ComputerSystem, Chassis, Thermal, Power, LogEntry). sushy knows no logs: those are
read through its connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ahc_agent.errors import CannotAnswer
from ahc_server.bmc.errors import BmcCannot, BmcError, BmcLocked, BmcRefused, BmcSilent
from ahc_server.bmc.model import Event, Fru, Health, Power, Reading
from ahc_server.bmc.target import Target

try:
    import sushy
    import sushy.exceptions as said
except ImportError as error:
    raise CannotAnswer("Redfish needs sushy, which is not installed (pip install 'ahc[redfish]')") from error

_CONNECT_S, _READ_S = 10, 30
_ENTRIES_LIMIT = 10_000

_RESETS = {
    "on": (sushy.RESET_TYPE_ON, sushy.RESET_TYPE_FORCE_ON),
    "off": (sushy.RESET_TYPE_FORCE_OFF,),
    "soft": (sushy.RESET_TYPE_GRACEFUL_SHUTDOWN,),
    "cycle": (sushy.RESET_TYPE_POWER_CYCLE, sushy.RESET_TYPE_FORCE_RESTART),
    "reset": (sushy.RESET_TYPE_FORCE_RESTART,),
}
_BOOT = {
    "network": sushy.BOOT_SOURCE_TARGET_PXE,
    "disk": sushy.BOOT_SOURCE_TARGET_HDD,
    "cd": sushy.BOOT_SOURCE_TARGET_CD,
    "setup": sushy.BOOT_SOURCE_TARGET_BIOS_SETUP,
    "default": sushy.BOOT_SOURCE_TARGET_NONE,
}
_BOOT_NAMES = {source: name for name, source in _BOOT.items()}
_HEALTH: dict[str, Health] = {"ok": "ok", "warning": "warning", "critical": "critical"}
_ABSENT = ("absent", "disabled")

#: sushy's error → ours. The first that fits counts.
_ERRORS: tuple[tuple[type[Exception], type[BmcError]], ...] = (
    (said.ConnectionError, BmcSilent),
    (said.AccessError, BmcLocked),
    (said.ResourceNotFoundError, BmcCannot),
    (said.MissingAttributeError, BmcCannot),
    (said.MissingActionError, BmcCannot),
    (said.InvalidParameterValueError, BmcCannot),
    (said.SushyError, BmcRefused),
)


@contextmanager
def connected(target: Target) -> Iterator[RedfishBmc]:
    """Log in (a session, else basic authentication), and out at the end. Raises BmcError."""
    with _typed():
        root = sushy.Sushy(
            target.url,
            username=target.login.user,
            password=target.login.password.reveal(),
            verify=target.verify,
            server_side_retries=1,
            server_side_retries_delay=1,
            read_timeout=_READ_S,
            connect_timeout=_CONNECT_S,
        )
        system = root.get_system(target.system)
    try:
        yield RedfishBmc(root, system)
    finally:
        with _typed():
            root._auth.close()


class RedfishBmc:
    """See ``link.Bmc``."""

    def __init__(self, root: Any, system: Any) -> None:
        self._root = root
        self._system = system

    def power(self) -> Power:
        with _typed():
            self._system.refresh(force=True)
            state = self._system.power_state
        return "on" if state in (sushy.POWER_STATE_ON, sushy.POWER_STATE_POWERING_OFF) else "off"

    def ask_power(self, action: str) -> None:
        with _typed():
            allowed = self._system.get_allowed_reset_system_values()
            self._system.reset_system(
                next((each for each in _RESETS[action] if each in allowed), _RESETS[action][0])
            )

    def boot_device(self) -> str:
        with _typed():
            self._system.refresh(force=True)
            boot = self._system.boot
        if boot.enabled in (None, sushy.BOOT_SOURCE_ENABLED_DISABLED) or boot.target is None:
            return "default"
        name = _BOOT_NAMES.get(boot.target, str(boot.target.value))
        return f"{name} (always)" if boot.enabled == sushy.BOOT_SOURCE_ENABLED_CONTINUOUS else name

    def set_boot_device(self, device: str, *, always: bool) -> None:
        enabled = sushy.BOOT_SOURCE_ENABLED_CONTINUOUS if always else sushy.BOOT_SOURCE_ENABLED_ONCE
        if device == "default":
            enabled = sushy.BOOT_SOURCE_ENABLED_DISABLED
        with _typed():
            self._system.set_system_boot_options(target=_BOOT[device], enabled=enabled)

    def sensors(self) -> list[Reading]:
        found: list[Reading] = []
        with _typed():
            for chassis in self._system.chassis:
                for part, read in (("Thermal", _thermal), ("Power", _supplies)):
                    if part in chassis.json:
                        found += read(chassis)
        if not found:
            raise BmcCannot("it shows no Thermal or Power of its chassis")
        return found

    def events(self, *, clear: bool) -> list[Event]:
        """The entries of its first log called SEL, else of its first log."""
        with _typed():
            log = self._log()
            entries = self._get(log["Entries"]["@odata.id"])
            found = [_event(each) for each in entries.get("Members", [])]
            while (path := entries.get("Members@odata.nextLink")) and len(found) < _ENTRIES_LIMIT:
                entries = self._get(path)
                found += [_event(each) for each in entries.get("Members", [])]
            if clear:
                action = log.get("Actions", {}).get("#LogService.ClearLog", {}).get("target")
                if action is None:
                    raise BmcCannot("its log cannot be emptied")
                self._root._conn.post(action, data={})
        return found

    def identify(self, *, on: bool, seconds: int | None) -> None:
        if seconds is not None:
            raise BmcCannot("over Redfish the identify light has no time limit: leave out --seconds")
        with _typed():
            self._system.set_indicator_led(sushy.INDICATOR_LED_LIT if on else sushy.INDICATOR_LED_OFF)

    def frus(self) -> list[Fru]:
        names = {
            "Manufacturer": self._system.manufacturer,
            "Product name": self._system.model,
            "Serial Number": self._system.serial_number,
            "Model": self._system.part_number,
            "SKU": self._system.sku,
            "Asset Number": self._system.asset_tag,
        }
        return [Fru(part="System", fields={name: str(value)[:256] for name, value in names.items() if value})]

    def about(self) -> tuple[str | None, str | None]:
        with _typed():
            managers = self._system.managers
        return self._system.uuid, managers[0].firmware_version if managers else None

    def _log(self) -> Mapping[str, Any]:
        homes = [self._system, *self._system.managers]
        paths = [home.json["LogServices"]["@odata.id"] for home in homes if "LogServices" in home.json]
        logs = [self._get(each["@odata.id"]) for path in paths for each in self._get(path).get("Members", [])]
        if not logs:
            raise BmcCannot("it shows no log")
        return next(
            (log for log in logs if log.get("Id") == "SEL" or log.get("LogEntryType") == "SEL"), logs[0]
        )

    def _get(self, path: str) -> dict[str, Any]:
        found = self._root._conn.get(path).json()
        if not isinstance(found, dict):
            raise BmcRefused(f"{path}: no object")
        return found


def _thermal(chassis: Any) -> Iterator[Reading]:
    for each in chassis.thermal.temperatures:
        yield _reading(each, "Temperature", each.reading_celsius, "°C")
    for each in chassis.thermal.fans:
        unit = (
            "%" if each.reading_units is not None and "percent" in str(each.reading_units).lower() else "RPM"
        )
        yield _reading(each, "Fan", each.reading, unit)


def _supplies(chassis: Any) -> Iterator[Reading]:
    for each in chassis.power.power_supplies:
        yield _reading(each, "Power Supply", each.last_power_output_watts, "W")


def _reading(part: Any, kind: str, value: float | None, unit: str) -> Reading:
    status = part.status
    health = _HEALTH.get(str(getattr(status.health, "value", "ok")).lower(), "ok")
    state = str(getattr(status.state, "value", "") or "")
    return Reading(
        name=str(part.name or part.identity)[:256],
        kind=kind,
        value=None if value is None else float(value),
        unit="" if value is None else unit,
        health=health,
        states=[state] if state else [],
        available=state.lower() not in _ABSENT,
    )


def _event(entry: Mapping[str, Any]) -> Event:
    number = str(entry.get("Id", ""))
    return Event(
        record=int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None,
        at=str(entry["Created"])[:64] if entry.get("Created") else None,
        sensor=str(entry["Name"])[:256] if entry.get("Name") else None,
        kind=str(entry.get("SensorType") or "")[:256],
        event=str(entry.get("Message") or "no message")[:1000],
        health=_HEALTH.get(str(entry.get("Severity", "ok")).lower(), "ok"),
        asserted=not str(entry.get("EntryCode", "")).lower().startswith("deassert"),
    )


@contextmanager
def _typed() -> Iterator[None]:
    """sushy's errors as ours, and an object that lacks what every one has."""
    try:
        yield
    except said.SushyError as error:
        if isinstance(error, said.ConnectionError) and "certificate" in str(error).lower():
            raise BmcLocked(
                f"its certificate is not trusted (pm_verify_ca: false takes any): {error}"
            ) from None
        meant = next(ours for theirs, ours in _ERRORS if isinstance(error, theirs))
        text = "no answer" if meant is BmcSilent else "wrong user or password" if meant is BmcLocked else ""
        raise meant(f"{text}: {error}" if text else str(error)) from None
    except (KeyError, TypeError, ValueError) as error:
        raise BmcRefused(
            f"it answers with an object that lacks something: {type(error).__name__}: {error}"
        ) from None
