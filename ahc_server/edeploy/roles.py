"""A folder of eDeploy's files at work: machines come one after the other, each gets the first role that it fits.

As ``hardware.state.State.find_match``: roles in the order of ``state``; one whose count is 0 is passed over; the role's count
goes down, and its ``.cmdb`` gives an entry. Where that package ends with an exception the machine gets no role, and
neither counts nor entries change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ahc_agent.errors import FileFormatError, NoData
from ahc_server.edeploy import cmdb, files
from ahc_server.edeploy.cmdb import Given, NoEntry
from ahc_server.edeploy.files import Entry, Role
from ahc_server.edeploy.functions import Refused
from ahc_server.edeploy.matcher import Machine, Match, match
from ahc_server.edeploy.spec import Line, Spec


@dataclass(slots=True)
class Folder:
    """The files of one folder. ``specs``: None where a role of ``state`` has no file; it fits no machine.

    ``state_file`` is None where there is no such file: then every ``.specs`` file is a role, by name, without a count.
    """

    path: Path
    state_file: Path | None
    roles: list[Role]
    specs: dict[str, list[Spec] | None]
    entries: dict[str, list[Entry]]
    changed: set[str] = field(default_factory=set)

    def specs_file(self, role: str) -> Path:
        return self.path / f"{role}.specs"

    def cmdb_file(self, role: str) -> Path:
        return self.path / f"{role}.cmdb"


@dataclass(frozen=True, slots=True)
class Choice:
    """What became of a machine. ``refused``: why the search ended at ``role`` without one."""

    role: str | None
    match: Match | None = None
    given: Given | None = None
    refused: str | None = None


def read_folder(path: Path, state_file: Path | None = None) -> Folder:
    """All files that the roles need. Raises FileFormatError; NoData where there is no role."""
    own = path / "state"
    if state_file is None and own.exists():
        state_file = own
    if state_file is not None:
        roles = files.read_state(state_file)
    else:
        names = sorted(each.stem for each in path.glob("*.specs"))
        roles = [Role(name, "*") for name in names if files.is_role_name(name)]
    if not roles:
        raise NoData(
            f"{state_file or path}: no roles (a .specs file for each, and their order in a file 'state')"
        )
    specs: dict[str, list[Spec] | None] = {}
    entries: dict[str, list[Entry]] = {}
    for role in roles:
        of_role, of_cmdb = path / f"{role.name}.specs", path / f"{role.name}.cmdb"
        specs[role.name] = files.read_specs(of_role) if of_role.exists() else None
        # An empty file's list counts as none, as in the package.
        if of_cmdb.exists() and (found := files.read_cmdb(of_cmdb)):
            entries[role.name] = found
    if all(each is None for each in specs.values()):
        raise FileFormatError(str(state_file or path), f"none of its roles has a .specs file in {path}")
    return Folder(path, state_file, roles, specs, entries)


def choose(folder: Folder, lines: Sequence[Line], *, as_text: bool = False) -> Choice:
    """The role of a machine; counts and entries of the folder change, its files do not."""
    return choose_from(folder, answers(folder, Machine(lines)), as_text=as_text)


def answers(folder: Folder, machine: Machine) -> Iterator[Match | Refused]:
    """What each role's specification says, in the order of the roles, one after the other as they are asked for."""
    for role in folder.roles:
        specs = folder.specs[role.name]
        if specs is None:
            yield Match(False)
            continue
        try:
            yield match(specs, machine)
        except Refused as error:
            yield error


def choose_from(
    folder: Folder, said: Iterator[Match | Refused] | Sequence[Match | Refused], *, as_text: bool = False
) -> Choice:
    """As ``choose``, from answers."""
    for role, answer in zip(folder.roles, said, strict=False):
        if not role.available:
            continue
        if isinstance(answer, Refused):
            return Choice(role.name, refused=str(answer))
        if answer.fits:
            return _give(folder, role, answer, as_text)
    return Choice(None)


def _give(folder: Folder, role: Role, match: Match, as_text: bool) -> Choice:
    given = None
    if role.name in folder.entries:
        try:
            given = cmdb.give(folder.entries[role.name], match, as_text=as_text)
        except NoEntry as error:
            return Choice(role.name, match, refused=f"{folder.cmdb_file(role.name)}: {error}")
        folder.entries[role.name][given.number] = given.entry
        folder.changed.add(role.name)
    if role.left != "*":
        role.left -= 1
    return Choice(role.name, match, given)
