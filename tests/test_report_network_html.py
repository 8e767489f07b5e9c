"""The network on the page: every cell that is not as usual says so, every element that is named has its place."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ahc_server.judge import Judgement
from ahc_server.judge.localise import Flows
from ahc_server.report.html import draw_html
from ahc_server.report.html.style import STYLE
from tests.import_helpers import Ahc, write_json
from tests.network_report_helpers import (
    NODES,
    USUAL,
    USUAL_US,
    fabric,
    finding,
    inventories,
    judged,
    judgement,
)
from tests.test_import_pairwise import document
from tests.test_report_html import Page

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def drawn() -> str:
    return draw_html(fabric(), inventories())


@pytest.fixture(scope="module")
def page(drawn: str) -> Page:
    return Page(drawn)


def cells(drawn: str) -> dict[str, str]:
    """Title of each cell of its own → its class, of the first map."""
    first = drawn[drawn.index('class="matrix"') :].partition("</svg>")[0]
    return {
        title: level for level, title in re.findall(r'<rect [^>]*class="(m\d)"><title>([^<]*)</title>', first)
    }


def test_each_pair_is_a_cell_that_says_what_it_is(drawn: str) -> None:
    told = cells(drawn)
    assert len(told) == 12 * 11
    assert told["n2 → n4: 12.0 Gbit/s (−50 %)"] == "m4"
    assert told["n3 → n9: no connection"] == told["n9 → n3: no connection"] == "m6"
    assert told["n4 → n2: 24.0 Gbit/s (0.0 %)"] == "m1"


def test_bandwidth_is_open_and_round_trips_take_its_place(page: Page) -> None:
    maps = [attributes for name, attributes in page.elements if name == "details" and "name" in attributes]
    assert [("open" in each, each["name"]) for each in maps] == [(True, "map1"), (False, "map1")]
    assert [text for text in page.text if text in ("Bandwidth", "Round trips")] == [
        "Bandwidth",
        "Round trips",
    ]


def test_the_map_is_told_in_words(page: Page) -> None:
    [rates, times] = [
        attributes["aria-label"] for _, attributes in page.elements if attributes.get("class") == "matrix"
    ]
    assert rates == (
        "bandwidth, source by destination, pairs of nodes: 91 as usual, 39 30 to 60 % less, 2 no connection"
    )
    assert times.startswith("round trips, source by destination")


def test_every_element_has_a_section_that_its_name_leads_to(drawn: str, page: Page) -> None:
    assert page.count("section", "element") == 2, "the pair and the leaf"
    assert page.count("section", "sheep") == 4, (
        "n2, both ends of the pair, and n12; not the nodes behind the leaf"
    )
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = {attributes["href"] for name, attributes in page.elements if name == "a"}
    assert links <= {f"#{each}" for each in ids}
    assert {"#e1", "#e2", "#network", "#elements"} <= links
    assert '<h3>leaf2 <b class="badge fail">fail</b><small>leaf</small>' in drawn


def test_what_proves_a_node_stands_in_its_section(drawn: str) -> None:
    section = drawn[drawn.index("<h3>n2 ") :].partition("</section>")[0]
    assert "<th>not as usual</th>" in section
    assert "n2 → n11 12.0 Gbit/s (−50 %)" in section
    assert "cable: eth2 of n2 goes to port Eth1/2 of leaf1" in section
    assert "counters: n2: CRC errors on eth2 rose by 18,220" in section


def test_racks_show_uplinks_by_direction_and_no_verdict_by_its_colour_alone(drawn: str) -> None:
    racks = drawn[drawn.index('class="racks"') :].partition("</figure>")[0]
    assert racks.count('class="rack"') == 3 and racks.count('class="rack apart"') == 1
    assert racks.count('class="uplink fail"') == 1, "what comes into leaf2"
    assert racks.count('class="uplink well"') == 5
    assert re.search(r'<a href="#n\d+" title="n2: fail" class="fail">◆</a>', racks)
    assert '<i title="n1: pass"></i>' in racks


@pytest.mark.parametrize(("direction", "boxes"), [(None, 2), ("tx", 1), ("rx", 1)])
def test_of_a_pair_each_way_that_is_bad_is_marked(direction: str | None, boxes: int) -> None:
    bad = finding("pair:n3-n9", ["n3", "n9"], -0.6, direction=direction)
    drawn = draw_html(judgement(NODES, {}, lambda a, b: 1.0, findings=[bad]))
    assert drawn.count('class="box"') == boxes


def test_the_page_still_needs_nothing_from_outside(drawn: str) -> None:
    assert not re.search(r"<(script|img|link|iframe|object)", drawn)
    assert not re.search(r"(https?:|url\(|@import)", drawn)
    for name in re.findall(r'class="(m\d|p\d)"', drawn):
        assert f".{name} {{" in STYLE


def test_names_of_nodes_and_leaves_stay_text() -> None:
    names = [HOSTILE, *NODES[1:]]
    racks = {name: HOSTILE if place < 4 else "leaf2" for place, name in enumerate(names)}
    bad = [
        finding(f"leaf:{HOSTILE}", names[:4], -0.4),
        finding(f"node:{HOSTILE}", names[:1], -0.5, direction="tx"),
    ]
    drawn = draw_html(judgement(names, racks, lambda a, b: 1.0 if a != HOSTILE else 0.5, findings=bad))
    assert "<script" not in drawn
    Page(drawn)


def test_a_session_without_pairs_has_nothing_of_it() -> None:
    made = fabric()
    bare = Judgement(report=made.report, nodes=made.nodes, tests=[])
    assert 'id="network"' not in draw_html(bare)


def thousand() -> Judgement:
    """All pairs of 1,024 nodes in 32 racks, with noise of 3 %, a bad card, a bad uplink and a dead node."""
    names = [f"node{number:04d}" for number in range(1024)]
    racks = {name: f"leaf{place // 32 + 1}" for place, name in enumerate(names)}
    source, destination = (each.astype(np.int64) for each in np.nonzero(~np.eye(1024, dtype=bool)))
    random = np.random.default_rng(7)
    rates = USUAL * np.exp(0.03 * random.standard_normal(len(source)))
    times = USUAL_US * np.exp(0.1 * random.standard_normal(len(source)))
    rates[source == 77] *= 0.5
    rates[(destination // 32 == 5) & (source // 32 != 5)] *= 0.6
    rates[(source == 900) | (destination == 900)] = 0.0
    times[rates == 0] = np.nan
    bad = [
        finding("node:node0900", ["node0900"], -1.0, kind="missing"),
        finding("node:node0077", ["node0077"], -0.5, direction="tx"),
        finding("leaf:leaf6", names[160:192], -0.4, direction="rx"),
    ]
    return judged(names, racks, Flows(np.zeros_like(source), source, destination, rates, times), bad)


def test_all_pairs_of_a_thousand_nodes_fit_a_small_page() -> None:
    drawn = draw_html(thousand())
    assert len(drawn.encode()) < 2_000_000
    told = cells(drawn)
    assert any(
        title.startswith("leaf1 → leaf6: 14.4 Gbit/s") and level == "m4" for title, level in told.items()
    )
    strips = re.findall(r"<text[^>]*>(node0\d+)</text>", drawn)
    assert strips[:2] == ["node0900", "node0077"]
    Page(drawn)


def test_the_same_network_gives_the_same_page() -> None:
    assert draw_html(fabric(), inventories()) == draw_html(fabric(), inventories())


@pytest.mark.parametrize("topology", [True, False])
def test_an_imported_document_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, topology: bool
) -> None:
    """From the file to the page, by the localiser's own word of what is usual."""
    ahc = Ahc(tmp_path / "state" / "ahc.db", monkeypatch, capsys)
    made = document({"n7": 0.5})
    if not topology:
        del made["topology"]
    assert ahc("import", write_json(tmp_path / "pairs.json", made), "--session", "net")[0] == 0
    status, text, err = ahc("report", "--full")
    assert (status, err) == (0, "")
    # Receiving is a column: with racks the seventh is the third of the second.
    assert ("n1              ··· ··▓· ····" if topology else "n1              ·····▓·····") in text
    assert ("leaf2" in text) == topology
    status, page, _ = ahc("report", "--format", "html")
    assert status == 0
    told = cells(page)
    assert len(told) == 132
    assert {title.partition(":")[0] for title, level in told.items() if level != "m1"} == {
        f"n{other} → n7" for other in range(1, 13) if other != 7
    }
    assert ('class="racks"' in page) == topology
