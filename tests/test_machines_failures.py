"""What goes wrong in a machine room: the server comes late, is killed in the middle, and a machine dies under way."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ramdisk.machines.hardware import Disk, machine
from ramdisk.machines.qemu import Direct
from ramdisk.machines.site import Site, site
from tests.machines_helpers import BOOT_S, image, session_of

pytestmark = [pytest.mark.root, pytest.mark.machines, pytest.mark.timeout(900)]

_LONG_PLAN = """\
name: long
jobs:
  inventory:
    component: inventory
  disk:
    component: storage
    mode: random
    access: read
    block-size: 4K
    runtime: 15
    simultaneous: true
"""


def _run_beside(here: Site, plan: Path, session: str, nodes: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*[sys.executable, "-m", "ahc_server", "--store", str(here.store)],
         *["run", str(plan), "--session", session, "--nodes", str(nodes)]],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _wait_until(what: str, time_limit_s: float, done: object) -> None:
    assert callable(done)
    deadline = time.monotonic() + time_limit_s
    while not done():
        assert time.monotonic() < deadline, f"{what}: not within {time_limit_s:g} s"
        time.sleep(0.2)


def test_a_machine_that_boots_before_the_server_joins_when_it_comes(tmp_path: Path) -> None:
    with site(tmp_path, image("virtual")) as here:
        here.start_server()  # makes the key that the boot script needs
        here.kill_server()
        here.start_netboot()
        guest = here.power_on(machine(1))
        said = guest.wait_for(r"trouble .*no server at", BOOT_S)
        here.start_server()
        guest.wait_for("joined the server", BOOT_S, after_s=said.at_s)


def test_a_machine_that_got_half_an_image_starts_anew_until_it_gets_a_whole_one(tmp_path: Path) -> None:
    with site(tmp_path, image("virtual")) as here:
        here.start_server()
        here.start_netboot("--arg", "panic=3")
        served = tmp_path / "netboot" / "initramfs"
        whole = served.read_bytes()
        served.write_bytes(whole[: len(whole) // 2])
        guest = here.power_on(machine(1))
        # No agent has started that could have told the kernel what to do.
        said = guest.wait_for("Kernel panic - not syncing", BOOT_S)
        assert "the agent follows" not in guest.text
        served.write_bytes(whole)
        guest.wait_for("joined the server", 2 * BOOT_S, after_s=said.at_s)


def test_a_kernel_with_the_image_of_another_build_says_so_and_starts_anew(tmp_path: Path) -> None:
    here, other = image("virtual"), image("full")
    with site(tmp_path, here) as place:
        place.start_server()
        told = place.direct()
        guest = place.power_on(machine(1), direct=Direct(other / "vmlinuz", told.initramfs, told.arguments))
        said = guest.wait_for("was started with an image that has drivers for .*cloud-amd64 only", BOOT_S)
        guest.wait_for("done .*the machine starts anew now", BOOT_S, after_s=said.at_s)
        guest.wait_for("was started with an image that has drivers for", BOOT_S, after_s=said.at_s + 1)
        assert "joined the server" not in guest.text


def test_a_server_that_is_killed_and_a_machine_that_dies_in_the_middle_cost_nothing_else(
    tmp_path: Path,
) -> None:
    plan = tmp_path / "long.yaml"
    plan.write_text(_LONG_PLAN)
    fleet = [machine(number, disks=(Disk(f"DISK{number}", 128, iops_limit=500),)) for number in (1, 2, 3)]
    with site(tmp_path, image("virtual")) as here:
        here.start_server("--heartbeat", "2")
        here.start_netboot()
        guests = [here.power_on(each) for each in fleet]
        for guest in guests:
            guest.wait_for("joined the server", 2 * BOOT_S)
        run = _run_beside(here, plan, "killed", len(fleet))
        try:
            begun = guests[0].wait_for(r"work .*disk", BOOT_S)
            here.kill_server()
            guests[2].kill()
            here.start_server("--heartbeat", "2")
            guests[0].wait_for("is back with the server", BOOT_S, after_s=begun.at_s)
            _wait_until("the plan's end", 240, lambda: run.poll() is not None)
        finally:
            run.kill()
            run.communicate()
        session = session_of(here.store, "killed")
        report = json.loads(here.ahc("report", "--session", "killed", "--format", "json").stdout)

    measured = {
        each.machine for each in session.outcomes if each.job == "disk" and each.outcome.status == "ok"
    }
    survivors = {each.machine for each in session.nodes if each.node != fleet[2].serial}
    assert measured == survivors
    verdicts = {each["id"]: each["verdict"] for each in report["nodes"]}
    assert verdicts[fleet[2].serial] != "pass"
