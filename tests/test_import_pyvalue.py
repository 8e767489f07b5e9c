"""Nested plain values of Python are read by a grammar of their own: what pprint writes comes back, nothing else is obeyed."""

from __future__ import annotations

import ast
import pprint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import FileFormatError
from ahc_server.importers import pyvalue
from ahc_server.importers.pyvalue import MAX_DEPTH, read_value

#: What cannot be printed is read as a space.
_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12)
_LEAVES = (
    _WORDS
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
)
VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(_WORDS | st.tuples(st.integers(0, 99), st.integers(0, 99)), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_repr_and_pprint_write_is_read_as_python_would(value: object) -> None:
    for text in (repr(value), pprint.pformat(value, width=20)):
        assert repr(read_value(text, "x")) == repr(ast.literal_eval(text))


@given(st.text(st.sampled_from("{}()[]',:\"\\ \n#uN0123x.e-abc"), max_size=60))
def test_nothing_but_a_typed_error_comes_of_any_text(text: str) -> None:
    try:
        read_value(text, "x")
    except FileFormatError as error:
        assert str(error).startswith("x:") and error.line is not None


def test_python_2_wrote_unicode_long_numbers_and_strings_in_pieces() -> None:
    assert read_value("{u'a': 5L, 'b': ('one '\n 'two', 3.5)}", "x") == {"a": 5, "b": ("one two", 3.5)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file ends in the middle of a value"),
        ("{'a': 1", "the file ends in the middle of a dict"),
        ("{'a': 1} {}", "something follows the end"),
        ("{[1]: 2}", "a list or dict as a key"),
        ("{'a' 1}", "a colon was expected"),
        ("[1 2]", "a comma was expected"),
        ("__import__('os')", "no plain value"),
        ("[open('x')]", "no plain value"),
        ("[" * 10_000, "nested too deeply"),
        ("{1: " * 10_000, "nested too deeply"),
    ],
)
def test_what_is_no_value_is_refused_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(FileFormatError, match=problem) as error:
        read_value(f"\n\n{text}", "x")
    assert error.value.line == 3


def test_depth_and_number_of_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_value("[" * MAX_DEPTH + "]" * MAX_DEPTH, "x") is not None
    monkeypatch.setattr(pyvalue, "MAX_VALUES", 100)
    with pytest.raises(FileFormatError, match="more than 100 values"):
        read_value(repr(list(range(200))), "x")
    with pytest.raises(FileFormatError, match="more than 100 values"):
        read_value("'a' " * 200, "x")


def test_huge_whole_numbers_are_not_computed_with() -> None:
    value = read_value("9" * 5000, "x")
    assert value == float("inf")
