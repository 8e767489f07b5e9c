"""``ahc discover``: nodes are started from the network, and whoever joins is checked to be the one that was started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ahc_agent.wire.messages import Identity
from ahc_server.bmc import ask
from ahc_server.bmc.discover import Discovered, left_behind, watch_arrivals
from ahc_server.bmc.link import load
from ahc_server.bmc.model import Answer
from ahc_server.bmc.secret import Secret
from ahc_server.bmc.target import Login, Target
from ahc_server.bmc.workers import ask_all, failed
from tests.bmc_helpers import PASSWORD, SIM, USER, Simulated, ipmi_sim, silent
from tests.server_helpers import AHC, Stage, wait_for

pytestmark = pytest.mark.skipif(SIM is None, reason="needs OpenIPMI's ipmi_sim (Debian: openipmi)")

UUID = "a1b2c3d4-e5f6-0718-293a-4b5c6d7e8f90"
MAC, OTHER_MAC = "aa:bb:cc:00:00:01", "aa:bb:cc:00:00:02"


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[Simulated]:
    with ipmi_sim(tmp_path, sensors=False) as [one]:
        yield one


def target(bmc: Simulated, password: str = PASSWORD, **more: Any) -> Target:
    return Target(node="n1", host="127.0.0.1", port=bmc.port, login=Login(USER, Secret(password)), **more)


def discovered(
    one: Target, bmc: Simulated, identity: Identity | None, *, restart: bool = False, settle_s: float = 5.0
) -> Discovered:
    """A machine that joins once it was started from the network."""

    def agents() -> Mapping[str, Identity]:
        started = bmc.power() == "1" and bmc.boot() == "pxe"
        return {"m1": identity} if identity is not None and started else {}

    def asked(act: ask.Act, some: list[Target]) -> list[Answer]:
        return ask_all(some, ask.Ask(act), at_once=4, time_limit_s=60)

    load([one])
    return watch_arrivals(
        [one],
        asked(ask.to_network(restart=restart, settle_s=settle_s), [one]),
        agents,
        lambda some: asked(ask.status(), some),
        before=frozenset(),
        wait_s=0.5,
        told=lambda _: None,
        poll_s=0.05,
    )


def test_a_node_that_joins_is_known_by_its_mac_address(bmc: Simulated) -> None:
    [arrival] = discovered(target(bmc, macs=(MAC,)), bmc, Identity(uuid="u", macs=[MAC])).arrivals
    assert (arrival.outcome, arrival.machine) == ("joined", "m1")
    assert "powered on, from the network; known by the MAC address" in arrival.why


def test_it_is_known_by_the_guid_of_its_bmc_alone(bmc: Simulated) -> None:
    [arrival] = discovered(target(bmc), bmc, Identity(uuid=UUID)).arrivals
    assert (arrival.outcome, "GUID of its BMC" in arrival.why) == ("joined", True)


def test_the_machine_behind_the_bmc_with_other_cards_than_the_nodes_file_says_is_another(
    bmc: Simulated,
) -> None:
    [arrival] = discovered(target(bmc, macs=(MAC,)), bmc, Identity(uuid=UUID, macs=[OTHER_MAC])).arrivals
    assert arrival.outcome == "another"
    assert f"it has none of the MAC addresses {MAC}" in arrival.why


def test_one_that_never_joins_is_told_with_its_power_state_and_strangers_are_named(bmc: Simulated) -> None:
    found = discovered(target(bmc, macs=(MAC,)), bmc, Identity(uuid="another", macs=[OTHER_MAC]))
    assert found.arrivals[0].outcome == "never"
    assert "power is on, and it did not join within 0.5 s: check boot order" in found.arrivals[0].why
    assert found.strangers == ["m1"]


def test_power_that_does_not_come_on(bmc: Simulated) -> None:
    (bmc.folder / "stuck").touch()
    [arrival] = discovered(target(bmc, macs=(MAC,)), bmc, None, settle_s=0.5).arrivals
    assert arrival.outcome == "no-power"
    assert "power is not on" in arrival.why


def test_a_wrong_password_and_a_silent_bmc(bmc: Simulated) -> None:
    assert discovered(target(bmc, "wrong"), bmc, None).arrivals[0].outcome == "locked"
    assert bmc.power() == "0"
    with silent() as port:
        gone = Simulated(port, bmc.folder)
        assert discovered(target(gone), gone, None).arrivals[0].outcome == "silent"


def test_a_node_that_is_on_is_left_alone_but_with_restart(bmc: Simulated) -> None:
    (bmc.folder / "power").write_text("1\n")
    one = target(bmc, macs=(MAC,))
    assert discovered(one, bmc, None).arrivals[0].why.startswith("was on already")
    assert bmc.boot() == "none"
    assert discovered(one, bmc, Identity(macs=[MAC]), restart=True).arrivals[0].outcome == "joined"
    assert bmc.boot() == "pxe"


def test_a_machine_that_is_started_again_is_not_there_by_the_agent_of_before(bmc: Simulated) -> None:
    """The server hears of a power cut only when heartbeats stay away: until then the old agent is still listed."""
    (bmc.folder / "power").write_text("1\n")
    one = target(bmc, macs=(MAC,))
    here = {"m1": Identity(macs=[MAC])}

    def outcome(said: str, lasting: frozenset[str]) -> str:
        started = [Answer(node="n1", address=one.address, power="on", said=said)]
        found = watch_arrivals(
            [one],
            started,
            lambda: here,
            lambda some: [Answer(node="n1", address=one.address, power="on")],
            before=frozenset(here),
            wait_s=0.0,
            told=lambda _: None,
            lasting=lambda: lasting,
        )
        assert found.strangers == []
        return found.arrivals[0].outcome

    assert outcome("powered on, from the network", frozenset(here)) == "never"
    assert outcome("powered on, from the network", frozenset()) == "joined"
    assert outcome(ask.WAS_ON, frozenset(here)) == "joined"


HOST = "10.0.0.7"


def arrived(
    one: Target, here: Mapping[str, Identity], guid: str | None = None
) -> tuple[str, str | None, str]:
    """Where the BMC was asked already, and these machines have joined: outcome, machine, why."""
    started = [Answer(node=one.node, address=one.address, power="on", said="powered on", uuid=guid)]
    (arrival,) = watch_arrivals(
        [one],
        started,
        lambda: here,
        lambda some: [Answer(node=one.node, address=one.address, power="on")],
        before=frozenset(),
        wait_s=0.0,
        told=lambda _: None,
    ).arrivals
    return arrival.outcome, arrival.machine, arrival.why


def behind(host: str, node: str = HOST, **more: Any) -> Target:
    return Target(node=node, host=host, port=623, login=Login(USER, Secret(PASSWORD)), **more)


def test_a_node_of_which_the_address_alone_is_known_is_known_by_what_its_bmc_says_of_itself() -> None:
    here = {"m1": Identity(uuid="u1", bmc_address=HOST), "m2": Identity(uuid="u2", bmc_address="10.0.0.8")}
    assert arrived(behind(HOST), here) == ("joined", "m1", "powered on; known by the address of its BMC")
    assert arrived(behind("fd00::7"), {"m1": Identity(uuid="u1", bmc_address="FD00:0::7")})[0] == "joined"
    outcome, machine, why = arrived(behind(HOST), {"m2": here["m2"], "m3": Identity(uuid="u3")})
    assert (outcome, machine) == ("untold", None)
    assert f"no machine that joined within 0 s says that its BMC is at {HOST}" in why


def test_a_bmc_that_says_it_is_elsewhere_speaks_against_the_nodes_file() -> None:
    here = {"m1": Identity(uuid=UUID, macs=[MAC], bmc_address="10.0.0.8")}
    assert arrived(behind(HOST, "n1", macs=(MAC,)), here) == (
        "another",
        "m1",
        "known by the MAC address, but its BMC says that it is at 10.0.0.8, not at 10.0.0.7",
    )
    two = here | {"m2": Identity(uuid="u2", macs=[OTHER_MAC], bmc_address=HOST)}
    outcome, machine, why = arrived(behind(HOST, "n1", macs=(MAC,)), two)
    assert (outcome, machine) == ("another", None)
    assert "MAC address: m1, address of its BMC: m2" in why


@pytest.mark.parametrize("host", ["127.0.0.1", "bmc7.lan", "fd00::7", HOST])
def test_an_address_that_can_be_another_of_the_same_bmc_proves_nothing(host: str) -> None:
    """Of the last it is the GUID that says so."""
    here = {"m1": Identity(uuid=UUID, macs=[MAC], bmc_address="10.0.0.8")}
    outcome = arrived(behind(host, "n1", macs=(MAC,)), here, guid=UUID if host == HOST else None)
    assert outcome[:2] == ("joined", "m1")


def test_the_command_with_a_real_server_and_a_real_agent(bmc: Simulated, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.json"
    nodes.write_text(
        json.dumps(
            {"nodes": [{"name": "n1", "pm_addr": bmc.address, "pm_user": USER, "pm_password": PASSWORD}]}
        )
    )
    nodes.chmod(0o600)
    with Stage(tmp_path) as stage:
        stage.serve()
        asking = subprocess.Popen(
            [*AHC, "--store", str(stage.store), "discover", str(nodes), "--wait", "120", "--format", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
            env=dict(os.environ),
        )
        try:
            wait_for(lambda: bmc.power() == "1", 90.0)
            stage.agent("n1")
            out, err = asking.communicate(timeout=180)
        finally:
            asking.kill()
            asking.wait()
    assert asking.returncode == 0, err
    [node] = json.loads(out)["nodes"]
    assert (node["outcome"], node["machine"]) == ("joined", "n1")
    assert PASSWORD not in out + err


def test_an_interruption_says_what_is_left(bmc: Simulated, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.json"
    login = {"pm_user": USER, "pm_password": PASSWORD}
    with silent() as port, Stage(tmp_path) as stage:
        known = {"name": "n1", "pm_addr": bmc.address, **login}
        nodes.write_text(json.dumps([known, {"name": "n2", "pm_addr": f"127.0.0.1:{port}", **login}]))
        nodes.chmod(0o600)
        stage.serve()
        # One after the other: n1 is done with while n2 is still being asked.
        asking = subprocess.Popen(
            [
                *AHC,
                "--store",
                str(stage.store),
                "discover",
                str(nodes),
                "--at-once",
                "1",
                "--time-limit",
                "600",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        try:
            wait_for(lambda: bmc.power() == "1", 90.0)
            time.sleep(1.0)
            asking.send_signal(signal.SIGINT)
            out, err = asking.communicate(timeout=60)
        finally:
            asking.kill()
            asking.wait()
    assert asking.returncode == 130
    assert "what was done stays done" in err
    assert PASSWORD not in out + err
    assert bmc.power() == "1"


def test_what_an_early_end_leaves_is_told_of_every_node() -> None:
    four = [Target(node=f"n{each}", host="h", port=each, login=Login("u", Secret("p"))) for each in range(4)]
    done = [Answer(node=f"n{each}", address="h", said="powered on, from the network") for each in (3, 0)]
    assert left_behind(four, [*done, failed(four[1], "locked", "wrong password")]) == [
        "powered on, from the network, and left so: n0, n3",
        "nothing is known to have been done (locked): n1",
        "not asked, or its BMC was just being asked (may have been powered on): n2",
    ]


def test_without_a_server_nothing_is_powered_on(bmc: Simulated, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.yaml"
    nodes.write_text(f"nodes: [{{name: n1, pm_addr: '{bmc.address}', pm_user: u, pm_password: p}}]\n")
    done = subprocess.run(
        [sys.executable, "-m", "ahc_server", "--store", str(tmp_path / "no.db"), "discover", str(nodes)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 3
    assert bmc.power() == "0"
