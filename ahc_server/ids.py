"""Display ids of nodes: what people and reports call a machine.

The operator's own name (``--id``) beats everything. Otherwise the rule of the contract: the serial, else the UUID, else
the first MAC; ids are unique in a session: where different machines carry the same serial (virtual machines on one host do), the
next kind is taken, and a note says so. Where nothing tells two machines apart, a number is added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from ahc_agent.wire.messages import Identity

Prefer = Literal["serial", "uuid", "mac"]

_ORDER: dict[Prefer, tuple[Prefer, ...]] = {
    "serial": ("serial", "uuid", "mac"),
    "uuid": ("uuid", "serial", "mac"),
    "mac": ("mac", "serial", "uuid"),
}
_SPOKEN = {"serial": "serial", "uuid": "UUID", "mac": "first MAC"}


def assign_ids(
    identities: Mapping[str, Identity], prefer: Prefer = "serial"
) -> dict[str, tuple[str, str | None]]:
    """For each machine key its id, unique among them, and a note where it is not of the preferred kind because of others.

    The answer does not depend on the order of the mapping.
    """
    machines = sorted(identities)
    counts = {
        kind: Counter(value for m in machines if (value := _value(identities[m], kind))) for kind in _ORDER
    }
    wanted: dict[str, tuple[str, str | None]] = {}
    for machine in machines:
        wanted[machine] = _choose(machine, identities[machine], prefer, counts)
    return _apart(wanted)


def _value(identity: Identity, kind: Prefer) -> str | None:
    value = {
        "serial": identity.serial,
        "uuid": identity.uuid,
        "mac": identity.macs[0] if identity.macs else None,
    }[kind]
    return value.strip() or None if value else None


def _choose(
    machine: str, identity: Identity, prefer: Prefer, counts: Mapping[Prefer, Counter[str]]
) -> tuple[str, str | None]:
    if identity.name:
        return identity.name, None
    note = None
    fallback = None
    for kind in _ORDER[prefer]:
        value = _value(identity, kind)
        if value is None:
            continue
        if counts[kind][value] == 1:
            return value, note
        fallback = fallback or value
        note = note or f"the {_SPOKEN[kind]} {value} is shared by {counts[kind][value]} machines"
    if fallback is not None:
        return fallback, note
    return identity.hostname or machine or "unknown", note


def _apart(wanted: dict[str, tuple[str, str | None]]) -> dict[str, tuple[str, str | None]]:
    """Number those that still share an id. Operators' equal names and serials that equal another's UUID end here."""
    times = Counter(name for name, _ in wanted.values())
    taken = {name for name, many in times.items() if many == 1}
    out: dict[str, tuple[str, str | None]] = {}
    for machine, (name, note) in wanted.items():
        if times[name] == 1:
            out[machine] = (name, note)
            continue
        number = 1
        while f"{name}#{number}" in taken:
            number += 1
        taken.add(f"{name}#{number}")
        out[machine] = (f"{name}#{number}", note or f"{name} is the name of {times[name]} machines")
    return out
