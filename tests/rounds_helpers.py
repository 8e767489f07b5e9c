"""Networks for the tests of rounds: who is slow, what pairs would measure, a policy played to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ahc_server.pairing import Pair
from ahc_server.rounds import (
    Meeting,
    Policy,
)

LINE = 1e9

#: The first round in which what is in doubt decides who meets.
FIRST_CHOSEN = 4
Rate = Callable[[str, str], float]


def names(count: int) -> list[str]:
    return [f"n{number}" for number in range(count)]


def racks(count: int, size: int) -> dict[str, str]:
    return {f"n{number}": f"leaf{number // size}" for number in range(count)}


def wobble(one: str, other: str, wave: int) -> float:
    """A percent to and fro, the same whenever it is asked for."""
    return 1 + 0.01 * ((hash_of(one) * 31 + hash_of(other) * 17 + wave * 7) % 41 - 20) / 20


def hash_of(name: str) -> int:
    return sum(ord(letter) * 13**place for place, letter in enumerate(name))


def met(wave: int, pairs: Sequence[Pair], rate: Rate) -> list[Meeting]:
    return [
        Meeting(wave, (a, b), {way: LINE * rate(*way) * wobble(*way, wave) for way in ((a, b), (b, a))})
        for a, b in pairs
    ]


def play(policy: Policy, rate: Rate) -> tuple[list[list[Pair]], list[Meeting]]:
    """All rounds until the policy ends it."""
    seen: list[Meeting] = []
    rounds: list[list[Pair]] = []
    while (pairs := policy.next_round(len(rounds), seen)) is not None:
        seen += met(len(rounds), pairs, rate)
        rounds.append(pairs)
    return rounds, seen


def slow(*sick: str, left: float = 0.5) -> Rate:
    """Cards that send and receive at a part of the others' rate."""
    return lambda one, other: left if one in sick or other in sick else 1.0
