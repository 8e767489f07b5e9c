"""All cards of the machine at once: up as soon as they are there, an address as soon as they have a carrier, and each its own
routes."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ahc_agent.boot import advertised, interfaces, routes
from ahc_agent.boot.arguments import Arguments, Static
from ahc_agent.boot.console import Console
from ahc_agent.boot.dhcp import HOOK, Client, Lease
from ahc_agent.boot.holding import RETRY_FIRST_S, RETRY_MOST_S, Holding
from ahc_agent.boot.interfaces import Card
from ahc_agent.boot.routes import Place
from ahc_agent.errors import AhcError

#: A card takes some seconds to find its carrier; a switch port half a minute until it passes anything.
_CARRIER_PATIENCE_S = 8.0
_SAY_FIRST_S, _SAY_MOST_S = 10.0, 320.0
#: A DHCP client that cannot be started is not tried at every turn.
_ASK_AGAIN_S = 20.0
#: So long addresses that name no card are kept for the card that the machine booted from, whose driver may come last.
_BOOT_CARD_PATIENCE_S = 30.0

#: Addresses of router advertisements are there before DHCP has answered. It is heard first, for the machines that have both, but
#: for a server that has an IPv6 address.
_DHCP_FIRST_S = 8.0

_CHECK_CARD = "Check that it is on in the firmware's settings, and that the image has its driver"
_CHECK_CARRIER = "Check the cable, the switch port, and the card's link light"
_CHECK_MEMORY = "Names cannot be resolved. The machine may have run out of memory"
#: Its client would have to tell who it is by RFC 4390; busybox' does not.
_NO_DHCP = (
    "InfiniBand, where DHCP is not asked. It gets an address by ahc.ip= alone, ADDRESS/PREFIX,interface=ib0"
)
_CHECK_DHCP = (
    "Check that a DHCP server serves this network and has addresses left, the VLAN of the switch port, and that the port passes"
    " traffic at once (spanning tree: edge port)"
)


@dataclass(slots=True)
class _State:
    """What is known of one card. ``static``: the operator's address for it; ``gone``: it is not there at the moment.

    ``lease``: the last one, for as long as it counts; ``lease_ends_at_s``: when it does no more, where its client is gone.
    """

    number: int
    card: Card
    seen_at_s: float
    holding: Holding
    static: Static | None = None
    gone: bool = False
    client: Client | None = None
    lease: Lease | None = None
    lease_ends_at_s: float = math.inf
    ask_at_s: float = 0.0
    up_at_s: float = math.inf
    up_pause_s: float = RETRY_FIRST_S
    say_at_s: float = 0.0
    pause_s: float = _SAY_FIRST_S
    told: set[str] = field(default_factory=set)


class Network:
    """``turn`` is to be called when any of ``readable`` has something to say, and once a second."""

    def __init__(
        self,
        arguments: Arguments,
        console: Console,
        *,
        hook: Path = HOOK,
        resolver: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._arguments = arguments
        self._wanted = arguments.cards
        self._server_family = _family(arguments.server)
        self._console = console
        self._hook = hook
        self._resolver = resolver
        self._clock = clock
        self._states: dict[str, _State] = {}
        self._unnamed = [each for each in arguments.cards.static if not each.card]
        self._begun_at_s = clock()
        self._watch = interfaces.Watch()
        self._advertised_names = advertised.NameServers(clock)
        self._looked_at_s = -1.0
        self._say_at_s = clock() + _CARRIER_PATIENCE_S
        self._names_served = ""

    # ── what others ask ────────────────────────────────────────────────────────────────────────────

    def readable(self) -> list[interfaces.Watch | advertised.NameServers | Client]:
        """What to wait for."""
        clients = [state.client for state in self._in_order() if state.client is not None]
        return [self._watch, self._advertised_names, *(client for client in clients if client.alive())]

    def places(self) -> list[Place]:
        """Addresses that the machine has, that of the preferred card first."""
        return [state.holding.place for state in self._in_order() if state.holding.place is not None]

    def leases(self) -> list[Lease]:
        """What DHCP servers gave, that of the preferred card first."""
        clients = [state.client for state in self._in_order() if state.client is not None]
        return [client.lease for client in clients if client.lease is not None]

    def told(self, number: int) -> str | None:
        """What a DHCP server said in one of our options; the preferred card's word first."""
        return next((text for lease in self.leases() if (text := lease.text(number))), None)

    def ask_again(self) -> None:
        """Ask all DHCP servers anew, as if the machine had just started: they may have another word for us by now, or be others.
        Addresses stay meanwhile, for as long as their leases last."""
        for state in self._in_order():
            if state.client is not None and state.client.lease is not None:
                self._ask(state)

    def close(self) -> None:
        for state in self._states.values():
            if state.client is not None:
                state.client.close()
        self._watch.close()
        self._advertised_names.close()

    # ── what happens ───────────────────────────────────────────────────────────────────────────────

    def turn(self) -> bool:
        """Take in what has happened. Answers whether the machine's addresses are others than before."""
        before = self.places()
        now = self._clock()
        if self._watch.happened() or now - self._looked_at_s > 1.0:
            self._looked_at_s = now
            self._look(now)
        self._allot(now)
        for state in self._in_order():
            if state.client is not None and state.client.heard():
                self._take(state, state.client.lease)
            if now >= state.lease_ends_at_s:
                state.lease_ends_at_s = math.inf
                self._take(state, None)
            if now >= state.up_at_s and not state.gone:
                self._bring_up(state)
            state.holding.turn()
            self._complain(state, now)
        self._serve_names()
        if now >= self._say_at_s:
            self._say_at_s = now + _SAY_MOST_S
            self._miss_cards()
        return self.places() != before

    def _look(self, now: float) -> None:
        """New cards, those that are gone, and carriers that came or went."""
        cards = interfaces.cards(self._arguments.boot_card)
        there = {card.name: card.index for card in cards}
        for name, known in self._states.items():
            if not known.gone and there.get(name) != known.card.index:
                self._lose(known)
        for card in cards:
            state = self._states.get(card.name)
            if state is None:
                holding = Holding(_name(card), self._console, self._clock)
                state = self._states[card.name] = _State(self._number(card), card, now, holding)
                state.gone = True
            if state.gone:
                state.gone, state.card, state.say_at_s = False, card, now + _CARRIER_PATIENCE_S
                state.holding.name = _name(card)
                self._begin(state)
            if card.carrier != state.card.carrier:
                self._console.say(
                    "network", f"{_name(card)}: {'link' if card.carrier else 'no link any more'}"
                )
                state.say_at_s = now + _SAY_FIRST_S
            state.card = card
            if card.carrier and state.client is None and self._asks(card) and now >= state.ask_at_s:
                self._ask(state)
            if self._asks(card) and (state.holding.wanted is None or state.holding.wanted.by_kernel):
                self._take_advertised(
                    state, now - (state.client.asked_at_s if state.client else state.seen_at_s)
                )

    def _begin(self, state: _State) -> None:
        """A card that was not there before, or not there for a while."""
        card = state.card
        for sentence in routes.prepare([card.name]):
            self._console.trouble(sentence)
        state.up_pause_s = RETRY_FIRST_S
        self._bring_up(state)
        if card.infiniband and not self._wanted.static:
            self._console.say("network", f"{_name(card)}: {_NO_DHCP}")
        named = [each for each in self._wanted.static if each.card and card.is_called(each.card)]
        static = state.static or next(iter(named), None)
        if static is not None:
            self._give(state, static)

    def _bring_up(self, state: _State) -> None:
        try:
            interfaces.bring_up(state.card.name)
            state.up_at_s = math.inf
        except OSError as error:
            pause_s, state.up_pause_s = state.up_pause_s, min(2 * state.up_pause_s, RETRY_MOST_S)
            state.up_at_s = self._clock() + pause_s
            self._console.trouble(
                f"{_name(state.card)}: cannot be brought up: {error.strerror}",
                f"Its driver may lack its firmware. It is tried again in {pause_s:.0f} s",
            )

    def _lose(self, state: _State) -> None:
        """A card that is not there any more."""
        self._console.trouble(f"{_name(state.card)}: is gone", "The card may be broken")
        if state.client is not None:
            state.client.close()
        state.gone, state.client, state.lease, state.lease_ends_at_s = True, None, None, math.inf
        state.holding.settle(None)
        state.pause_s = _SAY_FIRST_S

    def _number(self, card: Card) -> int:
        """The lowest is for the card that the machine booted from, also where its driver comes last."""
        first = self._arguments.boot_card
        taken = {state.number for state in self._states.values()}
        wanted = 0 if first in (None, card.mac) else 1
        return next(number for number in range(wanted, len(taken) + 2) if number not in taken)

    def _allot(self, now: float) -> None:
        """The operator's addresses that name no card, to the cards in their order."""
        if not self._unnamed:
            return
        first = self._arguments.boot_card
        is_there = first is None or any(state.card.mac == first for state in self._states.values())
        if not is_there and now - self._begun_at_s < _BOOT_CARD_PATIENCE_S:
            return
        for state in self._in_order():
            if self._unnamed and state.static is None and not state.gone:
                self._give(state, self._unnamed.pop(0))

    def _give(self, state: _State, static: Static) -> None:
        """The operator's address, to a card."""
        state.static = static
        state.holding.settle(Place(state.card.name, state.number, static.address, static.gateway))

    def _asks(self, card: Card) -> bool:
        which = self._wanted.which
        return not card.infiniband and (which in ("dhcp", "all") or card.is_called(which))

    def _ask(self, state: _State) -> None:
        """Ask for an address, or for the one that the card has once more; that stays until its lease ends."""
        before, state.client = state.client, None
        wish = None
        if before is not None:
            before.close()
            if before.lease is not None:
                wish, state.lease_ends_at_s = str(before.lease.address.ip), before.lease_ends_at_s
        try:
            state.client = Client(state.card.name, self._hook, wish)
        except AhcError as error:
            self._console.trouble(f"{_name(state.card)}: {error}")
            state.ask_at_s = self._clock() + _ASK_AGAIN_S

    def _take(self, state: _State, lease: Lease | None) -> None:
        """A new lease, or the end of one."""
        state.lease = lease
        if lease is None:
            if state.holding.wanted is not None:
                self._console.trouble(f"{_name(state.card)}: its lease has ended", _CHECK_DHCP)
            state.holding.settle(None)
            return
        state.lease_ends_at_s = math.inf  # udhcpc watches over that of its own
        place = Place(state.card.name, state.number, lease.address, lease.gateway, lease.mtu)
        state.holding.settle(place, f" from DHCP server {lease.server}" if lease.server else " by DHCP")

    def _take_advertised(self, state: _State, asked_for_s: float) -> None:
        """An IPv6 address by router advertisements, where DHCP has none for us. A lease that comes later takes its place. A
        server of IPv4 cannot be reached by it: then DHCP alone is waited for."""
        there = advertised.addresses(state.card.name) if self._server_family != 4 else []
        if not there:
            if state.holding.wanted is not None:
                self._console.trouble(f"{_name(state.card)}: no router advertises its address any more")
            state.holding.settle(None)
        elif state.holding.wanted is not None or asked_for_s > _DHCP_FIRST_S or self._server_family == 6:
            before = state.holding.wanted.address if state.holding.wanted is not None else None
            address = next((each for each in there if each == before), there[0])
            router = advertised.gateway(state.card.name)
            on_link = advertised.is_on_link(state.card.name, address.network)
            place = Place(state.card.name, state.number, address, router, by_kernel=True, on_link=on_link)
            state.holding.settle(place, " from router advertisements")

    def _serve_names(self) -> None:
        """Name servers of the operator, of all leases and of routers, in that order; domains of all leases (resolv.conf(5))."""
        found: list[object] = [address for static in self._wanted.static for address in static.dns]
        leases = [state.lease for state in self._in_order() if state.lease is not None]
        found += [address for lease in leases for address in lease.dns]
        advertised_now = self._advertised_names.now()
        found += advertised_now if self._wanted.which != "static" else ()
        names = list(dict.fromkeys(map(str, found)))[:3]  # MAXNS of resolv.conf(5)
        domains = dict.fromkeys(domain for lease in leases for domain in lease.search)
        lines = [f"nameserver {name}" for name in names]
        text = "".join(
            f"{line}\n" for line in [*lines, *([f"search {' '.join(domains)}"] if domains else [])]
        )
        if self._resolver is not None and text != self._names_served:
            self._names_served = text
            try:
                self._resolver.write_text(text)
            except OSError as error:
                self._console.trouble(f"{self._resolver} cannot be written: {error.strerror}", _CHECK_MEMORY)

    # ── complaints ─────────────────────────────────────────────────────────────────────────────────

    def _complain(self, state: _State, now: float) -> None:
        """Say what keeps a card from having an address, or from being of use with it, ever more rarely."""
        if state.gone or now < state.say_at_s or not (self._asks(state.card) or state.static is not None):
            return
        waited_s = now - (state.client.asked_at_s if state.client is not None else state.seen_at_s)
        name = _name(state.card)
        if state.client is not None and not state.client.alive():
            self._console.trouble(f"{name}: udhcpc has ended; it is started again")
            self._ask(state)
        elif not state.card.carrier and (state.holding.place is None or state.static is not None):
            self._without_carrier(state, name)
        elif state.holding.place is not None:
            return
        elif state.client is not None and state.client.wrong is not None:
            self._console.trouble(f"{name}: {state.client.wrong}", _CHECK_DHCP)
        else:
            waited = f"Asked for {waited_s:.0f} s by now. {_CHECK_DHCP}"
            self._console.trouble(f"{name}: no DHCP answer, the link is there", waited)
        state.say_at_s = now + state.pause_s
        state.pause_s = min(state.pause_s * 2, _SAY_MOST_S)

    def _miss_cards(self) -> None:
        """Say which cards are not there that should be."""
        cards = [state.card for state in self._states.values() if not state.gone]
        if not cards:
            self._console.trouble("no network card was found", _CHECK_CARD)
        named = [each.card for each in self._wanted.static if each.card]
        if self._wanted.which not in ("dhcp", "all", "static"):
            named.append(self._wanted.which)
        for name in named if cards else ():
            if not any(card.is_called(name) for card in cards):
                there = ", ".join(map(_name, cards))
                self._console.trouble(f"ahc.ip= names {name}, which is not there", f"There are: {there}")

    def _without_carrier(self, state: _State, name: str) -> None:
        """Cards without a cable are usual; they are trouble where no other has an address, or where this one was named."""
        if self._wanted.which != "dhcp" or not self.places():
            self._console.trouble(f"{name}: no link", _CHECK_CARRIER)
        elif "no link" not in state.told:
            self._console.say("network", f"{name}: no link; left alone until it has one")
        state.told.add("no link")

    def _in_order(self) -> list[_State]:
        return sorted(self._states.values(), key=lambda state: state.number)


def _family(server: str | None) -> int | None:
    """4 or 6 where a server is named by its address; None where that is open."""
    host = (server or "").removeprefix("tcp://").rpartition(":")[0]
    try:
        return ipaddress.ip_address(host.strip("[]")).version
    except ValueError:
        return None


def _name(card: Card) -> str:
    return f"{card.name} ({', '.join(filter(None, (card.mac, card.driver)))})"
