"""Cards, addresses and the way to the server when things are not as they should be: namespaces, real DHCP servers and clients."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ahc_agent.wire.keys import new_pair
from ahc_server.control import Agents, ListAgents, ask
from ahc_server.paths import Where
from tests.boot_helpers import BIN, DHCP, SERVER, Site, mac, site, until

pytestmark = pytest.mark.root

#: Sends UDP from the address argv[1] to argv[2], a megabyte of it.
SEND = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.bind((sys.argv[1], 0))
    for _ in range(1000):
        one.sendto(bytes(1000), (sys.argv[2], 9))
"""


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, cards=2) as made:
        yield made


def named(site: Site, key: str) -> str:
    return f"ahc.server={SERVER}:5570 ahc.key={key}"


def address(site: Site, card: str) -> str:
    """The one address of a card."""
    [found] = re.findall(r"inet (\S+)/", site.ip("address", "show", "dev", card))
    return str(found)


def sent_bytes(site: Site, card: str) -> int:
    return int(site.run("cat", f"/sys/class/net/{card}/statistics/tx_bytes"))


def test_what_is_bound_to_an_address_leaves_and_is_answered_by_its_card(two: Site) -> None:
    _, key = two.serve()
    two.dhcp()
    machine = two.boot(named(two, key))
    machine.says("joined the server")
    for card in ("c0", "c1"):
        machine.says(f"{card} ({mac(int(card[1]))}): address")
    addresses = {card: address(two, card) for card in ("c0", "c1")}
    assert len(set(addresses.values())) == 2, "one subnet, two addresses"
    for card, other in (("c0", "c1"), ("c1", "c0")):
        before = {each: sent_bytes(two, each) for each in addresses}
        two.run(sys.executable, "-c", SEND, addresses[card], SERVER)
        assert sent_bytes(two, card) - before[card] > 1_000_000
        assert sent_bytes(two, other) - before[other] < 10_000
        two.run("busybox", "ping", "-c", "1", "-W", "5", addresses[card], namespace=two.outside)
        neighbour = two.ip("neighbour", "show", addresses[card], namespace=two.outside)
        assert f"lladdr {mac(int(card[1]))}" in neighbour, "each card answers for its own address only"


def test_the_card_that_booted_is_preferred(two: Site) -> None:
    two.dhcp()
    machine = two.boot("BOOTIF=01-" + mac(1).replace(":", "-"))
    for number in (0, 1):
        machine.says(f"c{number} ({mac(number)}): address")
    assert until(lambda: two.ip("route", "show", "default").count("default") == 2)
    assert two.ip("route", "get", "192.0.2.1").split(" dev ")[1].startswith("c1")


def test_a_card_by_its_mac_address_is_the_only_one_that_asks(two: Site) -> None:
    two.dhcp()
    two.boot(f"ahc.ip={mac(1)}").says(f"c1 ({mac(1)}): address")
    assert "inet " not in two.ip("address", "show", "dev", "c0")


def test_addresses_of_the_operators_choice(two: Site) -> None:
    _, key = two.serve()
    machine = two.boot(f"{named(two, key)} ahc.ip=10.77.0.7/24,gateway={SERVER};10.78.0.7/24,interface=c1")
    machine.says("joined the server")
    assert (address(two, "c0"), address(two, "c1")) == ("10.77.0.7", "10.78.0.7")
    assert f"via {SERVER} dev c0" in two.ip("route", "show", "default")


def test_ipv6_addresses_of_the_operators_choice(one: Site) -> None:
    _, key = one.serve()
    one.ip("address", "add", "fd77::1/64", "dev", "br0", "nodad", namespace=one.outside)
    machine = one.boot(f"ahc.server=[fd77::1]:5570 ahc.key={key} ahc.ip=fd77::7/64,gateway=fd77::1")
    machine.says("joined the server")
    assert machine.said.count("trouble") == 0
    assert "from fd77::7 lookup 1000" in one.ip("-6", "rule")


def test_an_address_that_the_kernel_refuses_is_tried_again(one: Site) -> None:
    switch = "/proc/sys/net/ipv6/conf/c0/disable_ipv6"
    one.run("sh", "-c", f"echo 1 >{switch}")
    machine = one.boot("ahc.ip=fd77::7/64,gateway=fd77::1")
    line = machine.says("address replace fd77::7/64 dev c0 noprefixroute nodad: ")
    assert f"trouble   c0 ({mac(0)}): " in line and "It is tried again in 1 s" in line
    assert "address fd77::7/64, gateway" not in machine.said, "it has none"
    one.run("sh", "-c", f"echo 0 >{switch}")
    machine.says(f"c0 ({mac(0)}): address fd77::7/64, gateway fd77::1")
    assert "from fd77::7 lookup 1000" in one.ip("-6", "rule")
    assert "default via fd77::1" in one.ip("-6", "route", "show", "table", "1000")


def test_a_card_that_comes_later_is_told_to_the_server(two: Site) -> None:
    _, key = two.serve()
    two.dhcp()
    two.ip("link", "set", "p1", "down", namespace=two.outside)
    machine = two.boot(named(two, key))
    machine.says("joined the server")
    [before] = known_addresses(two)
    assert before == [f"{address(two, 'c0')}/24"]
    two.ip("link", "set", "p1", "up", namespace=two.outside)
    assert until(lambda: len(known_addresses(two)[0]) == 2)
    assert known_addresses(two) == [[f"{address(two, card)}/24" for card in ("c0", "c1")]]


def known_addresses(site: Site) -> list[list[str]]:
    """Of each machine that is joined, as the server knows them."""
    reply = ask(Where.of(str(site.store)).control, ListAgents())
    assert isinstance(reply, Agents)
    return list(reply.machines.values())


def test_a_card_that_is_not_there_is_missed(one: Site) -> None:
    machine = one.boot("ahc.ip=eth7")
    line = machine.says("ahc.ip= names eth7, which is not there")
    assert f"There are: c0 ({mac(0)}" in line


def test_the_server_by_dhcp_alone(one: Site) -> None:
    _, key = one.serve()
    one.dhcp(*DHCP, f"--dhcp-option=224,tcp://{SERVER}:5570", f"--dhcp-option=225,{key}")
    machine = one.boot("quiet")
    machine.says(f"server    is tcp://{SERVER}:5570, by DHCP")
    machine.says("joined the server")


def test_a_server_that_cannot_be_one_is_told_and_another_word_waited_for(one: Site) -> None:
    one.dhcp(*DHCP, "--dhcp-option=224,nonsense", "--dhcp-option=225,nonsense")
    one.boot("quiet").says("DHCP names a server that cannot be one: tcp://HOST:PORT is meant")


def test_a_server_by_dhcp_that_cannot_be_joined_is_asked_for_again(one: Site) -> None:
    _, key = one.serve()
    names = "--dhcp-option=6,10.77.0.2"
    wrong = one.dhcp(*DHCP, names, f"--dhcp-option=224,tcp://{SERVER}:5571", f"--dhcp-option=225,{key}")
    machine = one.boot("quiet")
    machine.says(f"no server at tcp://{SERVER}:5571")
    before = address(one, "c0")
    wrong.kill()
    machine.says("cannot be joined; DHCP is asked again who it is")
    assert (one.folder / "resolv.conf").read_text() == "nameserver 10.77.0.2\n", "its lease counts as before"
    one.dhcp(*DHCP, names, f"--dhcp-option=224,tcp://{SERVER}:5570", f"--dhcp-option=225,{key}")
    machine.says(f"is tcp://{SERVER}:5570, by DHCP")
    machine.says("joined the server")
    assert address(one, "c0") == before and machine.said.count("): address") == 1, (
        "the address stays meanwhile"
    )


def test_a_key_that_nobody_named_is_missed(one: Site) -> None:
    one.boot(f"ahc.server={SERVER}:5570").says(f"the key of tcp://{SERVER}:5570 is not named")


def test_no_dhcp_server_is_told_on_the_console_and_later_to_the_server(one: Site) -> None:
    server, key = one.serve()
    machine = one.boot(named(one, key) + " ahc.sever=x")
    line = machine.says("no DHCP answer, the link is there")
    assert f"c0 ({mac(0)}): " in line and "spanning tree" in line and "Asked for" in line
    one.dhcp()
    machine.says("joined the server")
    told = [each for each in server.said.splitlines() if "on its way here" in each]
    assert any("ahc.sever: no such argument" in each for each in told)
    assert any(f"c0 ({mac(0)}): no DHCP answer, the link is there" in each for each in told)


def test_a_cable_that_is_plugged_in_late(one: Site) -> None:
    _, key = one.serve()
    one.dhcp()
    one.ip("link", "set", "p0", "down", namespace=one.outside)
    machine = one.boot(named(one, key))
    line = machine.says(f"c0 ({mac(0)}): no link")
    assert "trouble" in line and "Check the cable" in line
    one.ip("link", "set", "p0", "up", namespace=one.outside)
    machine.says(f"c0 ({mac(0)}): link")
    machine.says("joined the server")


def test_name_servers_and_domains_of_dhcp_are_the_machines(one: Site) -> None:
    one.dhcp(
        *DHCP,
        "--dhcp-option=6,10.77.0.2,10.77.0.3",
        "--dhcp-option=15,rack.example",
        "--dhcp-option=119,a.example,b.example",
    )
    one.boot("quiet").says(f"c0 ({mac(0)}): address")
    expected = "nameserver 10.77.0.2\nnameserver 10.77.0.3\nsearch a.example b.example rack.example\n"
    assert until(lambda: (one.folder / "resolv.conf").exists())
    assert until(lambda: (one.folder / "resolv.conf").read_text() == expected)


def test_a_name_server_that_is_silent_holds_nothing_up(one: Site) -> None:
    one.silent_name_server()
    one.dhcp()
    machine = one.boot(f"ahc.server=some.name:5570 ahc.key={new_pair().public}")
    machine.says(f"c0 ({mac(0)}): address")
    one.plug(1)
    line = machine.says("the name of the server at tcp://some.name:5570 cannot be resolved")
    assert "Check the name servers" in line
    assert f"c1 ({mac(1)}): address" in machine.said.split(line)[0]


def test_a_wrong_key_is_told_as_one(one: Site) -> None:
    one.serve()
    one.dhcp()
    line = one.boot(named(one, new_pair().public)).says("does not hold the key")
    assert "Compare ahc.key= with the key that `ahc serve` prints" in line


def test_a_server_that_comes_late_goes_and_comes_back(one: Site) -> None:
    _, key = one.serve()
    one.processes[-1].kill()
    one.dhcp()
    machine = one.boot(named(one, key))
    machine.says("no server at")
    server, again = one.serve()
    assert again == key
    machine.says("joined the server")
    server.kill()
    machine.says(f"the server at tcp://{SERVER}:5570 is gone")
    one.serve()
    machine.says("server    is back with the server")
    assert machine.said.count("joined the server") == 1


def test_a_machine_that_finds_no_server_does_what_it_was_told_for_that(one: Site) -> None:
    one.dhcp()
    machine = one.boot(f"{named(one, new_pair().public)} ahc.patience=4 ahc.onfailure=reboot")
    machine.says("reboot, were it not a rehearsal")
    assert "no server was found within 4 s; giving up" in machine.said
    assert machine.ends() == 0


def test_a_released_machine_ends_as_the_server_says_else_as_it_was_booted_to(one: Site) -> None:
    _, key = one.serve()
    one.dhcp()
    for then, expected in ((["--then", "poweroff"], "poweroff"), ([], "halt")):
        machine = one.boot(f"{named(one, key)} ahc.onsuccess=halt")
        machine.says("joined the server")
        subprocess.run([BIN / "ahc", "--store", one.store, "release", "--all", *then], check=True, timeout=60)
        machine.says(f"{expected}, were it not a rehearsal")
        assert machine.ends() == 0
        assert _no_client(one)


def _no_client(site: Site) -> bool:
    """Whether no DHCP client of this site's cards runs any more."""
    pids = subprocess.run(
        ["ip", "netns", "pids", site.machine], capture_output=True, text=True, check=True
    ).stdout.split()
    return not any(
        "udhcpc" in Path(f"/proc/{pid}/cmdline").read_text() for pid in pids if Path(f"/proc/{pid}").exists()
    )


def test_an_agent_that_was_killed_and_started_anew_comes_back_as_the_same(one: Site) -> None:
    server, key = one.serve("--heartbeat", "0.5")
    one.dhcp()
    first = one.boot(named(one, key))
    first.says("joined the server")
    before = address(one, "c0")
    first.kill()
    assert until(lambda: _no_client(one)), "DHCP clients die with the agent"
    second = one.boot(named(one, key))
    second.says("the agent has been started anew by init")
    second.says("joined the server")
    assert address(one, "c0") == before
    assert one.ip("rule").count("lookup 1000") == 1
    keys = re.findall(r"joined \(key (\S+)\)", server.said)
    assert len(keys) >= 2 and len(set(keys)) == 1


def test_a_rehearsal_is_refused_outside_of_a_namespace(tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "ahc-agent", "boot", "--rehearse", tmp_path, "--arguments", ""],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and "network namespace of its own" in done.stderr


def test_a_machine_with_disks_of_its_own_is_left_alone() -> None:
    done = subprocess.run([BIN / "ahc-agent", "boot"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "is for a ramdisk" in done.stderr


def test_what_init_calls_is_refused_by_a_sentence_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ahc_agent.boot"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("python -m ahc_agent.boot: this machine's root is on a disk")
