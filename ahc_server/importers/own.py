"""Our own JSON: ``ahc.inventory/1`` and ``ahc.bench/1``, as ``ahc-agent inventory`` and ``ahc-agent bench`` print them."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from ahc_agent.errors import FileFormatError
from ahc_agent.facts import SCHEMA as INVENTORY
from ahc_agent.facts import Inventory
from ahc_agent.measure import Measurement
from ahc_server.importers.model import Imported, Source

BENCH = "ahc.bench/1"

_T = TypeVar("_T")


class _Bench(msgspec.Struct, kw_only=True):
    inventory: Inventory
    measurements: Annotated[list[Measurement], msgspec.Meta(max_length=100_000)]


def knows_inventory(source: Source) -> bool:
    return bool(_schema(source) == INVENTORY)


def read_inventory(source: Source) -> Imported:
    return Imported(inventory=_as(source, Inventory))


def knows_bench(source: Source) -> bool:
    return bool(_schema(source) == BENCH)


def read_bench(source: Source) -> Imported:
    bench = _as(source, _Bench)
    return Imported(inventory=bench.inventory, taken=bench.measurements)


def _schema(source: Source) -> Any:
    return source.json.get("schema") if isinstance(source.json, dict) else None


def _as(source: Source, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(source.json, kind)
    except msgspec.ValidationError as error:
        raise FileFormatError(
            source.file, f"not as {_schema(source)} should be: {error}", remedy="was it edited, or cut short?"
        ) from error
