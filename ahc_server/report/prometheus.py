"""The report in Prometheus' text exposition format, version 0.0.4, as node_exporter's textfile collector reads it.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/. All samples are gauges, without timestamps (the collector
refuses those). Every sample names the session, so that files of several fleets can lie side by side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from ahc_server.judge.model import Finding, Report
from ahc_server.report.words import clean

#: (labels, value)
_Sample = tuple[dict[str, str], float]


def draw_prometheus(report: Report) -> str:
    """All families; ends with a line feed, as the format demands."""
    families: tuple[tuple[str, str, Iterable[_Sample]], ...] = (
        (
            "ahc_report_generated_timestamp_seconds",
            "When the newest data of this report came in.",
            _when(report),
        ),
        ("ahc_nodes", "Nodes of the session, by verdict.", _counts(report)),
        (
            "ahc_node_verdict",
            "1 for the verdict of each node: pass, warn, fail or unknown.",
            _verdicts(report),
        ),
        ("ahc_findings", "Findings of the report, by component, kind and severity.", _findings(report)),
        (
            "ahc_finding_effect",
            "How much a piece of hardware differs from what its peers make one expect: -0.36 is 36 % worse. "
            "The worst one where several findings have the same labels.",
            _effects(report),
        ),
    )
    return "".join(
        line
        for name, meaning, samples in families
        for line in _family(report.session, name, meaning, samples)
    )


def _family(session: str, name: str, meaning: str, samples: Iterable[_Sample]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}\n# TYPE {name} gauge\n"
    for labels, value in samples:
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in {"session": session, **labels}.items())
        yield f"{name}{{{told}}} {_number(value)}\n"


def _escaped(text: str) -> str:
    return clean(text).replace("\\", r"\\").replace('"', r"\"")


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _when(report: Report) -> Iterator[_Sample]:
    yield {}, datetime.fromisoformat(report.generated_at).timestamp()


def _counts(report: Report) -> Iterator[_Sample]:
    counts = report.counts
    for verdict, count in (
        ("pass", counts.passed),
        ("warn", counts.warn),
        ("fail", counts.fail),
        ("unknown", counts.unknown),
    ):
        yield {"verdict": verdict}, float(count)


def _verdicts(report: Report) -> Iterator[_Sample]:
    for node in report.nodes:
        yield {"node": node.id, "group": node.group or "", "verdict": node.verdict}, 1.0


def _findings(report: Report) -> Iterator[_Sample]:
    counted = Counter((each.component, each.kind, each.severity) for each in report.findings)
    for (component, kind, severity), count in sorted(counted.items()):
        yield {"component": component, "kind": kind, "severity": severity}, float(count)


def _effects(report: Report) -> Iterator[_Sample]:
    worst: dict[tuple[tuple[str, str], ...], float] = {}
    for finding in report.findings:
        if finding.effect is not None:
            labels = tuple(_labels(finding).items())
            worst[labels] = min(finding.effect, worst.get(labels, finding.effect))
    for labels, effect in worst.items():
        yield dict(labels), effect


def _labels(finding: Finding) -> dict[str, str]:
    """``metric`` is the one that carries the finding first: it tells two disks of one node apart."""
    sort, _, name = finding.element.partition(":")
    return {
        sort: name,
        "component": finding.component,
        "direction": finding.direction or "",
        "kind": finding.kind,
        "severity": finding.severity,
        "metric": finding.metrics[0].name if finding.metrics else "",
    }
