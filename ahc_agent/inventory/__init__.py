"""The inventory: everything that a machine knows of itself, collected into ``ahc_agent.facts.Inventory``.

One collector per subject, one module each, one row in ``COLLECTORS``. A collector is a function from a
``Root`` to a fact. It raises ``NotThere`` where the machine has no such part; any other error becomes an
entry of ``errors``, as does everything that it noted in ``root.trouble``, and never hurts another collector.

To add one: write ``inventory/<subject>.py`` with ``collect(root)``, add a field to ``facts.py`` and a row here.
"""

from __future__ import annotations

import functools
import importlib
import logging
import time
import typing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ahc_agent.errors import AhcError, NotThere
from ahc_agent.facts import CollectorError, Health, Inventory
from ahc_agent.inventory.root import Root
from ahc_agent.task import Device

log = logging.getLogger(__name__)

#: The bound that ``facts.Text`` sets.
TEXT_LIMIT = 4096
#: Of each collector; a machine with hundreds of unreadable files would say the same thing hundreds of times.
ERRORS_LIMIT = 20


@dataclass(frozen=True, slots=True)
class Collector:
    """``field`` names the field of Inventory ("health.edac": of its Health); ``function`` is "module:function"."""

    name: str
    field: str
    function: str


COLLECTORS = (
    Collector("system", "system", "ahc_agent.inventory.system:collect"),
    Collector("cpu", "cpu", "ahc_agent.inventory.cpu:collect"),
    Collector("numa", "numa", "ahc_agent.inventory.numa:collect"),
    Collector("memory", "memory", "ahc_agent.inventory.memory:collect"),
    Collector("disks", "disks", "ahc_agent.inventory.disks:collect"),
    Collector("nics", "nics", "ahc_agent.inventory.nics:collect"),
    Collector("pci", "pci", "ahc_agent.inventory.pci:collect"),
    Collector("bmc", "bmc", "ahc_agent.inventory.bmc:collect"),
    Collector("edac", "health.edac", "ahc_agent.inventory.edac:collect"),
    Collector("mce", "health.mce", "ahc_agent.inventory.mce:collect"),
    Collector("throttle", "health.throttle", "ahc_agent.inventory.throttle:collect"),
    Collector("sensors", "health.sensors", "ahc_agent.inventory.sensors:collect"),
)

#: These wait for outside programs (smartctl, ipmitool, lldpctl): they run beside the others, which only read files.
WAITING = frozenset({"disks", "nics", "bmc"})


def collect(root: str | Path = "/", *, only_disks: tuple[Device, ...] | None = None) -> Inventory:
    """The inventory of this machine, or of the saved tree at ``root``.

    ``only_disks`` (``ahc-agent join --disk``) are the disks to list instead of all. Never raises for what a
    machine keeps to itself or what cannot be read: that is in ``errors``.
    """
    inventory = Inventory(collected_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    with ThreadPoolExecutor(max_workers=len(WAITING)) as pool:
        waiting = {
            collector.name: pool.submit(_run, collector, root, only_disks)
            for collector in COLLECTORS
            if collector.name in WAITING
        }
        for collector in COLLECTORS:
            beside = waiting.get(collector.name)
            value, errors = beside.result() if beside else _run(collector, root, only_disks)
            inventory.errors += errors
            if value is not None:
                _put(inventory, collector.field, value)
    return inventory


def _run(
    collector: Collector, root: str | Path, only_disks: tuple[Device, ...] | None
) -> tuple[object | None, list[CollectorError]]:
    """One collector's fact (None: not there, or failed) and what went wrong."""
    tree = Root(root)
    started = time.monotonic()
    value: object | None = None
    try:
        function = _function(collector.function)
        found = function(tree, only_disks) if collector.name == "disks" else function(tree)
        value = _bounded(tree, found, _field_type(collector.field))
    except NotThere as absent:
        log.debug("%s: %s", collector.name, absent)
    except (AhcError, OSError, ValueError) as error:
        tree.trouble.append(str(error) or type(error).__name__)
    except Exception as error:
        # A defect of one collector must not take the other facts away; it is told like any other error.
        log.debug("collector %s crashed", collector.name, exc_info=True)
        tree.trouble.append(f"crashed with {type(error).__name__}: {error}")
    log.debug("%s: %.1f ms", collector.name, (time.monotonic() - started) * 1e3)
    return value, _errors(collector.name, tree.trouble)


def _errors(name: str, trouble: list[str]) -> list[CollectorError]:
    unique = list(dict.fromkeys(trouble))
    told = unique[:ERRORS_LIMIT]
    if len(unique) > len(told):
        told.append(f"and {len(unique) - len(told)} more")
    return [CollectorError(collector=name, error=text[:TEXT_LIMIT]) for text in told]


def _function(reference: str) -> Callable[..., object]:
    module, _, name = reference.partition(":")
    function: Callable[..., object] = getattr(importlib.import_module(module), name)
    return function


@functools.cache
def _field_type(field: str) -> object:
    """The declared type of a field of Inventory, or of its Health."""
    outer, _, inner = field.rpartition(".")
    hints = typing.get_type_hints(Health if outer else Inventory, include_extras=True)
    return hints[inner]


def _bounded(tree: Root, value: object, kind: object) -> object:
    """``value`` as it will be accepted on the wire: texts over the bound are cut, wrong types refused (ValueError)."""
    plain = msgspec.to_builtins(value)
    try:
        msgspec.convert(plain, kind)
        return value
    except msgspec.ValidationError:
        shorter = _cut(plain)
        if shorter == plain:
            raise
        tree.trouble.append(f"a text longer than {TEXT_LIMIT} characters was cut")
        fact: object = msgspec.convert(shorter, kind)
        return fact


def _cut(plain: object) -> object:
    if isinstance(plain, str):
        return plain[:TEXT_LIMIT]
    if isinstance(plain, list):
        return [_cut(item) for item in plain]
    if isinstance(plain, dict):
        return {key: _cut(item) for key, item in plain.items()}
    return plain


def _put(inventory: Inventory, field: str, value: object) -> None:
    outer, _, inner = field.rpartition(".")
    setattr(getattr(inventory, outer) if outer else inventory, inner, value)
