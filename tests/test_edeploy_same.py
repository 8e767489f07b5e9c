"""eDeploy's specifications: the same answers as the ``hardware`` package gives."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import FileFormatError
from ahc_server.edeploy.cmdb import NoEntry, give
from ahc_server.edeploy.files import Role, read_cmdb, read_lines, read_specs
from ahc_server.edeploy.functions import Refused
from ahc_server.edeploy.generate import generate
from ahc_server.edeploy.matcher import Bound, Machine, Match, match
from ahc_server.edeploy.possible import impossible
from ahc_server.edeploy.roles import Folder, choose, read_folder
from ahc_server.edeploy.spec import Line, spec_of
from tests.edeploy_helpers import Package, package_python

ROLES = ("dell-m520-compute", "hp", "hp-mlx-ctrl", "kvm-test", "vm")


@pytest.fixture(scope="module")
def package() -> Iterator[Package]:
    package = Package(package_python())
    yield package
    package.close()


def ours(lines: list[Line], words: list[tuple[str, str, str, str]]) -> dict[str, Any]:
    """Our answer in the words of the package's."""
    try:
        found = match([spec_of(each) for each in words], Machine(lines))
    except (Refused, ValueError):
        return {"error": True}
    return {"fits": found.fits, "bound": found.bound, "preferred": found.preferred}


def agree(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """The same, or both refuse; where the package takes too long, ours may be anything."""
    return "slow" in theirs or ("error" in mine and "error" in theirs) or mine == theirs


# ── real specifications and machines ────────────────────────────────────────────────────────────────


def machines(shared: Path) -> list[Path]:
    found = sorted((shared / "edeploy").glob("*.hw"))
    assert len(found) == 7
    return found


def copied(shared: Path, folder: Path, *roles: str) -> Path:
    folder.mkdir(parents=True)
    for role in roles:
        for suffix in (".specs", ".cmdb"):
            if (source := shared / "edeploy" / f"{role}{suffix}").exists():
                shutil.copy(source, folder)
    return folder


@pytest.mark.parametrize("role", ROLES)
def test_every_pair_of_specification_and_machine_has_the_packages_answer(
    shared: Path, tmp_path: Path, package: Package, role: str
) -> None:
    for number, file in enumerate(machines(shared)):
        lines = read_lines(file)
        folder = copied(shared, tmp_path / str(number), role)
        theirs = package.find(folder, [(role, 2)], [list(line) for line in lines])
        folder = copied(shared, tmp_path / f"{number}-ours", role)
        (folder / "state").write_text(f"[({role!r}, 2)]")
        if "error" in theirs:
            with pytest.raises(FileFormatError):
                read_folder(folder)
            continue
        read = read_folder(folder)
        choice = choose(read, lines)
        assert choice.refused is None
        assert choice.role == theirs["role"]
        assert [[each.name, each.left] for each in read.roles] == theirs["roles"]
        if choice.role is not None:
            assert choice.match is not None
            bound = choice.match.bound if choice.given is None else choice.given.entry
            assert bound == theirs["bound"]
            assert choice.given is None or read.entries[role][choice.given.number] == theirs["bound"]


def test_a_specification_made_of_a_machine_fits_it_in_both(shared: Path, package: Package) -> None:
    """Each machine against the specification that is its own lines, with a variable in each second one."""
    for file in machines(shared):
        lines = [line for line in read_lines(file) if all(isinstance(word, str) and word for word in line)]
        words = [
            (
                str(a),
                f"${str(b).replace('=', '')}" if at % 2 and a in ("disk", "network") else str(b),
                str(c),
                str(d),
            )
            for at, (a, b, c, d) in enumerate(lines)
        ]
        theirs = package.match(lines, words)
        mine = ours(lines, words)
        assert mine["fits"]
        assert agree(mine, theirs)


def test_machines_one_after_the_other_get_the_packages_entries_and_counts(
    shared: Path, tmp_path: Path, package: Package
) -> None:
    """All seven, twice: the second time each finds its entry again, and counts run out."""
    specs = "[('disk', '$disk', 'size', 'gt(3)'), ('network', '$eth', 'serial', '$mac'), ('network', '$eth', 'link', 'yes')]"
    theirs_in, ours_in = tmp_path / "theirs", tmp_path / "ours"
    for folder in (theirs_in, ours_in):
        folder.mkdir()
        (folder / "any.specs").write_text(specs)
        (folder / "any.cmdb").write_text(
            "generate({'ip': '10.0.0.1-6', 'hostname': 'h01-20', 'gw': '10.0.0.254'})"
        )
        (folder / "state").write_text("[('any', 12)]")
    roles: list[Any] = [("any", 12)]
    read = read_folder(ours_in)
    for file in machines(shared) * 2:
        lines = read_lines(file)
        theirs = package.find(theirs_in, roles, lines)
        choice = choose(read, lines)
        if "error" in theirs:
            assert choice.refused is not None
            continue
        roles = theirs["roles"]
        assert choice.role == theirs["role"]
        assert [[each.name, each.left] for each in read.roles] == roles
        if choice.role is not None:
            assert choice.given is not None and choice.given.entry == theirs["bound"]
    assert read_cmdb(theirs_in / "any.cmdb") == read.entries["any"]


# ── made ones ───────────────────────────────────────────────────────────────────────────────────────

KINDS = st.sampled_from(["disk", "network"])
PARTS = st.sampled_from(["a", "b", "c"])
ITEMS = st.sampled_from(["size", "serial"])
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ["1", "2", "10", "x", "10.0.0.7", "gt(1)", "Xeon (R)", "", 2]
)
LINES = st.lists(st.tuples(KINDS, PARTS, ITEMS, VALUES), max_size=7)
NAMES = st.sampled_from(["$x", "$y", "$$x", "$$z"])
CALLS = st.sampled_from(
    [
        "gt(1)", "ge(2)", "lt( 9 )", "le('2')", "range(1, 5)", "range(1)", "in(1, 2,x)", "in('x')", "in(1 , 2)", "not(gt(1))",
        "and(gt(1), lt(5))", "or(gt(5),lt(2))", "or(range(1, 2), gt(5))", "network(10.0.0.0/8)", "network(10.0.0.1/8)",
        "regexp(^1)", "regexp([)", "gt(x)", "gt()", "gt( )", "in(,1)", "in(1,)", "in(1, )", "Xeon (R)", "what(1)", "not('')",
    ]
)  # fmt: skip
ODD = st.sampled_from(
    ["$x=gt(1)", "$y=in(1, 2)", "$x=1", "$x=what(1)", "$x=y=gt(1)", "$$x=lt(5)", "$gt(1)", "$x)", "gt(1"]
)
SPECS = st.lists(
    st.tuples(
        KINDS | st.sampled_from(["$k", "in(disk)", "not(in(disk))"]),
        PARTS | NAMES,
        ITEMS | NAMES,
        st.sampled_from(["1", "2", "10", "x"]) | NAMES | CALLS | ODD,
    ),
    max_size=5,
)


@given(lines=LINES, words=SPECS)
def test_made_specifications_and_machines_have_the_packages_answer(
    package: Package, lines: list[Line], words: list[tuple[str, str, str, str]]
) -> None:
    theirs = package.match(lines, words)
    mine = ours(lines, words)
    assert agree(mine, theirs), (mine, theirs)


@st.composite
def machine_and_specification(draw: st.DrawFn) -> tuple[list[Line], list[tuple[str, str, str, str]]]:
    """Lines of a machine, and some of them asked for: words left as they are, or put as variables or calls."""
    values = st.sampled_from(["1", "2", "10"])
    rows = draw(st.lists(st.tuples(KINDS, PARTS, ITEMS, values), min_size=2, max_size=7))
    words = []
    for a, b, c, d in draw(st.lists(st.sampled_from(rows), min_size=1, max_size=4)):
        part = draw(st.just(b) | NAMES)
        words.append(
            (
                a,
                part,
                c,
                draw(st.just(d) | NAMES | st.sampled_from(["gt(1)", "$x=ge(2)", "in(1, 10)", "regexp(0)"])),
            )
        )
    return list(rows), words


@given(asked=machine_and_specification())
def test_specifications_made_from_the_machine_have_the_packages_answer(
    package: Package, asked: tuple[list[Line], list[tuple[str, str, str, str]]]
) -> None:
    theirs = package.match(*asked)
    mine = ours(*asked)
    assert agree(mine, theirs), (mine, theirs)


@given(asked=machine_and_specification())
def test_what_fits_is_never_called_impossible(
    asked: tuple[list[Line], list[tuple[str, str, str, str]]],
) -> None:
    lines, words = asked
    specs = [spec_of(each) for each in words]
    fits = match(specs, Machine(lines)).fits
    found = [
        {at: one.binds for at, line in enumerate(lines) if (one := spec.candidate(at, line))}
        for spec in specs
    ]
    assert not (fits and impossible(found))


TAKING = st.lists(
    st.tuples(st.just("disk"), st.sampled_from(["$x", "$y", "$z", "$$x"]), ITEMS, st.sampled_from(["1", "2", "$v", "$w"])),
    min_size=2,
    max_size=5,
)  # fmt: skip


@given(
    lines=st.lists(
        st.tuples(st.just("disk"), PARTS, ITEMS, st.sampled_from(["1", "2"])), min_size=3, max_size=7
    ),
    words=TAKING,
)
def test_trying_again_ends_where_the_packages_does(
    package: Package, lines: list[Line], words: list[tuple[str, str, str, str]]
) -> None:
    theirs = package.match(lines, words)
    mine = ours(lines, words)
    assert agree(mine, theirs), (mine, theirs)


RANGES = st.text(alphabet="01289-:.ab", max_size=12) | st.sampled_from(
    [
        "10.0.0.1-3",
        "10.0-1.0.1-2",
        "h1-3",
        "h01-10x",
        "5-3",
        "1-2:7-8",
        "10.0.0.1-2:5",
        "a-1-2-3-4",
        "009-011",
    ]
)


@given(
    model=st.dictionaries(
        st.sampled_from(["ip", "name", "gw", "n"]), RANGES | st.lists(st.integers(), max_size=3), max_size=4
    )
)
def test_ranges_are_counted_through_as_in_the_package(package: Package, model: dict[str, Any]) -> None:
    theirs = package.entries(model)
    try:
        mine: dict[str, Any] = {"entries": generate(model, "x.cmdb")}
    except FileFormatError:
        mine = {"error": True}
    assert agree(mine, theirs), (mine, theirs)


ENTRIES = st.lists(
    st.fixed_dictionaries(
        {}, optional={"x": st.sampled_from(["1", "2"]), "ip": st.sampled_from(["i", "j"]), "used": st.just(1)}
    ),
    min_size=1,
    max_size=4,
)


@given(entries=ENTRIES, preferred=st.booleans(), value=st.sampled_from(["1", "2"]))
def test_entries_are_chosen_as_in_the_package(
    package: Package,
    tmp_path_factory: pytest.TempPathFactory,
    entries: list[dict[str, Any]],
    preferred: bool,
    value: str,
) -> None:
    folder = tmp_path_factory.mktemp("cmdb")
    word = "$$x" if preferred else "$x"
    (folder / "r.specs").write_text(f"[('disk', 'a', 'size', {word!r})]")
    (folder / "r.cmdb").write_text(repr(entries))
    theirs = package.find(folder, [("r", "*")], [("disk", "a", "size", value)])
    bound: Bound = {"x": value}
    try:
        given = give(entries, Match(True, bound, bound if preferred else {}))
    except NoEntry:
        assert theirs == {"error": "CmdbError"}
        return
    assert given.entry == theirs["bound"]
    after = [given.entry if at == given.number else entry for at, entry in enumerate(entries)]
    assert read_cmdb(folder / "r.cmdb") == after
    shutil.rmtree(folder)


def test_roles_are_asked_in_order_and_counts_go_down_as_in_the_package(
    tmp_path: Path, package: Package
) -> None:
    (tmp_path / "one.specs").write_text("[('disk', '$d', 'size', '1')]")
    (tmp_path / "two.specs").write_text("[('disk', '$d', 'size', 'ge(1)')]")
    roles: list[Any] = [("none", 5), ("spent", 0), ("one", "1"), ("two", "*")]
    folder = Folder(
        tmp_path,
        None,
        [Role("none", 5), Role("spent", 0), Role("one", 1), Role("two", "*")],
        {
            "none": None,
            "spent": None,
            "one": read_specs(tmp_path / "one.specs"),
            "two": read_specs(tmp_path / "two.specs"),
        },
        {},
    )
    given_roles = []
    for value in ("1", "1", "2", "0", "1"):
        lines: list[Line] = [("disk", "a", "size", value)]
        theirs = package.find(tmp_path, roles, lines)
        choice = choose(folder, lines)
        roles = theirs["roles"]
        assert choice.role == theirs["role"]
        assert [str(each.left) for each in folder.roles] == [str(left) for _, left in roles]
        given_roles.append(choice.role)
    assert given_roles == ["one", "two", "two", None, "two"]
