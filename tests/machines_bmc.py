"""A BMC outside a QEMU machine: one ``ipmi_sim`` that operators reach over LAN and the guest through ``/dev/ipmi0``, and that
switches the machine's power."""

from __future__ import annotations

import dataclasses
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ramdisk.machines.guest import Guest
from ramdisk.machines.hardware import Bmc, Machine
from ramdisk.machines.site import Site
from tests.bmc_helpers import CHASSIS, PASSWORD, SIM, USER, emulator_commands

_LOOK_S = 0.05


class Managed:
    """A machine behind a BMC. Ports are of the wire's own loopback, so they collide with nothing."""

    def __init__(self, site: Site, machine: Machine, number: int) -> None:
        self.lan_port, self.serial_port = 16_230 + number, 19_000 + number
        self.machine = dataclasses.replace(machine, bmc=Bmc(self.serial_port))
        self.guest: Guest | None = None
        self._site = site
        self.home = site.folder / f"bmc-{machine.name}"
        self._taps: list[str] | None = None
        self._over = threading.Event()
        self._switch = threading.Thread(target=self._follow, daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.lan_port}"

    def start(self) -> subprocess.Popen[bytes]:
        """The simulator; the machine is off."""
        assert SIM is not None
        (self.home / "state").mkdir(parents=True)
        (self.home / "power").write_text("0\n")
        (self.home / "boot").write_text("none\n")
        chassis = self.home / "chassis"
        chassis.write_text(CHASSIS.format(folder=self.home))
        chassis.chmod(0o755)
        methods = "none md2 md5 straight"
        rights = "".join(
            f"    allowed_auths_{each} {methods}\n" for each in ("callback", "user", "operator", "admin")
        )
        guid = self.machine.uuid.replace("-", "")
        (self.home / "lan.conf").write_text(
            f'name "{self.machine.name}"\nset_working_mc 0x20\n  startlan 1\n    addr 127.0.0.1 {self.lan_port}\n'
            f"    priv_limit admin\n{rights}    guid {guid}\n  endlan\n"
            f"  serial 15 127.0.0.1 {self.serial_port} codec VM\n"
            f'  chassis_control "{chassis} 0x20"\n'
            f'  user 2 true "{USER}" "{PASSWORD}" admin 10 {methods}\n'
        )
        (self.home / "emu").write_text(emulator_commands(sensors=True, guid=guid))
        process = subprocess.Popen(
            [*self._site.wire.inside(), SIM, "-c", str(self.home / "lan.conf"), "-f", str(self.home / "emu"),
             "-s", str(self.home / "state"), "-n"],
            stdin=subprocess.DEVNULL, stdout=(self.home / "out").open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._switch.start()
        return process

    def stop(self) -> None:
        self._over.set()
        self._switch.join()

    def _follow(self) -> None:
        """Do to the machine what the BMC was told. Guests die with the thread that started them: it lives until the end."""
        while not self._over.wait(_LOOK_S):
            on = (self.home / "power").read_text().strip() == "1"
            if self.guest is not None and not self.guest.running:
                self.guest = None
                (self.home / "power").write_text("0\n")
            elif on and self.guest is None:
                network = (self.home / "boot").read_text().strip() == "pxe"
                machine = dataclasses.replace(self.machine, network_boot=network)
                self.guest = self._site.power_on(machine, taps=self._taps)
                self._taps = self.guest.taps
            elif not on and self.guest is not None:
                self.guest.kill()
                self.guest = None


@contextmanager
def managed(site: Site, *machines: Machine) -> Iterator[list[Managed]]:
    """Machines behind BMCs, all of them off."""
    made = [Managed(site, machine, number) for number, machine in enumerate(machines)]
    running = [each.start() for each in made]
    try:
        yield made
    finally:
        for each in made:
            each.stop()
        for process in running:
            process.kill()
            process.wait()
