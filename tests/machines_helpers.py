"""What tests with booting machines share: the image, a site, and what a session holds afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ahc_server.session import Session
from ahc_server.store import Store

_CHECKOUT = Path(__file__).resolve().parent.parent
OUT = _CHECKOUT / "ramdisk" / "out"

#: How long a guest in software emulation may take from power-on to registered, on a busy machine.
BOOT_S = 150.0

_PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "dnsmasq": "dnsmasq-base", "mmdebstrap": "mmdebstrap"}


def need_machines() -> None:
    """Skip, with the reason, where no machine can be booted."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and taps")
    if not Path("/dev/net/tun").exists():
        pytest.skip("needs /dev/net/tun")
    missing = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs the Debian packages {', '.join(missing)}")


def session_of(store: Path, name: str) -> Session:
    with Store(store) as opened:
        return opened.load_session(name)


def image(flavour: str, *options: str, out: Path = OUT) -> Path:
    """The folder with ``vmlinuz`` and ``initramfs`` of a flavour, as `make ramdisk` builds it; up to date afterwards.

    ``options`` of the build, with a folder ``out`` of one's own: other tests boot the image without.
    """
    need_machines()
    if out != OUT:
        out.mkdir()
        (OUT / ".cache").mkdir(parents=True, exist_ok=True)
        (out / ".cache").symlink_to(OUT / ".cache")
    built = subprocess.run(
        [sys.executable, "-m", "ramdisk", "build", "--flavour", flavour, "--out", str(out), *options],
        cwd=_CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if built.returncode:
        pytest.fail(f"the image {flavour!r} cannot be built:\n{built.stderr[-3000:]}")
    return out / flavour
