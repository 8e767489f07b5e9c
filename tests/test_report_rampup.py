"""Ramp-ups in every form of the report: drawn where there are some, and nothing where there are none."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import msgspec
import pytest

from ahc_server.judge import judge
from ahc_server.report.formats import FORMATS, Drawing, draw
from ahc_server.report.html import draw_html
from ahc_server.report.text import draw_text
from ahc_server.session import Session
from tests.rampup_helpers import Ramp, pairs_session, saturating

AT = "2024-05-01T10:00:00Z"
SLOW = Ramp(factor=lambda machine, host, job: 0.85 if host == 1 and job == "disk" else 1.0)


def text(session: Session, width: int = 120) -> str:
    return draw_text(judge(session, generated_at=AT), width=width)


def test_the_text_draws_mean_sum_spread_jitter_and_duration_of_each_step() -> None:
    drawn = text(Ramp(noise=0.0, jobs=("cpu",)).session())
    lines = drawn[drawn.index("Ramp-ups") :].splitlines()
    said = r"  cpu, all cores together: the sum grows by 1,00\d events/s a node up to about 2\d nodes"
    assert re.match(said, lines[2])
    rows = [re.split(r"  +", line.strip()) for line in lines if re.match(r" +\d+ ", line)]
    assert rows[0] == ["1", "1,000 events/s", "1,000 events/s", "1 ms", "10.0 s", "█▎"]
    assert rows[-1][:6] == ["48", "20,000 events/s", "417 events/s", "± 0.0 %", "48 ms", "10.0 s"]
    assert len(rows) == 10 and rows[-1][-1] == "█" * 24


def test_who_keeps_behind_stands_with_the_job_and_among_the_findings() -> None:
    drawn = text(SLOW.session())
    assert re.search(r"WARN  g1  −1\d %  hypervisor hv1: its 16 nodes are slower", drawn)
    assert re.search(r"behind: hypervisor hv1 \(16 nodes\), −1\d %, in \d of \d steps", drawn)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_sentences_keep_within_the_width(width: int) -> None:
    said = [line for line in text(SLOW.session(), width).splitlines() if "█" not in line and "▏" not in line]
    table = re.compile(r" +(nodes|\d+) ")
    assert all(len(line) <= width for line in said if not table.match(line))


def test_times_have_a_mean_and_no_sum() -> None:
    session = pairs_session((2, 4, 8, 16), saturating(4.0))
    [ramp] = judge(session, generated_at=AT).report.rampups or []
    assert ramp.metric == "network.tx.bytes_per_s" and all(step.sum for step in ramp.steps)
    assert "net, sends: cannot tell where the sum stops growing" in text(session)


def test_missing_machines_are_seen_in_the_table() -> None:
    session = Ramp(jobs=("cpu",)).session()
    lost = [each for each in session.outcomes if (each.hosts, each.machine) != (18, "m7")]
    assert re.search(r"\n +18 \(17 came\) ", text(replace(session, outcomes=lost)))


def test_the_page_draws_sum_and_mean_with_the_bend_and_all_figures() -> None:
    drawn = draw_html(judge(SLOW.session(), generated_at=AT))
    assert drawn.count("<polyline") == 8 and drawn.count('class="band"') == 2
    assert drawn.count("<h3>cpu, all cores together</h3>") == 1 and "Its 10 steps" in drawn
    assert '<a href="#rampups">Ramp-ups</a>' in drawn


def test_sessions_without_a_ramp_up_are_drawn_as_before() -> None:
    judgement = judge(Ramp(counts=(48,)).session(), generated_at=AT)
    assert "rampups" not in draw("json", Drawing(judgement))
    assert "Ramp-up" not in draw_text(judgement) and 'id="rampups"' not in draw_html(judgement)


def test_every_format_draws_a_session_with_ramp_ups() -> None:
    judgement = judge(SLOW.session(), generated_at=AT)
    drawn = {form: draw(form, Drawing(judgement)) for form in FORMATS}
    report = msgspec.json.decode(drawn["json"])
    assert [(ramp["job"], len(ramp["steps"])) for ramp in report["rampups"]] == [("cpu", 10), ("disk", 10)]
    assert set(report["rampups"][0]["steps"][0]) == {
        *("hosts", "delivered", "mean", "sum", "spread", "low", "high", "start_jitter_s", "duration_s")
    }
    assert len(list(csv.reader(io.StringIO(drawn["csv"])))) == len(report["findings"]) + 1
    ET.fromstring(drawn["junit"])
    assert drawn["prometheus"].startswith("#")


def test_names_from_nodes_are_harmless_on_the_page() -> None:
    session = SLOW.session()
    evil = [
        replace(
            each, identity=msgspec.structs.replace(each.identity, physical_host="<script>alert(1)</script>")
        )
        if each.identity.physical_host == "hv1"
        else each
        for each in session.nodes
    ]
    drawn = draw_html(judge(replace(session, nodes=evil), generated_at=AT))
    assert "<script" not in drawn and "&lt;script&gt;" in drawn
