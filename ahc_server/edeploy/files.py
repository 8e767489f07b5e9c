"""The three kinds of eDeploy's files as plain data, read by a grammar and never evaluated.

::

    NAME.specs   [('disk', '$disk1', 'size', 'gt(100)'), ...]        what a machine should be
    NAME.cmdb    generate({'ip': '10.0.0.1-9', ...}) or [{...}, ...]    what is handed out to machines
    state        [('NAME', 3), ('OTHER', '*'), ...]                     the order of roles, and how often each may be given
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ahc_agent.errors import FileFormatError
from ahc_server.edeploy.functions import Word
from ahc_server.edeploy.generate import generate
from ahc_server.edeploy.spec import Line, Spec, spec_of
from ahc_server.importers.files import read_text
from ahc_server.importers.pyvalue import read_called, read_list

MOST_SPECS = 10_000
MOST_ROLES = 1_000
MOST_LINES = 100_000
_MOST_COUNT = 10**9

Entry = dict[str, Any]


@dataclass(slots=True)
class Role:
    """One entry of ``state``: how often the role may still be given, "*" always."""

    name: str
    left: int | Literal["*"]

    @property
    def available(self) -> bool:
        return self.left == "*" or self.left > 0


def read_specs(path: Path) -> list[Spec]:
    """The lines of a ``.specs`` file. Raises FileFormatError with the line."""
    text, _ = read_text(path)
    specs: list[Spec] = []
    for item, line in _bounded(read_list(text, str(path)), MOST_SPECS, path):
        if not (
            isinstance(item, tuple | list) and len(item) == 4 and all(isinstance(each, str) for each in item)
        ):
            raise FileFormatError(
                str(path),
                "four texts in parentheses are expected",
                line=line,
                remedy="like ('disk', '$disk1', 'size', 'gt(100)'); numbers stand in quotes too",
            )
        try:
            specs.append(spec_of((item[0], item[1], item[2], item[3]), line))
        except ValueError as error:
            raise FileFormatError(str(path), str(error), line=line) from error
    return specs


def read_state(path: Path) -> list[Role]:
    """The roles in their order. Raises FileFormatError with the line."""
    text, _ = read_text(path)
    roles = []
    for item, line in _bounded(read_list(text, str(path)), MOST_ROLES, path):
        role = _role(item)
        if role is None:
            raise FileFormatError(
                str(path),
                "a role and how often it may be given are expected",
                line=line,
                remedy="like ('compute', 3) or ('compute', '*')",
            )
        if not is_role_name(role.name):
            raise FileFormatError(
                str(path),
                f"{role.name[:60]!r} cannot be the name of a file",
                line=line,
                remedy=f"a role is called like its file NAME.specs in {path.parent}",
            )
        roles.append(role)
    return roles


def _role(item: Any) -> Role | None:
    if not (isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[0], str)):
        return None
    name, left = item
    if left == "*":
        return Role(name, "*")
    if isinstance(left, str) and left.removeprefix("-").isdecimal() and len(left) < 11:
        left = int(left)
    if type(left) is not int or abs(left) > _MOST_COUNT:
        return None
    return Role(name, left)


def is_role_name(name: str) -> bool:
    """Whether files of a role can stand in the folder, and nowhere else."""
    return (
        0 < len(name) <= 200
        and name.isprintable()
        and not name.startswith(".")
        and not {"/", "\\"} & set(name)
    )


def read_cmdb(path: Path) -> list[Entry]:
    """The entries of a ``.cmdb`` file, written out. Raises FileFormatError."""
    text, _ = read_text(path)
    called, value = read_called(text, str(path), "generate")
    if called:
        return generate(value, str(path))
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise FileFormatError(
            str(path), "generate({...}) or a list of entries is expected", remedy="like [{'ip': '10.0.0.1'}]"
        )
    return value


def read_lines(path: Path) -> list[Line]:
    """The lines of a machine's ``.hw`` file, as they are: numbers stay numbers. Raises FileFormatError."""
    text, _ = read_text(path)
    lines: list[Line] = []
    for item, number in _bounded(read_list(text, str(path)), MOST_LINES, path):
        if not (
            isinstance(item, tuple | list) and len(item) == 4 and all(isinstance(each, Word) for each in item)
        ):
            raise FileFormatError(str(path), "four plain values are expected", line=number)
        lines.append((item[0], item[1], item[2], item[3]))
    return lines


def _bounded(items: list[tuple[Any, int]], limit: int, path: Path) -> list[tuple[Any, int]]:
    if len(items) > limit:
        raise FileFormatError(str(path), f"more than {limit:,} entries", line=items[limit][1])
    return items
