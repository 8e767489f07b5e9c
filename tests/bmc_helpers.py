"""BMCs for tests: OpenIPMI's ``ipmi_sim`` with sensors, an event log and a FRU; pyghmi's own BMC; ones that are silent or slow.

Record layouts: IPMI 2.0, 43.1 (full sensor record), 43.2 (compact), 32.1 (SEL record); the FRU is of "Platform Management FRU
Information Storage Definition" 1.3.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER, PASSWORD = "admin", "s3cr3t-Word"
GUID = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
SIM = shutil.which("ipmi_sim")
TIME_LIMIT_S = 60.0

#: Keeps power and boot device in two files, as ipmi_lan(5) asks of a ``chassis_control`` program.
CHASSIS = """#!/bin/sh
cd "{folder}" || exit 1
shift
verb=$1; shift
if [ "$verb" = get ]; then
    for what in "$@"; do
        case $what in
            power) echo "power:$(cat power)" ;;
            boot) echo "boot:$(cat boot)" ;;
        esac
    done
else
    while [ $# -ge 2 ]; do
        echo "$1 $2" >>said
        case $1 in
            power) [ -e stuck ] || echo "$2" >power ;;
            boot) echo "$2" >boot ;;
            shutdown) [ -e deaf ] || echo 0 >power ;;
        esac
        shift 2
    done
fi
"""


@dataclass(frozen=True)
class Simulated:
    """One BMC that listens on loopback, and the folder of its state: files ``power``, ``boot``, ``said``."""

    port: int
    folder: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def power(self) -> str:
        return (self.folder / "power").read_text().strip()

    def boot(self) -> str:
        return (self.folder / "boot").read_text().strip()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _hex(data: bytes) -> str:
    return " ".join(f"0x{byte:02x}" for byte in data)


def full_sensor(number: int, kind: int, unit: int, name: str, *, scale: int = 1) -> bytes:
    """A threshold sensor whose reading is ``scale`` times its raw byte; upper critical 95, lower critical 5 (raw)."""
    owner = bytes([0x20, 0, number, 7, 96 + number, 0x7F, 0x68, kind, 1])
    masks = bytes([0x95, 0x0A, 0x95, 0x0A, 0x3F, 0x3F])
    formula = bytes([0, unit, 0, 0, scale, 0, 0, 0, 0, 0])
    limits = bytes([7, 50, 60, 20, 255, 0, 98, 95, 90, 3, 5, 8, 1, 1, 0, 0, 0])
    body = owner + masks + formula + limits + bytes([0xC0 | len(name)])
    return _record(1, body + name.encode())


def compact_sensor(number: int, kind: int, name: str) -> bytes:
    """A discrete, sensor-specific one (reading type 6Fh)."""
    owner = bytes([0x20, 0, number, 10, 96 + number, 0x67, 0x40, kind, 0x6F])
    masks = bytes([0xFF, 0, 0xFF, 0, 0xFF, 0, 0xC0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    body = owner + masks + bytes([0xC0 | len(name)])
    return _record(2, body + name.encode())


def _record(kind: int, body: bytes) -> bytes:
    return bytes([0, 0, 0x51, kind, len(body)]) + body


def sel_event(at_s: int, kind: int, number: int, reading: int, data: bytes) -> bytes:
    """The 13 bytes after the record's type: time, generator, format, sensor, event."""
    return struct.pack("<I", at_s) + bytes([0x20, 0, 4, kind, number, reading]) + data


def fru_bytes() -> bytes:
    """A board and a product area, with checksums."""
    board = _area(bytes([1, 0, 25, 0, 0, 0]) + _fields("ACME", "X11 board", "BRD-0042", "PN-7", "") + b"\xc1")
    product = _area(
        bytes([1, 0, 25]) + _fields("ACME", "Rocket 9000", "PN-9", "v2", "SRV-4711", "rack-3", "") + b"\xc1"
    )
    header = bytes([1, 0, 0, 1, 1 + len(board) // 8, 0, 0])
    return header + bytes([-sum(header) & 0xFF]) + board + product


def _fields(*texts: str) -> bytes:
    return b"".join(bytes([0xC0 | len(text)]) + text.encode() for text in texts)


def _area(data: bytes) -> bytes:
    size = (len(data) + 1 + 7) // 8 * 8
    data = bytes([data[0], size // 8]) + data[2:]
    data += bytes(size - 1 - len(data))
    return data + bytes([-sum(data) & 0xFF])


#: Number, sensor type, reading, unit code: degrees C = 1, RPM = 18, watts = 6, volts = 4 (IPMI 2.0, 43.17).
SENSORS = (
    (1, 0x01, 42, 1, "CPU1 Temp", 1),
    (2, 0x04, 60, 18, "FAN1", 100),
    (3, 0x04, 0, 18, "FAN2", 100),
    (4, 0x02, 12, 4, "12V", 1),
)
SUPPLIES = ((10, 0x08, "PS1 Status", 0), (11, 0x08, "PS2 Status", 1))
EPOCH_S = 1_760_000_000
EVENTS = (
    *(sel_event(EPOCH_S + each, 0x0C, 20, 0x6F, bytes([0x20, 0xFF, 3])) for each in range(12)),
    sel_event(EPOCH_S + 60, 0x08, 11, 0x6F, bytes([0x01, 0xFF, 0xFF])),
    sel_event(EPOCH_S + 90, 0x04, 3, 0x01, bytes([0x52, 0, 5])),
)


def emulator_commands(sensors: bool, guid: str = GUID) -> str:
    """What ``ipmi_sim`` is told to be."""
    lines = [
        "mc_setbmc 0x20",
        "mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02",
        "sel_enable 0x20 1000 0x0a",
        f"mc_set_guid 0x20 {guid}",
    ]
    if sensors:
        for number, kind, value, unit, name, scale in SENSORS:
            lines += [
                f"sensor_add 0x20 0 {number} 0x{kind:02x} 0x01",
                f"sensor_set_threshold 0x20 0 {number} settable 111111 98 95 90 8 5 3",
                f"sensor_set_event_support 0x20 0 {number} enable scanning per-state"
                " 000111111111111 000111111111111 000111111111111 000111111111111",
                f"sensor_set_value 0x20 0 {number} {value} 0",
                f"main_sdr_add 0x20 {_hex(full_sensor(number, kind, unit, name, scale=scale))}",
            ]
        for number, kind, name, failed in SUPPLIES:
            lines += [
                f"sensor_add 0x20 0 {number} 0x{kind:02x} 0x6f",
                f"sensor_set_event_support 0x20 0 {number} enable scanning per-state"
                " 000111111111111 000111111111111 000111111111111 000111111111111",
                f"sensor_set_bit 0x20 0 {number} 0 1 0",
                f"sensor_set_bit 0x20 0 {number} 1 {failed} 0",
                f"main_sdr_add 0x20 {_hex(compact_sensor(number, kind, name))}",
            ]
        lines += [f"sel_add 0x20 0x02 {_hex(event)}" for event in EVENTS]
        fru = fru_bytes()
        lines.append(f"mc_add_fru_data 0x20 0 {len(fru)} data {_hex(fru)}")
    return "\n".join([*lines, "mc_enable 0x20", ""])


@contextmanager
def ipmi_sim(folder: Path, *, sensors: bool = True, count: int = 1) -> Iterator[list[Simulated]]:
    """BMCs of OpenIPMI, each a process of its own; ended by their ids."""
    assert SIM is not None
    running: list[subprocess.Popen[bytes]] = []
    made: list[Simulated] = []
    try:
        for number in range(count):
            home = folder / f"bmc{number}"
            (home / "state").mkdir(parents=True)
            (home / "power").write_text("0\n")
            (home / "boot").write_text("none\n")
            chassis = home / "chassis"
            chassis.write_text(CHASSIS.format(folder=home))
            chassis.chmod(0o755)
            port = free_port()
            methods = "none md2 md5 straight"
            rights = "".join(
                f"    allowed_auths_{each} {methods}\n" for each in ("callback", "user", "operator", "admin")
            )
            (home / "lan.conf").write_text(
                f'name "bmc{number}"\nset_working_mc 0x20\n  startlan 1\n    addr 127.0.0.1 {port}\n'
                f"    priv_limit admin\n{rights}    guid {GUID}\n  endlan\n"
                f'  chassis_control "{chassis} 0x20"\n'
                f'  user 2 true "{USER}" "{PASSWORD}" admin 10 {methods}\n'
                f'  user 3 true "watcher" "{PASSWORD}" user 10 {methods}\n'
            )
            (home / "emu").write_text(emulator_commands(sensors))
            running.append(
                subprocess.Popen(
                    [SIM, "-c", str(home / "lan.conf"), "-f", str(home / "emu"), "-s", str(home / "state"), "-n"],
                    stdin=subprocess.DEVNULL,
                    stdout=(home / "out").open("wb"),
                    stderr=subprocess.STDOUT,
                )
            )  # fmt: skip
            made.append(Simulated(port, home))
        for each in made:
            wait_for_bmc(each.port)
        yield made
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()


#: Get Channel Authentication Capabilities (IPMI 2.0, 22.13) in an RMCP packet without a session: what every BMC answers.
_KNOCK = bytes.fromhex("0600ff070000000000000000000920 18 c8 81 00 38 8e 04 b5")


def wait_for_bmc(port: int) -> None:
    """Until it answers. Raises TimeoutError."""
    deadline = time.monotonic() + TIME_LIMIT_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("127.0.0.1", port))
        while time.monotonic() < deadline:
            try:
                probe.send(_KNOCK)
                if select.select([probe], [], [], 0.2)[0]:
                    probe.recv(1000)
                    return
            except ConnectionRefusedError:
                time.sleep(0.05)
    raise TimeoutError(f"no BMC on port {port}")


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes packets and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
        taker.bind(("127.0.0.1", 0))
        yield int(taker.getsockname()[1])


@contextmanager
def relay(port: int, hold: Callable[[], None]) -> Iterator[int]:
    """A port before a BMC's; ``hold`` is called before each packet goes on to it (it may wait)."""
    stop = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as front:
        front.bind(("127.0.0.1", 0))

        def work() -> None:
            backs: dict[tuple[str, int], socket.socket] = {}
            while not stop.is_set():
                for ready in select.select([front, *backs.values()], [], [], 0.1)[0]:
                    if ready is front:
                        data, peer = front.recvfrom(4096)
                        if peer not in backs:
                            backs[peer] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                            backs[peer].connect(("127.0.0.1", port))
                        hold()
                        backs[peer].send(data)
                    else:
                        peer = next(each for each, back in backs.items() if back is ready)
                        front.sendto(ready.recv(4096), peer)
            for back in backs.values():
                back.close()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield int(front.getsockname()[1])
        finally:
            stop.set()
            thread.join()


@contextmanager
def pyghmi_bmc(folder: Path) -> Iterator[Simulated]:
    """pyghmi's own BMC class in a process of its own: another implementation of the protocol's other end."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "power").write_text("0\n")
    (folder / "boot").write_text("default\n")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("bmc_pyghmi.py")), str(port), str(folder)],
        env={**os.environ, "BMC_USER": USER, "BMC_PASSWORD": PASSWORD},
    )
    try:
        wait_for_bmc(port)
        yield Simulated(port, folder)
    finally:
        process.kill()
        process.wait()
