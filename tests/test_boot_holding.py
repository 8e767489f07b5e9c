"""The address of a card: what the kernel will not do is tried again, and disturbs nothing that is there."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest

from ahc_agent.boot import routes
from ahc_agent.boot.console import Console
from ahc_agent.boot.holding import Holding
from ahc_agent.boot.routes import Place


class Kernel:
    """It refuses each command that has one of the words ``refused`` in it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.refused: tuple[str, ...] = ()
        self.now_s = 0.0
        self.lines: list[str] = []
        patch.setattr(routes, "_apply", self.apply)
        patch.setattr(routes, "is_there", lambda place: True)
        self.holding = Holding("eth0", Console(self.lines.append), lambda: self.now_s)

    def apply(self, lines: Sequence[str], version: int, harmless: object) -> list[str]:
        wrong = [line for line in lines if any(word in line for word in self.refused)]
        self.done += [line for line in lines if line not in wrong]
        return [f"{line}: no" for line in wrong]

    def turns(self, seconds: float) -> list[str]:
        """What is done within so many seconds."""
        self.done.clear()
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.holding.turn()
            self.now_s += 0.5
        return self.done

    def said(self, text: str) -> int:
        return sum(text in line for line in self.lines)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def place(mtu: int | None = None, host: int = 5) -> Place:
    return Place("eth0", 0, ipaddress.IPv4Interface(f"10.0.0.{host}/24"), mtu=mtu)


def test_what_is_refused_is_tried_ever_more_rarely_while_the_address_stays(kernel: Kernel) -> None:
    """As where a DHCP server begins to name an MTU that the card cannot have."""
    kernel.holding.settle(place())
    kernel.refused = ("mtu",)
    kernel.holding.settle(place(mtu=65000))
    assert not any("delete" in line for line in kernel.turns(1000)), "connections live on"
    assert 5 < kernel.said("link set dev eth0 mtu 65000: no. It is tried again in ") < 12
    assert kernel.holding.place == place(mtu=65000)
    kernel.refused = ()
    assert "link set dev eth0 mtu 65000" in kernel.turns(400)
    assert kernel.turns(1000) == []


def test_an_old_address_that_cannot_be_taken_back_is_tried_again_beside_the_new_one(kernel: Kernel) -> None:
    kernel.holding.settle(place(host=5))
    kernel.refused = ("address delete",)
    kernel.holding.settle(place(host=6))
    assert kernel.holding.place == place(host=6)
    assert kernel.said("address delete 10.0.0.5/24 dev eth0: no") == 1
    kernel.refused = ()
    assert "address delete 10.0.0.5/24 dev eth0" in kernel.turns(2)
    assert kernel.turns(1000) == []
