"""Versions of firmware in their order, as vendors and drivers word them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import FileFormatError
from ahc_agent.facts import Bios, Inventory, System
from ahc_server.profiles.read import read_profiles
from ahc_server.profiles.subject import Subject
from ahc_server.profiles.versions import bound, compare, has_sign, in_order, meets, wanted_order
from tests.profile_helpers import answer

DELL, HPE, NVIDIA = "2.19.1", "U30 v2.66 (07/14/2022)", "16.35.2000 (MT_0000000012)"
INTEL, SUPERMICRO, INTEL_BOARD = "9.20 0x8000d95e 22.0.9", "3.4a", "SE5C620.86B.02.01.0013.121520200651"


@pytest.mark.parametrize(
    ("found", "wanted", "met"),
    [
        ("2.10", ">= 2.9", True),
        ("2.9", ">= 2.10", False),
        ("2.10", ">=2.10.0", True),
        ("2.10.0", "<=2.10", True),
        ("2.10", ">2.10.0", False),
        (DELL, ">=2.2.11", True),
        (DELL, "<2.20", True),
        (DELL, ">2.19.1", False),
        (HPE, ">=2.60", True),
        (HPE, ">=v2.60", True),
        (HPE, ">= U30 v2.60", True),
        (HPE, ">=2.70", False),
        (HPE, ">=U32 v2.60", None),
        ("U30 (07/14/2022)", ">=2.60", None),
        ("U30 07/14/2022", ">=2.60", None),
        (NVIDIA, ">=16.32.1010", True),
        (NVIDIA, ">=16.36", False),
        (NVIDIA, ">=16.32.1010 (MT_0000000012)", True),
        (NVIDIA, ">=16.32.1010 (MT_0000000013)", None),
        (INTEL, ">=9.3", True),
        (INTEL, ">=9.30", False),
        ("0x8000a4c1, 1.2684.0", ">=1.3000", False),
        ("0x8000a4c1", ">=1", None),
        (SUPERMICRO, ">3.4", True),
        (SUPERMICRO, ">=3.4b", False),
        (SUPERMICRO, "<3.5", True),
        (INTEL_BOARD, ">=SE5C620.86B.02.01.0012", True),
        (INTEL_BOARD, ">=SE5C620.86B.02.01.0014", False),
        (INTEL_BOARD, ">=SE5C741.86B.01.01.0001", None),
        ("2.19.1-rc2", ">=2.19.1", None),
        ("2.20.0-rc2", ">=2.19.1", True),
        ("", ">=2", None),
        ("unknown", ">=2", None),
        (DELL, ">=new", None),
    ],
)
def test_what_machines_say_is_held_against_what_is_wanted(found: str, wanted: str, met: bool | None) -> None:
    order = wanted_order(wanted)
    assert (None if order is None else meets(found, order)) is met


def test_without_a_sign_no_order_is_asked_for() -> None:
    assert not has_sign("2.10") and wanted_order("2.10") is None
    assert has_sign(" >= 2.10")


versions = st.lists(st.integers(0, 12), min_size=1, max_size=4)
texts = st.builds(
    lambda numbers, tail: ".".join(map(str, numbers)) + tail, versions, st.sampled_from(["", "a", "b"])
)


@given(versions, versions)
def test_plain_numbers_are_in_the_order_of_their_tuples(one: list[int], other: list[int]) -> None:
    width = max(len(one), len(other))
    a, b = (each + [0] * (width - len(each)) for each in (one, other))
    words = [".".join(map(str, each)) for each in (one, other)]
    assert in_order(words[0], ">=", words[1]) is (a >= b)
    assert in_order(words[0], "<", words[1]) is (a < b)


@given(texts, texts, texts)
def test_it_is_an_order_as_far_as_it_goes(one: str, two: str, three: str) -> None:
    a, b, c = (_taken_apart(each) for each in (one, two, three))
    assert compare(a, a) == 0
    forth, back = compare(a, b), compare(b, a)
    assert (forth is None) == (back is None) and (forth or 0) == -(back or 0)
    if compare(a, b) == -1 and compare(b, c) == -1:
        assert compare(a, c) in (-1, None)


def _taken_apart(text: str) -> tuple[int | str, ...]:
    taken = bound(">=", text)
    assert taken is not None
    return taken.version


@given(st.text(max_size=300), st.text(max_size=40))
def test_whatever_a_node_says_is_answered(found: str, wanted: str) -> None:
    assert in_order(found, ">=", wanted) in (True, False, None)


PROFILE = "profile: new\nrequires:\n  - system.bios.version: {%s}\n"


@pytest.mark.parametrize(
    ("test", "version", "fit"),
    [
        ('version-at-least: "2.10"', "2.9", "fails"),
        ('version-at-least: "2.10"', "2.10.3", "fits"),
        ('version-less-than: "2.10"', "2.9", "fits"),
        ("version-more-than: 2.19.0, version-at-most: 2.19.9", DELL, "fits"),
        ("version-at-least: U30 v2.60", HPE, "fits"),
        ("version-at-least: U32 v2.60", HPE, "unknown"),
        ("not: {version-at-least: U32 v2.60}", HPE, "unknown"),
        ('version-at-least: "2"', None, "unknown"),
    ],
)
def test_a_profile_can_ask_for_it(test: str, version: str | None, fit: str) -> None:
    inventory = Inventory(collected_at="", system=System(bios=Bios(version=version)))
    asked = answer(f"- system.bios.version: {{{test}}}", Subject("n1", inventory, verdict="pass", group="g1"))
    assert asked.answer.fit == fit


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (PROFILE % "version-at-least: 2.10", 3, "not the number 2.1"),
        (PROFILE % "version-at-least: newest", 3, "there is no version in 'newest'"),
        ("profile: a\nrequires:\n  - cpu.cores: {version-at-least: '2'}\n", 3, "not for a number"),
        (
            "profile: a\nrequires: [cpu.cores: 1]\nyields:\n  firmware: {bios: 2.10}\n",
            4,
            "not the number 2.1",
        ),
        (
            "profile: a\nrequires: [cpu.cores: 1]\nyields:\n  firmware: {bios: '>=new'}\n",
            4,
            "there is no version in '>=new'",
        ),
        *(
            (
                f"profile: a\nrequires: [cpu.cores: 1]\nyields:\n  firmware: {{bios: '{text}'}}\n",
                4,
                f"in '{text}'",
            )
            for text in ("==2.10", "=>2.10", "<>2.10", "~2.10")
        ),
    ],
)
def test_what_could_be_meant_otherwise_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(FileFormatError) as refused:
        read_profiles(tmp_path)
    assert f"a.yaml:{line}: " in str(refused.value) and said in str(refused.value)
