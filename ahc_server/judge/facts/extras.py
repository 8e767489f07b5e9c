"""Facts that other tools told and that have no field in our inventory: "kind/part/item" → text.

Nothing is known of what they mean. Left out is what by its name is a reading, a counter, a name of this one machine
or a time, and in a group what by its values is one: an identifier (nearly every node has its own), or a number of
which there are many.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from ahc_agent.facts import Inventory
from ahc_server.judge.facts.told import Fact

_COMPONENTS = {
    "cpu": "cpu",
    "memory": "memory",
    "numa": "numa",
    "disk": "disk",
    "pdisk": "disk",
    "ldisk": "disk",
    "megaraid": "disk",
    "hpa": "disk",
    "network": "network",
    "infiniband": "network",
    "lldp": "network",
    "firmware": "firmware",
    "ipmi": "bmc",
    "bmc": "bmc",
}

#: Items that are no setting: names of one machine, readings, counters, times, and results of measurements.
_NO_SETTING = re.compile(
    r"""(?ix) serial | uuid | guid | ww[ni] | \bmac\b | mac[-_] | address | \bip(?:v[46]|addr)?\b | netmask | gateway
      | hostname | fqdn | \bid\b | [-_]id\b | asset | \btag\b | \bkey\b | token
      | temperature | celsius | voltage | \bfan | rpm\b | watt | power[-_ ]on | hours | uptime | date | time(?!out) | stamp
      | error | count(?:er)?s?\b | packets | bytes | retrans | reset | cycle | smart/ | \bused | free\b | avail
      | bogomips | loops | bandwidth | latency | _kbps | _iops | throughput | performance | frequency | clock | mhz
      | \bload | health | sensor | reading | charge | remaining"""
)
#: Kinds of which each machine has its own: neighbours on the switch, sensors.
_OWN_KINDS = frozenset({"lldp", "sensors", "metric", "hw_events"})
#: A name that holds a MAC address or a WWN.
_IDENTIFIER = re.compile(r"[0-9a-fA-F]{12}|(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")
_NUMBER = re.compile(r"[-+]?[\d.,]+")
_SWITCHES = frozenset({"0", "1"})
#: Drives behind a RAID controller: "disk/1I:1:4/size", "pdisk/disk0/size".
_DRIVE = re.compile(r"(?:disk/(?P<bay>\d+\w+:\d+:\d+)|pdisk/(?P<number>disk\d+))/size")
#: The fact of such a drive, and what a node has that lists others.
DRIVE, NO_DRIVE = "drive", "none"
#: A number is a setting where a group has at most so many values of it, and of no fewer nodes than this.
_MOST_NUMBERS = 3
_LEAST_NODES = 12


def fact_of(key: str) -> Fact | None:
    """The fact of "kind/part/item", None where it is no setting."""
    if drive := _DRIVE.fullmatch(key):
        return Fact("disk", DRIVE, drive["bay"] or drive["number"])
    kind, _, rest = key.partition("/")
    place, _, item = rest.partition("/")
    if not item or kind in _OWN_KINDS or _IDENTIFIER.search(key):
        return None
    if item != "count" and _NO_SETTING.search(item):
        return None
    return Fact(_COMPONENTS.get(kind, "system"), f"{item} ({kind})", place)


def facts_of(inventory: Inventory) -> dict[Fact, str]:
    """The comparable ones of one machine, by their names; those of values need a group."""
    return {
        fact: value for key, value in inventory.extra_facts().items() if (fact := fact_of(key)) is not None
    }


def columns(
    size: int, told: Mapping[int, Mapping[str, str]]
) -> dict[Fact, tuple[NDArray[np.int32], list[str]]]:
    """Fact → codes (size,) and texts, of the nodes at the places that ``told`` names."""
    known: dict[str, Fact | None] = {}
    readers: dict[tuple[str, ...], tuple[list[Fact], Callable[[Mapping[str, str]], tuple[str, ...]]]] = {}
    layouts: dict[tuple[str, ...], tuple[list[int], list[tuple[str, ...]]]] = {}
    for place, extra in told.items():
        if not extra:
            continue
        keys = tuple(extra)
        if keys not in readers:
            for key in keys:
                if key not in known:
                    known[key] = fact_of(key)
            chosen = [key for key in keys if known[key] is not None]
            facts = [fact for key in keys if (fact := known[key]) is not None]
            readers[keys] = facts, _reader(chosen)
        places, values = layouts.setdefault(keys, ([], []))
        places.append(place)
        values.append(readers[keys][1](extra))
    found: dict[Fact, tuple[NDArray[np.int32], dict[str, int]]] = {}
    for keys, (places, values) in layouts.items():
        for fact, of_nodes in zip(readers[keys][0], zip(*values, strict=True), strict=True):
            codes, texts = found.setdefault(fact, (np.full(size, -1, dtype=np.int32), {}))
            for text in set(of_nodes):
                texts.setdefault(text, len(texts))
            codes[places] = [texts[text] for text in of_nodes]
    _fill(found, sorted(told))
    return {
        fact: (codes, list(texts))
        for fact, (codes, texts) in found.items()
        if _is_setting(fact, codes, list(texts))
    }


def _fill(found: Mapping[Fact, tuple[NDArray[np.int32], dict[str, int]]], told: list[int]) -> None:
    """A node that lists some drives has none where others have one."""
    drives = [each for fact, each in found.items() if fact.name == DRIVE]
    listing = np.zeros(max(told, default=-1) + 1, dtype=bool)
    for codes, _ in drives:
        listing |= codes[: len(listing)] >= 0
    for codes, texts in drives:
        without = np.flatnonzero(listing & (codes[: len(listing)] < 0))
        if len(without):
            codes[without] = texts.setdefault(NO_DRIVE, len(texts))


def _reader(keys: list[str]) -> Callable[[Mapping[str, str]], tuple[str, ...]]:
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda extra: tuple(extra[key] for key in keys)


def _is_setting(fact: Fact, codes: NDArray[np.int32], texts: list[str]) -> bool:
    """Whether by its values it can be one."""
    if len(texts) < 2 or fact.name == DRIVE or fact.name.startswith("count "):
        return True
    nodes = int(np.sum(codes >= 0))
    if 2 * len(texts) > nodes:
        return False
    if set(texts) <= _SWITCHES or not all(map(_NUMBER.fullmatch, texts)):
        return True
    return len(texts) <= _MOST_NUMBERS and nodes >= _LEAST_NODES
