"""Percentiles of a disk's completion latency, from fio's windows."""

from __future__ import annotations

from collections.abc import Sequence

from ahc_agent.bench import fio
from ahc_agent.measure import Sample

#: Name in metrics, and the part of the I/Os.
PERCENTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
#: A sample of a percentile holds at least this many I/Os beyond it.
_BEYOND = 2


def percentiles(windows: Sequence[tuple[fio.Window, float, str]]) -> dict[str, list[Sample]]:
    """Samples in microseconds by percentile, from (window, time, what disturbed it).

    A window of half a second of a slow disk holds too few I/Os for a high percentile: neighbours are put
    together until there are enough, at the worst all into one sample. It is empty where fio gave no latencies.
    """
    found = {}
    for name, part in PERCENTILES.items():
        enough = _BEYOND / (1 - part)
        samples: list[Sample] = []
        waiting: list[tuple[fio.Window, float, str]] = []
        for window in windows:
            if not window[0].latencies:
                continue
            waiting.append(window)
            if sum(each[0].ios for each in waiting) >= enough:
                samples.append(_sample(waiting, part))
                waiting = []
        if not samples and waiting:
            samples.append(_sample(waiting, part))
        if samples:
            found[name] = samples
    return found


def _sample(windows: Sequence[tuple[fio.Window, float, str]], part: float) -> Sample:
    latencies = fio.merged(window for window, _, _ in windows)
    _, at_s, _ = windows[-1]
    disturbed = next((text for _, _, text in windows if text), "")
    return Sample(value=fio.percentile_ns(latencies, part) / 1000, at_s=round(at_s, 3), disturbed=disturbed)
