"""Cold-plug without udev: kernel modules by the names under which devices announce themselves (``modalias`` in sysfs).

A bus's devices appear when its driver is there (virtio's after ``virtio_pci``), and disks when their adapter has looked for
them, so one look is not enough: ``HotPlug`` hears of each device that comes later (``NETLINK_KOBJECT_UEVENT``, netlink(7)).
"""

from __future__ import annotations

import os
import re
import select
import socket
from collections.abc import Iterable
from pathlib import Path

from ahc_agent.errors import ProgramError
from ahc_agent.programs import run

_DEVICES = Path("/sys/devices")
#: A driver that looks for the disks of a large storage network takes minutes.
_TIME_LIMIT_S = 300.0
#: No names lead to these, and they make devices that the inventory reads.
UNANNOUNCED = ("af_packet", "ipmi_si", "ipmi_ssif", "ipmi_devintf")
#: Devices that are of use by a module of which they do not tell: IP over InfiniBand makes the network cards ib0, ib1, …
_BY_KIND = {b"infiniband": "ib_ipoib"}
_NETLINK_KOBJECT_UEVENT = 15
#: Network cards (PCI class 02), and virtio, whose cards appear behind it.
_FIRST = re.compile(r"bc02|^virtio|v00001AF4")
#: Words per call, so that a list of arguments fits.
_AT_ONCE = 1000


def announced(root: Path = _DEVICES) -> set[str]:
    """The names of all devices that are there now."""
    names = set()
    for folder, _, files in os.walk(root):
        for file in ("modalias",) if "modalias" in files else ():
            try:
                name = (Path(folder) / file).read_text(errors="replace").strip()
            except OSError:
                continue  # it went away, or does not tell
            if name:
                names.add(name)
    return names


def load(names: Iterable[str], more: Iterable[str] = ()) -> list[str]:
    """Load the modules that belong to names, those of network cards first; then those of ``more``, which may not be there.

    Answers with what went wrong, as sentences; a name without a module is no mistake.
    """
    wanted = [*sorted(names, key=lambda name: (not _FIRST.search(name), name)), *more]
    wrong: list[str] = []
    for start in range(0, len(wanted), _AT_ONCE):
        try:
            done = run(
                ["modprobe", "-a", "-b", "-q", "--", *wanted[start : start + _AT_ONCE]],
                time_limit_s=_TIME_LIMIT_S,
                ok_statuses=None,
            )
            wrong += done.stderr.decode("utf-8", "replace").splitlines()
        except ProgramError as error:
            wrong.append(str(error))
    told = [line.removeprefix("modprobe: ").removeprefix("ERROR: ").strip() for line in wrong]
    return [line for line in told if line and not line.endswith("No such device")]


class HotPlug:
    """The names of devices that appear from now on."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_KOBJECT_UEVENT)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind((0, 1))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def wait(self) -> None:
        """Until there is something."""
        select.select([self], [], [])

    def heard(self) -> set[str]:
        """Since the last look. A look at everything where the kernel had more to say than fits."""
        names: set[str] = set()
        while True:
            try:
                message, sender = self._socket.recvfrom(65536)
            except BlockingIOError:
                return names
            except OSError:
                return names | announced()
            if sender[0] == 0:  # from the kernel, not from another program
                names |= alias_of(message)

    def close(self) -> None:
        self._socket.close()


def alias_of(event: bytes) -> set[str]:
    """The name in an event of the kernel ("add@/devices/…", then ``NAME=VALUE``, each ended by a zero), and the module that goes
    with its kind; none but of new devices."""
    words = event.split(b"\0")
    if b"ACTION=add" not in words:
        return set()
    names = {word[9:].decode("utf-8", "replace") for word in words if word.startswith(b"MODALIAS=")}
    return names | {module for kind, module in _BY_KIND.items() if b"SUBSYSTEM=" + kind in words}
