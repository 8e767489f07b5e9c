"""eDeploy's files are Python lists of tuples: read by a grammar of their own, whatever they hold."""

from __future__ import annotations

import ast
import pprint

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ahc_agent.errors import FileFormatError
from ahc_server.importers.literal import MAX_ROWS, looks_like_rows, read_rows
from ahc_server.importers.values import printable

WORDS = st.text(st.characters(codec="utf-8"), max_size=40)
VALUES = st.one_of(WORDS, st.none(), st.integers(-(10**9), 10**9), st.booleans())
ROWS = st.lists(st.tuples(WORDS, WORDS, WORDS, VALUES), max_size=12)


def as_read(row: tuple[str, str, str, object]) -> tuple[str, str, str, str | None]:
    """What a row says: values as text, None where there is none, nothing that a terminal would obey."""
    value = None if row[3] is None else printable(str(row[3]))
    return printable(row[0]), printable(row[1]), printable(row[2]), value


@given(ROWS)
def test_what_repr_and_pprint_write_is_read_as_python_would(rows: list[tuple[str, str, str, object]]) -> None:
    for text in (repr(rows), pprint.pformat(rows), pprint.pformat(rows, width=20), repr(tuple(rows))):
        # In a file every character that cannot be printed was made a space before; repr escapes them anyway.
        assert read_rows(text, "x.hw") == ([as_read(row) for row in rows], [])
        assert list(ast.literal_eval(text)) == rows


@given(st.text(st.sampled_from("()[]',\"\\ \n#uNone0123x.e-abc"), max_size=60))
@example("[('a', 'b', 'c', 'd')")
@example("[('a' 'b')]")
@example("[('a', None 'b')]")
def test_nothing_but_a_typed_error_comes_of_any_text(text: str) -> None:
    looks_like_rows(text)
    try:
        rows, _ = read_rows(text, "x.hw")
    except FileFormatError as error:
        assert str(error).startswith("x.hw:") and error.line is not None
    else:
        assert all(len(row) == 4 for row in rows)


@given(ROWS.filter(bool), st.data())
def test_a_file_that_was_cut_short_is_refused(
    rows: list[tuple[str, str, str, object]], data: st.DataObject
) -> None:
    text = pprint.pformat(rows)
    length = data.draw(st.integers(1, len(text) - 1))
    with pytest.raises(FileFormatError):
        read_rows(text[:length], "x.hw")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("[('a', 'b', 'c', 'long ' 'text')]", [("a", "b", "c", "long text")]),
        ("[('a', 'b', 'c',\n  'long '\n  'text'),\n]\n", [("a", "b", "c", "long text")]),
        ("# -*- python -*-\n\n[(u'a', 'b', \"it's\", 2L)]", [("a", "b", "it's", "2")]),
        ("[('a', 'b', 'c')]", [("a", "b", "c", None)]),
        ("[['a', 'b', 'c', None,], ['a', 'b', 'c', nan]]", [("a", "b", "c", None), ("a", "b", "c", "nan")]),
        ("[('a', 'b', 'c', -1.5e3), ('\\x1b[2J', 'b', 'caf\\xe9', '\\ud800')]",
         [("a", "b", "c", "-1.5e3"), (" [2J", "b", "café", "\ufffd")]),
        ("[]", []),
    ],
)  # fmt: skip
def test_forms_of_the_field(text: str, rows: list[object]) -> None:
    assert read_rows(text, "x.hw") == (rows, [])


def test_rows_of_another_length_are_left_out_and_told_with_their_line() -> None:
    rows, remarks = read_rows("[('a', 'b', 'c', 'd'),\n ('a', 'b'),\n ('a', None, 'c', 'd')]", "x.hw")
    assert rows == [("a", "b", "c", "d")]
    assert remarks == ["x.hw:2: 2 rows are not of three or four items (the first is here)"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "x.hw:1: a value was expected, not '['"),
        ("[" + "(" * 100_000, "x.hw:1: a value was expected, not '('"),
        ("[('a', 'b', 'c', 'd'),\n ('a', 'b'", "x.hw:2: the file ends in the middle of the row"),
        ("[('a', 'b', 'c', 2 'd')]", "a comma was expected"),
        ("[('a', 'b', 'c', {'x': 1})]", "x.hw:1: \"{'x': 1})]\" is no plain value"),
        ("[('a', 'b', 'c', __import__('os'))]", 'is no plain value'),
        ("[('a', 'b', 'c', 'd')('a', 'b', 'c', 'd')]", "a comma or ']' was expected, not '('"),
        ("[('a', 'b', 'c', 'd')] + []", "something follows the end of the list"),
        ("[(" + "'a', " * 20 + ")]", "a row of more than 16 items"),
        ("[" + "('a','b','c','d')," * (MAX_ROWS + 2) + "]", f"more than {MAX_ROWS:,} rows"),
        ("[(" + "'a' " * 5000 + ")]", "a value of more than 4,096 pieces"),
        ("[" + "('a','b')," * (MAX_ROWS + 2) + "]", f"more than {MAX_ROWS:,} rows"),
    ],
    ids=lambda text: text[:24],
)  # fmt: skip
def test_what_is_no_list_of_rows_is_refused_with_place_and_reason(text: str, problem: str) -> None:
    with pytest.raises(FileFormatError) as refused:
        read_rows(text, "x.hw")
    assert problem in str(refused.value)
