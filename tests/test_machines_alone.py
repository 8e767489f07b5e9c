"""A machine that joins nobody: it fetches its plan, measures, sends the result by HTTP, and switches itself off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ahc_agent.wire.tasks import read_tasks
from ramdisk.machines.hardware import Disk, machine
from ramdisk.machines.site import site
from tests.machines_helpers import BOOT_S, image

pytestmark = [pytest.mark.root, pytest.mark.machines, pytest.mark.timeout(900)]

_ALONE = ("--plan", "quick", "--upload", "--arg", "ahc.onsuccess=poweroff")


def test_its_result_arrives_and_is_imported(tmp_path: Path) -> None:
    with site(tmp_path, image("virtual")) as here:
        here.start_server()  # makes a key; nobody joins
        netboot = here.start_netboot(*_ALONE)
        hardware = machine(1, disks=(Disk("ALONE1", 64),))
        guest = here.power_on(hardware)
        guest.wait_for("work .*plan quick", BOOT_S)
        guest.wait_for_end(BOOT_S)
        uploads = here.folder / "netboot" / "uploads"
        (result,) = uploads.glob("*.json")
        assert any(f"kept as {result.name}" in line for line in netboot.lines)
        jobs = read_tasks((here.folder / "netboot" / "plan.json").read_bytes(), "plan").tasks
        told = json.loads(result.read_text())
        assert {each["component"] for each in told["measurements"]} == {"cpu", "memory", "disk"}
        assert len(jobs) == 5 and all(each["value"] is not None for each in told["measurements"])
        here.ahc("import", str(uploads), "--session", "alone")
        report = json.loads(here.ahc("report", "--session", "alone", "--format", "json").stdout)
        assert [node["id"] for node in report["nodes"]] == [hardware.serial]
