"""Profile files: YAML that a person can read aloud, one profile a file, all of a folder together.

::

    profile: ceph-storage
    summary: storage nodes of Ceph
    priority: 20                       # higher ones are served first
    quota: {min: 3}                    # a number, {min, max}, or rest; without it as many as fit
    requires:
      - memory.total_bytes: {at-least: 64 GiB}
      - disks: {where: {rotational: true, size_bytes: {at-least: 1 TB}}, same: [model], count: {at-least: 4}, bind: $osd}
    yields:
      capabilities: {osds: $osd}

Every mistake is a FileFormatError with file, line, the offending key and the nearest valid name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ahc_agent.errors import UsageError
from ahc_server.profiles.model import Yields
from ahc_server.profiles.profile import Profile, Quota, by_precedence
from ahc_server.profiles.read_requires import RequirementReader
from ahc_server.profiles.versions import has_sign, wanted_order
from ahc_server.yamlfile import Document, Section, nearest, parse_document, read_document

#: The profiles that come with AHC.
SHIPPED = Path(__file__).parent / "shipped"
#: Files of a profile folder that are no profiles.
OTHER_FILES = ("limits.yaml",)
KEYS = ("profile", "summary", "priority", "quota", "extends", "requires", "yields")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TRAIT = re.compile(r"(?:CUSTOM_|HW_|COMPUTE_|STORAGE_)[A-Z0-9_]{1,240}")
#: A variable in what a profile yields, and perhaps a fact of its part.
USE = re.compile(r"\$[A-Za-z][A-Za-z0-9_-]{0,63}(?:\.[a-z][a-z0-9_.]{0,63}[a-z0-9_])?")
#: What the ready state can look for: a version of firmware, a setting of the BMC.
_FIRMWARE = ("bios", "bmc", "nic:", "disk:")
_BMC = ("address", "channel")
_NODES_LIMIT = 1_000_000
_FILES_LIMIT = 1000


def read_profiles(folder: Path) -> list[Profile]:
    """The profiles of a folder (or of one file), in the order of precedence. Raises UsageError, FileFormatError."""
    if folder.is_file():
        paths = [folder]
    else:
        try:
            paths = sorted(
                path for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file()
            )
        except OSError as error:
            raise UsageError(f"--profiles {folder}: cannot be read: {error.strerror}") from error
        paths = [path for path in paths if path.name not in OTHER_FILES]
    if not 0 < len(paths) <= _FILES_LIMIT:
        raise UsageError(
            f"--profiles {folder}: {len(paths)} profiles there; 1 to {_FILES_LIMIT} files NAME.yaml are meant"
        )
    return read_documents(read_document(path) for path in paths)


def parse_profile(text: str | bytes, file: str = "profile") -> Profile:
    """One profile from text. Raises FileFormatError."""
    return read_documents([parse_document(text, file)])[0]


def read_documents(documents: Iterable[Document]) -> list[Profile]:
    """Profiles that belong together: names are given once, and ``extends`` names one of them."""
    by_name: dict[str, Document] = {}
    for document in documents:
        name = _name(document.section())
        if name in by_name:
            document.fail(("profile",), f"the profile {name} is in {by_name[name].file} already")
        by_name[name] = document
    return by_precedence([_Reader(name, by_name).read() for name in by_name])


def _name(section: Section) -> str:
    section.only(KEYS, "a profile")
    name = section.text("profile", max_length=63)
    if name is None:
        section.fail(None, "no name", "profile: compute")
    if not _NAME.fullmatch(name):
        section.fail("profile", f"profile: {name!r} is no name", "small letters, digits and dashes")
    return name


class _Reader:
    """One profile, with those that it extends."""

    def __init__(self, name: str, documents: dict[str, Document]) -> None:
        self._name = name
        self._documents = documents

    def read(self) -> Profile:
        document = self._documents[self._name]
        section = document.section()
        requires: list[Any] = []
        needs_judgement = False
        variables: dict[str, Any] = {}
        line = self._lineage()
        for each in line:
            reader = RequirementReader(each)
            reader.tests.variables = variables
            requires += reader.read(each.section().plain.get("requires"), ("requires",))
            needs_judgement |= reader.needs_judgement
        tests = reader.tests
        yields = [_yields(each, tests.refer) for each in line]
        return Profile(
            name=self._name,
            summary=section.text("summary", max_length=200) or self._name,
            priority=section.integer("priority", -1000, 1000) or 0,
            quota=_quota(section),
            requires=requires,
            yields=_joined(yields),
            file=document.file,
            line=document.lines.get(("profile",)),
            needs_judgement=needs_judgement,
        )

    def _lineage(self) -> list[Document]:
        """The profiles that this one extends, the furthest first, and itself."""
        names = [self._name]
        while True:
            section = self._documents[names[0]].section()
            parent = section.choice("extends", self._documents)
            if parent is None:
                return [self._documents[name] for name in names]
            if parent in names:
                section.fail("extends", f"extends: {parent} extends {names[-1]} in turn")
            names.insert(0, parent)


def _quota(section: Section) -> Quota:
    plain = section.plain.get("quota")
    if plain is None:
        return Quota()
    if plain == "rest":
        return Quota(is_rest=True)
    if isinstance(plain, dict):
        inner = Section(section.document, (*section.path, "quota"))
        inner.only(("min", "max"), "quota")
        least, most = (inner.integer(key, 0, _NODES_LIMIT) for key in ("min", "max"))
        if most is not None and (least or 0) > most:
            inner.fail("max", f"quota: max {most} is below min {least}")
        return Quota(least or 0, most)
    if type(plain) is not int or not 0 <= plain <= _NODES_LIMIT:
        section.fail(
            "quota", f"quota: a number of nodes, {{min: N, max: M}} or rest is expected, not {plain!r}"
        )
    return Quota(plain, plain)


def _yields(document: Document, refer: Any) -> Yields:
    """What a match gives; each variable in it has to be bound."""
    top = document.section()
    if "yields" not in top:
        return Yields()
    if not isinstance(top.plain["yields"], dict):
        top.fail("yields", "yields: a mapping is expected")
    section = Section(document, ("yields",))
    section.only(Yields.__struct_fields__, "yields")
    for trait in section.words("traits") or ():
        if not _TRAIT.fullmatch(trait):
            section.fail(
                "traits", f"traits: {trait!r} is no trait", "CUSTOM_ and capital letters, digits, underscores"
            )
    _check_uses(section.plain, section.path, refer)
    return Yields(
        capabilities=_texts(section, "capabilities"),
        traits=list(section.words("traits") or ()),
        raid=_raid(section),
        bios=_texts(section, "bios"),
        firmware=_firmware(section),
        labels=_texts(section, "labels"),
        bmc=_known(section, "bmc", _BMC),
        resource_class=section.text("resource_class", max_length=80),
    )


def _firmware(section: Section) -> dict[str, str]:
    """Versions: text, since 2.10 without quotes is the number 2.1; with a sign before it something that has an order."""
    told = _known(section, "firmware", _FIRMWARE)
    plain = section.plain.get("firmware") or {}
    for name, text in told.items():
        inner = Section(section.document, (*section.path, "firmware"))
        if isinstance(plain[name], float):
            inner.fail(
                name,
                f"firmware: {name}: text is expected, not the number {text}",
                'put the version in quotes: "2.10"',
            )
        if has_sign(text) and wanted_order(text) is None:
            inner.fail(name, f"firmware: {name}: there is no version in {text!r}", 'write it like ">=2.19.1"')
    return told


def _known(section: Section, key: str, known: Sequence[str]) -> dict[str, str]:
    """As ``_texts``, of names that the ready state can look for; one that ends in a colon has something behind it."""
    told = _texts(section, key)
    for name in told:
        kind, colon, which = name.partition(":")
        if f"{kind}{colon}" not in known or bool(colon) != bool(which):
            Section(section.document, (*section.path, key)).fail(
                name, f"{key}: {name!r} is not known", nearest(name, known)
            )
    return told


def _texts(section: Section, key: str) -> dict[str, str]:
    plain = section.plain.get(key)
    if plain is None:
        return {}
    if not isinstance(plain, dict):
        section.fail(key, f"{key}: a mapping of names to text is expected")
    inner = Section(section.document, (*section.path, key))
    found = {}
    for name, value in plain.items():
        if isinstance(value, bool):
            value = "true" if value else "false"
        if not isinstance(value, str | int | float) or len(str(value)) > 4096 or not str(value).isprintable():
            inner.fail(name, f"{key}: {name}: text is expected")
        found[name] = str(value)
    return found


def _raid(section: Section) -> dict[str, object]:
    plain = section.plain.get("raid")
    if plain is None:
        return {}
    if not isinstance(plain, dict) or not isinstance(plain.get("logical_disks"), list):
        section.fail("raid", "raid: logical_disks: [...] is expected, as Ironic's target_raid_config has it")
    return dict(plain)


def _check_uses(plain: Any, path: tuple[str | int, ...], refer: Any) -> None:
    if isinstance(plain, dict):
        for key, value in plain.items():
            _check_uses(value, (*path, key), refer)
    elif isinstance(plain, list):
        for place, value in enumerate(plain):
            _check_uses(value, (*path, place), refer)
    elif isinstance(plain, str):
        for use in USE.findall(plain):
            refer(use, path)


def _joined(all_yields: Sequence[Yields]) -> Yields:
    """What is nearer replaces what is inherited, key by key."""
    found = all_yields[0]
    for each in all_yields[1:]:
        found = Yields(
            capabilities=found.capabilities | each.capabilities,
            traits=list(dict.fromkeys([*found.traits, *each.traits])),
            raid=each.raid or found.raid,
            bios=found.bios | each.bios,
            firmware=found.firmware | each.firmware,
            labels=found.labels | each.labels,
            bmc=found.bmc | each.bmc,
            resource_class=each.resource_class or found.resource_class,
        )
    return found
