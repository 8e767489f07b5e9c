"""Two network sessions side by side, as text."""

from __future__ import annotations

from collections.abc import Sequence

from ahc_server.history.flowchanges import FlowChange, QuantityChange
from ahc_server.history.flowside import Element
from ahc_server.history.networks import NetworkChange
from ahc_server.judge import wording
from ahc_server.judge.features import Metric
from ahc_server.report.layout import table, wrapped
from ahc_server.report.words import clean

_METRICS = {
    "rate": Metric("network", "flow", "bytes_per_s", "bytes/s", True, "", 0),
    "rtt": Metric("network", "flow", "round_trip_us", "us", False, "", 0),
}
TITLES = {"rate": "bandwidth", "rtt": "round trips"}
#: Which direction is bad: of two nodes, or of what one sends and receives.
_WAYS: dict[str, dict[str | None, str]] = {
    "pair": {"tx": ", from the first to the second", "rx": ", from the second to the first"},
    "other": {"tx": ", sending", "rx": ", receiving"},
}
#: On one screen; ``--full`` shows all.
_MOST, _MOST_NAMES = 8, 6


def network_lines(changes: Sequence[NetworkChange], width: int, *, full: bool) -> list[str]:
    """The section, empty where there are none."""
    lines: list[str] = []
    for each in changes:
        lines += ["", clean(f"Network, job {each.job}, before and after")]
        for quantity in each.quantities:
            lines += _quantity(quantity, width, full=full)
        for title, elements in (
            ("bad now and not before", each.came),
            ("bad before and not now", each.went),
            ("bad before and now", each.stayed),
        ):
            if elements:
                told = [element_told(one) for one in elements]
                lines += _listed(title, told, width, full=full)
        if each.silenced:
            lines += _listed("came through before and not now", each.silenced, width, full=full)
        if each.connected:
            lines += _listed("comes through now and did not before", each.connected, width, full=full)
    return lines


def _listed(title: str, names: Sequence[str], width: int, *, full: bool) -> list[str]:
    listed = wording.listed([*names], most=len(names) if full else _MOST_NAMES)
    return wrapped(clean(f"{title}: {listed}"), width, "    ", first="  ")


def element_told(each: Element) -> str:
    way = _WAYS["pair" if each.element.startswith("pair:") else "other"].get(each.direction, "")
    return f"{each.element} ({wording.percent(each.effect)}{way})"


def _quantity(each: QuantityChange, width: int, *, full: bool) -> list[str]:
    how = "each pair with itself" if each.paired else "each node's median, since the pairs are others"
    lines = [f"  {TITLES[each.quantity]}, {how}"]
    # Of leaves only those that stand out from the fleet, unless all are asked for.
    chosen = [*each.fleet, *each.leaves] if full else standing_out(each)
    rows: list[tuple[str, ...]] = [("", "flows", "before", "after", "change")]
    rows += [row_of(each, one) for one in chosen]
    lines += ["  " + line for line in table(rows, width - 2)]
    for title, odd, count in (
        ("between these leaves it changed otherwise", each.blocks, len(each.blocks)),
        ("between these pairs it changed otherwise", each.pairs, each.odd_pairs),
    ):
        shown = odd if full else odd[:_MOST]
        if shown:
            lines += [
                f"    {title}",
                *("    " + line for line in table([row_of(each, one) for one in shown], width - 4)),
            ]
        if count > len(shown) and shown:
            lines.append(f"      and {count - len(shown):,} more" + ("" if full else " (--full)"))
    return lines


def standing_out(each: QuantityChange) -> list[FlowChange]:
    """The fleet, and leaves whose interval does not meet that of all flows across leaves."""
    usual = each.fleet[-1] if each.fleet else None
    if usual is None or usual.low is None or usual.high is None:
        return each.fleet
    low, high = usual.low, usual.high
    odd = [
        one
        for one in each.leaves
        if one.low is not None and one.high is not None and (one.high < low or one.low > high)
    ]
    return [*each.fleet, *sorted(odd, key=lambda one: -abs(one.change - usual.change))[:_MOST]]


def row_of(of: QuantityChange, each: FlowChange) -> tuple[str, ...]:
    metric = _METRICS[of.quantity]
    # A time that became longer is told as it is: "+150 %".
    sign = 1 if of.quantity == "rate" else -1
    told = wording.percent(sign * each.change)
    if each.low is not None and each.high is not None:
        ends = sorted((sign * each.low, sign * each.high))
        told += f" ({wording.percent(ends[0])} to {wording.percent(ends[1])})"
    return (
        each.what,
        f"{each.flows:,}",
        wording.quantity(metric, each.before),
        wording.quantity(metric, each.after),
        told,
    )
