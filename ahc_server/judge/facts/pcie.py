"""PCI Express links: what was negotiated, and what the device itself could do.

From the Link Capabilities and Link Status registers (PCI Express Base Specification, 7.5.3.6 and 7.5.3.8). A device in a
slot that is wired for fewer lanes than it has is no fault; the same device in the same slot with more lanes on every peer is one.
Graphics cards lower their link's speed while they idle, so of them only the width counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ahc_agent.facts import PciDevice

#: First digits of the class → component. The longest that fits counts.
_COMPONENTS = {
    "01": "disk",
    "02": "network",
    "0302": "system",
    "12": "system",
    "0b40": "system",
    "0c06": "network",
    "0c04": "disk",
}
#: Classes of which the link's speed follows the load.
_SPEED_VARIES = ("03", "12", "0b40")


@dataclass(frozen=True, slots=True)
class Link:
    """One device's link. ``width`` in lanes, ``speed`` in GT/s; None where it is not told, or says nothing."""

    component: str
    address: str
    title: str
    width: int | None
    speed: float | None
    width_max: int | None
    speed_max: float | None

    @property
    def is_narrow(self) -> bool:
        """Whether fewer lanes were negotiated than the device has."""
        return bool(self.width and self.width_max and self.width < self.width_max)

    @property
    def is_degraded(self) -> bool:
        """Whether fewer lanes, or a lower speed, were negotiated than the device could do."""
        return self.is_narrow or bool(self.speed and self.speed_max and self.speed < self.speed_max)

    def said(self) -> str:
        return _said(self.width, self.speed)

    def said_at_most(self) -> str:
        return _said(self.width_max, self.speed_max if self.speed else None)


def _said(width: int | None, speed: float | None) -> str:
    told = [f"x{width}" if width else "", f"{speed:g} GT/s" if speed else ""]
    return " at ".join(each for each in told if each)


def links_of(devices: Iterable[PciDevice]) -> Iterator[Link]:
    """The links of cards, disks and accelerators, each device once, however many functions it has."""
    seen: set[str] = set()
    for device in devices:
        kind = device.class_id or ""
        component = "system" if device.accelerator else _COMPONENTS.get(kind[:4]) or _COMPONENTS.get(kind[:2])
        slot = device.address.partition(".")[0]
        if component is None or slot in seen:
            continue
        seen.add(slot)
        steady = not (device.accelerator or kind.startswith(_SPEED_VARIES))
        yield Link(
            component=component,
            address=device.address,
            title=f"{device.class_name or 'device'}s {device.vendor_id}:{device.device_id}",
            width=device.link_width or None,
            speed=device.link_speed_gtps if steady else None,
            width_max=device.link_width_max or None,
            speed_max=device.link_speed_max_gtps if steady else None,
        )


def links(devices: Iterable[PciDevice]) -> Iterator[tuple[str, str, str]]:
    """Component, title and link of each."""
    return ((link.component, link.title, link.said()) for link in links_of(devices))
