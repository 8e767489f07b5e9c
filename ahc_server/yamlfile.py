"""YAML files from people (plans, profiles, policies), read with the place of every key.

Only plain data is taken: mappings with text keys, lists, text, numbers, booleans, null and dates. What could
hurt is refused: more than a bound of bytes, values or nesting (which also stops alias bombs), keys given twice, tags
that build objects. Every mistake is a :class:`FileFormatError` that names file, line, problem and remedy.
"""

from __future__ import annotations

import datetime
import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
import yaml

from ahc_agent.errors import FileFormatError

SIZE_LIMIT_BYTES = 1024 * 1024
DEPTH_LIMIT = 24
VALUES_LIMIT = 100_000
#: Mistakes that are told without a word of the file.
_QUOTES_NOTHING = ("empty", "larger than", "not UTF-8", "nested too deeply", "a key that is not text")

T = TypeVar("T")
Plain = Any  # what YAML's plain scalars, lists and mappings become

_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")}


def read_document(path: str | Path, *, size_limit: int = SIZE_LIMIT_BYTES, secret: bool = False) -> Document:
    """Read and check a file. Raises FileFormatError, also where it is not there or not readable.

    ``secret``: it holds passwords, and no error quotes it.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(size_limit + 1)
    except OSError as error:
        raise FileFormatError(str(path), f"cannot be read: {error.strerror}") from error
    try:
        return parse_document(data, str(path), size_limit=size_limit)
    except FileFormatError as error:
        if not secret or error.problem.startswith(_QUOTES_NOTHING):
            raise
        # A password that begins with "!" or "*" and has no quotes is a tag or an alias to YAML, and named as such.
        raise FileFormatError(
            str(path),
            "neither YAML nor JSON from here on",
            line=error.line,
            remedy="a bracket, a comma or a quote is missing, or a password has no quotes",
        ) from None


def parse_document(data: str | bytes, file: str, *, size_limit: int = SIZE_LIMIT_BYTES) -> Document:
    """Check text or bytes (UTF-8). ``file`` is its name in errors."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    if len(data) > size_limit:
        raise FileFormatError(
            file, f"larger than {size_limit} bytes", remedy="nothing of this kind is so large"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FileFormatError(file, "not UTF-8 text", line=line, remedy="save it as UTF-8") from error
    return _Reader(file, text).read()


class _Reader:
    """One pass from PyYAML's nodes to plain data and the line of every path."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.lines: dict[tuple[str | int, ...], int] = {}
        self.left = VALUES_LIMIT

    def read(self) -> Document:
        # The pure-Python loader: its recursion ends in RecursionError, the C one's in a crash.
        try:
            loader = yaml.SafeLoader(self.text)
            node = loader.get_single_node()
            if node is None:
                raise FileFormatError(self.file, "empty")
            plain = self._plain(loader, node, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = " ".join(part for part in (error.context, error.problem) if part)
            raise FileFormatError(
                self.file, f"not YAML: {problem}", line=mark.line + 1 if mark else None
            ) from error
        except yaml.YAMLError as error:
            raise FileFormatError(self.file, f"not YAML: {str(error).splitlines()[0]}") from error
        except RecursionError:
            raise FileFormatError(self.file, "nested too deeply") from None
        return Document(self.file, plain, self.lines, self.text)

    def _plain(self, loader: yaml.SafeLoader, node: yaml.Node, path: tuple[str | int, ...]) -> Plain:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self.left -= 1
        if self.left < 0:
            raise FileFormatError(self.file, f"more than {VALUES_LIMIT} values", line=line)
        if len(path) > DEPTH_LIMIT:
            raise FileFormatError(self.file, "nested too deeply", line=line)
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self._mapping(loader, node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self._plain(loader, item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            try:
                return loader.construct_object(node)
            except (ValueError, OverflowError, LookupError) as error:
                raise FileFormatError(self.file, f"cannot be read as a value: {error}", line=line) from error
        raise FileFormatError(
            self.file, f"the tag {node.tag} is not allowed", line=line, remedy="plain YAML only"
        )

    def _mapping(
        self, loader: yaml.SafeLoader, node: yaml.MappingNode, path: tuple[str | int, ...]
    ) -> dict[str, Plain]:
        plain: dict[str, Plain] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = (
                self._plain(loader, key_node, (*path, "")) if isinstance(key_node, yaml.ScalarNode) else None
            )
            if not isinstance(key, str):
                raise FileFormatError(
                    self.file, "a key that is not text", line=line, remedy="put it in quotes"
                )
            if key in plain:
                raise FileFormatError(self.file, f"the key {key!r} is given twice", line=line)
            self.lines[(*path, key)] = line
            plain[key] = self._plain(loader, value_node, (*path, key))
        return plain


@dataclass(frozen=True, slots=True)
class Document:
    """A whole file: its plain data, the line of every path (keys and indexes from the top), and its text."""

    file: str
    plain: Plain = field(repr=False)
    lines: dict[tuple[str | int, ...], int]
    text: str = field(repr=False)

    def fail(self, path: tuple[str | int, ...], problem: str, remedy: str = "") -> NoReturn:
        """Raise FileFormatError at a path (or at the nearest one above it that has a line)."""
        while path and path not in self.lines:
            path = path[:-1]
        raise FileFormatError(self.file, problem, line=self.lines.get(path), remedy=remedy)

    def section(self) -> Section:
        """The top of the file as a mapping."""
        if not isinstance(self.plain, dict):
            self.fail((), "a mapping (key: value) is expected at the top")
        return Section(self, ())

    def convert(self, kind: type[T]) -> T:
        """The whole file as a msgspec type; what does not fit is reported with its line."""
        try:
            return msgspec.convert(self.plain, kind)
        except msgspec.ValidationError as error:
            problem, _, where = str(error).partition(" - at `")
            self.fail(_error_path(where.rstrip("`")), problem)


def _error_path(text: str) -> tuple[str | int, ...]:
    """msgspec's "$.jobs.cpu[0].x" as a path. Keys of mappings appear as "[...]": there the path ends."""
    path: list[str | int] = []
    for name, index, unknown in re.findall(r"\.([^.\[`]+)|\[(\d+)\]|(\[\.\.\.\])", text):
        if unknown:
            break
        path.append(int(index) if index else name)
    return tuple(path)


def nearest(word: str, known: Iterable[str]) -> str:
    """A remedy that names the nearest valid word, or all of them where none is near."""
    words = sorted(known)
    near = difflib.get_close_matches(word.lower(), words, 1, 0.6)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(words)}"


@dataclass(frozen=True, slots=True)
class Section:
    """One mapping of a document, read key by key with typed access. ``None`` stands for "not given"."""

    document: Document
    path: tuple[str | int, ...]

    @property
    def plain(self) -> dict[str, Plain]:
        data = self.document.plain
        for key in self.path:
            data = data[key]
        assert isinstance(data, dict)
        return data

    def __contains__(self, key: str) -> bool:
        return self.plain.get(key) is not None

    def fail(self, key: str | None, problem: str, remedy: str = "") -> NoReturn:
        """Raise FileFormatError at a key of this section (None: at the section itself)."""
        self.document.fail(self.path if key is None else (*self.path, key), problem, remedy)

    def only(self, known: Iterable[str], what: str) -> None:
        """Refuse every key that is not known, with the nearest valid name."""
        names = list(known)
        for key in self.plain:
            if key not in names:
                self.fail(key, f"unknown key {key!r} in {what}", nearest(key, names))

    def get(self, key: str, want: str, take: Callable[[Plain], T | None]) -> T | None:
        """A value through ``take``, which answers None where it is not what is wanted."""
        value = self.plain.get(key)
        if value is None:
            return None
        taken = take(value)
        if taken is None:
            shown = repr(value)
            self.fail(
                key, f"{key}: {want} is expected, not {shown if len(shown) < 60 else shown[:57] + '...'}"
            )
        return taken

    def text(self, key: str, *, max_length: int = 4096) -> str | None:
        """Text; numbers are taken as they would be written (a name may be ``42``)."""

        def take(value: Plain) -> str | None:
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                return None
            return str(value) if 0 < len(str(value)) <= max_length else None

        return self.get(key, f"text of 1 to {max_length} characters", take)

    def integer(self, key: str, low: int, high: int) -> int | None:
        def take(value: Plain) -> int | None:
            return value if type(value) is int and low <= value <= high else None

        return self.get(key, f"a whole number from {low} to {high}", take)

    def number(self, key: str, low: float, high: float) -> float | None:
        def take(value: Plain) -> float | None:
            good = type(value) in (int, float) and math.isfinite(value) and low <= value <= high
            return float(value) if good else None

        return self.get(key, f"a number from {low:g} to {high:g}", take)

    def flag(self, key: str) -> bool | None:
        return self.get(key, "true or false", lambda value: value if isinstance(value, bool) else None)

    def date(self, key: str) -> datetime.date | None:
        def take(value: Plain) -> datetime.date | None:
            if isinstance(value, datetime.datetime):
                return value.date()
            return value if isinstance(value, datetime.date) else None

        return self.get(key, "a date like 2026-01-31", take)

    def choice(self, key: str, known: Iterable[str]) -> str | None:
        """One word of a list; another one is answered with the nearest."""
        words = list(known)
        value = self.text(key)
        if value is not None and value not in words:
            self.fail(key, f"{key}: {value!r} is not known", nearest(value, words))
        return value

    def words(
        self, key: str, known: Iterable[str] | None = None, *, at_most: int = 1024
    ) -> tuple[str, ...] | None:
        """Several words: a YAML list, or text with commas. With ``known``, each must be one of these."""

        def take(value: Plain) -> tuple[str, ...] | None:
            parts = value.split(",") if isinstance(value, str) else value
            if not isinstance(parts, list):
                parts = [parts]
            if not all(isinstance(part, str | int) and not isinstance(part, bool) for part in parts):
                return None
            words = tuple(str(part).strip() for part in parts)
            return (
                words
                if words and all(0 < len(word) <= 256 for word in words) and len(words) <= at_most
                else None
            )

        words = self.get(key, "a word, or several separated by commas,", take)
        allowed = None if known is None else list(known)
        for word in words or ():
            if allowed is not None and word not in allowed:
                self.fail(key, f"{key}: {word!r} is not known", nearest(word, allowed))
        return words

    def sections(self, key: str) -> dict[str, Section]:
        """The mappings inside a mapping, in the order of the file."""
        value = self.plain.get(key)
        if not isinstance(value, dict):
            self.fail(key, f"{key}: a mapping of names is expected")
        for name, inner in value.items():
            if not isinstance(inner, dict):
                Section(self.document, (*self.path, key)).fail(
                    name, f"{name}: a mapping (key: value) is expected"
                )
        return {name: Section(self.document, (*self.path, key, name)) for name in value}
