"""The judge's matrices as rows, for reports that show every value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ahc_server.judge import Judgement
from ahc_server.judge.features import Metric
from ahc_server.judge.findings import significant


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One metric of one group. ``expected``: the group's median, None where the metric could not be judged.

    A column equals itself only, so that it is a quick key.
    """

    group: str
    metric: Metric
    label: str
    expected: float | None


@dataclass(frozen=True, slots=True)
class Value:
    """One metric of one node; ``effect`` is None where the metric could not be judged."""

    node: str
    column: Column
    value: float
    effect: float | None


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of one group. ``spread``: robust standard deviation, relative to the median; ``worst``: who and how much."""

    group: str
    metric: Metric
    label: str
    nodes: int
    expected: float | None
    spread: float | None
    worst: str
    worst_effect: float | None


def every_value(judgement: Judgement) -> Iterator[Value]:
    """All values, by group, node and metric."""
    for group, test in zip(judgement.report.groups, judgement.tests, strict=True):
        columns = [
            Column(group.id, metric, label, significant(float(expected), 6) if judged else None)
            for metric, label, expected, judged in zip(
                test.metrics,
                metric_labels(test.metrics),
                test.found.expected.tolist(),
                test.found.judged.tolist(),
                strict=True,
            )
        ]
        for place, row in enumerate(test.matrix.rows.tolist()):
            node = judgement.nodes[row]
            values = test.matrix.value[place].tolist()
            effects = (np.round(test.found.effect[place], 4) + 0.0).tolist()
            for column, value, effect in zip(columns, values, effects, strict=True):
                if value == value:  # not NaN
                    judged = column.expected is not None
                    yield Value(node, column, significant(value, 6), effect if judged else None)


def metric_rows(judgement: Judgement) -> Iterator[MetricRow]:
    """All metrics, by group, in the order of their names."""
    for group, test in zip(judgement.report.groups, judgement.tests, strict=True):
        labels = metric_labels(test.metrics)
        for column, metric in enumerate(test.metrics):
            count = int(np.sum(~np.isnan(test.matrix.value[:, column])))
            judged = bool(test.found.judged[column])
            effects = test.found.effect[:, column]
            worst = int(np.nanargmin(effects)) if judged else 0
            yield MetricRow(
                group=group.id,
                metric=metric,
                label=labels[column],
                nodes=count,
                expected=float(test.found.expected[column]) if judged else None,
                spread=float(test.found.spread[column]) if judged else None,
                worst=judgement.nodes[int(test.matrix.rows[worst])] if judged else "",
                worst_effect=float(effects[worst]) if judged else None,
            )


def metric_labels(metrics: list[Metric]) -> list[str]:
    """Names that tell columns apart: a metric that several jobs measured is followed by its job and host count."""
    names = [metric.name for metric in metrics]
    repeated = {name for name, after in zip(sorted(names), sorted(names)[1:], strict=False) if name == after}
    return [
        f"{metric.name} ({metric.job}, {metric.hosts} at once)" if metric.name in repeated else metric.name
        for metric in metrics
    ]
