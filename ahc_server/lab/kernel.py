"""The few system calls that Python 3.11 has no name for: namespaces, mounts, death signals, loop devices.

Sources: unshare(2), setns(2), mount(2), prctl(2), loop(4), ``linux/loop.h``.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import struct
import threading
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000

_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18
_PR_SET_PDEATHSIG = 1

_LOOP_CONFIGURE = 0x4C0A
_LOOP_CTL_GET_FREE = 0x4C82
_LO_FLAGS_AUTOCLEAR = 4
_LO_FLAGS_DIRECT_IO = 16
#: ``struct loop_config``: fd, block size, ``struct loop_info64`` , eight reserved u64.
_LOOP_CONFIG = struct.Struct("=II 5Q4I64s64s32s2Q 8Q")
#: 4 KiB sectors: direct I/O then works on every file system below, whatever its own alignment is.
_LOOP_BLOCK_BYTES = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces. Raises OSError."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def set_namespace(descriptor: int, kind: int) -> None:
    """Move the calling thread into the namespace behind an open descriptor. Raises OSError."""
    _check(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def private_mounts() -> None:
    """Keep what this mount namespace mounts to itself. Raises OSError.

    Below a changed root (chroot) ``/`` is no mount point and cannot be told so; then it is ``/sys``, the only place where
    the lab mounts anything.
    """
    try:
        _make_private(b"/")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _make_private(b"/sys")


def _make_private(mount_point: bytes) -> None:
    result = _libc.mount(b"none", mount_point, None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None)
    _check(result, f"mount --make-rprivate {mount_point.decode()}")


def mount_sysfs() -> None:
    """Mount a fresh ``/sys``: it shows the network cards of the caller's network namespace. Raises OSError."""
    _check(_libc.mount(b"sysfs", b"/sys", b"sysfs", ctypes.c_ulong(0), None), "mount sysfs")


def die_with_parent(parent: int) -> None:
    """Ask for SIGKILL when the parent thread ends; end at once where the parent has gone already."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:
        os._exit(1)


def new_network_namespace() -> int:
    """An open descriptor of a network namespace without a name.

    The kernel removes the namespace, and every interface in it, when the last descriptor is closed and the last process in
    it has ended: nothing is left to clean up, however the lab ends. Raises OSError.
    """
    outcome: list[int | OSError] = []

    def make() -> None:
        try:
            unshare(CLONE_NEWNET)
            outcome.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            outcome.append(error)

    # Namespaces belong to threads: a thread of its own leaves everybody else where they are.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    made = outcome[0]
    if isinstance(made, OSError):
        raise made
    return made


def attach_loop_device(backing: Path) -> tuple[int, str]:
    """Attach a file to a free loop device, with direct I/O; returns an open descriptor and the device's path.

    The device detaches itself when its last descriptor is closed (LO_FLAGS_AUTOCLEAR), set in the same call that attaches
    it: there is no moment at which a killed lab would leave one behind. Raises OSError.
    """
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    file = os.open(backing, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(64):
            path = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, _loop_config(file, backing))
            except OSError as error:
                os.close(device)
                # Somebody else took the free device in between: ask for the next.
                if error.errno != errno.EBUSY:
                    raise
            else:
                return device, path
        raise OSError(errno.EBUSY, "no free loop device")
    finally:
        os.close(file)
        os.close(control)


def _loop_config(file: int, backing: Path) -> bytes:
    name = os.fsencode(backing)[:63]
    flags = _LO_FLAGS_AUTOCLEAR | _LO_FLAGS_DIRECT_IO
    return _LOOP_CONFIG.pack(
        file, _LOOP_BLOCK_BYTES, 0, 0, 0, 0, 0, 0, 0, 0, flags, name, b"", b"", 0, 0, *([0] * 8)
    )
