"""Quarantine: hooks on the nodes that a gate was closed for. Nothing is done without ``apply``.

Commands are split as a shell would, and run without one. Ids come from machines: one with a space, a quote or a dash at its start
is refused, so that it is never an option, nor code where somebody's command is a shell.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from ahc_agent import programs
from ahc_agent.errors import AhcError, ProgramError, ProgramFailed
from ahc_server.gate.hooks import NAME, Hook, Standing
from ahc_server.gate.model import Gate
from ahc_server.judge import wording
from ahc_server.report.words import clean

#: One program, on one node.
TIME_LIMIT_S: Final = 120.0
#: So long the other side may be at it before we go on to the next node: what takes a ramdisk takes longer than anybody waits.
_SETTLE_S, _ASK_AGAIN_S = 15.0, 1.0
_SHOWN_LINES, _SHOWN_WIDTH = 10, 300
_REASON_LENGTH = 255
_UNKNOWN = (
    "none of its machines is surely this one, by MAC, serial, UUID or BMC (the policy's names: can give one)"
)
_PLACE = re.compile(r"\{(node|reason|namespace)\}")
#: A line of klog, by which kubectl tells each of its attempts before it tells what is wrong.
_KLOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.")


def failed_nodes(gate: Gate) -> dict[str, str]:
    """Nodes that closed the gate by themselves → the worst that stands against them. A switch's fault is none of theirs."""
    found: dict[str, str] = {}
    for reason in gate.reasons:
        kind, _, node = reason.element.partition(":")
        if reason.state == "closed" and kind == "node":
            found.setdefault(node, f"AHC gate: {clean(reason.summary)}"[:_REASON_LENGTH])
    return found


def quarantine(
    gate: Gate,
    hooks: Sequence[Hook],
    names: Mapping[str, str],
    called: Mapping[str, Mapping[str, str]] | None = None,
    *,
    apply: bool,
) -> Iterator[str]:
    """Run the hooks on every node that closed the gate; yields lines that say what was done. One node that cannot be done keeps
    no other from it.

    ``names``: node id → what the other side calls it, as the policy has it. ``called``: hook → the same, as the other side says
    itself, where it was asked; it is then asked for no other node.
    """
    nodes = failed_nodes(gate)
    if not nodes:
        yield "quarantine: no node by itself closed the gate"
        return
    if not apply:
        yield f"quarantine: a dry run of {wording.nodes_word(len(nodes))}, nothing is done (--apply does it)"
    for node, reason in nodes.items():
        for hook in hooks:
            theirs = (called or {}).get(hook.name)
            known = {**(theirs or {}), **names}
            try:
                if theirs is not None and node not in known:
                    raise ProgramError(hook.name, _UNKNOWN)
                yield from _one(hook, _taken(hook, node, known), reason, apply=apply)
            except AhcError as error:
                yield f"{clean(known.get(node, node))}: NOT done: {clean(str(error))}"


def _taken(hook: Hook, node: str, names: Mapping[str, str]) -> str:
    """What the other side calls a node. Raises ProgramError for an id that could be taken for something else; who writes a policy
    may name more than a machine may call itself."""
    name = names.get(node, node)
    if not hook.names.fullmatch(name) or (node not in names and not NAME.fullmatch(node)):
        raise ProgramError(hook.name, f"{name!r} is no name that it takes (the policy's names: can give one)")
    return name


def _one(hook: Hook, node: str, reason: str, *, apply: bool) -> Iterator[str]:
    act, look = (_filled(hook, words, node, reason) for words in (hook.act, hook.look))
    shown = clean(shlex.join(act))
    if not apply:
        yield f"{clean(node)}: would run {shown}"
        return
    if look:
        before = _standing(hook, look)
        if before.at != "open":
            said = {"done": "done already", "under way": "not asked for", "barred": "NOT done"}[before.at]
            yield f"{clean(node)}: {hook.name}: {said}" + (f": {clean(before.why)}" if before.why else "")
            return
    finished = run(act)
    after = _settled(hook, look)
    yield f"{clean(node)}: ran {shown}" + ("" if after.at == "done" else f"; {clean(after.why)}")
    yield from _said(finished.stdout + finished.stderr)


def _settled(hook: Hook, look: Sequence[str]) -> Standing:
    """How things stand once the other side is done with it, or after a while. A command that nobody can ask about is believed."""
    if not look:
        return Standing("done")
    until = time.monotonic() + _SETTLE_S
    while (standing := _standing(hook, look)).at == "under way" and time.monotonic() < until:
        time.sleep(_ASK_AGAIN_S)
    return standing


def _standing(hook: Hook, look: Sequence[str]) -> Standing:
    said = run(look).stdout
    try:
        return hook.read(said)
    except msgspec.MsgspecError as error:
        raise ProgramFailed(look[0], f"printed what cannot be read: {error}") from error


def run(argv: Sequence[str]) -> programs.Finished:
    """Raises ProgramFailed with what the program said first: clients close with advice on their own options, only tracebacks with
    what is wrong."""
    finished = programs.run(argv, time_limit_s=TIME_LIMIT_S, ok_statuses=None)
    if finished.exit_status:
        said = (finished.stderr or finished.stdout).decode("utf-8", "replace").strip().splitlines()
        lines = [line for line in said if not _KLOG.match(line)] or said or ["no output"]
        problem = lines[-1] if lines[0].startswith("Traceback ") else " ".join(line.strip() for line in lines)
        raise ProgramFailed(argv[0], f"exit status {finished.exit_status}: {problem[:_SHOWN_WIDTH]}")
    return finished


def _filled(hook: Hook, words: Iterable[str], node: str, reason: str) -> list[str]:
    """The command for one node, whose name is one that the hook takes."""
    matched = hook.names.fullmatch(node)
    values = {"node": node, "reason": reason, **(matched.groupdict() if matched else {})}
    # In one pass: an id that contains {reason} stays as it is.
    return [
        _PLACE.sub(lambda match: values.get(match[1], match[0]), word)
        for word in words
        if not any(values.get(place, place) is None for place in _PLACE.findall(word))
    ]


def _said(output: bytes) -> Iterator[str]:
    lines = output.decode("utf-8", "replace").splitlines()
    for line in lines[:_SHOWN_LINES]:
        yield f"  {clean(line)[:_SHOWN_WIDTH]}"
    if len(lines) > _SHOWN_LINES:
        yield f"  and {len(lines) - _SHOWN_LINES:,} more lines"
