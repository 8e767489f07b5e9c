"""One machine from power-on to registered: through every stage, and where the time goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramdisk.machines.hardware import machine
from ramdisk.machines.site import site
from ramdisk.machines.stages import ENDS, stages, table
from tests.machines_helpers import BOOT_S, image

pytestmark = [pytest.mark.root, pytest.mark.machines, pytest.mark.timeout(900)]


def test_power_on_to_registered_goes_through_every_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with site(tmp_path, image("virtual")) as here:
        here.start_server()
        netboot = here.start_netboot()
        guest = here.power_on(machine(1))
        guest.wait_for("joined the server", BOOT_S)
        boot = stages(guest.lines, guest.started_at_s)
        agents = here.ahc("release", "--all", "--then", "poweroff")
        guest.wait_for_end(BOOT_S)

    assert [stage.name for stage in boot] == [name for name, _ in ENDS]
    assert all(stage.duration_s >= 0 for stage in boot)
    assert any("fetched initramfs" in line for line in netboot.lines)
    assert guest.machine.serial in agents.stdout
    with capsys.disabled():
        print(f"\n{table([boot])}")
