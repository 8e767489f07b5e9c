"""Cores, their sockets, and throttling: from measurements of single cores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.facts import Cpu, Inventory
from ahc_server.judge.arrays import Floats
from ahc_server.judge.cores import Layout, layouts_of, ranges
from ahc_server.judge.evidence import Evidence
from ahc_server.judge.gather import gather
from ahc_server.judge.readings import readings
from tests.score_helpers import metric, steps, values_of

TWO_BY_FOUR = Layout({core: core // 4 for core in range(8)}, known=True)
IN_TURN = Layout({core: core % 2 for core in range(8)}, known=False)


def cpu(
    socket_cpus: list[str] | None = None,
    *,
    sockets: int = 2,
    logical: int = 8,
    threads: int = 1,
) -> Inventory:
    facts = Cpu(
        sockets=sockets, logical_present=logical, threads_per_core=threads, socket_cpus=socket_cpus or []
    )
    return Inventory(collected_at="2024-05-01T10:00:00Z", cpu=facts)


def gathered(away: Floats, layouts: list[Layout], cached: Floats | None = None) -> dict[str, Evidence]:
    """Kind → evidence, of cores that compute, and that write blocks which fit their caches."""
    names = [f"cpu.core{n}.events_per_s" for n in range(away.shape[1])]
    if cached is not None:
        names += [f"memory.core{n}.write_64K_bytes_per_s" for n in range(away.shape[1])]
        # Blocks that fit no cache, or the small ones would have to do for memory.
        names += ["memory.core0.write_1G_bytes_per_s"]
        away = np.hstack([away, cached, np.zeros((len(away), 1))])
    metrics = [metric(name) for name in names]
    found = gather(values_of(away), [each.component for each in metrics], readings(metrics), layouts)
    return {each.kind: each for each in found}


def fleet(nodes: int = 9, count: int = 8, width: float = 0.002) -> Floats:
    return np.log(steps(nodes * count, width)).reshape(nodes, count)


# ── which core is in which socket ────────────────────────────────────────────────────────────────


def test_machines_tell_which_core_is_in_which_socket() -> None:
    [layout] = layouts_of([cpu(["0-1,4-5", "2-3,6-7"])] * 3)
    assert layout.known
    assert layout.socket_of == {0: 0, 1: 0, 4: 0, 5: 0, 2: 1, 3: 1, 6: 1, 7: 1}


def test_what_most_of_the_machines_tell_counts() -> None:
    usual, odd = cpu(["0-3", "4-7"]), cpu(["0", "1-7"])
    [layout] = layouts_of([odd, usual, None, usual])
    assert layout.socket_of[1] == 0


def test_where_none_tells_the_usual_numberings_are_tried() -> None:
    first, second = layouts_of([cpu()])
    assert not first.known
    assert [first.socket_of[core] for core in range(8)] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [second.socket_of[core] for core in range(8)] == [0, 1] * 4


def test_threads_come_after_all_cores_or_beside_their_core() -> None:
    numberings = layouts_of([cpu(logical=8, threads=2)])
    assert [[each.socket_of[core] for core in range(8)] for each in numberings] == [
        [0, 0, 1, 1, 0, 0, 1, 1],
        [0, 1, 0, 1, 0, 1, 0, 1],
        [0, 0, 0, 0, 1, 1, 1, 1],
    ]


@pytest.mark.parametrize(
    "machines",
    [
        [],
        [None],
        [cpu(sockets=1)],
        [cpu(logical=3)],
        [cpu(logical=7)],
        [Inventory(collected_at="2024-05-01T10:00:00Z")],
    ],
    ids=["nobody", "untold", "one socket", "too few cores", "odd cores", "no CPU"],
)
def test_without_two_sockets_of_equal_size_there_is_nothing_to_compare(
    machines: list[Inventory | None],
) -> None:
    assert layouts_of(machines) == []


def test_a_hostile_list_of_cpus_costs_nothing() -> None:
    [layout] = layouts_of([cpu(["0-999999", "x,9999999999,,5-"])])
    assert len(layout.socket_of) <= 70_000


# ── levels and sockets ───────────────────────────────────────────────────────────────────────────


def test_a_slow_socket_is_seen_against_the_other_one() -> None:
    away = fleet()
    away[4, 4:] -= 0.03
    found = gathered(away, [TWO_BY_FOUR])["socket"]
    assert found.parts == ["socket0", "socket1"]
    assert found.distance[4].tolist() == pytest.approx([0.03, -0.03], abs=0.005)
    assert np.abs(np.delete(found.distance, 4, axis=0)).max() < 0.008


def test_what_the_node_does_as_a_whole_is_no_difference_of_its_sockets() -> None:
    away = fleet()
    away[4] -= 0.3
    found = gathered(away, [TWO_BY_FOUR])
    assert np.abs(found["socket"].distance[4]).max() < 0.006
    assert found["cpu"].distance[4, 0] == pytest.approx(-0.3, abs=0.004)


def test_in_a_numbering_that_is_only_guessed_cores_are_named_and_no_socket() -> None:
    assert gathered(fleet(), [IN_TURN])["socket"].parts == ["cores 0, 2, … 6", "cores 1, 3, … 7"]


def test_in_the_wrong_numbering_a_slow_socket_shows_less() -> None:
    away = fleet()
    away[4, 4:] -= 0.05
    assert np.abs(gathered(away, [IN_TURN])["socket"].distance[4]).max() < 0.01


def test_one_bad_core_moves_neither_its_socket_nor_its_node() -> None:
    away = fleet()
    away[4, 6] -= 2.0
    found = gathered(away, [TWO_BY_FOUR])
    assert np.abs(found["socket"].distance[4]).max() < 0.006
    assert abs(found["cpu"].distance[4, 0]) < 0.004


def test_a_socket_of_which_one_core_was_measured_is_not_compared() -> None:
    few = Layout({0: 0, 1: 1, 2: 1, 3: 1}, known=True)
    assert "socket" not in gathered(fleet(count=4), [few])


# ── a bad core ───────────────────────────────────────────────────────────────────────────────────


def test_a_bad_core_stands_below_the_cores_of_its_node() -> None:
    away = fleet()
    away[2, 5] -= 0.1
    away[3] -= 0.1
    found = gathered(away, [])["core"]
    assert found.distance[2, 5] == pytest.approx(-0.1, abs=0.006)
    assert np.abs(found.distance[3]).max() < 0.01


def test_a_core_is_bad_where_two_measurements_agree_and_in_doubt_where_computing_alone_says_so() -> None:
    """Computing and small blocks follow the same clock: the better of the two counts."""
    away, cached = fleet(), fleet()[::-1].copy()
    away[2, 5] -= 0.5
    away[3, 1] -= 0.5
    cached[3, 1] -= 0.4
    cached[6, 0] -= 0.7
    found = gathered(away, [], cached)["core"]
    assert found.distance[6, 0] > -0.01
    assert found.distance[3, 1] == pytest.approx(-0.4, abs=0.01)
    # The clock may be slow where blocks do not show it: one value of one run, told and not believed.
    assert found.distance[2, 5] == pytest.approx(-0.5, abs=0.01)
    assert list(zip(*np.nonzero(found.single), strict=True)) == [(2, 5)]


# ── throttling ───────────────────────────────────────────────────────────────────────────────────


def unrest(away: Floats, layouts: list[Layout], node: int) -> float:
    """How much more this node's cores stray than those of its peers."""
    found = -gathered(away, layouts)["throttling"].distance[:, 0]
    return float(found[node] - np.median(found))


def test_cores_that_stray_from_each_other_throttle() -> None:
    away = fleet()
    away[4] += 0.08 * np.array([0, -1, 0.5, -0.5, 1, 0, -1, 0.5])
    assert unrest(away, [TWO_BY_FOUR, IN_TURN], 4) > 0.03


@given(st.integers(0, 7), st.floats(-7.0, -0.01))
def test_one_bad_core_is_no_throttling_and_neither_is_it_with_its_twin(core: int, loss: float) -> None:
    away = fleet()
    away[4, core] += loss
    assert unrest(away, [], 4) < 0.004
    away[4, (core + 4) % 8] += loss
    assert unrest(away, [], 4) < 0.004


@given(st.booleans(), st.floats(0.005, 0.5))
def test_a_slow_socket_is_no_throttling_whatever_the_numbering(in_turn: bool, loss: float) -> None:
    away = fleet()
    away[4, 1 :: 2 if in_turn else 1][(0 if in_turn else 3) :] -= loss
    assert unrest(away, [TWO_BY_FOUR, IN_TURN], 4) < 0.004


def test_of_fewer_than_four_cores_no_unrest_is_told() -> None:
    assert "throttling" not in gathered(fleet(count=3), [])
    assert "throttling" in gathered(fleet(count=4), [])


# ── how cores are listed ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([3], "3"),
        ([0, 1, 2, 3], "0–3"),
        ([8, 0, 1, 2], "0–2, 8"),
        ([0, 2, 4, 6, 8], "0, 2, … 8"),
        ([0, 2, 4], "0, 2, 4"),
        ([0, 1, 2, 3, 16, 17, 18, 19], "0–3, 16–19"),
    ],
)
def test_cores_are_listed_as_a_person_writes_them(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text
