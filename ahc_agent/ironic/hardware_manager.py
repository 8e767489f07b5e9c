"""A hardware manager of ironic-python-agent with one step, ``ahc_benchmark``, for cleaning, servicing and deploy templates.

The step reads only: it may be aborted at any time. It is never run unless it is asked for (priority 0). It fails where nothing at
all could be measured, never because a machine is slow: that is for ``ahc report`` and ``ahc gate`` to say, who know its peers.
"""

from __future__ import annotations

import logging
from typing import Any

from ironic_python_agent import errors, hardware

from ahc_agent import __version__
from ahc_agent.errors import AhcError, UsageError
from ahc_agent.ironic import measuring

LOG = logging.getLogger(__name__)

STEP: dict[str, Any] = {
    "step": "ahc_benchmark",
    "priority": 0,
    "interface": "deploy",
    "reboot_requested": False,
    "argsinfo": {
        "benchmarks": {"description": "cpu, memory, disk, separated by commas, or none", "required": False},
        "budget": {"description": "seconds that everything together may take", "required": False},
        "upload": {"description": "http(s) address for the result (PUT); ID.json is added to one that ends in a slash",
                   "required": False},
    },
}  # fmt: skip


class AhcHardwareManager(hardware.HardwareManager):  # type: ignore[misc]  # has no types
    """Adds a step; all that hardware managers else do is left to the others."""

    HARDWARE_MANAGER_NAME = "AhcHardwareManager"
    #: Changes with the step: Ironic starts cleaning anew where it differs.
    HARDWARE_MANAGER_VERSION = "1"

    def evaluate_hardware_support(self) -> int:
        """As good as the generic one: any machine can be measured, and nothing of another manager is replaced."""
        LOG.debug("ahc-agent %s is there", __version__)
        support: int = hardware.HardwareSupport.GENERIC
        return support

    def get_clean_steps(self, node: Any, ports: Any) -> list[dict[str, Any]]:
        return [{**STEP, "abortable": True}]

    def get_service_steps(self, node: Any, ports: Any) -> list[dict[str, Any]]:
        return [{**STEP, "abortable": True}]

    def get_deploy_steps(self, node: Any, ports: Any) -> list[dict[str, Any]]:
        return [dict(STEP)]

    def ahc_benchmark(
        self, node: Any, ports: Any, benchmarks: str = "", budget: float | str = "", upload: str = ""
    ) -> dict[str, Any]:
        """The step. Returns ``ahc.bench/1``; raises what ironic-python-agent reports as the step's failure."""
        try:
            what = measuring.wanted({"benchmarks": benchmarks, "budget": budget})
        except UsageError as error:
            raise errors.InvalidCommandParamsError(str(error)) from error
        try:
            answer = measuring.measure(what)
            told = measuring.as_json(answer)
            if upload:
                _deliver(upload, _name(node, answer.inventory.system.serial), told)
        except AhcError as error:
            raise errors.CommandExecutionError(str(error)) from error
        if what.parts and all(each.value is None for each in answer.measurements):
            reasons = dict.fromkeys(each.error or "" for each in answer.measurements[:3])
            raise errors.CommandExecutionError(f"nothing could be measured: {'; '.join(reasons)}")
        return told


def _name(node: Any, serial: str | None) -> str:
    uuid = node.get("uuid") if isinstance(node, dict) else None
    return f"{uuid or serial or 'node'}.json"


def _deliver(url: str, name: str, told: dict[str, Any]) -> None:
    import msgspec

    from ahc_agent.boot import upload

    if not url.startswith(("http://", "https://")):
        raise UsageError(f"upload {url!r}: http:// or https:// is meant")
    upload.put(upload.target(url, name), msgspec.json.encode(told))
