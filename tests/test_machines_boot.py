"""What only a machine of its own can show: its clock, its memory, its watchdog, its stick, its end."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ramdisk.archive import pack
from ramdisk.image import Image
from ramdisk.machines.hardware import Disk, machine
from ramdisk.machines.qemu import Direct
from ramdisk.machines.site import Site, site
from tests.machines_helpers import BOOT_S, image

pytestmark = [pytest.mark.root, pytest.mark.machines, pytest.mark.timeout(900)]

#: What harms waits so long (seconds) after the agent has joined, and knows its process.
_JOINED = """\
exec >/dev/ttyS0 2>&1
until busybox netstat -tn | busybox grep -q ':5570.*ESTABLISHED'; do busybox sleep 1; done
busybox sleep {seconds}
for agent in $(busybox pidof python3); do :; done
"""

#: Beside the agent: the clock stands long before the image's date when it starts (the kernel takes no time before its own start);
#: later the memory is eaten, and then the agent is held.
_TABLE = """\
::sysinit:/bin/busybox date -u -s 1971-01-01
::respawn:/usr/bin/python3 -I -m ahc_agent.boot
::once:/bin/busybox sh /etc/harm
"""
_HARM = """\
echo "TEST memory $(busybox grep VmRSS /proc/$agent/status)"
busybox tail /dev/zero
busybox kill -0 $agent && echo "TEST the agent lives"
busybox kill -STOP $agent
"""


#: The agent is held as soon as the machine's own watchdog is armed; the kernel's is not there.
_HOLD_TABLE = """\
::respawn:/usr/bin/python3 -I -m ahc_agent.boot
::once:/bin/busybox sh /etc/harm
"""
_HOLD = """\
echo "TEST the agent is held"
busybox kill -STOP $agent
"""


def _harmed(here: Site, folder: Path, table: str, harm: str, arguments: str = "panic=5") -> Direct:
    """The image with one more archive behind it: the kernel unpacks any number."""
    more = Image()
    more.data("etc/inittab", table.encode(), "agent")
    more.data("etc/harm", harm.encode(), "agent")
    pack(more, folder / "more", modified_unix_s=0, level=1)
    told = here.direct(arguments)
    both = folder / "initramfs"
    both.write_bytes(told.initramfs.read_bytes() + (folder / "more").read_bytes())
    return Direct(told.kernel, both, told.arguments)


def test_clock_memory_and_a_hung_agent_are_got_over(tmp_path: Path) -> None:
    with site(tmp_path, image("virtual")) as here:
        here.start_server()
        here.start_netboot()
        guest = here.power_on(
            machine(1, cards=2), direct=_harmed(here, tmp_path, _TABLE, _JOINED.format(seconds=3) + _HARM)
        )
        guest.wait_for("trouble .*the clock stood before this image was made", BOOT_S)
        guest.wait_for("hardware .*watchdog: Software Watchdog resets this machine after 60 s", BOOT_S)
        guest.wait_for("joined the server", BOOT_S)
        guest.wait_for("server .*the clock was wrong; by the server it is 20", BOOT_S)
        for card in ("eth0", "eth1"):
            guest.wait_for(rf"network .*{card} .*: address ", BOOT_S)
        guest.wait_for("Out of memory: Killed process .*busybox", BOOT_S)
        held = guest.wait_for("TEST the agent lives", BOOT_S)
        guest.wait_for("softdog: Initiating system reboot", BOOT_S, after_s=held.at_s)
        guest.wait_for("joined the server", BOOT_S, after_s=held.at_s)


def test_a_machine_is_reset_by_its_own_watchdog(tmp_path: Path) -> None:
    with site(tmp_path, image("full")) as here:
        here.start_server()
        here.start_netboot()
        harmed = _harmed(
            here,
            tmp_path,
            _HOLD_TABLE,
            _JOINED.format(seconds=10) + _HOLD,
            "module_blacklist=softdog,iTCO_wdt",
        )
        guest = here.power_on(machine(1, watchdog=True), direct=harmed)
        guest.wait_for("trouble .*no watchdog: modprobe: ", BOOT_S)
        guest.wait_for("hardware .*watchdog: i6300ESB timer resets this machine after 60 s", BOOT_S)
        held = guest.wait_for("TEST the agent is held", BOOT_S)
        guest.wait_for("joined the server", 2 * BOOT_S, after_s=held.at_s)


def test_a_machine_without_server_and_network_leaves_its_result_on_a_stick(tmp_path: Path) -> None:
    with site(tmp_path, image("virtual")) as here:
        alone = machine(1, cards=0, disks=(Disk("STICK", 64), Disk("DATA", 64)))
        (tmp_path / alone.name).mkdir()
        stick = tmp_path / alone.name / "disk0.raw"
        with stick.open("wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.vfat", "-n", "AHCEXPORT", stick], check=True, capture_output=True, timeout=60)
        plain = here.direct()
        words = "console=ttyS0 ahc.plan=quick ahc.session=alone ahc.onsuccess=poweroff"
        guest = here.power_on(alone, direct=Direct(plain.kernel, plain.initramfs, words))
        guest.wait_for(r"done .*the result .* is in AHC0001\.json on /dev/vda", 2 * BOOT_S)
        guest.wait_for_end(30)
        read = subprocess.run(
            ["mcopy", "-i", stick, "::AHC0001.json", "-"], check=True, capture_output=True, timeout=60
        )
        result = tmp_path / "AHC0001.json"
        result.write_bytes(read.stdout)
        told = json.loads(read.stdout)
        assert (told["plan"], told["session"]) == ("quick", "alone")
        assert {each["component"] for each in told["measurements"] if each["value"]} == {
            "cpu",
            "memory",
            "disk",
        }
        here.ahc("import", str(result), "--session", "alone")
