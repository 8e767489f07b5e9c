"""The EDAC collector: memory errors that the memory controllers counted since boot.

Source: ``/sys/devices/system/edac/mc`` (kernel ABI file sysfs-devices-edac, Documentation/driver-api/edac.rst). Each
controller ``mcN`` has ``dimmM`` or ``rankM`` folders; kernels before 3.6 have ``csrowM`` with channels instead.
"""

from __future__ import annotations

import re

from ahc_agent.errors import NotThere
from ahc_agent.facts import EdacController, EdacDimm
from ahc_agent.inventory.root import Root

EDAC_FOLDER = "/sys/devices/system/edac/mc"

_CONTROLLER = re.compile(r"mc\d{1,5}")
_DIMM = re.compile(r"(?:dimm|rank)\d{1,5}")
_ROW = re.compile(r"csrow\d{1,5}")
_CHANNEL_COUNT = re.compile(r"ch(\d{1,3})_ce_count")


def collect(root: Root) -> list[EdacController]:
    """The memory controllers and their counters. Raises NotThere without an EDAC driver."""
    names = [name for name in root.names(EDAC_FOLDER) if _CONTROLLER.fullmatch(name)]
    if not names:
        raise NotThere("no EDAC memory controller")
    return [_controller(root, name) for name in names]


def _controller(root: Root, name: str) -> EdacController:
    folder = f"{EDAC_FOLDER}/{name}"
    parts = root.names(folder)
    megabytes = root.integer(f"{folder}/size_mb")
    dimms = [_dimm(root, f"{folder}/{part}") for part in parts if _DIMM.fullmatch(part)]
    if not dimms:
        rows = [part for part in parts if _ROW.fullmatch(part)]
        dimms = [dimm for row in rows for dimm in _channels(root, f"{folder}/{row}", row)]
    return EdacController(
        controller=name,
        name=root.text(f"{folder}/mc_name"),
        size_bytes=megabytes * 1024**2 if megabytes is not None else None,
        correctable_errors=root.integer(f"{folder}/ce_count"),
        uncorrectable_errors=root.integer(f"{folder}/ue_count"),
        dimms=dimms,
    )


def _dimm(root: Root, folder: str) -> EdacDimm:
    return EdacDimm(
        label=root.text(f"{folder}/dimm_label"),
        location=root.text(f"{folder}/dimm_location"),
        correctable_errors=root.integer(f"{folder}/dimm_ce_count"),
        uncorrectable_errors=root.integer(f"{folder}/dimm_ue_count"),
    )


def _channels(root: Root, folder: str, row: str) -> list[EdacDimm]:
    """The channels of a row; uncorrectable errors are counted for the row only, as they cannot be told apart."""
    channels = [found[1] for found in map(_CHANNEL_COUNT.fullmatch, root.names(folder)) if found]
    return [
        EdacDimm(
            label=root.text(f"{folder}/ch{channel}_dimm_label"),
            location=f"{row} channel {channel}",
            correctable_errors=root.integer(f"{folder}/ch{channel}_ce_count"),
            uncorrectable_errors=root.integer(f"{folder}/ue_count") if len(channels) == 1 else None,
        )
        for channel in channels
    ]
