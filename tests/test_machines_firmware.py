"""`ahc netboot` and real firmware: UEFI that knows no iPXE, by TFTP and by HTTP; an iPXE that does not trust the signer."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ahc_server.lab import processes
from ramdisk.machines.hardware import machine as hardware
from ramdisk.machines.site import Site, site
from tests.machines_helpers import BOOT_S, image
from tests.netboot_helpers import MAY_SIGN, signer

pytestmark = [pytest.mark.root, pytest.mark.machines, pytest.mark.timeout(900)]

CODE, VARIABLES = (Path(f"/usr/share/OVMF/OVMF_{part}_4M.fd") for part in ("CODE", "VARS"))
LOADER = Path("/usr/lib/ipxe/ipxe.efi")
needs_uefi = pytest.mark.skipif(
    not (CODE.exists() and LOADER.exists()), reason="needs the Debian packages ovmf and ipxe"
)
MAC = "52:54:00:aa:bb:01"
#: The firmware's switches (OvmfPkg/README): without PXE it boots by HTTP.
HTTP_ONLY = [
    word
    for family in ("IPv4", "IPv6")
    for word in ("-fw_cfg", f"name=opt/org.tianocore/{family}PXESupport,string=no")
]


@contextlib.contextmanager
def machine(here: Site, folder: Path, *options: str) -> Iterator[processes.Child]:
    """A machine with one card, whose serial console is ``folder/console``."""
    argv = [
        *[
            "qemu-system-x86_64",
            "-accel",
            "tcg",
            "-machine",
            "q35",
            "-cpu",
            "max",
            "-m",
            "1024",
            "-no-user-config",
        ],
        *[
            "-display",
            "none",
            "-vga",
            "none",
            "-serial",
            f"file:{folder / 'console'}",
            "-device",
            "virtio-rng-pci",
        ],
        *["-netdev", f"tap,id=net0,ifname={here.wire.tap()},script=no,downscript=no"],
        *options,
    ]
    with (folder / "qemu.log").open("wb") as log:
        child = processes.start(
            argv,
            "ahc-firmware-test",
            place=processes.Place(network=here.wire.space),
            stdout=log.fileno(),
            stderr=log.fileno(),
        )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def wait_for(text: str, said: list[str], time_limit_s: float) -> str:
    deadline = time.monotonic() + time_limit_s
    while not (found := [line for line in said if text in line]):
        assert time.monotonic() < deadline, f"{text!r} never came:\n" + "\n".join(said[-20:])
        time.sleep(0.2)
    return found[0]


def uefi(folder: Path) -> list[str]:
    """UEFI whose own driver has the card (no iPXE in the card's ROM)."""
    shutil.copyfile(VARIABLES, folder / "variables.fd")
    return [
        *["-drive", f"if=pflash,format=raw,readonly=on,file={CODE}"],
        *["-drive", f"if=pflash,format=raw,file={folder / 'variables.fd'}"],
        *["-device", f"virtio-net-pci,netdev=net0,mac={MAC},romfile=,bootindex=1"],
    ]


@needs_uefi
@pytest.mark.parametrize(("switches", "by"), [([], " by TFTP"), (HTTP_ONLY, " s)")], ids=["pxe", "http"])
def test_uefi_without_ipxe_gets_it_and_then_the_ramdisk(tmp_path: Path, switches: list[str], by: str) -> None:
    with site(tmp_path, image("virtual")) as here:
        here.start_server()
        netboot = here.start_netboot()
        with machine(here, tmp_path, *uefi(tmp_path), *switches):
            line = wait_for("fetched ipxe.efi", netboot.lines, BOOT_S)
            assert line.endswith(by) and ("TFTP" in line) == (not switches)
            wait_for("fetched initramfs", netboot.lines, BOOT_S)
            console = tmp_path / "console"
            deadline = time.monotonic() + BOOT_S
            while b"joined the server" not in console.read_bytes():
                assert time.monotonic() < deadline, console.read_text(errors="replace")[-3000:]
                time.sleep(0.5)
        # The person at the console has seen whom the machine will trust.
        assert f"key fingerprint {fingerprint_of(here)}".encode() in console.read_bytes()


def fingerprint_of(here: Site) -> str:
    from ahc_agent.wire.keys import fingerprint

    return fingerprint(here.key)


def test_an_ipxe_that_does_not_trust_the_signer_starts_nothing_and_says_so(tmp_path: Path) -> None:
    with site(tmp_path, image("virtual")) as here:
        here.start_server()
        netboot = here.start_netboot("--sign", str(signer(tmp_path, *MAY_SIGN)))
        guest = here.power_on(hardware(1))
        guest.wait_for("nothing is started. The image is not signed by", BOOT_S)
    assert not [line for line in netboot.lines if "fetched vmlinuz" in line]
