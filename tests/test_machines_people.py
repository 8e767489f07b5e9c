"""A person at a machine: over SSH where the image was built for it, at the serial console, and after the kernel's panic."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramdisk.machines.guest import Guest
from ramdisk.machines.hardware import machine
from ramdisk.machines.qemu import Direct
from ramdisk.machines.site import Site, site
from tests.machines_helpers import BOOT_S, image
from tests.netboot_helpers import tool

pytestmark = [
    *[pytest.mark.root, pytest.mark.machines, pytest.mark.timeout(900)],
    pytest.mark.skipif(shutil.which("ssh") is None, reason="needs the Debian package openssh-client"),
]

_ADDRESS = r"network .*eth0 .*: address ([0-9.]+)/"
#: Nobody has seen the key of a host that was made a minute ago.
_SSH = (
    *("ssh", "-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
    *("-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=30", "-o", "NumberOfPasswordPrompts=1"),
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("people"), image("virtual")) as one:
        one.start_server()
        one.start_netboot()
        yield one


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key that the image knows, and one that it does not."""
    folder = tmp_path_factory.mktemp("keys")
    pair = (folder / "known", folder / "strange")
    for path in pair:
        tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path))
    return pair


def address_of(guest: Guest) -> str:
    found = re.search(_ADDRESS, guest.wait_for(_ADDRESS, BOOT_S).text)
    assert found is not None
    return found[1]


def ssh(
    here: Site, address: str, *options: str, command: str = "true", time_limit_s: float = 120
) -> subprocess.CompletedProcess[str]:
    argv = [*here.wire.inside(), *_SSH, *options, f"root@{address}", command]
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=time_limit_s, check=False
    )


def test_only_the_key_s_owner_gets_in_and_a_panic_starts_the_machine_anew(
    here: Site, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    known, strange = keys
    images = image("virtual", "--ssh-key", f"{known}.pub", out=tmp_path / "out")
    told = here.direct("ahc.onsuccess=halt")
    guest = here.power_on(machine(1), direct=Direct(images / "vmlinuz", images / "initramfs", told.arguments))
    guest.wait_for("joined the server", BOOT_S)
    address = address_of(guest)

    said = ssh(here, address, "-i", str(known), command="cat /proc/sys/kernel/panic; id -u")
    assert said.stdout.split() == ["30", "0"], said.stderr
    for options in (
        ["-i", str(strange)],
        ["-i", str(strange), "-o", "PreferredAuthentications=password,keyboard-interactive"],
    ):
        refused = ssh(here, address, *options)
        # The server names in parentheses what it would take.
        assert refused.returncode == 255 and "Permission denied (publickey)." in refused.stderr, refused

    panic = "echo 3 >/proc/sys/kernel/panic; (sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &"
    assert ssh(here, address, "-i", str(known), command=panic).returncode == 0
    guest.wait_for("Kernel panic - not syncing: sysrq triggered crash", BOOT_S)
    anew = guest.wait_for(r"Rebooting in 3 seconds", BOOT_S)
    guest.wait_for("joined the server", BOOT_S, after_s=anew.at_s)

    here.ahc("release", guest.machine.serial)
    guest.wait_for("done .*the machine is halted now", BOOT_S)
    guest.wait_for("reboot: System halted", BOOT_S)
    assert guest.running, "halted is not switched off"
    guest.kill()


def test_a_shell_on_the_serial_console_and_nothing_that_listens(here: Site) -> None:
    guest = here.power_on(machine(2), direct=here.direct("ahc.onsuccess=shell", "panic=7"))
    guest.wait_for("joined the server", BOOT_S)
    refused = ssh(here, address_of(guest))
    assert "Connection refused" in refused.stderr

    here.ahc("release", guest.machine.serial)
    begun = guest.wait_for("done .*a shell is on this console", BOOT_S)
    guest.type("busybox netstat -lntu; echo $((6 * 7)) is the answer")
    guest.wait_for("42 is the answer", BOOT_S, after_s=begun.at_s)
    # UDP 68: nothing is asked of DHCP any more either.
    listed = [line.text for line in guest.lines if re.match(r"(tcp|udp)\b", line.text)]
    assert listed == []

    # Ctrl-C ends a command, and init has not started the agent beside the shell.
    guest.type("sleep 1000")
    time.sleep(3)
    guest.type("\x03")
    guest.type("busybox pidof python3 || echo nobody else is here")
    guest.wait_for("^nobody else is here", BOOT_S, after_s=begun.at_s)
    guest.type("echo panic=$(cat /proc/sys/kernel/panic)")
    guest.wait_for("^panic=7", BOOT_S, after_s=begun.at_s)  # as the kernel was told
    guest.type("exit")
    guest.wait_for("boot .*the shell has ended; the agent begins again", BOOT_S)
    guest.wait_for("joined the server", BOOT_S, after_s=begun.at_s)
    assert "trouble" not in guest.text, "all of this was on purpose"
    guest.kill()
