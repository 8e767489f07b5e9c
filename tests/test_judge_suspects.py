"""Who is slow, fast, or beyond telling: false discoveries controlled over the fleet, glitches apart from faults."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_server.judge.arrays import Floats
from ahc_server.judge.suspects import GroupTest
from ahc_server.judge.thresholds import Limits, Thresholds
from tests.score_helpers import answers, examined, named, steps

MEMORY = "memory.all.write_1G_bytes_per_s"
READS, RANDOM = "disk.sda.read_1M_bytes_per_s", "disk.sda.randread_4k_iops"
NAN = float("nan")


def with_sheep(losses: list[float], size: int = 40, width: float = 0.01) -> Floats:
    values = steps(size, width)
    values[: len(losses)] = 1 - np.array(losses)
    return values


def accused(test: GroupTest) -> list[int]:
    return np.flatnonzero(np.any(test.slow, axis=1)).tolist()


# ── false discoveries ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [3, 5, 12, 40, 300])
@pytest.mark.parametrize("width", [0.002, 0.02, 0.1])
def test_of_healthy_nodes_nothing_is_said(size: int, width: float) -> None:
    test = examined({MEMORY: steps(size, width), READS: steps(size, width)[::-1]})
    assert [answers(test, place) for place in range(size)] == [{}] * size


def test_sheep_are_told_and_their_peers_are_not() -> None:
    assert accused(examined({MEMORY: with_sheep([0.3, 0.12, 0.2])}, within=0.01)) == [0, 1, 2]


def test_the_more_sheep_there_are_the_less_it_takes_to_be_one() -> None:
    """Benjamini and Hochberg's step: with few discoveries the bar lies so low that it most likely says nothing."""
    bars = []
    for count in (0, 1, 4, 8):
        test = examined({MEMORY: with_sheep([0.5] * count, size=1000)})
        score = named(test, "memory")[1]
        bars.append(float(score.bar[0] / score.error[0]))
    assert bars == sorted(bars)
    assert bars[-1] > bars[0] + 0.3


def test_however_many_sheep_the_bar_of_each_node_has_a_bound() -> None:
    test = examined({MEMORY: with_sheep([0.5] * 20, size=80)})
    score = named(test, "memory")[1]
    spreads = score.noise.spreads(Thresholds().alarms) + score.extra
    assert np.all(score.bar <= -spreads * score.error + 1e-12)


@given(st.lists(st.floats(0.02, 0.9), max_size=9))
def test_q_is_that_of_benjamini_and_hochberg(losses: list[float]) -> None:
    test = examined({MEMORY: with_sheep(losses), READS: steps(40, 0.02)})
    clearest = np.min([np.where(s.distance < -s.floor, s.log_p, 0.0) for s in test.scores], axis=0)
    ranked = np.sort(np.exp(clearest))
    number, score = named(test, "memory")
    for place in range(40):
        p = float(np.exp(score.log_p[place]))
        later = [40 * each / rank for rank, each in enumerate(ranked, start=1) if each >= p * (1 - 1e-12)]
        assert test.q[place, number] == pytest.approx(min([1.0, *later]), rel=1e-6, abs=1e-300)


@given(st.floats(0.01, 0.95), st.floats(0.0, 1.0), st.integers(5, 60))
def test_a_larger_loss_is_never_judged_milder(loss: float, more: float, size: int) -> None:
    small, large = (
        examined({MEMORY: with_sheep([each], size), READS: steps(size, 0.02)}, within=0.01)
        for each in (loss, loss + (0.97 - loss) * more)
    )
    assert set(accused(small)) <= set(accused(large))
    assert large.q[0, 0] <= small.q[0, 0] + 1e-12


def test_certain_and_unimportant_is_no_fault() -> None:
    values = np.where(np.arange(200) == 0, 0.985, steps(200, 0.0001))
    assert accused(examined({MEMORY: values}, within=0.001)) == []
    exact = Thresholds(kinds={**Thresholds().kinds, "memory": Limits(floor=0.01, fail=0.3, noise=0.001)})
    assert accused(examined({MEMORY: values}, within=0.001, thresholds=exact)) == [0]


# ── one value of one run ─────────────────────────────────────────────────────────────────────────


def disk(reads: float, random: float, size: int = 20, **more: float) -> GroupTest:
    """What the first node's only disk does, one value of one run each, beside peers."""
    return examined({READS: with_sheep([1 - reads], size), RANDOM: with_sheep([1 - random], size)}, **more)  # type: ignore[arg-type]


def test_one_value_that_nothing_seconds_is_a_glitch() -> None:
    assert answers(disk(0.6, 1.0), 0) == {"glitch": {("sequential", "sda")}}


def test_two_that_point_the_same_way_are_a_fault() -> None:
    assert ("sequential", "sda") in answers(disk(0.6, 0.6), 0)["slow"]


def test_half_of_the_way_is_support_enough() -> None:
    random = named(disk(0.6, 1.0), "random")[1]
    bar = float(random.bar[0])
    assert ("sequential", "sda") in answers(disk(0.6, float(np.exp(0.6 * bar))), 0)["slow"]
    assert ("sequential", "sda") in answers(disk(0.6, float(np.exp(0.3 * bar))), 0)["glitch"]


def test_several_samples_need_no_support() -> None:
    said = answers(disk(0.6, 1.0, within=0.01), 0)
    assert ("sequential", "sda") in said["slow"] and "glitch" not in said


def test_where_a_piece_was_measured_once_only_one_value_must_do() -> None:
    assert answers(examined({MEMORY: with_sheep([0.3], 20)}), 0) == {"slow": {("memory", "all")}}


def test_where_the_other_value_is_lost_one_must_do() -> None:
    assert ("sequential", "sda") in answers(disk(0.6, NAN), 0)["slow"]


def test_next_to_nothing_is_a_fault_and_no_glitch() -> None:
    assert ("sequential", "sda") in answers(disk(0.0, 1.0), 0)["slow"]
    assert ("sequential", "sda") in answers(disk(0.0005, 1.0), 0)["slow"]


def test_support_comes_from_the_same_disk_only() -> None:
    columns = {
        "disk.sda.read_1M_bytes_per_s": with_sheep([0.4], 20),
        "disk.sda.randread_4k_iops": steps(20, 0.01),
        "disk.sdb.read_1M_bytes_per_s": steps(20, 0.01)[::-1],
        "disk.sdb.randread_4k_iops": with_sheep([0.4], 20),
    }
    said = answers(examined(columns), 0)
    assert {("sequential", "sda"), ("random", "sdb")} <= said["glitch"]


def test_a_single_core_needs_no_support() -> None:
    away = steps(20 * 8, 0.003).reshape(20, 8)
    away[0, 5] = 0.7
    test = examined({f"cpu.core{n}.events_per_s": away[:, n] for n in range(8)})
    assert answers(test, 0) == {"slow": {("core", "core5")}}


# ── fast, and beyond telling ─────────────────────────────────────────────────────────────────────


def test_faster_is_told_when_it_is_twice_as_clear() -> None:
    bar = float(named(examined({MEMORY: with_sheep([-0.5], 20)}, within=0.01), "memory")[1].bar[0])
    for times, said in ((1.5, {}), (2.5, {"fast": {("memory", "all")}})):
        values = with_sheep([1 - float(np.exp(-times * bar))], 20)
        assert answers(examined({MEMORY: values}, within=0.01), 0) == said


def test_a_core_that_is_faster_than_the_others_is_no_news() -> None:
    away = steps(20 * 8, 0.003).reshape(20, 8)
    away[0, 5] = 1.5
    assert answers(examined({f"cpu.core{n}.events_per_s": away[:, n] for n in range(8)}), 0) == {}


def test_a_loss_that_disturbances_could_explain_is_beyond_telling() -> None:
    values = with_sheep([0.3, 0.3, 0.8], 20)
    test = examined({MEMORY: values}, within=0.01, doubt={0: 0.4, 2: 0.4})
    assert answers(test, 0) == {"cannot tell": {("memory", "all")}}
    assert answers(test, 1) == answers(test, 2) == {"slow": {("memory", "all")}}


def test_a_group_of_which_nothing_is_known_has_no_scores() -> None:
    test = examined({"cpu.core0.bogomips": steps(5)})
    assert test.scores == [] and test.slow.shape == (5, 0)


def test_nodes_without_peers_are_tested_by_their_own_like_parts() -> None:
    core = np.array([1.0] * 15 + [0.5])
    alone = examined({f"cpu.core{n}.events_per_s": [core[n]] for n in range(16)})
    assert alone.is_alone
    assert answers(alone, 0) == {"slow": {("core", "core15")}}
    assert not examined({MEMORY: steps(3)}).is_alone


# ── cards, which the localiser judges ────────────────────────────────────────────────────────────

TX, RX = "network.tx.bytes_per_s", "network.rx.bytes_per_s"
#: ln of the chance that the localiser reckons.
CLEAR = -30.0


def cards(tx: float, rx: float, named_for: list[str], size: int = 20) -> GroupTest:
    """The first node sends and receives these parts of what its peers do."""
    columns = {TX: steps(size, 0.002), RX: steps(size, 0.002)[::-1].copy()}
    columns[TX][0], columns[RX][0] = tx, rx
    return examined(columns, within=0.01, localised={(0, part): CLEAR for part in named_for})


@pytest.mark.parametrize(
    ("tx", "rx", "parts", "shown"),
    [
        (0.6, 1.0, ["tx"], True),
        (1.0, 0.6, ["rx"], True),
        (1.0, 0.6, ["tx"], False),
        (1.0, 0.6, ["tx", "rx"], True),
        (1.0, 1.0, ["tx", "rx"], False),
        (0.93, 1.0, ["tx"], True),
        (0.97, 1.0, ["tx"], False),
    ],
)
def test_whom_the_localiser_names_is_accused_beside_its_peers_where_it_shows_there(
    tx: float, rx: float, parts: list[str], shown: bool
) -> None:
    """Half of the least effect (10 %) in a direction that it is named for; flows with others have to prove all else."""
    test = cards(tx, rx, parts)
    said = answers(test, 0).get("slow", set())
    assert said == ({(part, part) for part in parts} if shown else set())
    assert accused(test) == ([0] if shown else [])


@given(st.floats(0.2, 1.2), st.floats(0.2, 1.2))
def test_whom_the_localiser_does_not_name_is_not_accused_of_its_card(tx: float, rx: float) -> None:
    assert accused(cards(tx, rx, [])) == []


def test_a_card_that_does_not_show_takes_nothing_from_other_findings() -> None:
    columns = {TX: steps(40, 0.002), MEMORY: with_sheep([0.3])}
    columns[TX][0] = 1.0
    test = examined(columns, within=0.01, localised={(0, "tx"): CLEAR})
    assert {kind for kind, _ in answers(test, 0)["slow"]} == {"memory"}


def test_where_all_peers_are_as_bad_nobody_shows_beside_them() -> None:
    test = examined(
        {TX: 0.5 * steps(20, 0.002)}, within=0.01, localised={(row, "tx"): CLEAR for row in range(20)}
    )
    assert accused(test) == []
