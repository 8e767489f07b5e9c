"""Which table of limits holds for a fleet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ahc_server.history.reading import Reading
from ahc_server.judge.thresholds import SHARED, Thresholds


def limits_of(chosen: Thresholds | None, readings: Sequence[Reading]) -> Thresholds:
    """The judge's rule: machines that share a host disturb each other, and small differences between them tell nothing."""
    if chosen is not None:
        return chosen
    records = readings[-1].records
    hosts = Counter(record.identity.physical_host for record in records if record.identity.physical_host)
    shared = sum(count for count in hosts.values() if count > 1)
    return SHARED if 2 * shared > len(records) else Thresholds()
