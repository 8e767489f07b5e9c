"""How findings are said: names of parts and metrics, numbers with units, and what a technician should check."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ahc_agent.facts import Disk
from ahc_server.judge.features import Metric

MINUS = "−"

#: What to check, by component (and direction of a network card).
ADVICE: dict[tuple[str, str | None], str] = {
    ("cpu", None): "cooling, throttle counters, frequency governor and the firmware's power profile",
    ("memory", None): "that all DIMMs are there, in the right slots and at full speed, and EDAC counters",
    ("numa", None): "DIMM placement and the NUMA settings of the firmware",
    ("disk", None): "its SMART health, firmware, write cache and cable, and what else uses it",
    (
        "network",
        "tx",
    ): "its cable, transceiver and switch port, and shaping or offload settings of its sending side",
    (
        "network",
        "rx",
    ): "its cable, transceiver and switch port (CRC errors there), and interrupts on the node",
    ("network", "rtt"): "interrupt coalescing and power-saving states, and the way that its packets take",
    ("network", None): "negotiated speed and duplex, cable, transceiver and switch port",
}

_IO = re.compile(
    r"^(?P<pattern>read|write|randread|randwrite)_(?P<block>\d+[kKMG]?)"
    r"(?P<together>_together)?_(?P<what>bytes_per_s|iops|p\d+_us)$"
)
_IO_PATTERNS = {
    "read": "sequential reads",
    "write": "sequential writes",
    "randread": "random reads",
    "randwrite": "random writes",
}


def number(value: float) -> str:
    """Three digits that matter: 4,663; 521; 52.0; 5.21."""
    size = abs(value)
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2
    return f"{value:,.{digits}f}"


def plain_percent(fraction: float) -> str:
    """A size without a sign: 59 %, 2.1 %."""
    return percent(abs(fraction)).removeprefix("+")


def percent(fraction: float) -> str:
    """With a sign: −59 %, +154 %; one decimal under ten per cent."""
    value = 100 * fraction
    text = f"{abs(value):.1f}" if abs(value) < 9.95 else f"{abs(value):,.0f}"
    if text == "0.0":
        return "0.0 %"
    return f"{MINUS if value < 0 else '+'}{text} %"


_SCALED: dict[str, tuple[tuple[float, str], ...]] = {
    "bytes": ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (0, "B/s")),
    "bits": ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (0, "bit/s")),
    "us": ((1e6, "s"), (1e3, "ms"), (0, "µs")),
}


def quantity(metric: Metric, value: float, like: float | None = None) -> str:
    """A value with its unit as a person reads it; ``like`` chooses the scale, so that two values share it."""
    if metric.quantity.endswith("bytes_per_s"):
        bits = metric.component == "network"
        return _scaled("bits" if bits else "bytes", value, like, 8 if bits else 1)
    if metric.quantity.endswith("_us"):
        return _scaled("us", value, like, 1)
    if metric.quantity.endswith("iops"):
        return f"{number(value)} IOPS"
    if metric.quantity.endswith("_per_s"):
        return f"{number(value)} {metric.quantity.removesuffix('_per_s').rsplit('_')[-1]}/s"
    return f"{number(value)} {metric.unit}".rstrip()


def _scaled(kind: str, value: float, like: float | None, factor: int) -> str:
    measure = abs(value if like is None else like) * factor
    size, unit = next((size, unit) for size, unit in _SCALED[kind] if measure >= size)
    return f"{number(value * factor / (size or 1))} {unit}"


def what(metric: Metric) -> str:
    """What a metric measures: "sequential reads (1M)" (of the disk that the title names), "core 3", "sends"."""
    if metric.component == "cpu" and metric.quantity in ("events_per_s", "loops_per_s"):
        return "all cores together" if metric.part == "all" else part(metric.part)
    if metric.component == "network":
        if metric.part in ("tx", "rx"):
            return {"tx": "sends", "rx": "receives"}[metric.part]
        return f"median {metric.quantity.split('_')[0].upper()} round trip"
    seen = _IO.match(metric.quantity)
    if seen is None:
        return metric.quantity.removesuffix("_per_s").replace("_", " ")
    text = f"{_IO_PATTERNS[seen['pattern']]} ({seen['block']}"
    if metric.component in ("memory", "numa"):
        text = f"{seen['pattern']}s from {part(metric.part)} ({seen['block']} blocks"
    text += ", all disks at once)" if seen["together"] else ")"
    if seen["what"].startswith("p"):
        # p99 is the 99th percentile, p999 the 99.9th.
        digits = seen["what"][1:].removesuffix("_us")
        text += f" p{digits[:2]}{'.' + digits[2:] if len(digits) > 2 else ''}"
    return text


_TITLES = {
    "cpu": "CPU",
    "socket": "CPU {part} against the others",
    "core": "CPU {part}",
    "throttling": "CPU",
    "memory": "memory",
    "numa": "memory of {part} against the others",
    "cached": "caches",
}


def title(kind: str, component: str, name: str) -> str:
    """The piece and how it is looked at: "CPU socket 0 against the others", "disk sdb, random reads"."""
    text = _TITLES.get(kind)
    if text is not None:
        text = text.format(part=part(name))
        return text if "{part}" in _TITLES[kind] or name == "all" else f"{text} {part(name)}"
    if component == "disk":
        return f"disk {name}" if kind in ("disk", "other") else f"disk {name}, {_DISK_TITLES.get(kind, kind)}"
    if component == "network":
        return {"tx": "network, sending", "rx": "network, receiving", "rtt": "network, round trips"}.get(
            kind, "network"
        )
    return f"{parts(component, [name])} {part(name)}".strip() if name != "all" else parts(component, [name])


_DISK_TITLES = {
    "sequential": "sequential reads",
    "random": "random reads",
    "latency": "times",
    "unsteady": "steadiness",
}


def parts(component: str, names: Sequence[str]) -> str:
    """The hardware that a finding is about: "disk sdb", "CPU"."""
    if component == "network":
        return "network"
    if component == "disk":
        return f"disk {names[0]}" if len(names) == 1 else f"disks {listed(names)}"
    return {"cpu": "CPU", "numa": "NUMA"}.get(component, component)


def disk_label(disk: Disk) -> str:
    """What a technician needs to find a disk: "sdb (ST4000NM0035, serial ZC14X2)"."""
    known = [disk.model, f"serial {disk.serial}" if disk.serial else None]
    told = ", ".join(each for each in known if each)
    return f"{disk.name} ({told})" if told else disk.name


def part(name: str) -> str:
    """ "core 3", "socket 0", "NUMA node 1"."""
    if name == "all":
        return "all cores"
    return re.sub(r"(socket|core|node)(\d+)", r"\1 \2", name).replace("-", " ").replace("node", "NUMA node")


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names with commas; what is too long ends in "and 7 more"."""
    shown = list(names[:most])
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def advice(component: str, direction: str | None) -> str:
    return ADVICE.get((component, direction), ADVICE.get((component, None), "the part and its settings"))


def nodes_word(count: int) -> str:
    return "1 node" if count == 1 else f"{count:,} nodes"
