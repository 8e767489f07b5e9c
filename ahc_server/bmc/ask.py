"""What can be asked of one BMC, each as a function from a session with it to an answer. Runs in the BMC's own process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from ahc_server.bmc.errors import BmcCannot, BmcRefused
from ahc_server.bmc.link import Bmc, connect
from ahc_server.bmc.model import Answer, Power
from ahc_server.bmc.target import Target

#: How long a machine may take from the command to the state that it asks for, and how often that is looked at.
SETTLE_S = 30.0
_LOOK_S = 0.5
#: What ``to_network`` says of a machine that it left as it was.
WAS_ON = "was on already"

Act = Callable[[Bmc], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Ask:
    """A question for every target of a call: log in, ``act``, log out."""

    act: Act

    def __call__(self, target: Target) -> Answer:
        with connect(target) as bmc:
            return msgspec.structs.replace(Answer(node=target.node, address=target.address), **self.act(bmc))


def status() -> Act:
    def act(bmc: Bmc) -> dict[str, Any]:
        found: dict[str, Any] = {"power": bmc.power()}
        try:
            found["boot"] = bmc.boot_device()
        except (BmcCannot, BmcRefused) as error:
            found["incomplete"] = [str(error)]
        found["uuid"], found["firmware"] = bmc.about()
        return found

    return act


def power(action: str, *, soft_s: float, settle_s: float = SETTLE_S) -> Act:
    """ "on", "off", "cycle", "reset", and the state that follows, read back.

    "off" asks the operating system first and gives it ``soft_s`` to shut down (0: not asked), then cuts the power. Raises
    BmcRefused where the machine does not get there within ``settle_s``, or where there is nothing to cycle or reset.
    """

    def act(bmc: Bmc) -> dict[str, Any]:
        before = bmc.power()
        if action in ("cycle", "reset"):
            if before == "off":
                raise BmcRefused(f"power is off: nothing to {action} (power on starts it)")
            bmc.ask_power(action)
            _await(bmc, "on", settle_s)
            return {"power": "on", "said": f"power {action} done"}
        if before == action:
            return {"power": before, "said": f"was {action} already"}
        if action == "off" and soft_s > 0 and _shut_down(bmc, soft_s):
            return {"power": "off", "said": "shut down by its operating system"}
        bmc.ask_power(action)
        _await(bmc, "on" if action == "on" else "off", settle_s)
        cut = action == "off" and soft_s > 0
        said = f"did not shut down within {soft_s:g} s: power cut" if cut else f"power {action} done"
        return {"power": action, "said": said}

    return act


def _shut_down(bmc: Bmc, soft_s: float) -> bool:
    """Whether it went off by itself in time. A BMC that cannot ask for it is one whose machine does not."""
    try:
        bmc.ask_power("soft")
    except (BmcCannot, BmcRefused):
        return False
    return _reached(bmc, "off", soft_s)


def _await(bmc: Bmc, wanted: Power, settle_s: float) -> None:
    if not _reached(bmc, wanted, settle_s):
        raise BmcRefused(f"it took the command, and power is not {wanted} after {settle_s:g} s")


def _reached(bmc: Bmc, wanted: Power, limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while bmc.power() != wanted:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_S)
    return True


def boot_device(device: str | None, *, always: bool) -> Act:
    """Tell it, or set it and read it back. Raises BmcRefused where another one is read back."""

    def act(bmc: Bmc) -> dict[str, Any]:
        if device is None:
            return {"boot": bmc.boot_device()}
        bmc.set_boot_device(device, always=always)
        found = bmc.boot_device()
        if found.partition(" ")[0] != device:
            raise BmcRefused(f"it took boot device {device}, and says {found}")
        return {"boot": found}

    return act


def sensors() -> Act:
    return lambda bmc: {"sensors": bmc.sensors()}


def events(*, clear: bool) -> Act:
    return lambda bmc: {"events": bmc.events(clear=clear)}


def identify(*, on: bool, seconds: int | None) -> Act:
    def act(bmc: Bmc) -> dict[str, Any]:
        bmc.identify(on=on, seconds=seconds)
        return {
            "said": f"identify light on for {seconds} s"
            if on and seconds
            else f"identify light {'on' if on else 'off'}"
        }

    return act


def frus() -> Act:
    return lambda bmc: {"frus": bmc.frus()}


def everything() -> Act:
    """What a session keeps: power, identity, sensors and events. What a BMC does not have is named, not guessed."""

    def act(bmc: Bmc) -> dict[str, Any]:
        found: dict[str, Any] = {"power": bmc.power(), "incomplete": []}
        found["uuid"], found["firmware"] = bmc.about()
        for key, read in (("sensors", bmc.sensors), ("events", lambda: bmc.events(clear=False))):
            try:
                found[key] = read()
            except BmcCannot as error:
                found["incomplete"].append(str(error))
        return found

    return act


def to_network(*, restart: bool, settle_s: float = SETTLE_S) -> Act:
    """For ``ahc discover``: next boot from the network, and power on. One that runs already is told and not touched, but with
    ``restart``. Raises BmcRefused where power does not come on within ``settle_s``."""

    def act(bmc: Bmc) -> dict[str, Any]:
        found: dict[str, Any] = dict(zip(("uuid", "firmware"), bmc.about(), strict=True))
        before = bmc.power()
        if before == "on" and not restart:
            return {**found, "power": "on", "said": WAS_ON}
        bmc.set_boot_device("network", always=False)
        bmc.ask_power("on" if before == "off" else "cycle")
        _await(bmc, "on", settle_s)
        return {**found, "power": "on", "said": "powered on, from the network"}

    return act
