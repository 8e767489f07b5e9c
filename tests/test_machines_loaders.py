"""Loaders between firmware and kernel, as `ahc netboot` leaves them to servers of one's own, or hands them out itself."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest

from ahc_server.netboot.readme import NO_INTERFACE
from ramdisk.machines.hardware import machine
from ramdisk.machines.site import Site, site
from ramdisk.machines.wire import BRIDGE
from tests.machines_helpers import BOOT_S, image
from tests.machines_rom import plain_rom
from tests.netboot_helpers import needs_loaders

pytestmark = [pytest.mark.root, pytest.mark.machines, pytest.mark.timeout(900)]

#: Where Debian's packages ``pxelinux`` and ``syslinux-common`` put what a BIOS loads, and what that loads first.
PXELINUX = (Path("/usr/lib/PXELINUX/pxelinux.0"), Path("/usr/lib/syslinux/modules/bios/ldlinux.c32"))


def pxelinux_site(here: Site, folder: Path) -> None:
    """What docs/netboot.md tells an operator with a DHCP and TFTP server of his own to do, with dnsmasq for both."""
    here.ahc(
        *["netboot", str(folder), "--image", str(here.images), "--server", here.endpoint, "--key", here.key],
        *["--http", here.url, "--console", "ttyS0"],
    )
    for file in PXELINUX:
        shutil.copy(file, folder)
    example = (folder / "dnsmasq.conf").read_text()
    own = re.sub(rf"(?m)^(dhcp-boot=.*|conf-file=/{NO_INTERFACE})\n", "", example).replace(
        NO_INTERFACE, BRIDGE
    )
    (folder / "own.conf").write_text(f"{own}dhcp-boot=pxelinux.0\n")
    # As root: it is to read a folder of pytest's, which is nobody else's business.
    said, child = here.start(
        ["dnsmasq", "--no-daemon", f"--conf-file={folder / 'own.conf'}", "--user=root",
         f"--dhcp-leasefile={folder / 'leases'}"]
    )  # fmt: skip
    said.wait_for("TFTP root is", child[0])


@pytest.mark.skipif(
    not all(file.exists() for file in PXELINUX),
    reason="needs the Debian packages pxelinux and syslinux-common",
)
def test_pxelinux_boots_by_the_configuration_in_the_folder(tmp_path: Path) -> None:
    with site(tmp_path, image("virtual")) as here:
        here.start_server()
        pxelinux_site(here, tmp_path / "tftp")
        guest = here.power_on(machine(1, cards=2))
        guest.wait_for("PXELINUX ", BOOT_S)
        # The person at the console has seen whom the machine will trust; the card that booted is told to the agent.
        guest.wait_for("key fingerprint ", BOOT_S)
        guest.wait_for(r"command line: .*BOOTIF=01-52-54-00-a4-00-01", BOOT_S)
        guest.wait_for("joined the server", BOOT_S)


def wait_for(text: str, said: list[str], time_limit_s: float) -> int:
    """At which line it was said."""
    deadline = time.monotonic() + time_limit_s
    while not (found := [place for place, line in enumerate(said) if text in line]):
        assert time.monotonic() < deadline, f"{text!r} never came:\n" + "\n".join(said[-20:])
        time.sleep(0.05)
    return found[0]


@needs_loaders
def test_a_bios_that_knows_no_ipxe_gets_it_and_is_not_sent_round_in_circles(tmp_path: Path) -> None:
    with site(tmp_path, image("virtual")) as here:
        here.start_server()
        netboot = here.start_netboot()
        tap = here.wire.tap()
        with plain_rom(here.wire, tap):
            guest = here.power_on(machine(1), taps=[tap])
            loader = wait_for("fetched undionly.kpxe", netboot.lines, BOOT_S)
            assert netboot.lines[loader].endswith("fetched undionly.kpxe by TFTP")
        guest.wait_for("joined the server", BOOT_S)
    assert wait_for("fetched boot.ipxe", netboot.lines, 0) > loader
    fetched = [line for line in netboot.lines if "fetched undionly.kpxe" in line]
    assert len(fetched) == 1
