"""The hooks for Ironic against a real one, through the real client: what they say is what Ironic then says of the node."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ahc_server.gate.hooks import quarantine, read_hook
from tests.gate_helpers import ask, finding, passed, whole
from tests.ironic_helpers import ABSENT, running_ironic
from tests.judge_helpers import Fleet

BAREMETAL = Path(sys.executable).parent / "baremetal"
pytestmark = [
    pytest.mark.skipif(ABSENT is not None, reason=ABSENT or ""),
    pytest.mark.skipif(not BAREMETAL.exists(), reason="python-ironicclient is not installed"),
    # openstacksdk warns of its own parts.
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


@pytest.fixture(scope="module")
def ironic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A connection, while Ironic runs; its node n3 is manageable."""
    import openstack

    with running_ironic(tmp_path_factory.mktemp("ironic")) as url, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("OS_")]:
            patch.delenv(name)
        patch.setenv("OS_AUTH_TYPE", "none")
        patch.setenv("OS_ENDPOINT", url)
        patch.setenv("PATH", f"{BAREMETAL.parent}:{os.environ['PATH']}")
        connection = openstack.connect(app_name="ahc-test")
        connection.baremetal.create_node(name="n3", driver="fake-hardware", provision_state="enroll")
        connection.baremetal.set_node_provision_state("n3", "manage", wait=True, timeout=120)
        yield connection


def run(hook: str, node: str = "n3") -> list[str]:
    gate = ask(passed(whole(Fleet(4).benchmarks()), [finding(node)]))
    return [*quarantine(gate, [read_hook(hook)], {}, apply=True)]


def test_a_node_is_put_into_maintenance_once_with_the_reason(ironic: Any) -> None:
    [first], [second] = run("ironic-maintenance"), run("ironic-maintenance")
    assert first.startswith("n3: ran baremetal node maintenance set n3") and "NOT" not in first
    assert second == "n3: ironic-maintenance: done already"
    node = ironic.baremetal.get_node("n3")
    assert (node.is_maintenance, node.maintenance_reason) == (True, "AHC gate: n3: disk sda −40 %")
    ironic.baremetal.unset_node_maintenance("n3")


def test_a_hold_that_ironic_takes_and_drops_is_not_told_as_done(ironic: Any) -> None:
    """With fake hardware no ramdisk ever comes that the hold could keep: the node is manageable again at once."""
    [told] = run("ironic-hold")
    assert told.startswith("n3: ran baremetal node clean n3 --clean-steps")
    held = ironic.baremetal.get_node("n3").provision_state == "clean hold"
    assert ("NOT so yet" in told) != held


def test_a_node_that_ironic_does_not_know_is_named(ironic: Any) -> None:
    [told] = run("ironic-maintenance", "n9")
    assert told.startswith("n9: NOT done: baremetal: exit status 1: ") and "n9" in told.split("1: ", 1)[1]
