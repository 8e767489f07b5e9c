"""`ahc discover` powers machines on through their BMCs, and each machine that joins is the one whose BMC was asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ramdisk.machines.hardware import machine
from ramdisk.machines.site import site
from tests.bmc_helpers import PASSWORD, SIM, USER
from tests.machines_bmc import managed
from tests.machines_helpers import BOOT_S, image, session_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.machines,
    pytest.mark.timeout(900),
    pytest.mark.skipif(SIM is None, reason="needs OpenIPMI's ipmi_sim (Debian: openipmi)"),
]

_LOOK = "name: look\njobs:\n  inventory:\n    component: inventory\n"


def test_power_on_by_ipmi_brings_the_machine_and_its_bmc_together(tmp_path: Path) -> None:
    plan, nodes = tmp_path / "look.yaml", tmp_path / "nodes.json"
    plan.write_text(_LOOK)
    with site(tmp_path, image("full")) as here, managed(here, machine(1), machine(2)) as [one, other]:
        here.start_server()
        here.start_netboot()
        login = {"pm_type": "ipmi", "pm_user": USER, "pm_password": PASSWORD}
        nodes.write_text(
            json.dumps(
                [
                    {"name": "rack1-1", "pm_addr": one.address, "mac": [one.machine.cards[0].mac], **login},
                    # Swapped on paper: this BMC is not the one of the machine with that serial number.
                    {
                        "name": "rack1-2",
                        "pm_addr": other.address,
                        "uuid": other.machine.uuid,
                        "serial": "SN-WRONG",
                        **login,
                    },
                ]
            )
        )
        nodes.chmod(0o600)
        said = here.ahc(
            *["discover", str(nodes), "--wait", str(2 * BOOT_S), "--format", "json"],
            time_limit_s=3 * BOOT_S, ok=(1,), inside=True,
        )  # fmt: skip
        here.ahc("run", str(plan), "--session", "look", "--nodes", "2")
        session = session_of(here.store, "look")

    first, second = json.loads(said.stdout)["nodes"]
    assert (first["node"], first["outcome"]) == ("rack1-1", "joined")
    assert one.machine.uuid in first["machine"]
    assert second["outcome"] == "another"
    assert "SN-WRONG" in second["why"]
    assert PASSWORD not in said.stdout + said.stderr
    # The guest sees the very BMC that was asked from outside.
    assert all(node.inventory is not None and node.inventory.bmc is not None for node in session.nodes)
