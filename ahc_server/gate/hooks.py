"""What can be done with a node that a gate was closed for: a command of one's own, or one of ``SHIPPED``.

A shipped hook also knows how to ask how things stand with the node, so that it is done once, is not tried where it cannot be, and
is believed only where the other side then says so.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from ahc_agent.errors import UsageError

#: What a machine may be called where a command is filled with it.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}")
#: Ironic takes names that could be host names, and UUIDs; Kubernetes names of RFC 1123.
_IRONIC_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,254}")
_KUBERNETES_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
#: NAMESPACE/NAME, or NAME in the namespace of kubectl's context. A namespace is a DNS label (RFC 1123).
_HOST_NAME = re.compile(
    rf"((?P<namespace>[a-z0-9]([a-z0-9-]{{0,61}}[a-z0-9])?)/)?(?P<node>{_KUBERNETES_NAME.pattern})"
)
_KEY, _VALUE = "ahc/gate", "closed"


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand with a node: ``done``, ``open`` (it can be done), ``under way`` (the other side is at something that has
    to end first) or ``barred`` (it cannot be done as things are). ``why``: a phrase with what to do."""

    at: Literal["done", "open", "under way", "barred"]
    why: str = ""


_DONE, _OPEN = Standing("done"), Standing("open", "it is NOT so yet: run it again to see")


@dataclass(frozen=True, slots=True)
class Hook:
    """``act`` does it; ``look`` asks how things are, and ``read`` understands the answer (raises msgspec.MsgspecError).
    ``names``: what the other side takes for a name; its named groups are placeholders too, and a word whose group is not in the
    name is left out."""

    name: str
    act: tuple[str, ...]
    look: tuple[str, ...] = ()
    read: Callable[[bytes], Standing] = lambda _: _DONE
    names: re.Pattern[str] = NAME


# ---- Ironic


class _Ironic(msgspec.Struct, frozen=True):
    """Of what ``baremetal node show -f json`` prints."""

    maintenance: bool | None = None
    provision_state: str | None = None
    last_error: str | None = None


def _maintenance(said: bytes) -> Standing:
    return _DONE if msgspec.json.decode(said, type=_Ironic).maintenance is True else _OPEN


_MANAGE_FIRST = "`baremetal node manage` makes it manageable and keeps it from being deployed; then again"
#: Ironic's provision states (its "state machine" page) → how a hold stands with them. From all others no cleaning is begun.
_HOLD: Final[Mapping[str, Standing]] = {
    "clean hold": _DONE,
    "deploy hold": _DONE,
    "service hold": _DONE,
    "manageable": Standing(
        "open",
        "it is NOT held: Ironic has dropped the step, and the node is manageable; ironic-maintenance holds",
    ),
    "cleaning": Standing("under way", "Ironic is cleaning it: run it again to see"),
    "clean wait": Standing(
        "under way",
        "Ironic waits for its ramdisk (clean wait): run it again to see; if it is manageable then, the step was dropped",
    ),
    "available": Standing("barred", f"it is available: {_MANAGE_FIRST}"),
    "enroll": Standing("barred", f"it is only enrolled: {_MANAGE_FIRST}"),
    "inspect failed": Standing("barred", f"its inspection failed: {_MANAGE_FIRST}"),
}


def _hold(said: bytes) -> Standing:
    node = msgspec.json.decode(said, type=_Ironic)
    state = node.provision_state
    standing = _HOLD.get(state or "")
    if standing == _DONE:
        return _DONE
    if node.maintenance:
        return Standing("barred", "it is in maintenance: no deployment there, and no cleaning either")
    if state == "clean failed":
        return Standing(
            "barred", f"its cleaning failed ({node.last_error or 'no reason given'}): {_MANAGE_FIRST}"
        )
    if standing is None:
        told = f"it is {state!r}" if state else "Ironic does not tell its state"
        return Standing(
            "barred", f"{told}, and only what is manageable can be held; ironic-maintenance takes any"
        )
    return standing


# ---- Kubernetes


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


def _tainted(said: bytes) -> Standing:
    taints = msgspec.json.decode(said, type=_Kubernetes).spec.taints
    return _DONE if _Taint(_KEY, "NoSchedule", _VALUE) in taints else _OPEN


def _labelled(said: bytes) -> Standing:
    labels = msgspec.json.decode(said, type=_Kubernetes).metadata.labels
    return _DONE if labels.get(_KEY) == _VALUE else _OPEN


_HOST = ("baremetalhosts.metal3.io", "{node}", "--namespace={namespace}")
_SHOW = ("baremetal", "node", "show", "{node}", "-f", "json", "--fields")

#: ``baremetal`` is the command of python-ironicclient, which also brings ``openstack baremetal``. Ironic's "hold" is a reserved
#: step: a node in "manageable" is sent into cleaning, which is to stop at once (Ironic's admin guide, "Steps"). Ironic 24.1
#: refuses it there; 29 and 39 lose reserved steps where they validate what a manual cleaning was given, so that nothing is held.
SHIPPED: Final[Mapping[str, Hook]] = {
    hook.name: hook
    for hook in (
        Hook(
            "ironic-maintenance",
            ("baremetal", "node", "maintenance", "set", "{node}", "--reason", "{reason}"),
            (*_SHOW, "maintenance"),
            _maintenance,
            _IRONIC_NAME,
        ),
        Hook(
            "ironic-hold",
            (
                *("baremetal", "node", "clean", "{node}"),
                *("--clean-steps", '[{"interface": "deploy", "step": "hold"}]'),
            ),
            (*_SHOW, "provision_state", "maintenance", "last_error"),
            _hold,
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
            ("kubectl", "label", *_HOST, f"{_KEY}={_VALUE}", "--overwrite"),
            ("kubectl", "get", *_HOST, "-o", "json"),
            _labelled,
            _HOST_NAME,
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
