"""Inspection collectors of ironic-python-agent (its manual, "Inspection Data"): a function of the data and the failures so far.

``ahc``: the inventory and measurements under our own key, schema ``ahc.bench/1``; Ironic keeps it in the plugin data, and
``ahc import`` reads it. ``ahc-extra-hardware``: the measurements as rows of ``hardware-detect`` too.

Kernel arguments: ``ipa-ahc-benchmarks=cpu,memory,disk`` (or ``none``: the inventory alone), ``ipa-ahc-budget=SECONDS``.

Nothing here is ever added to ``failures``, which would fail the inspection: a machine that is slow, or that could not be
measured, is still one that Ironic should know. What went wrong stands in the data.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from ironic_python_agent import utils

from ahc_agent.bench.standalone import SCHEMA
from ahc_agent.ironic import extra_hardware, measuring
from ahc_agent.measure import Measurement

LOG = logging.getLogger(__name__)

KEY = "ahc"
_PREFIX = "ipa-ahc-"


def collect(data: dict[str, Any], failures: object) -> None:
    """Put the inventory and measurements under ``data["ahc"]``, or what went wrong."""
    data[KEY] = _measured()


def collect_extra_hardware(data: dict[str, Any], failures: object) -> None:
    """Add rows to ``data["data"]``, after those of the collector ``extra-hardware`` where it ran before. Measures only where
    ``ahc`` did not."""
    told = data.get(KEY) or _measured()
    taken = msgspec.convert(told.get("measurements", []), list[Measurement])
    before = data.get("data")
    data["data"] = [
        *(before if isinstance(before, list) else []),
        *map(list, extra_hardware.rows(taken)),
    ]


def _measured() -> dict[str, Any]:
    try:
        arguments = {
            name.removeprefix(_PREFIX): value
            for name, value in utils.get_agent_params().items()
            if name.startswith(_PREFIX)
        }
        return measuring.as_json(measuring.measure(measuring.wanted(arguments)))
    except Exception as error:
        LOG.exception("the health check could not be done")
        return {"schema": SCHEMA, "error": f"{type(error).__name__}: {error}"[:4096]}
