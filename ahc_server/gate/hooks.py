"""Quarantine: what is done with nodes that a gate was closed for. Nothing is done without ``apply``.

A hook is a command with ``{node}`` in it, or one of ``SHIPPED``, which look whether it is done already, and afterwards whether
it took. Commands are split as a shell would, and run without one. Ids come from machines: one with a space, a quote or a dash
at its start is refused, so that it is never an option, nor code where somebody's command is a shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from ahc_agent import programs
from ahc_agent.errors import AhcError, ProgramError, ProgramFailed, UsageError
from ahc_server.gate.model import Gate
from ahc_server.judge import wording
from ahc_server.report.words import clean

#: One program, on one node.
TIME_LIMIT_S = 120.0
_SHOWN_LINES, _SHOWN_WIDTH = 10, 300
_REASON_LENGTH = 255
_PLACE = re.compile(r"\{(node|reason)\}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}")
#: Ironic takes names that could be host names, and UUIDs; Kubernetes names of RFC 1123.
_IRONIC_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,254}")
_KUBERNETES_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_KEY, _VALUE = "ahc/gate", "closed"


class _Ironic(msgspec.Struct, frozen=True):
    """Of what ``baremetal node show -f json`` prints."""

    maintenance: bool | None = None
    provision_state: str | None = None


class _Taint(msgspec.Struct, frozen=True):
    key: str
    effect: str
    value: str = ""


class _Spec(msgspec.Struct, frozen=True):
    taints: list[_Taint] = []


class _Metadata(msgspec.Struct, frozen=True):
    labels: dict[str, str] = {}


class _Kubernetes(msgspec.Struct, frozen=True):
    """Of what ``kubectl get -o json`` prints."""

    metadata: _Metadata = _Metadata()
    spec: _Spec = _Spec()


@dataclass(frozen=True, slots=True)
class Hook:
    """``act`` does it; ``look`` asks how things are, and ``done`` whether nothing is left to do. ``names``: what the other side
    takes for a name."""

    name: str
    act: tuple[str, ...]
    look: tuple[str, ...] = ()
    done: Callable[[bytes], bool] = lambda _: False
    names: re.Pattern[str] = _NAME


def _in_maintenance(said: bytes) -> bool:
    return msgspec.json.decode(said, type=_Ironic).maintenance is True


def _on_hold(said: bytes) -> bool:
    state = msgspec.json.decode(said, type=_Ironic).provision_state or ""
    return state in ("clean hold", "deploy hold", "service hold")


def _tainted(said: bytes) -> bool:
    return _Taint(_KEY, "NoSchedule", _VALUE) in msgspec.json.decode(said, type=_Kubernetes).spec.taints


def _labelled(said: bytes) -> bool:
    return msgspec.json.decode(said, type=_Kubernetes).metadata.labels.get(_KEY) == _VALUE


_SHOW = ("baremetal", "node", "show", "{node}", "-f", "json", "--fields")

#: ``baremetal`` is the command of python-ironicclient, which also brings ``openstack baremetal``. Ironic's "hold" is a reserved
#: step: a node in "manageable" is sent into cleaning, which stops at once (Ironic's admin guide, "Steps").
SHIPPED: Final[Mapping[str, Hook]] = {
    hook.name: hook
    for hook in (
        Hook(
            "ironic-maintenance",
            ("baremetal", "node", "maintenance", "set", "{node}", "--reason", "{reason}"),
            (*_SHOW, "maintenance"),
            _in_maintenance,
            _IRONIC_NAME,
        ),
        Hook(
            "ironic-hold",
            (
                *("baremetal", "node", "clean", "{node}"),
                *("--clean-steps", '[{"interface": "deploy", "step": "hold"}]'),
            ),
            (*_SHOW, "provision_state"),
            _on_hold,
            _IRONIC_NAME,
        ),
        Hook(
            "kubernetes-taint",
            ("kubectl", "taint", "nodes", "{node}", f"{_KEY}={_VALUE}:NoSchedule", "--overwrite"),
            ("kubectl", "get", "node", "{node}", "-o", "json"),
            _tainted,
            _KUBERNETES_NAME,
        ),
        Hook(
            "metal3-label",
            ("kubectl", "label", "baremetalhosts.metal3.io", "{node}", f"{_KEY}={_VALUE}", "--overwrite"),
            ("kubectl", "get", "baremetalhosts.metal3.io", "{node}", "-o", "json"),
            _labelled,
            _KUBERNETES_NAME,
        ),
    )
}


def read_hook(text: str) -> Hook:
    """A shipped hook by its name, or a command. Raises UsageError."""
    if text in SHIPPED:
        return SHIPPED[text]
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--on-fail {text!r}: {error}") from error
    if not words or "{" in words[0] or not any("{node}" in word for word in words[1:]):
        raise UsageError(
            f"--on-fail {text!r}: a command with {{node}} among its arguments is meant, or one of {', '.join(SHIPPED)}"
        )
    return Hook(words[0], words)


def failed_nodes(gate: Gate) -> dict[str, str]:
    """Nodes that closed the gate by themselves → the worst that stands against them. A switch's fault is none of theirs."""
    found: dict[str, str] = {}
    for reason in gate.reasons:
        kind, _, node = reason.element.partition(":")
        if reason.state == "closed" and kind == "node":
            found.setdefault(node, f"AHC gate: {clean(reason.summary)}"[:_REASON_LENGTH])
    return found


def quarantine(gate: Gate, hooks: Sequence[Hook], names: Mapping[str, str], *, apply: bool) -> Iterator[str]:
    """Run the hooks on every node that closed the gate; yields lines that say what was done. ``names``: node id → what the other
    side calls it. One node that cannot be done keeps no other from it."""
    nodes = failed_nodes(gate)
    if not nodes:
        yield "quarantine: no node by itself closed the gate"
        return
    if not apply:
        yield f"quarantine: a dry run of {wording.nodes_word(len(nodes))}, nothing is done (--apply does it)"
    for node, reason in nodes.items():
        for hook in hooks:
            try:
                yield from _one(hook, names.get(node, node), reason, apply=apply)
            except AhcError as error:
                yield f"{clean(node)}: NOT done: {clean(str(error))}"


def _one(hook: Hook, node: str, reason: str, *, apply: bool) -> Iterator[str]:
    act, look = (_filled(hook, words, node, reason) for words in (hook.act, hook.look))
    shown = clean(shlex.join(act))
    if not apply:
        yield f"{clean(node)}: would run {shown}"
        return
    if look and _is_done(hook, look):
        yield f"{clean(node)}: {hook.name}: done already"
        return
    finished = programs.run(act, time_limit_s=TIME_LIMIT_S)
    yield f"{clean(node)}: ran {shown}" + (
        "" if _is_done(hook, look) else "; it is NOT so yet: run it again to see"
    )
    yield from _said(finished.stdout + finished.stderr)


def _is_done(hook: Hook, look: Sequence[str]) -> bool:
    """What the other side says; of a command that nobody can ask about, its exit status alone."""
    if not look:
        return True
    said = programs.run(look, time_limit_s=TIME_LIMIT_S).stdout
    try:
        return hook.done(said)
    except msgspec.MsgspecError as error:
        raise ProgramFailed(look[0], f"printed what cannot be read: {error}") from error


def _filled(hook: Hook, words: Iterable[str], node: str, reason: str) -> list[str]:
    """The command for one node. Raises ProgramError for an id that could be taken for something else."""
    if not hook.names.fullmatch(node):
        raise ProgramError(hook.name, f"{node!r} is no name that it takes (the policy's names: can give one)")
    values = {"node": node, "reason": reason}
    # In one pass: an id that contains {reason} stays as it is.
    return [_PLACE.sub(lambda match: values[match[1]], word) for word in words]


def _said(output: bytes) -> Iterator[str]:
    lines = output.decode("utf-8", "replace").splitlines()
    for line in lines[:_SHOWN_LINES]:
        yield f"  {clean(line)[:_SHOWN_WIDTH]}"
    if len(lines) > _SHOWN_LINES:
        yield f"  and {len(lines) - _SHOWN_LINES:,} more lines"
