"""A metric among the peers: a small distribution, drawn once a group, and one node's own value on it.

The distributions are symbols of SVG, so that a metric that carries the findings of many sheep is stored once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ahc_server.judge import wording
from ahc_server.judge.arrays import Floats
from ahc_server.judge.features import Metric
from ahc_server.judge.findings import significant
from ahc_server.judge.model import Evidence
from ahc_server.judge.suspects import GroupTest
from ahc_server.report.html.cloud import cloud, heights
from ahc_server.report.html.markup import Markup, join, tag

#: From this many values on a histogram says more than dots.
_HISTOGRAM, _BINS = 80, 60
#: Room at both ends, in per cent of the width.
_EDGE = 3.0


@dataclass(frozen=True, slots=True)
class Peers:
    """The metrics of one group. ``symbols``: column → its distribution, filled while sheep are drawn."""

    group: str
    test: GroupTest
    symbols: dict[int, Markup] = field(default_factory=dict)

    def column(self, place: int, evidence: Evidence) -> int | None:
        """The column that a finding's metric was read from, None where the judge worked it out from several.

        A disk's metric stands under the name that most of the group has for the disk: the value decides.
        """
        if evidence.value is None:
            return None
        component, _, rest = evidence.name.partition(".")
        quantity = rest.rpartition(".")[2]
        alike = [
            column
            for column, metric in enumerate(self.test.metrics)
            if (metric.component, metric.quantity) == (component, quantity)
            and significant(float(self.test.matrix.value[place, column]), 6) == significant(evidence.value, 6)
        ]
        same = [column for column in alike if self.test.metrics[column].name == evidence.name]
        return next(iter(same or alike), None)

    def plot(self, place: int, column: int) -> Markup:
        """The distribution of one metric with the node's own value on it."""
        metric, values = self.test.metrics[column], self._values(column)
        own, expected = float(self.test.matrix.value[place, column]), float(self.test.found.expected[column])
        if column not in self.symbols:
            self.symbols[column] = self._symbol(column, values)
        low, high = (wording.quantity(metric, float(each), expected) for each in (values.min(), values.max()))
        marks = [("expected", expected)] if np.isfinite(expected) else []
        return tag(
            "svg",
            tag("use", href=f"#{self._id(column)}", width="100%", height=22),
            [
                tag("line", x1=at, x2=at, y1=1, y2=23, class_="zero")
                for at in (f"{_at(each, values):.2f}%" for _, each in marks)
            ],
            tag(
                "svg",
                tag("path", d="M-5 0h10L0 9z", class_="own"),
                x=f"{_at(own, values):.2f}%",
                overflow="visible",
            ),
            tag("text", low, x="0", y="35"),
            tag("text", high, x="100%", y="35", text_anchor="end"),
            width="100%",
            height=38,
            role="img",
            aria_label=f"{_quantity(metric, own, expected)}, among {len(values):,} nodes from {low} to {high}",
            class_="peers",
        )

    def defs(self) -> Markup | None:
        """The distributions that were used; they must stand somewhere on the page."""
        if not self.symbols:
            return None
        return tag("svg", join(self.symbols.values()), width=0, height=0, class_="defs", aria_hidden="true")

    def _values(self, column: int) -> Floats:
        values = self.test.matrix.value[:, column]
        return np.asarray(values[~np.isnan(values)], dtype=np.float64)

    def _id(self, column: int) -> str:
        return f"m-{self.group}-{column}"

    def _symbol(self, column: int, values: Floats) -> Markup:
        x = np.array([_at(each, values) for each in values.tolist()])
        if len(values) < _HISTOGRAM:
            path = tag("path", d=cloud(x, heights(values, 0.2, 0.95)), class_="dots")
        else:
            path = tag("path", d=_histogram(x), class_="bars")
        return tag("symbol", path, id=self._id(column), viewBox="0 0 1000 100", preserveAspectRatio="none")


def _quantity(metric: Metric, value: float, expected: float) -> str:
    return wording.quantity(metric, value, expected if np.isfinite(expected) else None)


def _at(value: float, values: Floats) -> float:
    """Place on the axis, in per cent: linear from the least to the greatest value."""
    low, high = float(values.min()), float(values.max())
    part = (value - low) / (high - low) if high > low else 0.5
    return _EDGE + (100 - 2 * _EDGE) * part


def _histogram(x: Floats) -> str:
    """Columns as one path; heights by the square root, so that a single node is seen beside a thousand."""
    counts, edges = np.histogram(x, bins=_BINS, range=(0, 100))
    tall = np.rint(95 * np.sqrt(counts / counts.max())).astype(np.int64)
    wide = 1000 // _BINS - 2
    return "".join(
        f"M{round(10 * left)} 100v-{up}h{wide}v{up}z"
        for left, up in zip(edges.tolist(), tall.tolist(), strict=False)
        if up
    )
