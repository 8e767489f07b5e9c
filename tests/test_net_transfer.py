"""How a transfer is steered: its messages, its queues, its memory, its warm-up."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from ahc_agent.net.bulk import BUFFER_BYTES, Pace, Transfer
from ahc_agent.wire.messages import BenchLimits
from tests.pair_helpers import Remote, tasks


def transfer(**fields: Any) -> Transfer:
    return Transfer.of(tasks(**fields)[0])


def test_queues_stay_within_the_buffer_whatever_the_task_asks() -> None:
    for streams in (1, 2, 64):
        greedy = transfer(streams=streams, message_bytes=64 * 1024 * 1024)
        assert streams * greedy.message_bytes * 3 <= BUFFER_BYTES


def test_memory_stays_small_whatever_the_task_asks() -> None:
    greedy = BenchLimits(runtime_s=1.0, ci_target=0.0)  # long intervals ask for large messages
    listen, connect = tasks(streams=1, message_bytes=64 * 1024 * 1024, limits=greedy, latency=False)
    with closing(Remote(listen, "n1")) as listener, closing(Remote(connect, "n2")) as connector:
        ports = listener.ready()
        connector.ready()
        listener.go({})
        connector.go(ports)
        for end in (listener, connector):
            assert end.outcome().error is None
            assert end.grown_mib() < 32


def test_messages_fit_the_rate_so_that_slow_links_are_measured_finely() -> None:
    fitted = [
        transfer(limits=BenchLimits(runtime_s=1.0)).fitting_bytes(rate)
        for rate in (0, 1e5, 12.5e6, 125e6, 12e9)
    ]
    assert fitted == [8192, 8192, 131072, 1048576, 1048576]


def test_the_warm_up_is_not_counted() -> None:
    pace = Pace(transfer(warmup_s=1.0, limits=BenchLimits(runtime_s=2.0, ci_target=0.0)))
    now = 100.0
    while not pace.over(now):
        now += 0.01
        pace.count(now, 50_000 if now < 101.0 else 1000)
    assert pace.meter is not None
    assert pace.meter.bytes_per_s == pytest.approx(100_000, rel=0.01)
    assert now == pytest.approx(103.0, abs=0.05)


def test_a_link_that_dies_in_the_warm_up_carries_0() -> None:
    pace = Pace(transfer(warmup_s=0.2, limits=BenchLimits(runtime_s=1.0, ci_target=0.01)))
    pace.count(100.0, 1000)
    now = 100.0
    while not pace.over(now):
        now += 0.05
        pace.count(now, 0)
    assert pace.meter is not None
    assert pace.meter.total_bytes == 0
    assert set(pace.meter.samples) == {0.0}
