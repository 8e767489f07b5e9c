"""The report on one screen: a line per sheep and cause, and nothing that a terminal would obey."""

from __future__ import annotations

import click
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_server.judge.model import Finding, Verdict
from ahc_server.report import words
from ahc_server.report.folding import fold
from ahc_server.report.layout import table, table_rows
from ahc_server.report.text import Sections, draw_text
from tests.report_example import HOSTILE, made, small
from tests.report_helpers import judgement


def slow(node: str, effect: float, cause: str | None = None, **more: object) -> Finding:
    return Finding(
        element=f"node:{node}",
        nodes=[node],
        component="memory",
        kind="slow",
        severity="warn",
        effect=effect,
        cause=cause,
        summary=f"{node}: memory: writes {node[1:]} GB/s; check all DIMMs",
    )


def drift(node: str, peers: str = "988") -> Finding:
    return Finding(
        element=f"node:{node}",
        nodes=[node],
        component="firmware",
        kind="config",
        severity="warn",
        cause="its BIOS: 1.2, where its peers have 1.4",
        summary=f"{node} differs from its {peers} peers: BIOS: 1.2, where its peers have 1.4; check the firmware",
    )


def report_of(findings: list[Finding], nodes: int = 0) -> str:
    blamed = list(dict.fromkeys(name for each in findings for name in each.nodes))
    names = blamed + [f"x{number}" for number in range(nodes - len(blamed))]
    verdicts: dict[str, Verdict] = {name: "warn" if name in blamed else "pass" for name in names}
    return draw_text(judgement(verdicts, {"g1": names}, [], findings))


# ── many nodes, one line ─────────────────────────────────────────────────────────────────────────


def test_equal_findings_of_many_nodes_are_one_line_that_lists_them() -> None:
    drawn = report_of([drift(name) for name in ("n3", "n5", "n9")])
    [line] = [line for line in drawn.splitlines() if "BIOS" in line]
    assert line.split()[:3] == ["WARN", "3", "nodes"]
    assert "n3, n5, n9: differs from its 988 peers: BIOS: 1.2, where its peers have 1.4" in line


def test_how_many_peers_they_have_keeps_no_findings_apart() -> None:
    [line] = fold([drift("n3", "1,001"), drift("n5", "988"), drift("n9", "990")])
    assert line.facts() == "differs from its 988 to 1,001 peers: BIOS: 1.2, where its peers have 1.4"
    assert fold([drift("n3")])[0].facts() == "differs from its 988 peers: BIOS: 1.2, where its peers have 1.4"


def test_sheep_of_one_cause_are_one_line_with_the_range_and_the_worst() -> None:
    [line] = fold([slow("n2", -0.4, "6 slots empty"), slow("n1", -0.3, "6 slots empty")])
    assert (line.worst.nodes, line.names, line.range()) == (["n2"], ["n2", "n1"], "from −30 % to −40 %")
    drawn = report_of(list(line.findings))
    assert "n2, n1: from −30 % to −40 %, worst n2: memory: writes 2 GB/s. Cause: 6 slots empty" in drawn


def test_sheep_without_a_known_cause_stand_each_for_itself() -> None:
    assert [line.names for line in fold([slow("n2", -0.4), slow("n1", -0.4)])] == [["n2"], ["n1"]]


def test_other_causes_and_other_components_do_not_fold() -> None:
    findings = [slow("n1", -0.4, "6 slots empty"), slow("n2", -0.4, "a slow DIMM"), drift("n3")]
    assert [len(line.findings) for line in fold(findings)] == [1, 1, 1]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from([None, "x", "y"]), st.booleans()), max_size=12
    )
)
def test_folding_loses_nobody_and_keeps_the_order_of_seriousness(
    rows: list[tuple[str, str | None, bool]],
) -> None:
    findings = [
        slow(f"{name}{number}", -0.9 + number / 20, cause) if measured else drift(f"{name}{number}")
        for number, (name, cause, measured) in enumerate(rows)
    ]
    lines = fold(findings)
    assert sorted(name for line in lines for name in line.names) == sorted(
        words.who(each) for each in findings
    )
    firsts = [findings.index(line.worst) for line in lines]
    assert firsts == sorted(firsts)


# ── one screen ───────────────────────────────────────────────────────────────────────────────────


def test_a_fleet_of_a_thousand_with_a_hundred_sheep_fits_one_screen_and_names_them_all_but_a_few() -> None:
    drawn = report_of([slow(f"n{number}", -0.5) for number in range(100)], nodes=1000)
    assert len(drawn.splitlines()) < 60
    assert "1,000 nodes: 900 pass, 100 warn, 0 fail, 0 unknown" in drawn
    shown = sum(line.startswith("  WARN") for line in drawn.splitlines())
    assert f"and {100 - shown} more (--outliers): n{shown}, " in drawn


def test_what_does_not_fit_is_told_by_its_kind() -> None:
    cards = [msgspec.structs.replace(slow(f"m{number}", -0.4), component="network") for number in range(30)]
    drawn = report_of([*[slow(f"n{number}", -0.5) for number in range(60)], *cards], nodes=1000)
    left = 90 - sum(line.startswith("  WARN") for line in drawn.splitlines())
    assert f"and {left} more (--outliers)" in drawn
    most = sorted([(30, "network"), (left - 30, "memory")], reverse=True)
    assert f"    of these {most[0][0]} of {most[0][1]}, {most[1][0]} of {most[1][1]}\n" in drawn
    alone = report_of([slow(f"n{number}", -0.5) for number in range(100)], nodes=1000)
    assert "of these" not in alone


def test_the_same_advice_is_given_once_on_one_screen_and_each_time_in_full() -> None:
    findings = [slow("n1", -0.5), slow("n2", -0.4)]
    assert report_of(findings).count("check all DIMMs") == 1
    full = judgement({"n1": "warn", "n2": "warn"}, {}, [], findings)
    assert draw_text(full, Sections(outliers=True)).count("check all DIMMs") == 2


def test_what_blames_nobody_is_counted_and_told_when_asked() -> None:
    plain = draw_text(made())
    assert "and 1 remark that blames nobody (--outliers)" in plain and "BMC firmware" not in plain
    assert "BMC firmware is not the same everywhere" in draw_text(made(), Sections(outliers=True))


def test_a_healthy_fleet_is_told_in_few_lines() -> None:
    drawn = report_of([], nodes=6)
    assert "No findings: nobody differs from its peers" in drawn
    assert len(drawn.splitlines()) == 10


def test_a_thousand_nodes_in_no_group_fit_one_screen_too() -> None:
    drawn = draw_text(judgement({}, {}, [], [], alone=[f"n{number}" for number in range(1000)]))
    assert "n59 and 940 more" in drawn and len(drawn.splitlines()) < 20


def test_every_section_can_be_asked_for_alone() -> None:
    plain = draw_text(small()).splitlines()
    for section, line in {
        Sections(groups=True): "Group g1: 6 pass, 2 fail",
        Sections(categories=True): "Group g1, category cpu",
        Sections(outliers=True): "Outliers, metric by metric",
        Sections(full=True): "Every value",
    }.items():
        assert line in draw_text(small(), section).splitlines() and line not in plain


# ── lines ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("width", [80, 90, 120, 200])
def test_no_line_is_wider_than_asked_and_none_has_colour_without_a_terminal(width: int) -> None:
    drawn = draw_text(made(), Sections(outliers=True), width=width)
    table_from = drawn.index("Outliers, metric by metric")
    assert max(map(len, drawn[:table_from].splitlines())) <= width
    assert "\x1b" not in drawn
    colored = draw_text(made(), Sections(outliers=True), width=width, color=True)
    assert click.unstyle(colored) == drawn and colored != drawn


def test_names_from_nodes_cannot_move_the_cursor() -> None:
    drawn = draw_text(made(), Sections(full=True))
    assert "onerror=alert('n24')>\N{REPLACEMENT CHARACTER}[2J&\N{REPLACEMENT CHARACTER}" in drawn
    assert all(line.isprintable() for line in drawn.split("\n"))


def test_a_long_name_stands_alone_and_moves_no_column() -> None:
    rows = [("WARN", "n1", "said of n1"), ("WARN", "n" * 60, "said of the long one")]
    assert table_rows(rows, 80) == [
        ["  WARN  n1  said of n1"],
        [f"  WARN  {'n' * 60}", "            said of the long one"],
    ]
    assert HOSTILE.isprintable() is False


def test_a_number_and_its_per_cent_stay_on_one_line() -> None:
    for width in range(70, 120):
        assert not any(line.lstrip().startswith("%") for line in draw_text(made(), width=width).splitlines())


def test_tables_align() -> None:
    assert table([("a", "bb"), ("ccc", "d")]) == ["  a    bb", "  ccc  d"]
    assert table([("a", "one\ntwo")]) == ["  a  one", "     two"]
    assert table([]) == []
