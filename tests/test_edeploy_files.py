"""eDeploy's ``.specs``, ``.cmdb`` and ``state``: read as data, whatever stands in them; mistakes are told with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ahc_agent.errors import FileFormatError, NoData
from ahc_server.edeploy.files import Role, read_cmdb, read_lines, read_specs, read_state
from ahc_server.edeploy.functions import Refused
from ahc_server.edeploy.matcher import Machine, match
from ahc_server.edeploy.roles import read_folder
from ahc_server.edeploy.spec import Line, spec_of


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_specification_is_read_with_the_lines_of_its_entries(tmp_path: Path) -> None:
    specs = read_specs(
        write(
            tmp_path,
            "a.specs",
            "# -*- python -*-\n[\n('disk', '$d',\n 'size', '1'), # one\n\n('a','b','c','gt(1)')]\n",
        )
    )
    assert [(spec.text, spec.line_number) for spec in specs] == [("disk $d size 1", 3), ("a b c gt(1)", 6)]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[('a', 'b', 'c', '1')\n('d', 'e', 'f', '2')]", 2, "a comma was expected (put one at the end"),
        ("[('a', 'b', 'c', '1'),\n('a', 'b', 'c')]", 2, "four texts in parentheses"),
        ("[('a', 'b', 'c', 5)]", 1, "numbers stand in quotes"),
        ("[('a', 'b',\n 'c', open('/etc/shadow').read())]", 2, "is no plain value"),
        ("__import__('os').system('true')", 1, "is no plain value"),
        ("[\n('a', '$', 'c', '1')]", 2, "a $ without a name"),
        ("[('a', '$x=', 'c', '1')]", 1, "is no variable with a call"),
        ("{'a': 1}", 1, "a list was expected"),
        ("[('a', 'b', 'c', '1')", 1, "the file ends in the middle"),
        ("[('a', 'b', 'c', '1')] + []", 1, "something follows the end"),
        ("[" * 100, 1, "nested too deeply"),
    ],
)
def test_a_mistake_in_a_specification_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(FileFormatError) as caught:
        read_specs(write(tmp_path, "a.specs", text))
    assert (caught.value.line, said in str(caught.value)) == (line, True), str(caught.value)


def test_the_state_file_tells_roles_and_counts(tmp_path: Path) -> None:
    roles = read_state(write(tmp_path, "state", "[('a', 3), ('b', '*'), ('c', '2'), ('d', -1)]"))
    assert roles == [Role("a", 3), Role("b", "*"), Role("c", 2), Role("d", -1)]
    assert [role.available for role in roles] == [True, True, True, False]


@pytest.mark.parametrize(
    "role", ["('../x', 1)", "('.hidden', 1)", "('', 1)", "('a', 'many')", "('a', 1.5)", "('a', True)", "'a'"]
)
def test_a_role_that_is_none_is_refused(tmp_path: Path, role: str) -> None:
    with pytest.raises(FileFormatError, match=r"state:2: "):
        read_state(write(tmp_path, "state", f"[('x', 1),\n{role}]"))


def test_entries_are_a_list_or_generated(tmp_path: Path) -> None:
    assert read_cmdb(write(tmp_path, "a.cmdb", "[{'ip': '10.0.0.1', 'used': 1}, {'ip': '10.0.0.2'}]")) == [
        {"ip": "10.0.0.1", "used": 1},
        {"ip": "10.0.0.2"},
    ]
    entries = read_cmdb(
        write(
            tmp_path, "a.cmdb", "# pool\ngenerate({'ip': '10.0.0.9-11', 'gw': '10.0.0.1', 'n': 'h09-10',})\n"
        )
    )
    assert entries == [
        {"ip": "10.0.0.9", "gw": "10.0.0.1", "n": "h09"},
        {"ip": "10.0.0.10", "gw": "10.0.0.1", "n": "h10"},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "generate({'n': 1})",
        "generate({'ip': '1-999999999999'})",
        "generate({'ip': '0-255.0-255.0-255.0-255'})",
        "generate({'ip': '1-99999999.1.1.1'})",
        "generate({'a': {'b': '1-2'}, 'c': '1-2'})",
        "generate({'ip': '-5.1.1.1-2'})",
        "generate({'ip': '1-2'}, '=')",
        "generate(['1-2'])",
        "generate()",
        "generated",
        "[1]",
        "{'ip': '1'}",
    ],
)
def test_entries_without_end_or_form_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FileFormatError):
        read_cmdb(write(tmp_path, "a.cmdb", text))


def test_a_machines_file_keeps_numbers(tmp_path: Path) -> None:
    assert read_lines(
        write(tmp_path, "a.hw", "[('cpu', 'physical', 'number', 2), ('a', 'b', 'c', None)]")
    ) == [
        ("cpu", "physical", "number", 2),
        ("a", "b", "c", None),
    ]
    with pytest.raises(FileFormatError, match="four plain values"):
        read_lines(write(tmp_path, "a.hw", "[('a', 'b', 'c', ['d'])]"))


def test_without_a_state_file_every_specification_is_a_role(tmp_path: Path) -> None:
    write(tmp_path, "b.specs", "[]")
    write(tmp_path, "a.specs", "[]")
    assert read_folder(tmp_path).roles == [Role("a", "*"), Role("b", "*")]


def test_a_folder_without_roles_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NoData):
        read_folder(tmp_path)
    write(tmp_path, "state", "[('a', 1)]")
    with pytest.raises(FileFormatError, match=r"none of its roles has a \.specs file"):
        read_folder(tmp_path)


# ── what must not hang, nor be computed ─────────────────────────────────────────────────────────────


def test_a_machine_cannot_have_its_own_words_computed() -> None:
    spec = spec_of(("disk", "$d", "size", "regexp(^4)"))
    with pytest.raises(Refused, match="the machine's own word is a call"):
        match([spec], Machine([("disk", "a", "size", "regexp((a+)+b)")]))


def test_a_pattern_that_could_take_forever_is_refused() -> None:
    for pattern, word in (("(a+)+b", "a" * 40), (".*.*b", "a" * 4096)):
        with pytest.raises(Refused):
            match(
                [spec_of(("disk", "$d", "model", f"regexp({pattern})"))],
                Machine([("disk", "a", "model", word)]),
            )


def test_a_role_without_a_file_is_given_to_nobody(tmp_path: Path) -> None:
    """The package compares with four times ``<unknown>`` then, which a machine could send."""
    from ahc_server.edeploy.roles import choose

    write(tmp_path, "a.specs", "[('a', 'b', 'c', 'd')]")
    write(tmp_path, "state", "[('gone', '*'), ('a', '*')]")
    hostile: list[Line] = [("<unknown>",) * 4]
    assert choose(read_folder(tmp_path), hostile).role is None


def test_eight_variables_and_a_line_that_fails_at_the_end_are_answered_at_once() -> None:
    """The package tries 10⁹ times: each variable again and again, 50 deep."""
    lines: list[Line] = [("disk", f"d{n}", "size", str(n)) for n in range(8)]
    lines.append(("net", "e0", "link", "no"))
    specs = [spec_of(("disk", f"$d{n}", "size", str(n))) for n in range(8)]
    assert match([*specs, spec_of(("net", "$e", "link", "yes"))], Machine(lines)).failed == 8
    # Here a line fits by itself, and only the variables do not agree.
    other = match([*specs, spec_of(("net", "$d0", "link", "no"))], Machine(lines))
    assert (other.fits, other.failed, other.alone) == (False, 8, False)


def many_disks(cards: list[Line]) -> Machine:
    disks: list[Line] = [("disk", f"d{n}", "size", "1") for n in range(24)]
    return Machine([*disks, *cards])


ANY_16 = [spec_of(("disk", f"$d{n}", "size", "1")) for n in range(16)]


def test_two_lines_that_do_not_agree_are_found_beside_any_number_of_disks() -> None:
    """All orders of 16 of 24 disks would be tried before the cards are known not to agree."""
    cards = [spec_of(("net", "$eth", "link", "yes")), spec_of(("net", "$eth", "vendor", "X"))]
    machine = many_disks([("net", "e0", "link", "yes"), ("net", "e1", "vendor", "X")])
    answer = match([*ANY_16, *cards], machine)
    assert (answer.fits, answer.failed) == (False, 17)


def test_what_may_be_possible_but_takes_too_long_is_refused() -> None:
    """The first 16 disks are taken first, and the card wants the last one: 10¹⁰ orders come before."""
    machine = many_disks([("net", "d23", "link", "yes")])
    with pytest.raises(Refused, match="steps"):
        match([*ANY_16, spec_of(("net", "$d0", "link", "yes"))], machine)
