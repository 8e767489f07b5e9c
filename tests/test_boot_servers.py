"""Who the server is, by several DHCP servers whose word changes: a network whose leases and clock are the test's."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import cast

from ahc_agent.boot.arguments import Arguments
from ahc_agent.boot.console import Console
from ahc_agent.boot.dhcp import KEY_OPTION, SERVER_OPTION, Lease
from ahc_agent.boot.loop import Loop
from ahc_agent.boot.servers import Server, Servers
from ahc_agent.wire.keys import new_pair

KEY = new_pair().public


@dataclass
class Wire:
    """What ``Servers`` sees of the loop and of the network; ``words`` is what DHCP servers say now."""

    words: list[tuple[str, str]]
    asked: int = 0
    now_s: float = 0.0
    lines: list[str] = field(default_factory=list)

    @property
    def network(self) -> Wire:
        return self

    def leases(self) -> list[Lease]:
        def lease(where: str, key: str) -> Lease:
            options = {SERVER_OPTION: where.encode(), KEY_OPTION: key.encode()}
            return Lease(ipaddress.IPv4Interface("10.0.0.9/24"), options=options)

        return [lease(*words) for words in self.words]

    def ask_again(self) -> None:
        self.asked += 1

    def wait(self, until: object, until_s: float | None = None) -> bool:
        return bool(self.words)

    def servers(self, arguments: Arguments | None = None) -> Servers:
        console = Console(self.lines.append)
        return Servers(
            arguments or Arguments(),
            console,
            cast("Loop", self),
            None,
            clock=lambda: self.now_s,
            spread=lambda: 1.0,
        )

    def moves(self, servers: Servers, seconds: float) -> bool:
        """Whether another is to be tried within so many seconds of not being joined."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            if servers.turn(False):
                return True
            self.now_s += 1.0
        return False


def server(number: int) -> Server:
    return Server(f"tcp://10.0.0.{number}:5570", KEY)


def word(number: int) -> tuple[str, str]:
    return f"10.0.0.{number}:5570", KEY


def test_one_that_is_joined_stays_whatever_dhcp_says() -> None:
    wire = Wire([word(1)])
    servers = wire.servers()
    assert servers.find() == server(1)
    wire.words = [word(2)]
    assert not servers.turn(True)
    assert servers.turn(False), "it is gone, and DHCP has another"
    assert servers.find() == server(2)


def test_each_that_is_named_has_its_turn_before_dhcp_is_asked_again() -> None:
    wire = Wire([word(1), word(2), word(3)])
    servers = wire.servers()
    tried: list[Server | None] = []
    while len(tried) < 12:
        tried.append(servers.find())
        assert wire.moves(servers, 1000)
        assert wire.asked == 0 or len(tried) >= 3
    assert tried[:3] == [server(1), server(2), server(3)]
    assert all(tried.count(server(number)) >= 3 for number in (1, 2, 3))
    assert wire.asked >= 3


def test_dhcp_is_asked_ever_more_rarely_and_anew_after_each_loss() -> None:
    wire = Wire([word(1)])
    servers = wire.servers()
    servers.find()
    assert not wire.moves(servers, 3600)
    assert 10 < wire.asked < 20
    before = wire.asked
    servers.turn(True)
    assert not wire.moves(servers, 12)
    assert wire.asked == before + 1
    assert any("cannot be joined; DHCP is asked again" in line for line in wire.lines)


def test_a_lease_that_is_away_for_a_moment_moves_nobody() -> None:
    wire = Wire([word(1)])
    servers = wire.servers()
    servers.find()
    wire.words = []
    assert not wire.moves(servers, 100)


def test_another_key_is_another_server() -> None:
    wire = Wire([word(1)])
    servers = wire.servers()
    servers.find()
    other = new_pair().public
    wire.words = [("10.0.0.1:5570", other)]
    assert servers.turn(False)
    assert servers.find() == Server("tcp://10.0.0.1:5570", other)


def test_what_cannot_be_a_server_is_said_once_and_passed_over() -> None:
    wire = Wire([("nonsense", KEY), word(2)])
    servers = wire.servers()
    assert servers.find() == server(2)
    assert not servers.turn(False)
    assert sum("cannot be one" in line for line in wire.lines) == 1


def test_a_server_by_the_kernels_arguments_is_asked_of_nobody() -> None:
    wire = Wire([word(1)])
    servers = wire.servers(Arguments(server="tcp://10.0.0.7:5570", key=KEY))
    assert servers.find() == Server("tcp://10.0.0.7:5570", KEY)
    assert not wire.moves(servers, 3600) and wire.asked == 0
