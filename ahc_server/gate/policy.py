"""Policies: what a gate asks, as data, and read from YAML.

::

    step: pre-deploy                  # optional: what it is for
    close-on: warn                    # fail (also without saying so), warn: and fail, info: every finding
    unknown: 0                        # so many nodes that were measured and could not be judged are tolerated
    expected: 40                      # nodes at least; or their list: no other and all of these
    measured: {cpu: 7d, disk.*.randread_4k_iops: 7d, inventory: any}   # every node has it, no older than that
    least: {control: 3, compute: 10}  # nodes of a profile
    ready-state: true                 # firmware, BIOS, RAID and BMC of each node are as its profile wants them
    compare: {before: previous, close-on: fail}
    waivers:
      - {node: n3, component: disk, kind: slow, who: Ada, why: disk ordered, until: 2026-12-24}
    names: {CZ3323FDV8: worker-3}     # what quarantine hooks call a node, where that is not its id
    steps:                            # instead of several files: a step says what differs from the above
      post-deploy: {close-on: fail}

There is no policy with which a finding of severity ``fail`` does not close, but for a waiver with a name and a last day.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ahc_agent.errors import UsageError
from ahc_agent.measure import Component as Measurable
from ahc_server.judge.model import Component, Kind, Severity
from ahc_server.yamlfile import Document, Section, nearest, parse_document, read_document

Step = Literal["pre-deploy", "post-deploy", "post-upgrade"]
STEPS: tuple[Step, ...] = get_args(Step)
SEVERITIES: tuple[Severity, ...] = ("info", "warn", "fail")
PREVIOUS = "previous"

_KEYS = (
    "step",
    "close-on",
    "unknown",
    "expected",
    "measured",
    "least",
    "ready-state",
    "compare",
    "waivers",
    "names",
)
_WHAT = ("node", "element", "component", "kind")
_ELEMENTS = ("node", "pair", "leaf", "link", "group")
_COMPONENTS: tuple[str, ...] = get_args(Component)
_MEASURED = ("inventory", *get_args(Measurable))
#: What a comparison says and what the gate says itself are waived by these kinds.
_KINDS = (*get_args(Kind), "not-judged", "slower", "vanished", "stale", "unexpected")
_AGE = re.compile(r"([0-9]{1,5})\s*([mhdw])")
_UNIT_S = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Required:
    """Every node must have it. ``what``: "inventory", a component, or a pattern of metrics' names ("disk.*.randread_4k_iops").
    ``age_s``: no older than that, None for any age."""

    what: str
    age_s: float | None


@dataclass(frozen=True, slots=True)
class Compare:
    """``before``: a session's name, or ``previous``. ``close_on``: the mildest change for the worse that closes."""

    before: str = PREVIOUS
    close_on: Severity = "fail"


@dataclass(frozen=True, slots=True)
class Waiver:
    """Somebody answers for something until the end of a day (UTC). What is None is any."""

    who: str
    why: str
    until: datetime.date
    element: str | None = None
    component: str | None = None
    kind: str | None = None

    @property
    def about(self) -> str:
        """What is waived, in words."""
        return ", ".join(each for each in (self.element, self.component, self.kind) if each is not None)

    def holds(self, day: datetime.date) -> bool:
        return day <= self.until


@dataclass(frozen=True, slots=True)
class Policy:
    """What a gate asks. ``file``: its name in the answer. ``expected``: a count, or the nodes by name; None: whoever is there.

    ``lines``: of the profiles in ``least``, for a name that no profile has.
    """

    file: str
    step: str | None = None
    close_on: Severity = "fail"
    unknown: int = 0
    expected: int | tuple[str, ...] | None = None
    measured: tuple[Required, ...] = ()
    least: tuple[tuple[str, int], ...] = ()
    ready_state: bool = False
    compare: Compare | None = None
    waivers: tuple[Waiver, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    document: Document | None = None

    def unknown_profile(self, name: str, known: list[str]) -> None:
        """Refuse a profile of ``least`` that does not exist. Raises FileFormatError."""
        assert self.document is not None
        where = ("steps", self.step or "", "least", name)
        path = where if where in self.document.lines else ("least", name)
        self.document.fail(path, f"least: there is no profile {name!r}", nearest(name, known))


def read_policy(path: str | Path, step: str | None = None) -> Policy:
    """A policy from a file, for one of its steps. Raises FileFormatError, and UsageError where the step does not fit."""
    return _policy(read_document(path), step)


def parse_policy(text: str | bytes, step: str | None = None, *, file: str = "policy") -> Policy:
    """As ``read_policy``, from text; ``file`` is its name in errors and in the answer."""
    return _policy(parse_document(text, file), step)


def _policy(document: Document, step: str | None) -> Policy:
    top = document.section()
    top.only((*_KEYS, "steps"), "a policy")
    _nothing_empty(top, but=("waivers", "names"))
    policies = [(top, _read(document, [top]))]
    if top.plain.get("steps") is not None:
        named = top.sections("steps")
        Section(document, ("steps",)).only(STEPS, "steps")
        if "step" in top:
            top.fail("step", "step and steps in one file", "say which it is: one step, or several")
        for name, section in named.items():
            section.only([key for key in _KEYS if key != "step"], f"the step {name}")
            _nothing_empty(section, but=("waivers", "names"))
            policies.append((section, _read(document, [section, top], name)))
    # All steps were read, so that a mistake in one is told before the day on which it is needed.
    by_step = {policy.step: policy for _, policy in policies if policy.step is not None}
    if len(policies) == 1:
        only = policies[0][1]
        if step is not None and only.step not in (None, step):
            raise UsageError(f"{document.file} is for the step {only.step}, not for {step}")
        return only
    if step is None:
        raise UsageError(f"{document.file} has several steps: say --step {' or '.join(map(str, by_step))}")
    if step not in by_step:
        raise UsageError(f"{document.file} has no step {step} (it has {', '.join(map(str, by_step))})")
    return by_step[step]


def _read(document: Document, sections: list[Section], step: str | None = None) -> Policy:
    """Of several sections the first that has a key says it; waivers of all hold."""

    def of(key: str) -> Section:
        return next((section for section in sections if key in section), sections[-1])

    top = sections[-1]
    return Policy(
        file=document.file,
        step=step or (top.choice("step", STEPS) if len(sections) == 1 else None),
        close_on=_severity(of("close-on")) or "fail",
        unknown=of("unknown").integer("unknown", 0, 1_000_000) or 0,
        expected=_expected(of("expected")),
        measured=_measured(of("measured")),
        least=_least(of("least")),
        ready_state=of("ready-state").flag("ready-state") or False,
        compare=_compare(of("compare")),
        waivers=tuple(waiver for section in sections for waiver in _waivers(section)),
        names=_names(of("names")),
        document=document,
    )


def _nothing_empty(section: Section, but: tuple[str, ...] = ()) -> None:
    """A key without a value asks for nothing, and a waiver's for everybody: who wrote it meant something else."""
    for key, value in section.plain.items():
        if value is None and key not in but:
            section.fail(key, f"{key}: nothing stands behind it", "say what is meant, or leave the key out")


def _severity(section: Section) -> Severity | None:
    """The mildest of the severities that are named: what is worse closes too."""
    named = section.words("close-on", SEVERITIES)
    return min(named, key=SEVERITIES.index) if named else None  # type: ignore[arg-type]


def _expected(section: Section) -> int | tuple[str, ...] | None:
    value = section.plain.get("expected")
    if value is None:
        return None
    if isinstance(value, int):
        return section.integer("expected", 1, 1_000_000)
    names = section.words("expected", at_most=100_000)
    assert names is not None
    for name, times in Counter(names).items():
        if times > 1:
            section.fail("expected", f"expected: {name!r} is named twice")
    return names


def _measured(section: Section) -> tuple[Required, ...]:
    inner = _mapping(section, "measured", "{cpu: 7d, disk: 7d}")
    if inner is None:
        return ()
    required = []
    for what in inner.plain:
        component, dot, _ = what.partition(".")
        if component not in _MEASURED:
            inner.fail(what, f"measured: {component!r} is no component", nearest(component, _MEASURED))
        if dot and component in ("inventory", "network"):
            inner.fail(what, f"measured: {what!r} names single metrics", f"say {component!r}")
        age = inner.get(what, "an age like 30m, 12h, 7d, 4w, or any,", _age)
        if age is None:
            inner.fail(what, f"measured: {what} has no age", "say how old it may be: 7d, or any")
        required.append(Required(what, None if age == float("inf") else age))
    return tuple(required)


def _age(value: Any) -> float | None:
    if value == "any":
        return float("inf")
    match = _AGE.fullmatch(value.strip()) if isinstance(value, str) else None
    return None if match is None or not int(match[1]) else float(int(match[1]) * _UNIT_S[match[2]])


def _least(section: Section) -> tuple[tuple[str, int], ...]:
    inner = _mapping(section, "least", "{control: 3}")
    if inner is None:
        return ()
    told = [(name, inner.integer(name, 1, 1_000_000)) for name in inner.plain]
    for name, count in told:
        if count is None:
            inner.fail(name, f"least: {name} has no count")
    return tuple((name, count) for name, count in told if count is not None)


def _names(section: Section) -> tuple[tuple[str, str], ...]:
    inner = _mapping(section, "names", "{CZ3323FDV8: worker-3}")
    told = [] if inner is None else [(node, inner.text(node, max_length=255)) for node in inner.plain]
    return tuple((node, name) for node, name in told if name is not None)


def _compare(section: Section) -> Compare | None:
    inner = _mapping(section, "compare", "{before: previous, close-on: fail}")
    if inner is None:
        return None
    inner.only(("before", "close-on"), "compare")
    _nothing_empty(inner)
    return Compare(inner.text("before", max_length=128) or PREVIOUS, _severity(inner) or "fail")


def _mapping(section: Section, key: str, example: str) -> Section | None:
    value = section.plain.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        section.fail(key, f"{key}: a mapping like {example} is expected")
    return Section(section.document, (*section.path, key))


def _waivers(section: Section) -> list[Waiver]:
    value = section.plain.get("waivers")
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        section.fail("waivers", "waivers: a list of mappings is expected", "begin each with a dash")
    return [
        _waiver(Section(section.document, (*section.path, "waivers", place))) for place in range(len(value))
    ]


def _waiver(section: Section) -> Waiver:
    section.only((*_WHAT, "who", "why", "until"), "a waiver")
    _nothing_empty(section)
    node, element = section.text("node", max_length=256), section.text("element", max_length=600)
    if node is not None and element is not None:
        section.fail("element", "a waiver for a node and for an element", "name one of them")
    if element is not None and element.partition(":")[0] not in _ELEMENTS:
        known = ", ".join(f"{each}:..." for each in _ELEMENTS)
        section.fail("element", f"element: {element!r} is not known", f"known: {known}")
    component, kind = section.choice("component", _COMPONENTS), section.choice("kind", _KINDS)
    if not any((node, element, component, kind)):
        section.fail(None, "a waiver for everything", f"say what it is for: {', '.join(_WHAT)}")
    who, why, until = section.text("who"), section.text("why"), section.date("until")
    for key, given in (("who", who), ("why", why), ("until", until)):
        if given is None:
            section.fail(None, f"a waiver without {key!r}", "who answers for it, why, and until when")
    assert who is not None and why is not None and until is not None
    return Waiver(
        who, why, until, f"node:{node}" if node is not None else element, component=component, kind=kind
    )


def waives(waiver: Waiver, element: str, component: str | None, kind: str | None) -> bool:
    """Whether a waiver is about something. One for a node is not about a switch that the node hangs on."""
    wanted = ((waiver.element, element), (waiver.component, component), (waiver.kind, kind))
    return all(asked is None or asked == there for asked, there in wanted)


def closes(severity: Severity, close_on: Severity) -> bool:
    """Whether something is as severe as what closes, or worse."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(close_on)
