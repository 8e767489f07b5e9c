"""One BMC over IPMI 2.0, by pyghmi. Runs in a process of its own (``workers``): pyghmi keeps its state in its modules.

Sources: IPMI 2.0 revision 1.1: 28 (chassis), 22.14 (GUID), 34 (FRU). What pyghmi 1.6 does not do as needed is done by raw
commands: the boot device where the BMC leaves the valid flag unset, power cycle, the FRU in pieces that every BMC can send.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pyghmi.exceptions
import pyghmi.ipmi.command
import pyghmi.ipmi.fru

from ahc_server.bmc import mended
from ahc_server.bmc.errors import BmcCannot, BmcError, BmcLocked, BmcRefused, BmcSilent
from ahc_server.bmc.model import Event, Fru, Health, Power, Reading
from ahc_server.bmc.target import Target

_CHASSIS, _APP, _STORAGE = 0x00, 0x06, 0x0A
_CONTROL = {"off": 0, "on": 1, "cycle": 2, "reset": 3, "soft": 5}
#: Our word → pyghmi's, and the code of boot option parameter 5 (28.13).
_BOOT = {
    "network": ("network", 1),
    "disk": ("hd", 2),
    "cd": ("cd", 5),
    "setup": ("setup", 6),
    "default": ("default", 0),
}
_BOOT_NAMES = {code: name for name, (_, code) in _BOOT.items()}
_PERSISTENT = 0x40

#: Completion codes (5-2) by which a BMC says that it does not have this; and those of a right that is not there.
_NOT_KNOWN = {0xC1, 0xC2, 0xC9, 0xCB, 0xCC, 0x80}
_NOT_ALLOWED = {0xD4}
_NOT_NOW = {0xD5}

#: What pyghmi says of a log-in that failed, and what it means.
_LOCKED = {
    "incorrect password": "wrong password",
    "unauthorized name": "no such user",
    "invalid rakp4 integrity code": "wrong key (Kg)",
    "invalid role": "the user may not log in with these rights",
    "insufficient resources": "it has no room for another session",
    "cipher suite": "no cipher suite in common",
    "authentication algorithm": "no cipher suite in common",
    "integrity algorithm": "no cipher suite in common",
    "confidentiality algorithm": "no cipher suite in common",
    "privelege level": "the user has not the rights of an operator",
    "md5 required": "it speaks IPMI 1.5 without MD5 only",
}
_GONE = ("no longer connected", "timeout", "none", "failed to initialize")

_LOG_IN_LIMIT_S = 20.0

_FRU_PIECE_BYTES, _FRU_LIMIT_BYTES = 16, 4096


@contextmanager
def connected(target: Target) -> Iterator[IpmiBmc]:
    """Log in, and out at the end. Raises BmcSilent, BmcLocked."""
    # pyghmi writes times of events as local ones.
    os.environ["TZ"] = "UTC"
    time.tzset()
    mended.mend()
    with _typed("log in"), _log_in_limit():
        command = pyghmi.ipmi.command.Command(
            bmc=target.host,
            userid=target.login.user,
            password=target.login.password.reveal(),
            port=target.port,
        )
    try:
        yield IpmiBmc(command)
    finally:
        with suppress(pyghmi.exceptions.PyghmiException):
            command.ipmi_session.logout()


@contextmanager
def _log_in_limit() -> Iterator[None]:
    """pyghmi begins again without end where a BMC answers and never lets the log-in come to its end."""

    def ring(*_: object) -> None:
        raise BmcSilent(
            f"it answers, and the log-in does not end within {_LOG_IN_LIMIT_S:g} s"
            " (a user that it does not know, with some BMCs; or it is too slow)"
        )

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, _LOG_IN_LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class IpmiBmc:
    """See ``link.Bmc``."""

    def __init__(self, command: Any) -> None:
        self._command = command

    def power(self) -> Power:
        return "on" if self._raw("tell its power state", _CHASSIS, 1)[0] & 1 else "off"

    def ask_power(self, action: str) -> None:
        self._raw(f"do power {action}", _CHASSIS, 2, bytes([_CONTROL[action]]))

    def boot_device(self) -> str:
        data = self._raw("tell its boot device", _CHASSIS, 9, bytes([5, 0, 0]))
        if len(data) < 4 or data[1] & 0x80:
            return "default"
        # The flag "boot flags valid" (bit 7 of data[2]) is not asked: simulators and some BMCs leave it unset.
        code = data[3] >> 2 & 0x0F
        name = _BOOT_NAMES.get(code, f"device {code}")
        return f"{name} (always)" if code and data[2] & _PERSISTENT else name

    def set_boot_device(self, device: str, *, always: bool) -> None:
        with _typed("set its boot device"):
            self._command.set_bootdev(_BOOT[device][0], persist=always)

    def sensors(self) -> list[Reading]:
        with _typed("read its sensors"):
            return [_reading(each) for each in self._command.get_sensor_data()]

    def events(self, *, clear: bool) -> list[Event]:
        with _typed("read its event log"):
            return [_event(each) for each in self._command.get_event_log(clear=clear)]

    def identify(self, *, on: bool, seconds: int | None) -> None:
        with _typed("switch its identify light"):
            self._command.set_identify(on=on, duration=seconds if on else None)

    def frus(self) -> list[Fru]:
        with _typed("read its FRU records"):
            sdr = self._command.init_sdr()
        parts = {0: "System", **{number: each.fru_name for number, each in sdr.fru.items()}}
        return [
            each for number, part in sorted(parts.items()) if (each := self._fru(number, part)) is not None
        ]

    def about(self) -> tuple[str | None, str | None]:
        firmware = None
        data = self._raw("tell what it is", _APP, 1)
        if len(data) >= 4:
            firmware = f"{data[2] & 0x7F}.{data[3]:02x}"
        try:
            guid = self._raw("tell its GUID", _APP, 0x37)
        except BmcCannot:
            return None, firmware
        # Sent least significant byte first (22.14); which fields are swapped is for ``whose`` to try.
        return (str(uuid.UUID(bytes=guid)) if len(guid) == 16 else None), firmware

    def _fru(self, number: int, part: str) -> Fru | None:
        """One FRU, None where it is not there."""
        try:
            info = self._raw("tell the size of a FRU", _STORAGE, 0x10, bytes([number]))
            size = min(int.from_bytes(info[:2], "little"), _FRU_LIMIT_BYTES)
            data = bytearray()
            while len(data) < size:
                piece = min(_FRU_PIECE_BYTES, size - len(data))
                ask = bytes([number, *len(data).to_bytes(2, "little"), piece])
                got = self._raw("read a FRU", _STORAGE, 0x11, ask)[1:]
                if not got:
                    break
                data += got
        except BmcCannot:
            return None
        try:
            found = pyghmi.ipmi.fru.FRU(rawdata=data).info
        except Exception as error:
            # Its parser trusts what is in the record: whatever goes wrong in it, the record is what is wrong.
            return Fru(part=part, fields={"unreadable": f"{type(error).__name__}: {error}"[:200]})
        fields = dict(_fru_fields(found or {}))
        return Fru(part=part[:256], fields=fields) if fields else None

    def _raw(self, what: str, netfn: int, command: int, data: bytes = b"") -> bytes:
        with _typed(what):
            answer = self._command.raw_command(netfn=netfn, command=command, data=tuple(data))
            if "error" in answer:
                raise pyghmi.exceptions.IpmiException(answer["error"], answer.get("code", 0))
            return bytes(answer["data"])


def _fru_fields(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields with something in them; a maker's own ones come as a list."""
    for name, value in found.items():
        parts = value if isinstance(value, list) else [value]
        text = ", ".join(
            _text(part) for part in parts if isinstance(part, str | bytes | bytearray | int) and part != ""
        )
        if text:
            yield _text(name), text


@contextmanager
def _typed(what: str) -> Iterator[None]:
    """pyghmi's errors as ours; ``what`` completes "it does not ..."."""
    try:
        yield
    except pyghmi.exceptions.PyghmiException as error:
        raise _meant(error, what) from None
    except OSError as error:
        raise BmcSilent(f"cannot be reached: {error.strerror or error}") from None


def _meant(error: Exception, what: str) -> BmcError:
    """The typed error for what pyghmi says. The code is exact, the text is all there is of a log-in."""
    said, code = str(error), getattr(error, "ipmicode", 0)
    low = said.lower()
    for words, meaning in _LOCKED.items():
        if words in low:
            return BmcLocked(f"{meaning} ({said})")
    if code in _NOT_ALLOWED:
        return BmcLocked(f"the user may not {what} ({said})")
    if code in _NOT_NOW:
        return BmcRefused(f"it does not {what} in its present state ({said})")
    if code in _NOT_KNOWN:
        return BmcCannot(f"it cannot {what} ({said})")
    if any(word in low for word in _GONE):
        return BmcSilent("no answer" if what == "log in" else f"fell silent when asked to {what}")
    return BmcRefused(f"it does not {what}: {said}")


_HEALTH: tuple[tuple[int, Health], ...] = ((4, "failed"), (2, "critical"), (1, "warning"))


def _health(bits: int | None) -> Health:
    """pyghmi sums states as bits; the worst counts."""
    return next((health for bit, health in _HEALTH if (bits or 0) & bit), "ok")


def _reading(sensor: Any) -> Reading:
    value = sensor.value
    return Reading(
        name=_text(sensor.name),
        kind=_text(sensor.type),
        value=float(value) if isinstance(value, int | float) and abs(value) < 1e300 else None,
        unit=_text(sensor.units or ""),
        health=_health(sensor.health),
        states=[_text(state) for state in sensor.states],
        available=not sensor.unavailable,
    )


def _event(event: Mapping[str, Any]) -> Event:
    details = [_text(event[key]) for key in ("event_data",) if event.get(key)]
    if "threshold_value" in event and "triggered_value" in event:
        details.append(f"raw reading {event['triggered_value']}, limit {event['threshold_value']}")
    if not event.get("event") and event.get("oemdata") is not None:
        details.append(f"data {bytes(event['oemdata']).hex(' ')}")
    what = _text(event.get("event") or "unknown event")
    stamp = event.get("timestamp")
    return Event(
        record=event.get("record_id"),
        at=f"{stamp}Z" if stamp else None,
        sensor=_text(event["component"]) if event.get("component") else None,
        kind=_text(event.get("component_type") or ""),
        event=f"{what} ({'; '.join(details)})"[:1000] if details else what,
        health=_health(event.get("severity")),
        asserted=not event.get("deassertion", False),
        code=_text(event.get("event_id") or ""),
    )


def _text(value: object) -> str:
    """What a BMC wrote, fit for a terminal and a table."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)
    return "".join(each if each.isprintable() else "?" for each in text).strip()[:256]
