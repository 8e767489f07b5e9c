"""The page: whole without a network, harmless whatever nodes call themselves, with every sheep marked."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_server.judge import Judgement
from ahc_server.judge.model import Evidence
from ahc_server.report.html import draw_html
from ahc_server.report.html.cloud import cloud, heights
from ahc_server.report.html.machine import facts_of
from ahc_server.report.html.markup import Markup, tag
from ahc_server.report.html.peers import Peers
from ahc_server.report.html.scale import scale_of
from ahc_server.report.html.style import STYLE
from tests.report_example import HOSTILE, NAMES, inventories, made, small
from tests.report_helpers import judgement, large

_VOID = {"meta"}


class Page(HTMLParser):
    """What is on a page; elements that are not closed in order fail at once."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        #: Title and class of each mark.
        self.titles: list[tuple[str, str]] = []
        self._open: list[str] = []
        self._titled = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {key: value or "" for key, value in attrs}
        assert len(attributes) == len(attrs), f"<{tag}> has an attribute twice"
        self.elements.append((tag, attributes))
        if tag not in _VOID:
            self._open.append(tag)
        if tag in ("path", "circle") and self._titled:
            self.titles.append((self._titled, attributes.get("class", "")))
            self._titled = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["title"] and "svg" in self._open:
            self._titled = data
        elif self._open[-1:] != ["style"]:
            self.text.append(data)

    def count(self, name: str, class_: str | None = None) -> int:
        return sum(
            tag == name and (class_ is None or class_ in attributes.get("class", "").split())
            for tag, attributes in self.elements
        )


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(draw_html(made(), inventories(), metrics=True))


# ── whole, and harmless ──────────────────────────────────────────────────────────────────────────


def test_it_needs_nothing_from_outside_and_runs_nothing(page: Page) -> None:
    assert not {"script", "img", "link", "iframe", "object", "embed", "base", "form"} & {
        name for name, _ in page.elements
    }
    for name, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "src", "srcset")], (
            name
        )
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"https?:|url\(|@import", draw_html(made(), inventories()))


def test_the_policy_allows_the_pages_own_style_and_nothing_else(page: Page) -> None:
    [policy] = [
        attributes["content"]
        for _, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_what_comes_from_nodes_is_text(page: Page) -> None:
    shown = HOSTILE.replace("\x1b", "\N{REPLACEMENT CHARACTER}").replace(
        "\u202e", "\N{REPLACEMENT CHARACTER}"
    )
    assert shown in page.text
    text = "".join(page.text)
    assert "R640 <script>alert(1)</script>" in text
    assert "smartctl: not <installed>" in text
    assert all(c.isprintable() or c == "\n" for c in text)


@given(st.text(), st.text())
def test_any_text_can_stand_in_an_element_and_in_an_attribute(text: str, value: str) -> None:
    shown = Page(tag("p", text, title=value))
    clean = [
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in each) for each in (text, value)
    ]
    assert "".join(shown.text) == clean[0]
    assert shown.elements == [("p", {"title": clean[1]})]


def test_markup_is_not_escaped_twice() -> None:
    assert tag("p", tag("b", "a & b"), None, ["c", Markup("<i>d</i>")]) == "<p><b>a &amp; b</b>c<i>d</i></p>"


def test_every_link_leads_somewhere_and_no_place_is_named_twice(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for _, attributes in page.elements if "href" in attributes} <= set(ids)


# ── what stands on it ────────────────────────────────────────────────────────────────────────────


def test_every_sheep_has_a_section_with_its_cause_and_its_facts(page: Page) -> None:
    assert page.count("section", "sheep") == 13
    text = "".join(page.text)
    assert "6 DIMM slots empty that 21 of 23 peers fill" in text
    assert "empty slots: A3, A4, A5, A6, A7, A8" in text
    assert "sdb: 4 TB, ST4000NM0035, serial ZC14X2" in text


def test_what_the_machine_does_not_tell_is_left_out() -> None:
    told = dict(facts_of(inventories()["n1"]))
    assert "BMC" not in told and "Chassis" not in told
    assert told["BIOS"] == ["1.4.4, 10/07/2021"]


def test_a_sheep_is_marked_where_it_is_beyond_the_bar_and_can_be_followed_elsewhere(page: Page) -> None:
    marks = {title: mark for title, mark in page.titles if title.startswith("n7: ")}
    assert [mark for title, mark in marks.items() if "−5" in title] == ["fail", "fail"]
    assert set(marks.values()) == {"fail", "ring fail"}
    dots_and_marks = page.count("title") - 1
    assert dots_and_marks == len(NAMES) * 10 - 2 + 3 * 10, "each node in each strip that it was measured for"


def test_a_bar_is_drawn_where_anybody_can_be_judged(page: Page) -> None:
    assert page.count("line", "bar") == page.count("rect", "beyond") == 10
    labels = [
        attributes["aria-label"]
        for _, attributes in page.elements
        if "beyond the bar: n7" in attributes.get("aria-label", "")
    ]
    assert len(labels) == 2 and labels[0].startswith("disk sdb, random reads: 24 nodes from −59 % to ")


def test_without_scores_no_strip_is_drawn() -> None:
    of = made()
    bare = Judgement(of.report, of.nodes, [replace(test, scores=[]) for test in of.tests])
    assert Page(draw_html(bare)).count("figure") == 0


def test_a_metric_that_carries_findings_is_drawn_among_its_peers_once(page: Page) -> None:
    assert page.count("symbol") == 9, "memory carries those of two sheep"
    assert page.count("use") == sum(len(each.metrics) for each in made().report.findings) == 10
    assert page.count("path", "own") == 10


def test_a_metric_is_found_by_its_value_where_the_disk_has_another_name() -> None:
    of = made()
    peers, place = Peers("g1", of.tests[0]), NAMES.index("n7")
    [known] = [each for each in of.report.findings if each.nodes == ["n7"]]
    evidence = known.metrics[0]
    renamed = Evidence(
        name="disk.nvme3n1.randread_4k_iops",
        value=evidence.value,
        expected=evidence.expected,
        unit="IOPS",
        effect=evidence.effect,
    )
    assert peers.column(place, evidence) == peers.column(place, renamed) == 5
    other = Evidence(name="disk.nvme3n1.randread_4k_iops", value=1.0, expected=None, unit="IOPS", effect=None)
    assert peers.column(place, other) is None


def test_healthy_fleets_have_a_page_too() -> None:
    of = judgement({"n1": "pass"}, {}, [], [])
    drawn = Page(draw_html(of))
    assert "No findings: nobody differs from its peers" in drawn.text
    assert drawn.count("section", "sheep") == 0


# ── size and drawing ─────────────────────────────────────────────────────────────────────────────


def test_a_page_of_two_thousand_nodes_stays_small_even_with_hundreds_of_sheep() -> None:
    for sheep, most in ((20, 1_000_000), (800, 5_000_000)):
        drawn = draw_html(large(2000, 335, cores=48, sheep=sheep), metrics=True)
        assert len(drawn.encode()) < most
        assert drawn.count('class="sheep"') == sheep


def test_many_cores_share_a_strip_by_each_nodes_worst() -> None:
    drawn = Page(draw_html(large(40, 60, cores=48, sheep=2)))
    assert "core: the worst of 48" in drawn.text
    assert sum("core" in title for title, mark in drawn.titles if mark == "fail") == 2


@given(st.lists(st.floats(-7, 7), min_size=1, max_size=50))
def test_the_scale_keeps_order_and_holds_everything(distances: list[float]) -> None:
    values = np.array(distances)
    scale = scale_of([values])
    at = scale.at(np.sort(values))
    assert np.all(np.diff(at) >= 0) and at.min() >= 0 and at.max() <= 100
    positions = [position for position, _, _ in scale.marks()]
    assert positions == sorted(positions) and "peers" in [text for _, text, _ in scale.marks()]


def test_points_of_like_value_do_not_hide_each_other_and_places_do_not_depend_on_order() -> None:
    values = np.linspace(-0.01, 0.01, 100)
    y = heights(values)
    assert min(np.abs(y[1:] - y[:-1])) > 0.3
    order = np.argsort(np.sin(np.arange(100)))
    assert np.array_equal(heights(values[order]), y[order])
    assert cloud(np.array([10.0, 10.0]), np.array([0.5, 0.5])) == "M100 50h0"


# ── to be read ───────────────────────────────────────────────────────────────────────────────────


def luminance(color: str) -> float:
    """Relative luminance, as the Web Content Accessibility Guidelines 2.1 define it."""
    wide = color if len(color) == 7 else "#" + "".join(2 * c for c in color[1:])
    parts = [int(wide[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_all_text_has_contrast(scheme: int) -> None:
    colors = dict(re.findall(r"--([a-z]+): (#[0-9a-f]+);", STYLE.split(":root {")[1 + scheme].split("}")[0]))
    colors.setdefault("paper", "#fff")
    for ground in ("paper", "tint", "beyond"):
        for ink in ("ink", "muted", "fail", "warn", "unknown", "pass", "info"):
            bright, dark = sorted((luminance(colors[ground]), luminance(colors[ink])), reverse=True)
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, (ground, ink)


def test_every_plot_is_told_in_words(page: Page) -> None:
    plots = [
        attributes for name, attributes in page.elements if name == "svg" and attributes.get("role") == "img"
    ]
    assert len(plots) == 2 * 10 + 10 and all(attributes["aria-label"] for attributes in plots)


def test_the_metrics_are_a_table_when_asked() -> None:
    assert "± 3.0 %" in draw_html(small(), metrics=True)
    assert "± 3.0 %" not in draw_html(small())
