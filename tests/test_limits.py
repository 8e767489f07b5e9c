"""What matters at one site: limits from a file, what is refused in them, and what they change in a report."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import FileFormatError
from ahc_agent.wire.messages import Identity
from ahc_server.judge import judge_session
from ahc_server.judge.model import Report
from ahc_server.judge.thresholds import KINDS, OWN, SHARED, SHIPPED, Limits, Tables
from ahc_server.limits import GROWING, MEANINGS, RATES, TIMES, draw_limits, parse_limits, read_limits
from tests.conftest import REPOSITORY
from tests.import_helpers import WRITTEN_AT, Ahc, machine, write_hw
from tests.judge_helpers import Fleet, verdicts

FILE = REPOSITORY / "profiles" / "limits.yaml"


def same(one: Tables, other: Tables) -> bool:
    return (one.own, one.shared) == (other.own, other.shared)


# What is shipped


def test_the_file_that_is_shipped_holds_the_limits_that_hold_without_a_file() -> None:
    """``.venv/bin/python -m ahc_server.limits > profiles/limits.yaml`` brings it up to date."""
    assert FILE.read_text() == draw_limits()
    assert same(read_limits(FILE), SHIPPED)
    assert read_limits(FILE).note == f"judged by the limits of {FILE} (as shipped)"


def test_every_kind_of_evidence_is_explained_and_no_floor_is_zero() -> None:
    assert set(MEANINGS) == set(KINDS)
    assert set(KINDS) > GROWING
    for kinds in (OWN.kinds, SHARED.kinds):
        for kind, row in kinds.items():
            ranges = TIMES if kind in GROWING else RATES
            assert all(each.low <= getattr(row, name) <= each.high for name, each in ranges.items())
            assert max(row.floor, row.noise) < row.fail


# What a file changes


def test_what_a_file_does_not_name_stays_as_shipped() -> None:
    tables = parse_limits("limits:\n  cpu: {floor: 5 %}\nalarms: 0.0001\n", "site.yaml")
    assert tables.own.kinds == {**KINDS, "cpu": replace(KINDS["cpu"], floor=0.05)}
    assert tables.own == replace(OWN, kinds=tables.own.kinds, alarms=0.0001)
    assert tables.note == "judged by the limits of site.yaml (alarms, cpu)"


@pytest.mark.parametrize("text", ["limits: {}", "shared: {}", "limits:\n  cpu: {floor: null}", "alpha: null"])
def test_a_file_that_says_nothing_changes_nothing(text: str) -> None:
    assert same(parse_limits(text), SHIPPED)


@pytest.mark.parametrize("text", ["3 %", "3%", "3.0 %", "0.03", "3e-2", "3.0e-2", "'3 %'"])
def test_a_share_is_written_in_percent_or_as_a_number(text: str) -> None:
    assert parse_limits(f"limits: {{cpu: {{floor: {text}}}}}").own.of("cpu").floor == 0.03


def test_times_may_become_many_times_as_long() -> None:
    row = parse_limits("limits: {tail latency: {floor: 300 %, fail: 900 %}}").own.of("tail latency")
    assert (row.floor, row.fail) == (3.0, 9.0)


def test_shared_hosts_have_limits_of_their_own() -> None:
    tables = parse_limits("shared:\n  cpu: {floor: 8 %}\n", "site.yaml")
    assert tables.own == OWN
    assert tables.shared.kinds == {**SHARED.kinds, "cpu": replace(SHARED.kinds["cpu"], floor=0.08)}
    assert tables.note == "judged by the limits of site.yaml (cpu on shared hosts)"


@pytest.mark.parametrize(
    ("floor", "on_shared_hosts"), [("2 %", SHARED.of("cpu").floor), ("9 %", 0.09)], ids=["less", "more"]
)
def test_no_more_is_asked_of_machines_on_shared_hosts_than_of_others(
    floor: str, on_shared_hosts: float
) -> None:
    assert parse_limits(f"limits: {{cpu: {{floor: {floor}}}}}").shared.of("cpu").floor == on_shared_hosts


def test_a_kind_without_shipped_limits_for_shared_hosts_follows_the_file() -> None:
    assert parse_limits("limits: {tx: {floor: 4 %}}").shared.of("tx").floor == 0.04
    both = parse_limits("limits: {tx: {floor: 4 %}}\nshared: {tx: {fail: 50 %}}").shared.of("tx")
    assert both == Limits(floor=0.04, fail=0.5, noise=KINDS["tx"].noise)


shares = st.integers(1, 40).map(lambda number: number / 100)


@given(st.dictionaries(st.sampled_from(sorted(KINDS)), st.tuples(shares, shares, shares), max_size=5))
def test_limits_that_are_drawn_are_read_again(chosen: dict[str, tuple[float, float, float]]) -> None:
    rows = {
        kind: Limits(floor=floor, fail=round(max(floor, noise / 2) + fail, 6), noise=noise / 2)
        for kind, (floor, fail, noise) in chosen.items()
    }
    tables = Tables(
        own=replace(OWN, kinds={**KINDS, **rows}), shared=replace(SHARED, kinds={**SHARED.kinds, **rows})
    )
    assert same(parse_limits(draw_limits(tables)), tables)


# What is refused


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "limits:\n  cpu:\n    floor: 0\n",
            "f:3: floor: a number from 0.001 to 0.5 (3 % is 0.03) is expected, not 0",
        ),
        ("limits:\n  cpu: {floor: 0 %}\n", "f:2: floor: a number from 0.001"),
        ("limits:\n  cpu: {floor: -3 %}\n", "f:2: floor: a number from 0.001"),
        ("limits:\n  cpu: {noise: 0}\n", "f:2: noise: a number from 0.0005"),
        ("limits:\n  cpu: {floor: 3}\n", "f:2: floor: a number from 0.001"),
        ("limits:\n  cpu: {fail: 100 %}\n", "f:2: fail: a number from 0.01 to 0.95"),
        ("limits:\n  rtt: {fail: 99999 %}\n", "f:2: fail: a number from 0.01 to 100"),
        ("limits:\n  cpu: {floor: .nan}\n", "f:2: floor: a number"),
        ("limits:\n  cpu: {floor: .inf}\n", "f:2: floor: a number"),
        ("limits:\n  cpu: {floor: true}\n", "f:2: floor: a number"),
        ("limits:\n  cpu: {floor: [3 %]}\n", "f:2: floor: a number"),
        ("limits:\n  cpu: {floor: much}\n", "f:2: floor: a number"),
        ("limits:\n  cpu: {extra: 11}\n", "f:2: extra: a number from 0 to 10"),
        ("alarms: 0\n", "f:1: alarms: a number from 1e-09 to 0.01"),
        ("alpha: 0.5\n", "f:1: alpha: a number"),
        ("\nspread-limit: 0\n", "f:2: spread-limit: a number from 0.02 to 1"),
        ("limits:\n  cpu: {floor: 30 %}\n", "f:2: cpu: floor (30 %) must be less than fail (25 %)"),
        ("limits:\n  cpu:\n    fail: 1 %\n", "f:3: cpu: floor (1.8 %) must be less than fail (1 %)"),
        ("limits:\n  cpu: {fail: 5 %, noise: 6 %}\n", "f:2: cpu: noise (6 %) must be less than fail (5 %)"),
        ("shared:\n  cpu: {floor: 30 %}\n", "f:2: cpu: floor (30 %) must be less than fail (25 %)"),
        (
            "limits:\n  cpu: {}\n  sequental: {}\n",
            "f:3: unknown key 'sequental' in limits (did you mean 'sequential'?)",
        ),
        ("shared:\n  cpus: {}\n", "f:2: unknown key 'cpus' in limits (did you mean 'cpu'?)"),
        (
            "limits:\n  cpu: {flor: 3 %}\n",
            "f:2: unknown key 'flor' in the limits of cpu (did you mean 'floor'?)",
        ),
        (
            "limit:\n  cpu: {floor: 3 %}\n",
            "f:1: unknown key 'limit' in a file of limits (did you mean 'limits'?)",
        ),
        ("least-peers: 2\n", "f:1: unknown key 'least-peers'"),
        ("limits:\n  cpu:\n", "f:2: cpu: a mapping (key: value) is expected"),
        ("limits:\n", "f:1: limits: a mapping of names is expected"),
        ("limits: [cpu]\n", "f:1: limits: a mapping of names is expected"),
        ("- cpu\n", "f:1: a mapping (key: value) is expected at the top"),
        ("limits:\n  cpu: {floor: 3 %}\n  cpu: {floor: 4 %}\n", "f:3: the key 'cpu' is given twice"),
        ("", "f: empty"),
    ],
)
def test_mistakes_are_refused_with_file_line_and_remedy(text: str, says: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        parse_limits(text, "f")
    assert str(caught.value).startswith(says)


texts = st.sampled_from(
    ["0", "-1", "3 %", "0.03", "1e9", "300 %", ".nan", "x", "null", "{}", "1e-9", "1e-99 %", "'9e99'"]
)
keys = st.sampled_from(["floor", "fail", "noise", "extra"])
rows = st.dictionaries(keys, texts, max_size=3)


@given(
    st.dictionaries(st.sampled_from(sorted(KINDS)), rows, min_size=1, max_size=3),
    st.sampled_from(["limits", "shared"]),
)
def test_whatever_a_file_says_every_limit_that_is_taken_is_above_zero(
    chosen: dict[str, dict[str, str]], key: str
) -> None:
    lines = [
        f"  {kind}: {{{', '.join(f'{k}: {v}' for k, v in row.items())}}}" for kind, row in chosen.items()
    ]
    try:
        tables = parse_limits("\n".join([f"{key}:", *lines]))
    except FileFormatError:
        return
    for kinds in (tables.own.kinds, tables.shared.kinds):
        assert all(
            min(row.floor, row.noise) > 0 and max(row.floor, row.noise) < row.fail for row in kinds.values()
        )


# What they change in a report


def judged(fleet: Fleet, text: str = "", hosts: int = 0) -> Report:
    """A report, with the nodes on so many hosts (0: each is a machine of its own)."""
    session = fleet.session()
    if hosts:
        nodes = [
            replace(node, identity=Identity(name=node.node, physical_host=f"h{number % hosts}"))
            for number, node in enumerate(session.nodes)
        ]
        session = replace(session, nodes=nodes)
    return judge_session(session, generated_at="", limits=parse_limits(text, "site.yaml") if text else None)


def fleet_with(component: str, left: float) -> Fleet:
    return Fleet(12).benchmarks().slow("n3", component, left)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", "warn"),
        ("limits: {cpu: {floor: 20 %}, socket: {floor: 20 %}}", "pass"),
        ("limits: {cpu: {fail: 8 %}}", "fail"),
        ("limits: {memory: {floor: 20 %}}", "warn"),
        ("shared: {cpu: {floor: 20 %}, socket: {floor: 20 %}}", "warn"),
    ],
)
def test_floor_and_failure_are_those_of_the_file(text: str, verdict: str) -> None:
    report = judged(fleet_with("cpu", 0.88), text)
    assert verdicts(report)["n3"] == verdict
    assert {node for node, each in verdicts(report).items() if each != "pass"} <= {"n3"}


@pytest.mark.parametrize(("hosts", "verdict"), [(0, "warn"), (3, "pass"), (12, "warn")])
def test_machines_that_share_hosts_are_judged_by_the_limits_for_these(hosts: int, verdict: str) -> None:
    text = "limits: {cpu: {floor: 2 %}}\nshared: {cpu: {floor: 20 %}, socket: {floor: 20 %}}"
    assert verdicts(judged(fleet_with("cpu", 0.88), text, hosts))["n3"] == verdict


def test_the_report_says_by_which_file_it_judges_and_is_else_the_same() -> None:
    plain, chosen = (
        judged(fleet_with("disk", 0.6)),
        judged(fleet_with("disk", 0.6), "limits: {tx: {floor: 9 %}}"),
    )
    assert chosen.notes == ["judged by the limits of site.yaml (tx)", *plain.notes]
    assert (chosen.findings, chosen.nodes) == (plain.findings, plain.nodes)


# At the command line


@pytest.fixture
def ahc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ahc:
    """A store with eight machines, the CPU of one of them 8 % slower."""
    ahc = Ahc(tmp_path / "state" / "ahc.db", monkeypatch, capsys)
    take(ahc, tmp_path, "s", left=0.92)
    return ahc


def take(ahc: Ahc, folder: Path, session: str, *, left: float = 1.0, seed: int = 1) -> None:
    """Import eight machines as a session: what is left of one's CPU, and a day between two sessions."""
    random = np.random.default_rng(seed)
    files = folder / session
    files.mkdir()
    for number in range(8):
        speed = left if number == 3 else 1.0
        cores = [str(round(80_000 * speed * random.normal(1, 0.003))) for _ in range(2)]
        both = str(round(160_000 * speed * random.normal(1, 0.003)))
        rows = [
            (*row[:3], both) if row[1:3] == ("logical", "loops_per_sec") else row
            for row in machine(number, loops=cores)
        ]
        path = write_hw(files / f"n{number}.hw", rows)
        at = WRITTEN_AT + seed * 86_400
        os.utime(path, (at, at))
    assert ahc("import", files, "--session", session)[0] == 0


@pytest.fixture
def lenient(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text("limits:\n  cpu: {floor: 20 %}\n  core: {floor: 20 %}\n")
    return path


def test_ahc_report_judges_by_the_file(ahc: Ahc, lenient: Path) -> None:
    assert ahc("report", "--fail-on", "warn")[0] == 1
    status, out, err = ahc("report", "--fail-on", "warn", "--limits", lenient)
    assert (status, err) == (0, "")
    note = f"judged by the limits of {lenient} (cpu, core)"
    assert " ".join(note.split()) in " ".join(out.split())
    status, out, _ = ahc("report", "--limits", lenient, "--format", "json")
    report = json.loads(out)
    assert (status, report["notes"], report["counts"]["pass"]) == (0, [note], 8)


def test_ahc_confirm_asks_for_nothing_that_does_not_matter(ahc: Ahc, lenient: Path) -> None:
    status, _, err = ahc("confirm", "--limits", lenient)
    assert (status, err) == (0, "nothing to confirm in s: no node was measured to differ from its peers\n")
    assert "nothing to confirm" not in ahc("confirm", "--give-up", "0", "--wait-nodes", "0")[2]


@pytest.mark.parametrize(
    "command",
    [
        ("report",),
        ("confirm",),
        ("run", "quick", "--confirm"),
        ("compare", "s", "t"),
        ("history",),
        ("baseline", "save", "b"),
        ("baseline", "check", "b"),
    ],
)
def test_a_mistake_in_the_file_ends_a_command_before_it_does_anything(
    ahc: Ahc, tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("limits:\n  cpu: {floor: 0}\n")
    status, out, err = ahc(*command, "--limits", path)
    assert (status, out) == (2, "")
    assert f"{path}:2: floor: a number from 0.001 to 0.5" in err
    status, _, err = ahc(*command, "--limits", tmp_path / "nowhere.yaml")
    assert status == 2 and "cannot be read" in err


def test_a_run_that_is_not_judged_has_no_use_for_limits(ahc: Ahc, lenient: Path) -> None:
    status, _, err = ahc("run", "quick", "--limits", lenient)
    assert status == 2 and "--confirm" in err


def test_what_changed_in_history_is_judged_by_the_file(ahc: Ahc, lenient: Path, tmp_path: Path) -> None:
    note = f"judged by the limits of {lenient} (cpu, core)"
    for seed, name in enumerate(("first", "second", "third"), 2):
        take(ahc, tmp_path, name, seed=seed)
    for seed, name in enumerate(("fourth", "fifth"), 5):
        take(ahc, tmp_path, name, left=0.92, seed=seed)
    assert ahc("baseline", "save", "eight", "--session", "first", "--limits", lenient)[0] == 0
    for command in (
        ("compare", "third", "fourth"),
        ("history", "--sessions", "5"),
        ("baseline", "check", "eight", "--session", "fifth"),
    ):
        assert ahc(*command, "--fail-on", "warn")[0] == 1
        status, out, err = ahc(*command, "--fail-on", "warn", "--limits", lenient)
        assert (status, err) == (0, "")
        assert note in " ".join(out.split())
        answer = json.loads(ahc(*command, "--format", "json", "--limits", lenient)[1])
        assert answer["notes"][0] == note
        assert note not in json.loads(ahc(*command, "--format", "json")[1])["notes"]


def test_a_baseline_is_made_of_those_that_pass_by_the_file(ahc: Ahc, lenient: Path) -> None:
    assert "7 nodes" in ahc("baseline", "save", "strict")[1]
    assert "8 nodes" in ahc("baseline", "save", "lenient", "--limits", lenient)[1]
