"""All cards of the machine at once: up as soon as they are there, an address as soon as they have a carrier, and each its own
routes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ahc_agent.boot import interfaces, routes
from ahc_agent.boot.arguments import Arguments, Static
from ahc_agent.boot.console import Console
from ahc_agent.boot.dhcp import HOOK, KEY_OPTION, SERVER_OPTION, Client, Lease
from ahc_agent.boot.interfaces import Card
from ahc_agent.boot.routes import Place
from ahc_agent.errors import AhcError, ProgramError

#: A card takes some seconds to find its carrier; a switch port half a minute until it passes anything.
_CARRIER_PATIENCE_S = 8.0
_SAY_FIRST_S, _SAY_MOST_S = 10.0, 320.0

_CHECK_CARRIER = "Check the cable, the switch port, and the card's link light"
_CHECK_DHCP = (
    "Check that a DHCP server serves this network and has addresses left, the VLAN of the switch port, and that the port passes"
    " traffic at once (spanning tree: edge port)"
)


@dataclass(slots=True)
class _State:
    """What is known of one card."""

    number: int
    card: Card
    seen_at_s: float
    client: Client | None = None
    place: Place | None = None
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
        self._console = console
        self._hook = hook
        self._resolver = resolver
        self._clock = clock
        self._states: dict[str, _State] = {}
        self._watch = interfaces.Watch()
        self._looked_at_s = -1.0
        self._begun_at_s = clock()
        self._names_served: tuple[str, ...] = ()

    # ── what others ask ────────────────────────────────────────────────────────────────────────────

    def readable(self) -> list[interfaces.Watch | Client]:
        """What to wait for."""
        clients = [state.client for state in self._in_order() if state.client is not None]
        return [self._watch, *(client for client in clients if client.alive())]

    def places(self) -> list[Place]:
        """Addresses that the machine has, that of the preferred card first."""
        return [state.place for state in self._in_order() if state.place is not None]

    def waits(self) -> bool:
        """Whether a card with a carrier has no address yet that it could still get soon."""
        return any(state.client is not None and state.place is None for state in self._states.values())

    def told(self, number: int) -> tuple[str, str] | None:
        """What a DHCP server said in one of our options, and on which card; the preferred card's word first."""
        for state in self._in_order():
            lease = state.client.lease if state.client is not None else None
            text = lease.text(number) if lease is not None else None
            if text is not None:
                return text, state.card.name
        return None

    def server(self) -> tuple[str, str] | None:
        """Endpoint and key of the server by DHCP, as they were said."""
        endpoint, key = self.told(SERVER_OPTION), self.told(KEY_OPTION)
        return None if endpoint is None or key is None else (endpoint[0], key[0])

    def close(self) -> None:
        for state in self._states.values():
            if state.client is not None:
                state.client.close()
        self._watch.close()

    # ── what happens ───────────────────────────────────────────────────────────────────────────────

    def turn(self) -> bool:
        """Take in what has happened. Answers whether the machine's addresses are others than before."""
        before = self.places()
        now = self._clock()
        if self._watch.happened() or now - self._looked_at_s > 1.0:
            self._looked_at_s = now
            self._look(now)
        for state in self._in_order():
            if state.client is not None and state.client.heard():
                self._take(state, state.client.lease)
            self._complain(state, now)
        if not self._states and now - self._begun_at_s > _CARRIER_PATIENCE_S and self._due(None, now):
            self._console.trouble(
                "no network card was found",
                "Check that the card is on in the firmware's settings, and that the image has its driver",
            )
        return self.places() != before

    def _look(self, now: float) -> None:
        """New cards, and carriers that came or went."""
        for card in interfaces.cards(self._arguments.boot_card):
            state = self._states.get(card.name)
            if state is None:
                state = self._states[card.name] = _State(len(self._states), card, now, say_at_s=now)
                state.say_at_s = now + _CARRIER_PATIENCE_S
                self._begin(state)
            if card.carrier != state.card.carrier:
                self._console.say(
                    "network", f"{_name(card)}: {'link' if card.carrier else 'no link any more'}"
                )
                state.say_at_s = now + _SAY_FIRST_S
            state.card = card
            if card.carrier and state.client is None and self._asks(card):
                self._ask(state)

    def _begin(self, state: _State) -> None:
        """A card that was not there before."""
        card = state.card
        wrong = routes.prepare([card.name])
        try:
            interfaces.bring_up(card.name)
        except OSError as error:
            wrong.append(f"{_name(card)}: cannot be brought up: {error.strerror}")
        for sentence in wrong:
            self._console.trouble(sentence, "Its driver may lack its firmware")
        for static in self._wanted.static:
            if card.is_called(static.card) or (not static.card and state.number == 0):
                self._settle(state, _static_place(state, static))
                self._serve_names()

    def _asks(self, card: Card) -> bool:
        which = self._wanted.which
        return which in ("dhcp", "all") or card.is_called(which)

    def _ask(self, state: _State) -> None:
        try:
            state.client = Client(state.card.name, self._hook)
        except AhcError as error:
            self._console.trouble(f"{_name(state.card)}: {error}")

    def _take(self, state: _State, lease: Lease | None) -> None:
        """A new lease, or the end of one."""
        if lease is None:
            self._settle(state, None)
            return
        place = Place(state.card.name, state.number, lease.address, lease.gateway, lease.mtu)
        self._settle(state, place, f" from DHCP server {lease.server}" if lease.server else " by DHCP")
        self._serve_names()

    def _settle(self, state: _State, place: Place | None, whence: str = "") -> None:
        """Give a card its address, or take it away."""
        if place == state.place:
            return
        try:
            if place is None and state.place is not None:
                routes.apply(routes.undo(state.place))
            elif place is not None:
                routes.apply(routes.commands(place, state.place))
        except ProgramError as error:
            self._console.trouble(f"{_name(state.card)}: {place.address if place else 'no address'}: {error}")
        state.place = place
        if place is not None:
            way = f", gateway {place.gateway}" if place.gateway is not None else ", no gateway"
            self._console.say("network", f"{_name(state.card)}: address {place.address}{whence}{way}")
        else:
            self._console.trouble(f"{_name(state.card)}: its lease has ended", _CHECK_DHCP)

    def _serve_names(self) -> None:
        """Name servers of all leases and of the operator."""
        leases = [state.client.lease for state in self._in_order() if state.client is not None]
        found = [address for lease in leases if lease is not None for address in lease.dns]
        found = [address for static in self._wanted.static for address in static.dns] + found
        names = tuple(dict.fromkeys(map(str, found)))[:3]  # MAXNS of resolv.conf(5)
        if self._resolver is not None and names != self._names_served:
            self._names_served = names
            self._resolver.write_text("".join(f"nameserver {name}\n" for name in names))

    # ── complaints ─────────────────────────────────────────────────────────────────────────────────

    def _complain(self, state: _State, now: float) -> None:
        """Say what keeps a card from having an address, ever more rarely."""
        if state.place is not None or now < state.say_at_s or not self._asks(state.card):
            return
        waited_s = now - (state.client.asked_at_s if state.client is not None else state.seen_at_s)
        name = _name(state.card)
        if not state.card.carrier:
            self._without_carrier(state, name)
        elif state.client is not None and not state.client.alive():
            self._console.trouble(f"{name}: udhcpc has ended; it is started again")
            state.client.close()
            state.client = None
            self._ask(state)
        elif state.client is not None and state.client.wrong is not None:
            self._console.trouble(f"{name}: {state.client.wrong}", _CHECK_DHCP)
        else:
            self._console.trouble(
                f"{name}: no DHCP answer for {waited_s:.0f} s, the link is there", _CHECK_DHCP
            )
        state.say_at_s = now + state.pause_s
        state.pause_s = min(state.pause_s * 2, _SAY_MOST_S)

    def _without_carrier(self, state: _State, name: str) -> None:
        """Cards without a cable are usual; they are trouble where no other has an address, or where this one was named."""
        if self._wanted.which != "dhcp" or not self.places():
            self._console.trouble(f"{name}: no link", _CHECK_CARRIER)
        elif "no link" not in state.told:
            self._console.say("network", f"{name}: no link; left alone until it has one")
        state.told.add("no link")

    def _due(self, state: _State | None, now: float) -> bool:
        """Whether a complaint that is no card's own is due: at the first time, and then every minute."""
        if now < self._begun_at_s:
            return False
        self._begun_at_s = now + 60.0
        return True

    def _in_order(self) -> list[_State]:
        return sorted(self._states.values(), key=lambda state: state.number)


def _static_place(state: _State, static: Static) -> Place:
    return Place(state.card.name, state.number, static.address, static.gateway)


def _name(card: Card) -> str:
    return f"{card.name} ({', '.join(filter(None, (card.mac, card.driver)))})"
