"""The server's clock as an agent knows it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.wire.clock import ServerClock
from ahc_agent.wire.messages import Go, Pulse

SECOND = 10**9


def heard(
    clock: ServerClock, ahead_ns: int, there_ns: int, back_ns: int, sent_at_ns: int = 5 * SECOND
) -> None:
    """A heartbeat to a server whose clock is ahead, so long on its way there and back."""
    pulse = Pulse(sequence=1, sent_at_ns=sent_at_ns, server_at_ns=sent_at_ns + there_ns + ahead_ns)
    clock.hear(pulse, sent_at_ns + there_ns + back_ns)


@given(
    st.integers(0, 10**15),
    st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)), min_size=1, max_size=4),
)
def test_it_is_wrong_by_half_of_the_quickest_round_trip_at_most(
    ahead: int, trips: list[tuple[int, int]]
) -> None:
    clock = ServerClock()
    for there, back in trips:
        heard(clock, ahead, there, back)
    offset = clock.offset_ns
    assert offset is not None
    assert abs(offset - ahead) <= min(there + back for there, back in trips) / 2 + 1


def test_old_answers_are_forgotten_as_clocks_drift() -> None:
    clock = ServerClock()
    heard(clock, 0, 10, 10)
    for later in range(1, 9):
        heard(clock, 3 * SECOND, 1000, 1000, (5 + later) * SECOND)
    assert clock.offset_ns == 3 * SECOND


def test_a_quick_answer_is_believed_until_it_may_have_drifted_further_than_a_new_one_is_wrong() -> None:
    clock = ServerClock()
    heard(clock, 7, 10_000, 10_000)  # wrong by 10 µs at most
    heard(clock, 8, 200_000, 200_000, 6 * SECOND)  # a second later the first may be wrong by 60 µs
    assert clock.offset_ns == 7
    assert clock.error_s == pytest.approx(60e-6, rel=0.05)
    heard(clock, 9, 200_000, 200_000, 15 * SECOND)
    assert clock.offset_ns == 9
    assert clock.error_s == pytest.approx(200e-6)


def test_another_server_has_another_clock() -> None:
    clock = ServerClock()
    heard(clock, 7, 1, 1)
    clock.forget()
    assert clock.offset_ns is None and clock.error_s is None


def test_an_answer_to_none_of_our_heartbeats_tells_nothing() -> None:
    clock = ServerClock()
    clock.hear(Pulse(sequence=0, sent_at_ns=0, server_at_ns=0), 5)
    clock.hear(Pulse(sequence=1, sent_at_ns=9, server_at_ns=1), 5)
    assert clock.offset_ns is None


def test_a_start_is_at_the_moment_that_the_server_named() -> None:
    clock = ServerClock()
    heard(clock, 1000 * SECOND, 0, 0)
    at_ns = time.monotonic_ns() + SECOND
    start = clock.start_s(Go(task_id="t", delay_s=5.0, start_at_ns=at_ns + 1000 * SECOND))
    assert start == pytest.approx(at_ns / 1e9)


def test_without_a_clock_or_a_moment_it_is_the_delay() -> None:
    clock = ServerClock()
    for go in (Go(task_id="t", delay_s=2.0, start_at_ns=1), Go(task_id="t", delay_s=2.0)):
        before = time.monotonic()
        assert before + 2 <= clock.start_s(go) + 1e-6
        heard(clock, 0, 1, 1)


def test_no_wrong_clock_holds_a_task_for_long() -> None:
    clock = ServerClock()
    heard(clock, 0, 1, 1)
    far = time.monotonic_ns() + 3600 * SECOND
    assert clock.start_s(Go(task_id="t", start_at_ns=far)) <= time.monotonic() + 10
