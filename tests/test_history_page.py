"""A comparison as a page: it says what the text says, needs nothing from outside, and escapes what nodes call themselves."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from ahc_server.history.compare import compare
from ahc_server.history.draw.networkpage import draw_networks
from ahc_server.history.draw.page import draw_page
from ahc_server.history.flowchanges import FlowChange
from ahc_server.history.model import Comparison, FactChange
from tests.history_helpers import Machines
from tests.import_helpers import Ahc, machine, write_hw
from tests.test_history_networks import RACK, session
from tests.test_report_browser import browser, run
from tests.test_report_html import Page

__all__ = ["browser"]


def slow_uplink(a: int, b: int) -> float:
    """Into the second rack half, and one pair of others."""
    if (a, b) == (3, 20):
        return 0.4
    return 0.5 if b // RACK == 1 and a // RACK != 1 else 1.0


@pytest.fixture(scope="module")
def network() -> Comparison:
    return compare(session("mtu-1500"), session("mtu-9000", slow_uplink, seed=2))


def fleet() -> Comparison:
    machines = Machines(20)
    before, after = machines.run("before"), machines.run("after")
    after.slow("n3", "disk", 0.6).slow("", "cpu", 0.9)
    return compare(machines.read(before), machines.read(after))


def test_the_network_is_drawn_with_what_went_bad_and_what_each_kind_of_flows_became(
    network: Comparison,
) -> None:
    text = draw_page(network)
    page = Page(text)
    said = "".join(page.text)
    assert "mtu-1500 → mtu-9000" in said and "1 element of the network newly bad" in said
    assert "bad now and not before" in said and "leaf:leaf2" in said
    assert "n3 → n20" in said
    assert page.count("svg", "matrix") == 2, "bandwidth, round trips"
    [change] = network.networks or []
    shown = [each for quantity in change.quantities for each in (*quantity.fleet, *quantity.leaves)]
    assert page.count("line", "sum") == len([each for each in shown if each.low is not None])
    worse = [each for each in shown if each.high is not None and each.high < 0]
    assert worse and page.count("path", "fail") == len(worse)
    assert page.count("circle") == len(shown) - len(worse)
    assert re.search(r'aria-label="all flows [^"]*leaf2, in −5\d %', text)


def test_worse_lies_left_for_bandwidth_and_for_round_trips(network: Comparison) -> None:
    longer = compare(session("a"), session("b", lambda a, b: 0.5, lambda a, b: 2.0, seed=2))
    text = draw_page(longer)
    rate, rtt = re.findall(r'<svg viewBox.*?class="matrix">.*?</svg>', text)
    for drawn, told in ((rate, "−50 %"), (rtt, "+100 %")):
        zero = float(re.search(r'<line x1="([0-9.]+)"[^>]* class="zero"', drawn)[1])  # type: ignore[index]
        points = [float(each) for each in re.findall(r'<path d="M([0-9.]+)', drawn)]
        assert points and all(each < zero for each in points)
        assert told in drawn


def test_a_fleet_is_told_by_what_all_share_and_by_node(network: Comparison) -> None:
    said = "".join(Page(draw_page(fleet())).text)
    assert "What changed for many nodes alike" in said
    assert "Nodes that changed otherwise than their peers" in said and "n3" in said
    assert "Network" not in said


def test_it_needs_nothing_from_outside_and_what_comes_from_nodes_is_text(network: Comparison) -> None:
    hostile = "<script>alert(1)</script>\x1b[2J"
    [change] = network.networks or []
    quantity = change.quantities[0]
    flow = FlowChange(what=hostile, flows=3, before=1.0, after=2.0, change=1.0)
    worse = msgspec.structs.replace(
        change,
        job=hostile,
        silenced=[hostile],
        quantities=[msgspec.structs.replace(quantity, leaves=[flow], blocks=[flow], pairs=[flow])],
    )
    facts = [FactChange(component="system", name=hostile, before=hostile, after=None, nodes=[hostile, "n2"])]
    text = draw_page(msgspec.structs.replace(network, networks=[worse], facts=facts, notes=[hostile]))
    page = Page(text)
    assert not {"script", "img", "link", "iframe", "form"} & {name for name, _ in page.elements}
    assert "alert(1)" in "".join(page.text) and "\x1b" not in text
    assert not re.search(r"https?:|url\(|@import| style=", text)
    assert "default-src 'none'" in text


def test_of_many_leaves_those_that_stand_out_have_a_row(network: Comparison) -> None:
    [change] = network.networks or []
    quantity = change.quantities[0]
    usual = quantity.fleet[-1]
    leaves = [msgspec.structs.replace(usual, what=f"leaf{number}, out") for number in range(200)]
    leaves[7] = msgspec.structs.replace(usual, what="leaf7, out", change=-0.5, low=-0.51, high=-0.49)
    many = msgspec.structs.replace(change, quantities=[msgspec.structs.replace(quantity, leaves=leaves)])
    drawn = draw_networks([many])
    assert drawn is not None
    assert "Of 200 leaves those that stand out." in drawn
    assert drawn.count("leaf7, out") and "leaf8, out" not in drawn


def test_the_command_writes_it_whole_and_ends_as_for_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ahc = Ahc(tmp_path / "ahc.db", monkeypatch, capsys)
    for name, speed in (("jan", 400), ("feb", 200)):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(1, 7):
            write_hw(folder / f"{number}.hw", machine(number, [str(speed + number % 3), str(speed)]))
        assert ahc("import", folder, "--session", name)[0] == 0
    page = tmp_path / "page.html"
    asked = ("compare", "jan", "feb", "--format", "html")
    assert ahc(*asked, "--output", page) == (0, "", "")
    written = page.read_text()
    assert written.startswith("<!doctype html>") and "jan → feb" in written
    assert ahc(*asked)[1] == written
    assert ahc(*asked, "--output", page, "--fail-on", "fail")[0] == 1


def test_a_browser_draws_it_and_complains_of_nothing(
    browser: str, network: Comparison, tmp_path: Path
) -> None:
    dom, complaints = run(browser, tmp_path, draw_page(network), "--dump-dom")
    assert complaints == []
    assert "bad now and not before" in dom
