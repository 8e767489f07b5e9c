"""YAML from people: places, bounds, and one kind of error."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import FileFormatError
from ahc_server.yamlfile import Document, nearest, parse_document, read_document


def refused(text: str | bytes) -> FileFormatError:
    with pytest.raises(FileFormatError) as caught:
        parse_document(text, "f.yaml")
    return caught.value


def test_plain_values_and_the_line_of_every_key() -> None:
    document = parse_document("a: 1\nb:\n  c: [x, 2.5]\n  d: 2026-01-31\ne: null\n", "f.yaml")
    assert document.plain == {"a": 1, "b": {"c": ["x", 2.5], "d": datetime.date(2026, 1, 31)}, "e": None}
    assert document.lines["b", "c"] == 3
    assert document.lines["b", "d"] == 4
    assert document.lines["e",] == 5


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\na: 2\n", 2, "'a' is given twice"),
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "not YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "tag"),
        ("a: !!binary aGFsbG8=\n", 1, "tag"),
        ("a: 2026-13-45\n", 1, "value"),
        ("81: x\n", 1, "a key that is not text"),
        ("? [a, b]\n: x\n", 1, "a key that is not text"),
        (b"a: 1\nb: \xff\n", 2, "UTF-8"),
        ("a: 1\n--- \nb: 2\n", 2, "not YAML"),
        ("- " * 60 + "x", 1, "nested too deeply"),
        ("[" * 100_000, None, "nested too deeply"),
        ("a: " + "9" * 5000, 1, "value"),
        ("", None, "empty"),
    ],
)
def test_mistakes_name_their_line(text: str | bytes, line: int | None, says: str) -> None:
    error = refused(text)
    assert says in error.problem
    assert error.line == line
    assert str(error).startswith("f.yaml:" if line else "f.yaml: ")


def test_an_alias_bomb_is_refused_before_it_unfolds() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "values" in refused("\n".join(lines)).problem


def test_an_alias_that_holds_itself_is_refused() -> None:
    assert "nested too deeply" in refused("a: &a [*a]").problem


def test_plain_anchors_serve_people() -> None:
    assert parse_document("a: &x {k: 1}\nb: *x\n", "f").plain == {"a": {"k": 1}, "b": {"k": 1}}


def test_size_is_bounded(tmp_path: object) -> None:
    assert "larger than" in refused("#" * (1024 * 1024 + 1)).problem


def test_a_file_that_is_not_there_is_a_format_error_too() -> None:
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_document("/nonexistent/plan.yaml")


def test_unknown_keys_are_answered_with_the_nearest() -> None:
    section = parse_document("runtime: 1\nrequired-host: 3\n", "f").section()
    with pytest.raises(
        FileFormatError, match=r"f:2: unknown key 'required-host'.*did you mean 'required-hosts'"
    ):
        section.only(["runtime", "required-hosts"], "a job")
    assert nearest("xyzzy", ["b", "a"]) == "known: a, b"


@pytest.mark.parametrize("text", ["n: 1.5", "n: true", "n: '1'", "n: -1", "n: 11", "n: [1]", "n: .nan"])
def test_integers_are_whole_and_in_range(text: str) -> None:
    with pytest.raises(FileFormatError, match="a whole number from 0 to 10"):
        parse_document(text, "f").section().integer("n", 0, 10)


@pytest.mark.parametrize("text", ["n: .inf", "n: .nan", "n: true", "n: x"])
def test_numbers_are_finite(text: str) -> None:
    with pytest.raises(FileFormatError, match="a number from"):
        parse_document(text, "f").section().number("n", 0, 1e9)


def test_words_come_as_list_or_with_commas() -> None:
    section = parse_document("a: x, y ,z\nb: [x, y]\nc: x\nd: ''\n", "f").section()
    assert section.words("a") == ("x", "y", "z")
    assert section.words("b") == ("x", "y")
    assert section.words("c") == ("x",)
    assert section.words("missing") is None
    with pytest.raises(FileFormatError):
        section.words("d")
    with pytest.raises(FileFormatError, match="did you mean 'fair'"):
        parse_document("a: fiar", "f").section().words("a", ["fair", "any"])


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: int


class Outer(msgspec.Struct):
    inner: list[Inner]


def test_conversion_errors_name_the_line() -> None:
    good = parse_document("inner:\n  - size: 3\n", "f").convert(Outer)
    assert good.inner[0].size == 3
    with pytest.raises(FileFormatError, match=r"f:3: Expected `int`"):
        parse_document("inner:\n  - size: 3\n  - size: x\n", "f").convert(Outer)


@given(
    st.one_of(
        st.binary(max_size=300), st.text(max_size=300), st.text("{}[]&*!|>-:?,#%'\"\n \t0aé", max_size=300)
    )
)
def test_whatever_comes_in_only_a_format_error_goes_out(data: str | bytes) -> None:
    try:
        assert isinstance(parse_document(data, "f"), Document)
    except FileFormatError:
        pass
