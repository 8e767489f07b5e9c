"""The hooks for Ironic, through the real ``baremetal`` against a real Ironic: they say what Ironic then says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ahc_server.gate.called import registered
from ahc_server.gate.hooks import read_hook
from ahc_server.gate.quarantine import quarantine
from tests.conftest import REPOSITORY
from tests.gate_helpers import ask, finding, passed, whole
from tests.import_helpers import machine, write_hw
from tests.ironic_helpers import ABSENT, KEEPS, PASSWORD, USER, running_ironic
from tests.judge_helpers import Fleet

BIN = Path(sys.executable).parent
AHC = (sys.executable, "-m", "ahc_server", "--store")
HELD = """ran baremetal node clean {} --clean-steps '[{{"interface": "deploy", "step": "hold"}}]'"""
pytestmark = [
    pytest.mark.skipif(ABSENT is not None, reason=ABSENT or ""),
    pytest.mark.skipif(not (BIN / "baremetal").exists(), reason="python-ironicclient is not installed"),
    # openstacksdk warns of its own parts.
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


class Site:
    """An Ironic that asks who one is, and what an operator does with it."""

    def __init__(self) -> None:
        import openstack

        self.nodes = openstack.connect(app_name="ahc-test").baremetal

    def enroll(self, name: str, *then: str, **more: object) -> str:
        """A node, and what it is told to become, each waited for."""
        self.nodes.create_node(name=name, driver="fake-hardware", provision_state="enroll", **more)
        for verb in then:
            self.nodes.set_node_provision_state(name, verb)
            while self.state(name) not in ("manageable", "available", "active"):
                time.sleep(0.1)
        return name

    def state(self, name: str) -> str:
        return str(self.nodes.get_node(name).provision_state)


@pytest.fixture(scope="module")
def ironic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("ironic")
    with running_ironic(folder, login=True) as url, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("OS_")]:
            patch.delenv(name)
        login = {"AUTH_TYPE": "http_basic", "USERNAME": USER, "PASSWORD": PASSWORD, "ENDPOINT": url}
        for name, value in login.items():
            patch.setenv(f"OS_{name}", value)
        patch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
        yield Site()


def run(hook: str, *nodes: str) -> list[str]:
    """What a gate that these nodes closed does with them."""
    gate = ask(passed(whole(Fleet(4).benchmarks()), [finding(node) for node in nodes]))
    return [*quarantine(gate, [read_hook(hook)], {}, apply=True)]


def test_a_closed_gate_holds_the_node_that_closed_it_once(ironic: Site, tmp_path: Path) -> None:
    """``ahc gate`` as a process, from files to Ironic's state. Nobody has told it what Ironic calls its nodes."""
    worker = ironic.enroll("worker-3", "manage", extra={KEEPS: True})
    (tmp_path / "hw").mkdir()
    for number in range(1, 7):
        loops = [str((400 + number % 3) // (2 if number == 3 else 1)) for _ in range(2)]
        write_hw(tmp_path / "hw" / f"{number}.hw", machine(number, loops))
    policy = tmp_path / "policy.yaml"
    policy.write_text("close-on: fail\n")

    def ahc(*arguments: object) -> subprocess.CompletedProcess[str]:
        argv = [*AHC, str(tmp_path / "ahc.db"), *map(str, arguments)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=REPOSITORY)

    assert ahc("import", tmp_path / "hw", "--session", "rack7").returncode == 0
    asked = ("gate", "--policy", policy, "--at", "2014-05-14", "--on-fail", "ironic-hold")
    stranger = ahc(*asked, "--apply")
    assert (stranger.returncode, ironic.state(worker)) == (1, "manageable")
    assert stranger.stderr.startswith(
        "CZ00000003: NOT done: ironic-hold: none of its machines is surely this one, by MAC"
    )
    # From now on Ironic knows which machine it is: by a MAC of the slow one's inventory.
    ironic.nodes.create_port(node_id=ironic.nodes.get_node(worker).id, address="d8:9d:67:00:00:03")
    said = []
    for apply in ([], ["--apply"], ["--apply"]):
        done = ahc(*asked, *apply)
        assert done.returncode == 1
        said.append((done.stderr, ironic.state("worker-3")))
    would = HELD.format("worker-3").replace("ran", "would run", 1)
    assert said == [
        (
            f"quarantine: a dry run of 1 node, nothing is done (--apply does it)\nworker-3: {would}\n",
            "manageable",
        ),
        (f"worker-3: {HELD.format('worker-3')}\n", "clean hold"),
        ("worker-3: ironic-hold: done already\n", "clean hold"),
    ]
    ironic.nodes.set_node_provision_state("worker-3", "unhold")


def test_a_node_is_put_into_maintenance_once_with_the_reason(ironic: Site) -> None:
    ironic.enroll("m1", "manage")
    [first], [second] = run("ironic-maintenance", "m1"), run("ironic-maintenance", "m1")
    assert first.startswith("m1: ran baremetal node maintenance set m1") and "NOT" not in first
    assert second == "m1: ironic-maintenance: done already"
    node = ironic.nodes.get_node("m1")
    assert (node.is_maintenance, node.maintenance_reason) == (True, "AHC gate: m1: disk sda −40 %")


def test_a_hold_that_ironic_drops_is_never_told_as_done(ironic: Site) -> None:
    """Whatever this release does with it: the hook says what Ironic then says."""
    ironic.enroll("h2", "manage")
    [told] = run("ironic-hold", "h2")
    dropped = (
        "; it is NOT held: Ironic has dropped the step, and the node is manageable; ironic-maintenance holds"
    )
    held = ironic.state("h2") == "clean hold"
    assert told == f"h2: {HELD.format('h2')}" + ("" if held else dropped)


def deployed(ironic: Site, name: str) -> str:
    image = {"image_source": "http://127.0.0.1/i", "image_checksum": "0", "root_gb": 10}
    return ironic.enroll(name, "manage", "provide", "active", instance_info=image)


def in_maintenance(ironic: Site, name: str) -> str:
    ironic.enroll(name, "manage")
    ironic.nodes.set_node_maintenance(name, "mine")
    return name


BARRED: dict[str, tuple[Callable[[Any, str], str], str]] = {
    "active": (
        deployed,
        "it is 'active', and only what is manageable can be held; ironic-maintenance takes any",
    ),
    "maintenance": (in_maintenance, "it is in maintenance: no deployment there, and no cleaning either"),
    "enroll": (
        Site.enroll,
        "it is only enrolled: `baremetal node manage` makes it manageable and keeps it from being deployed; then again",
    ),
    "available": (
        lambda ironic, name: ironic.enroll(name, "manage", "provide"),
        "it is available: `baremetal node manage` makes it manageable and keeps it from being deployed; then again",
    ),
}


def test_what_cannot_be_held_is_left_as_it_is_and_told_what_to_do(ironic: Site) -> None:
    nodes = [bring(ironic, f"b-{name}") for name, (bring, _) in BARRED.items()]
    before = [ironic.nodes.get_node(node).updated_at for node in nodes]
    assert sorted(run("ironic-hold", *nodes)) == sorted(
        f"b-{name}: ironic-hold: NOT done: {why}" for name, (_, why) in BARRED.items()
    )
    assert [ironic.nodes.get_node(node).updated_at for node in nodes] == before
    # What its advice is worth: maintenance takes the one that is deployed.
    [told] = run("ironic-maintenance", "b-active")
    assert "NOT" not in told and ironic.nodes.get_node("b-active").is_maintenance


def test_where_ironic_cannot_be_asked_nodes_go_by_their_ids_and_that_is_said(
    ironic: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_PASSWORD", "wrong")
    hooks = [read_hook("ironic-maintenance"), read_hook("ironic-hold"), read_hook("tool {node}")]
    names, [note] = registered(hooks, whole(Fleet(4).benchmarks()), ["n3"])
    assert names == {}
    assert (
        note.startswith("ironic-maintenance: nodes go by their ids, as nobody tells") and "HTTP 401" in note
    )
    assert registered(hooks, whole(Fleet(4).benchmarks()), []) == ({}, []), "nobody is asked about nothing"


@pytest.mark.parametrize("hook", ["ironic-maintenance", "ironic-hold"])
def test_a_node_that_ironic_does_not_know_is_named(ironic: Site, hook: str) -> None:
    [told] = run(hook, "n9")
    assert told.startswith("n9: NOT done: baremetal: exit status 1: Node n9 could not be found. (HTTP 404)")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("OS_PASSWORD", "wrong", "Unauthorized (HTTP 401)"),
        ("OS_ENDPOINT", "http://127.0.0.1:1", "Unable to establish connection to http://127.0.0.1:1"),
        ("OS_ENDPOINT", "", "The Bare Metal API endpoint cannot be detected"),
        ("OS_CLOUD", "nowhere", "Cloud nowhere was not found"),
    ],
)
def test_without_a_way_into_ironic_nothing_is_done_and_the_cause_is_told(
    ironic: Site, monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("IRONIC_MAX_RETRIES", "1")
    [told] = run("ironic-hold", "n3")
    assert told.startswith("n3: NOT done: baremetal: exit status 1: ") and why in told
    assert PASSWORD not in told
