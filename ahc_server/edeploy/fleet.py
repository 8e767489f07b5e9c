"""All machines of a session against a folder of eDeploy's files, as ``ahc match --specs`` answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from ahc_agent.errors import NoData
from ahc_server.edeploy import explain
from ahc_server.edeploy.functions import Refused
from ahc_server.edeploy.matcher import Bound, Machine, Match
from ahc_server.edeploy.roles import Choice, Folder, answers, choose_from, read_folder
from ahc_server.edeploy.rows import lines_of
from ahc_server.edeploy.save import locked, save
from ahc_server.profiles.model import Answer, Matches, NodeMatch, ProfileCount, Reason
from ahc_server.session import NodeRecord, Session

_MOST_TEXT = 4096


def match_specs(
    session: Session, path: Path, state_file: Path | None = None, *, apply: bool = False
) -> Matches:
    """The role of every node, one after the other by id. With ``apply`` counts and marks are written into the folder.

    Raises FileFormatError for a mistake in its files, NoData where there are no roles or no inventories, Locked and UsageError
    where ``apply`` cannot be done.
    """
    if not any(node.inventory is not None for node in session.nodes):
        raise NoData(f"{session.name}: no inventory of any node")
    if not apply:
        return _match(session, read_folder(path, state_file))
    with locked(path):
        folder = read_folder(path, state_file)
        matches = _match(session, folder)
        written = save(folder)
    if written:
        matches.notes.append("written: " + ", ".join(str(each) for each in written))
    return matches


def _match(session: Session, folder: Folder) -> Matches:
    nodes: list[NodeMatch] = []
    fitting: Counter[str] = Counter()
    given: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    for record in session.nodes:
        one = _node(record, folder, given)
        nodes.append(one)
        fitting.update(answer.profile for answer in one.answers if answer.fit == "fits")
    chosen = Counter(node.profile for node in nodes)
    return Matches(
        session=session.name,
        nodes=nodes,
        profiles=[
            ProfileCount(profile=role.name, nodes=chosen[role.name], fitting=fitting[role.name])
            for role in folder.roles
        ],
        notes=_notes(folder, given),
    )


def _node(record: NodeRecord, folder: Folder, given: defaultdict[tuple[str, int], list[str]]) -> NodeMatch:
    if record.inventory is None:
        why = "no inventory"
        unknown = Reason(requirement="an inventory", expected="facts of the machine", found="none")
        said = [Answer(profile=role.name, fit="unknown", reason=unknown) for role in folder.roles]
        return NodeMatch(id=record.node, profile=None, why=why, answers=said)
    machine = Machine(lines_of(record.inventory))
    found = list(answers(folder, machine))
    spent = [role.name for role in folder.roles if not role.available]
    choice = choose_from(folder, found, as_text=True)
    said = [_answer(folder, role.name, machine, each) for role, each in zip(folder.roles, found, strict=True)]
    profile = None if choice.refused is not None else choice.role
    bound: Bound = {}
    if profile is not None and choice.match is not None:
        bound = choice.match.bound
        if choice.given is not None:
            bound = choice.given.entry
            given[profile, choice.given.number].append(record.node)
    return NodeMatch(
        id=record.node, profile=profile, why=_why(choice, said, spent), answers=said, bound=_words(bound)
    )


def _answer(folder: Folder, role: str, machine: Machine, said: Match | Refused) -> Answer:
    file = folder.specs_file(role)
    if isinstance(said, Refused):
        line = said.line
        refused = Reason(
            requirement="the specification" if line is None else f"line {line}",
            expected="an answer",
            found=str(said),
            file=None if line is None else str(file),
            line=line,
        )
        return Answer(profile=role, fit="unknown", reason=refused)
    if said.fits:
        return Answer(profile=role, fit="fits", bound=_words(said.bound))
    return Answer(
        profile=role, fit="fails", reason=explain.reason(folder.specs[role] or [], machine, said, file)
    )


def _why(choice: Choice, said: list[Answer], spent: list[str]) -> str:
    if choice.refused is not None:
        return f"{choice.role}: {choice.refused}"
    if choice.role is not None:
        entry = ""
        if choice.given is not None:
            entry = f", entry {choice.given.number + 1} of its .cmdb"
            entry += " (given before)" if choice.given.again else ""
        return f"the first role in the order of the state file that fits{entry}"
    full = [answer.profile for answer in said if answer.fit == "fits" and answer.profile in spent]
    return f"fits {', '.join(full)}, whose count is used up" if full else "fits no role"


def _notes(folder: Folder, given: dict[tuple[str, int], list[str]]) -> list[str]:
    notes = [
        f"{folder.cmdb_file(role)}: entry {number + 1} is given to {', '.join(nodes)}: the specification binds nothing"
        " that tells them apart"
        for (role, number), nodes in given.items()
        if len(nodes) > 1
    ]
    notes += [
        f"{role.name}: no file {folder.specs_file(role.name)}; it fits no machine"
        for role in folder.roles
        if folder.specs[role.name] is None
    ]
    if folder.state_file is not None:
        left = ", ".join(f"{role.name} {role.left}" for role in folder.roles)
        notes.append(f"left to give: {left}")
    return notes


def _words(bound: Bound) -> dict[str, str]:
    """Names with their ``$``, as they are written in a specification."""
    return {f"${name}": str(value)[:_MOST_TEXT] for name, value in bound.items()}
