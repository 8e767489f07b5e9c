"""LLDP: an ear listens on real cables while its owner does something else, and follows the cards."""

from __future__ import annotations

import socket

import pytest

from ahc_agent.facts import Inventory, Nic
from ahc_agent.inventory import lldp
from tests.device_helpers import Namespace, veth_pair
from tests.lldp_helpers import frame, send, tlv


@pytest.mark.root
def test_an_ear_has_heard_what_came_before_it_is_asked() -> None:
    listening = """
import sys
from ahc_agent.facts import Inventory, Nic
from ahc_agent.inventory.lldp import Ear
ear = Ear(["INTERFACE", "no-such-card"])
print("ready", flush=True)
sys.stdin.readline()  # here it does something else
for _ in range(2):
    inventory = Inventory(collected_at="now", nics=[Nic(name="INTERFACE")])
    ear.tell(inventory)
    print(inventory.nics[0].lldp.system_name, inventory.errors)
"""
    with (
        veth_pair() as (node, switch),
        node.popen(listening.replace("INTERFACE", node.interface)) as listener,
    ):
        assert listener.stdin is not None and listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        for name in (b"old", b"leaf1"):
            send(switch, frame(tlv(5, name)))
        told, _ = listener.communicate("\n", timeout=30)
    assert told.splitlines() == ["leaf1 []", "leaf1 []"]


@pytest.mark.root
def test_an_ear_that_listens_now_and_then_hears_a_cable_that_was_moved_late() -> None:
    listening = """
import sys
from ahc_agent.facts import Inventory, Nic
from ahc_agent.inventory.lldp import Ear
ear = Ear(["INTERFACE"])
print("ready", flush=True)
sys.stdin.readline()
ear.listen()
print("listened", flush=True)
sys.stdin.readline()
inventory = Inventory(collected_at="now", nics=[Nic(name="INTERFACE")])
ear.tell(inventory)
print(inventory.nics[0].lldp.system_name)
"""
    with (
        veth_pair() as (node, switch),
        node.popen(listening.replace("INTERFACE", node.interface)) as listener,
    ):
        assert listener.stdin is not None and listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        send(switch, frame(tlv(5, b"old")), times=600)  # many more than the kernel keeps
        listener.stdin.write("\n")
        listener.stdin.flush()
        assert listener.stdout.readline() == "listened\n"
        send(switch, frame(tlv(5, b"leaf1")))
        told, _ = listener.communicate("\n", timeout=30)
    assert told.splitlines() == ["leaf1"]


@pytest.mark.root
def test_an_ear_follows_cards_that_come_later_and_forgets_those_that_were_changed() -> None:
    listening = """
import sys
from ahc_agent.facts import Inventory, Nic
from ahc_agent.inventory.lldp import Ear
ear = Ear()
for command in sys.stdin:
    inventory = Inventory(collected_at="now", nics=[Nic(name="late")])
    ear.tell(inventory)
    print(inventory.nics[0].lldp and inventory.nics[0].lldp.system_name, flush=True)
"""
    with veth_pair() as (node, switch), node.popen(listening) as listener:

        def told() -> str:
            assert listener.stdin is not None and listener.stdout is not None
            listener.stdin.write("\n")
            listener.stdin.flush()
            return listener.stdout.readline().strip()

        def plug(name: str) -> Namespace:
            node.ip("link", "add", "late", "type", "veth", "peer", name, "netns", switch.name)
            return Namespace(switch.name, name)

        assert told() == "None"
        for name in (b"leaf1", b"leaf2"):
            far = plug("far")
            assert told() == "None", "it listens, down as the card is, and has forgotten the one before"
            for end, interface in ((node, "late"), (far, "far")):
                end.ip("link", "set", interface, "up")
            send(far, frame(tlv(5, name)))
            assert told() == name.decode()
            node.ip("link", "delete", "late")
        assert told() == "None"
        listener.communicate("", timeout=30)


def test_without_the_right_to_listen_the_inventory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("ahc_agent.inventory.lldp.socket.socket", refuse)
    inventory = Inventory(collected_at="now", nics=[Nic(name="lo")])
    ear = lldp.Ear(["lo"])
    ear.tell(inventory)
    assert inventory.nics[0].lldp is None
    assert ["CAP_NET_RAW" in error.error for error in inventory.errors] == [True]
