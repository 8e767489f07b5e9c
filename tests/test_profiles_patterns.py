"""Regular expressions of profiles: what is useful is taken, what could hang is not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_server.profiles.patterns import TEXT_LIMIT, WAYS_LIMIT, read_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "R6[34]0|R7.*",
        "(?i)dell.*",
        ".*Gold 6[0-9]{3}.*",
        "[0-9a-f]{2}(?::[0-9a-f]{2}){5}",
        r"\d+\.\d+(?:-rc[0-9]+)?",
        r"[]\]^]x?",
        ".*?a.+?b",
        r"\(C\) (?:Intel|AMD)",
    ],
)
def test_what_people_write_is_taken(pattern: str) -> None:
    assert read_pattern(pattern).pattern == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+", "(a*)*b", "(a|aa)+", "(a?){25}", "a?" * 30, ".*.*.*.*x", "((a{1,60}){1,60}){1,60}",
        r"(a)\1", "(?=a)", "(?<!a)", "(?P<n>a)", "a**", "a+*", "(", ")", "[", "[a", "a" * 257,
    ],
)  # fmt: skip
def test_what_could_hang_or_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        read_pattern(pattern)


@given(st.text("ab(|)[]?*+{},1 2^\\.:", max_size=24))
def test_what_is_taken_is_a_pattern_that_python_takes(text: str) -> None:
    try:
        pattern = read_pattern(text)
    except ValueError:
        return
    assert re.compile(text) == pattern


@pytest.mark.parametrize(
    "pattern", [".*.*.*", "a?" * 20 + "a" * 20, "(?:a|b|aa).*.*", "a{0,60}a{0,60}a{0,60}b"]
)
def test_the_worst_that_is_taken_ends(pattern: str) -> None:
    """The limit is of a size that a computer does: each of these is near it, and the text is the worst for it."""
    assert WAYS_LIMIT <= 4 * TEXT_LIMIT**3
    assert read_pattern(pattern).fullmatch("a" * (TEXT_LIMIT - 1) + "\n") is None
