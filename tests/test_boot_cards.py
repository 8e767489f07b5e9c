"""Cards that come late, go and come back, and whose DHCP client ends: namespaces, real DHCP servers and clients."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ahc_agent.boot import interfaces, routes, start
from ahc_agent.boot.arguments import read
from ahc_agent.boot.console import Console
from ahc_agent.boot.network import Network
from ahc_agent.wire.keys import new_pair
from tests.boot_helpers import DHCP, Site, mac, site, until

pytestmark = pytest.mark.root


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


def clients(site: Site) -> list[int]:
    """DHCP clients in the machine's namespace."""
    told = subprocess.run(
        ["ip", "netns", "pids", site.machine], capture_output=True, text=True, check=True
    ).stdout
    return [pid for pid in map(int, told.split()) if b"udhcpc" in _command_line(pid)]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""  # it has ended


def has_address(site: Site, card: str) -> bool:
    return "inet 10.77.0." in site.ip("address", "show", "dev", card)


def test_the_card_that_booted_is_preferred_also_where_its_driver_comes_last(one: Site) -> None:
    one.dhcp()
    machine = one.boot("BOOTIF=01-" + mac(1).replace(":", "-"))
    machine.says(f"c0 ({mac(0)}): address")
    one.plug(1)
    machine.says(f"c1 ({mac(1)}): address")
    assert one.ip("route", "get", "192.0.2.1").split(" dev ")[1].startswith("c1")


def test_a_card_that_goes_and_comes_back_gets_its_address_again(one: Site) -> None:
    one.dhcp()
    machine = one.boot("quiet")
    machine.says(f"c0 ({mac(0)}): address")
    one.unplug(0)
    machine.says(f"c0 ({mac(0)}): is gone")
    one.plug(0)
    assert until(lambda: machine.said.count("): address") == 2 and has_address(one, "c0")), machine.said
    assert one.ip("rule").count("lookup 1000") == 1


def test_a_dhcp_client_that_ends_is_started_again_before_its_lease_runs_out(one: Site) -> None:
    one.dhcp()
    machine = one.boot("quiet")
    machine.says(f"c0 ({mac(0)}): address")
    [first] = clients(one)
    os.kill(first, signal.SIGKILL)
    machine.says("udhcpc has ended; it is started again")
    assert until(lambda: len(clients(one)) == 1 and clients(one) != [first])
    assert has_address(one, "c0")


def test_a_static_address_on_a_card_without_a_link_is_told(one: Site) -> None:
    one.ip("link", "set", "p0", "down", namespace=one.outside)
    line = one.boot("ahc.ip=10.77.0.7/24").says(f"c0 ({mac(0)}): no link")
    assert "Check the cable" in line


def test_an_agent_without_a_server_that_is_started_anew_says_so(one: Site) -> None:
    one.dhcp()
    for turn in range(2):
        machine = one.boot("ahc.plan=http://10.77.0.1:1/none.json")
        machine.says("the plan cannot be fetched")
        machine.kill()
        assert ("has been started anew by init" in machine.said) == (turn == 1)
        assert "File exists" not in machine.said


def test_addresses_that_name_no_card_go_to_the_cards_that_no_other_names(one: Site) -> None:
    one.plug(1)
    machine = one.boot("ahc.ip=10.78.0.7/24,interface=c0;10.77.0.7/24")
    machine.says(f"c0 ({mac(0)}): address 10.78.0.7/24")
    machine.says(f"c1 ({mac(1)}): address 10.77.0.7/24")


def test_an_address_that_names_no_card_waits_for_the_one_that_booted(one: Site) -> None:
    machine = one.boot("ahc.ip=10.77.0.7/24 BOOTIF=01-" + mac(1).replace(":", "-"))
    machine.says(f"c0 ({mac(0)}): link")
    one.plug(1)
    machine.says(f"c1 ({mac(1)}): address 10.77.0.7/24")
    assert "inet " not in one.ip("address", "show", "dev", "c0")


def test_why_an_agent_failed_is_told_by_the_next_one(one: Site) -> None:
    (one.folder / "started").write_text("the agent has failed: OSError: out of luck")
    one.boot("quiet").says("trouble   the agent has failed: OSError: out of luck")


def test_an_agent_that_fails_leaves_word_why(one: Site) -> None:
    (one.folder / "agent.key").mkdir()
    machine = one.boot("ahc.ip=10.77.0.7/24 ahc.server=10.77.0.1:5570 ahc.key=" + new_pair().public)
    machine.says("the agent has failed: ")
    assert until(lambda: (one.folder / "started").read_text().startswith("the agent has failed: "))


def test_a_card_that_cannot_be_brought_up_is_tried_again_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one whose firmware cannot be read; no card of a namespace does so."""
    lines: list[str] = []
    tried_at_s: list[float] = []
    now_s = 0.0

    def bring_up(name: str) -> None:
        tried_at_s.append(now_s)
        if now_s < 10:
            raise OSError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(
        interfaces, "cards", lambda first=None: [interfaces.Card("eth0", mac(0), "bnx2x", False)]
    )
    monkeypatch.setattr(interfaces, "bring_up", bring_up)
    monkeypatch.setattr(routes, "prepare", lambda cards: [])
    network = Network(read("ahc.ip=10.77.0.7/24,interface=eth1"), Console(lines.append), clock=lambda: now_s)
    try:
        while now_s < 1000:
            network.turn()
            now_s += 1.0
    finally:
        network.close()
    assert tried_at_s == [1, 2, 4, 8, 16]
    assert sum("cannot be brought up: No such file or directory" in line for line in lines) == 4
    assert "Its driver may lack its firmware. It is tried again in 8 s" in "".join(lines)


def test_an_agent_that_fails_before_it_has_a_folder_leaves_word_too(tmp_path: Path) -> None:
    lines: list[str] = []
    start._leave_word(tmp_path / "run/ahc/started", "x" * 1000, Console(lines.append))
    assert (tmp_path / "run/ahc/started").read_text() == "x" * 500 and lines == []
    start._leave_word(tmp_path / "run/ahc/started/below", "x", Console(lines.append))
    assert "cannot be written" in lines[0]


def test_the_word_of_one_dhcp_server_is_taken_where_that_of_another_cannot_be(one: Site) -> None:
    """The first card's server says nonsense; the second one's switch is another."""
    key = new_pair().public
    one.ip("link", "add", "br1", "type", "bridge", namespace=one.outside)
    one.ip("address", "add", "10.79.0.1/24", "dev", "br1", namespace=one.outside)
    one.ip("link", "set", "br1", "up", namespace=one.outside)
    one.plug(1)
    one.ip("link", "set", "p1", "master", "br1", namespace=one.outside)
    one.dhcp(*DHCP, "--dhcp-option=224,nonsense", "--dhcp-option=225,nonsense")
    good = ("--dhcp-option=224,tcp://10.79.0.1:5570", f"--dhcp-option=225,{key}")
    one.dhcp("--dhcp-range=10.79.0.50,10.79.0.99,255.255.255.0,1h", *good, interface="br1")
    machine = one.boot("quiet")
    machine.says("server    is tcp://10.79.0.1:5570, by DHCP")
