"""Profile files: what they may say, and how a mistake in one is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.errors import FileFormatError, UsageError
from ahc_agent.facts import Inventory
from ahc_server.profiles.ask import ask
from ahc_server.profiles.facts import DERIVED, vocabulary
from ahc_server.profiles.model import Yields
from ahc_server.profiles.operators import LIST_OPERATORS, NESTED, OPERATORS
from ahc_server.profiles.profile import Quota
from ahc_server.profiles.read import parse_profile, read_profiles
from ahc_server.profiles.read_requires import BLOCK, METRICS
from tests.conftest import REPOSITORY
from tests.profile_helpers import disk, nic, subject

START = "profile: p\nrequires:\n"


@pytest.mark.parametrize(
    ("text", "line", "problem", "remedy"),
    [
        ("profil: p\n", 1, "unknown key 'profil'", "did you mean 'profile'?"),
        ("summary: x\n", 1, "no name", "profile: compute"),
        ("profile: My Profile\n", 1, "is no name", "small letters"),
        ("profile: p\n", 1, "requires: a list", ""),
        (START + "  - memory.total_byte: 1\n", 3, "unknown fact 'memory.total_byte'", "'memory.total_bytes'"),
        (START + "  - cpu.cores: 1\n  - disk: {count: 1}\n", 4, "unknown fact 'disk'", "'disks'"),
        (START + "  - cpu.cores: {at-leat: 1}\n", 3, "unknown operator 'at-leat'", "'at-least'"),
        (START + "  - cpu.cores: {at-least: many}\n", 3, "a number is expected", ""),
        (START + "  - cpu.cores: {at-least: 8 GHz}\n", 3, "a number is expected", ""),
        (START + "  - memory.total_bytes: {at-least: 64 Gib}\n", 3, "units: ", ""),
        (START + "  - memory.total_bytes: {at-least: cpu.cores}\n", 3, "cannot be compared", ""),
        (START + "  - cpu.model: {at-least: 8}\n", 3, "not for text", "matches"),
        (START + "  - cpu.model: {matches: '(a+)+'}\n", 3, "inside a repeat", ""),
        (START + "  - cpu.model: {matches: '('}\n", 3, "without its )", ""),
        (START + "  - cpu.hyperthreading: maybe\n", 3, "true or false", ""),
        (START + "  - cpu.flags: vmx\n", 3, "is a list", "contains"),
        (START + "  - cpu.flags: {contain: vmx}\n", 3, "unknown operator 'contain'", "'contains'"),
        (START + "  - bmc.address: {network: 10.0.0.1/8}\n", 3, "is no network", "10.1.0.0/16"),
        (START + "  - cpu.cores: {between: [1]}\n", 3, "[lowest, highest]", ""),
        (START + "  - cpu.cores: {in: []}\n", 3, "a list of them", ""),
        (START + "  - disks: {counts: 1}\n", 3, "unknown key 'counts'", "'count'"),
        (START + "  - verdict: [pas]\n", 3, "'pas' is never its value", "'pass'"),
        (START + "  - verdict: {not: fial}\n", 3, "'fial' is never its value", "'fail'"),
        (START + "  - findings: {none: {severity: fial}}\n", 3, "'fial' is never its value", "'fail'"),
        (START + "  - cpu.cores: {between: [64, 16]}\n", 3, "[lowest, highest] is expected", "turn them round"),
        (START + "  - cpu.cores: 1\nyields: {firmware: {boos: '2'}}\n", 4, "firmware: 'boos' is not known", "'bios'"),
        (START + "  - cpu.cores: 1\nyields: {firmware: {'nic:': '2'}}\n", 4, "firmware: 'nic:' is not known", ""),
        (START + "  - cpu.cores: 1\nyields: {bmc: {adress: x}}\n", 4, "bmc: 'adress' is not known", "'address'"),
        (START + "  - disks: {where: {size: 1}}\n", 3, "unknown fact 'size' in disks", "'size_bytes'"),
        (START + "  - disks: {same: [modell]}\n", 3, "'modell' is not known", "'model'"),
        (START + "  - disks: {sum: {model: A}}\n", 3, "is no number", ""),
        (START + "  - disks: {bind: osd}\n", 3, "is no variable", "$disk1"),
        (START + "  - disks: {none: {model: A}, bind: $a}\n", 3, "cannot be bound", "count"),
        (START + "  - disks: {count: {at-most: 4}, bind: $a}\n", 3, "cannot be bound", "count"),
        (START + "  - disks: {bind: $a}\n  - nics: {bind: $a}\n", 4, "bound already", ""),
        (START + "  - disks: {bind: $a}\n  - nics: {bind: $a1}\n", 4, "bound already", ""),
        (START + "  - nics: {any: {numa_node: $nic1.numa_node}}\n", 3, "unknown fact 'nic1.numa_node'", ""),
        (START + "  - disks: {count: {at-least: 2}, bind: $a}\n  - cpu.cores: {at-least: $a3.size_bytes}\n",
         4, "only $a1 to $a2 are sure", ""),
        (START + "  - disks: {bind: $a}\n  - disks: {any: {size_bytes: $a.size_bytes}}\n", 4, "several parts", "$a1"),
        (START + "  - measured: {metric: random reads, at-least: 1}\n", 3, "unknown metric", "'random read'"),
        (START + "  - measured: {metric: random read}\n", 3, "an operator is expected", ""),
        (START + "  - measured: {metric: random read, at-least: 5 GB}\n", 3, "a number", "median"),
        (START + "  - disk.sda.randread_4k_iops: {at-least: 5}\n", 3, "is a metric", "measured"),
        (START + "  - either: [disks: {bind: $a}]\n", 3, "inside either", ""),
        (START + "  - cpu.cores: 8\n    cpu.model: x\n", 3, "one fact", ""),
        (START + "  - cpu.cores: 1\nquota: lots\n", 4, "a number of nodes", ""),
        (START + "  - cpu.cores: 1\nquota: {min: 5, max: 3}\n", 4, "below min", ""),
        (START + "  - cpu.cores: 1\npriority: high\n", 4, "whole number", ""),
        (START + "  - cpu.cores: 1\nextends: q\n", 4, "'q' is not known", ""),
        (START + "  - cpu.cores: 1\nextends: p\n", 4, "in turn", ""),
        (START + "  - cpu.cores: 1\nyields: {capability: {}}\n", 4, "unknown key 'capability'", "'capabilities'"),
        (START + "  - cpu.cores: 1\nyields: {traits: [fast]}\n", 4, "is no trait", "CUSTOM_"),
        (START + "  - cpu.cores: 1\nyields: {capabilities: {disk: $root1}}\n", 4, "$root1 is not bound", ""),
        (START + "  - cpu.cores: 1\nyields: {raid: {disks: 1}}\n", 4, "logical_disks", ""),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_file_line_and_remedy(
    text: str, line: int, problem: str, remedy: str
) -> None:
    with pytest.raises(FileFormatError) as caught:
        parse_profile(text, "site.yaml")
    said = str(caught.value)
    assert caught.value.line == line, said
    assert said.startswith("site.yaml") and problem in said and remedy in said


def test_a_whole_profile_is_read() -> None:
    read = parse_profile(
        """
        profile: storage
        summary: disks
        priority: 7
        quota: {min: 2, max: 4}
        requires:
          - disks: {count: {at-least: 2}, bind: $osd}
        yields:
          capabilities: {osds: $osd, first: $osd1, size: $osd1.size_bytes, boot: true}
          traits: [CUSTOM_FAST]
          raid: {logical_disks: [{size_gb: MAX, raid_level: "1", physical_disks: [$osd1, $osd2]}]}
          bios: {Turbo: Enabled}
          firmware: {bios: "2.7"}
          labels: {tier: gold}
        """
    )
    assert (read.name, read.priority, read.quota) == ("storage", 7, Quota(2, 4))
    assert isinstance(read.yields, Yields) and read.yields.capabilities["boot"] == "true"
    assert not read.needs_judgement


@pytest.mark.parametrize(
    ("written", "quota"),
    [("3", Quota(3, 3)), ("{min: 3}", Quota(3)), ("{max: 3}", Quota(0, 3)), ("rest", Quota(is_rest=True))],
)
def test_a_quota_is_a_number_a_range_or_the_rest(written: str, quota: Quota) -> None:
    assert parse_profile(f"{START}  - cpu.cores: 1\nquota: {written}\n").quota == quota


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


def test_a_folder_holds_a_profile_a_file_beside_limits_and_policies(tmp_path: Path) -> None:
    write(tmp_path, "b.yaml", "profile: b\npriority: 1\nrequires: [cpu.cores: 1]\n")
    write(tmp_path, "a.yaml", "profile: a\npriority: 1\nrequires: [cpu.cores: 1]\n")
    write(tmp_path, "z.yml", "profile: z\npriority: 2\nrequires: [cpu.cores: 1]\n")
    write(tmp_path, "limits.yaml", "limits: {}\n")
    write(tmp_path, "README.md", "no profile\n")
    (tmp_path / "policies").mkdir()
    assert [profile.name for profile in read_profiles(tmp_path)] == ["z", "a", "b"]
    assert [profile.name for profile in read_profiles(tmp_path / "a.yaml")] == ["a"]


def test_a_profile_extends_another_of_its_folder(tmp_path: Path) -> None:
    write(
        tmp_path, "a.yaml", "profile: a\nrequires: [disks: {bind: $d1}]\nyields: {labels: {x: '1', y: '1'}}\n"
    )
    write(
        tmp_path,
        "b.yaml",
        "profile: b\nextends: a\nrequires: [cpu.cores: 8]\nyields: {labels: {y: '2'}, capabilities: {d: $d1}}\n",
    )
    b = read_profiles(tmp_path)[1]
    assert [requirement.place.file for requirement in b.requires] == [
        f"{tmp_path}/a.yaml",
        f"{tmp_path}/b.yaml",
    ]
    assert b.yields.labels == {"x": "1", "y": "2"}


def test_a_name_is_given_once_and_a_folder_is_not_empty(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 profiles there"):
        read_profiles(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_profiles(tmp_path / "nowhere")
    for name in ("a.yaml", "b.yaml"):
        write(tmp_path, name, "profile: a\nrequires: [cpu.cores: 8]\n")
    with pytest.raises(FileFormatError, match=r"b.yaml:1: the profile a is in .*a.yaml already"):
        read_profiles(tmp_path)


def test_the_vocabulary_follows_the_structs_of_the_inventory() -> None:
    facts = vocabulary()
    top = {field.encode_name for field in msgspec.structs.fields(Inventory)}
    reached = {name.partition(".")[0] for name in facts}
    assert top - {"schema", "collected_at", "errors", "extra"} <= reached
    assert facts["system.bios.version"].get(subject()) is None
    assert facts["bmc.address"].get(subject()) is None
    assert facts["memory.total_bytes"].kind.unit == "bytes" and facts["cpu.flags"].is_list
    assert set(DERIVED) <= set(facts)
    disks = facts["disks"].parts
    assert disks is not None and disks["smart.power_on_hours"].kind.of == "number"
    nics = facts["nics"].parts
    assert nics is not None and {"lldp.system_name", "addresses"} <= set(nics)


def test_what_the_documentation_shows_can_be_read() -> None:
    """The whole profile, and every example of an operator in a table or a sentence."""
    page = (REPOSITORY / "docs" / "profiles.md").read_text()
    whole = page.split("```yaml\n")[1].split("```")[0]
    assert parse_profile(whole, "docs/profiles.md").name == "ceph-storage"
    examples = re.findall(r"`((?:[a-z_]+\.)?[a-z_]+: (?:\{[^`]+\}|\[[^`]+\]|x86_64))`", page)
    assert len(examples) > 12
    for example in examples:
        parse_profile(f"profile: p\nrequires:\n  - {example}\n", example)


def test_the_documentation_names_every_derived_fact_and_operator() -> None:
    page = (REPOSITORY / "docs" / "profiles.md").read_text()
    named = set(re.findall(r"`([a-z0-9_.-]+)`", page))
    assert {*DERIVED, *OPERATORS, *LIST_OPERATORS, *NESTED, *BLOCK} <= named
    assert all(f"`{name}`" in page for name in METRICS)


LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**70),
    st.floats(),
    st.dates(),
    st.sampled_from(
        ["$a", "$a1", "$a1.numa_node", "5 % of $a1.size_bytes", "64 GiB", "10.0.0.0/8", "(a+)+", ".*", ""]
    ),
    st.sampled_from(["the group's median", "50 % of the group's median", "memory.total_bytes", "x86_64"]),
)
TEST = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from([*OPERATORS, *NESTED, *LIST_OPERATORS]), inner, min_size=1, max_size=2
        )
    ),
    max_leaves=4,
)
FIELDS = st.dictionaries(
    st.sampled_from(["size_bytes", "numa_node", "model", "rotational", "addresses"]), TEST, max_size=2
)
PART = (
    FIELDS | TEST | st.sampled_from([["model"], "numa_node", "$a", "$b1 = model", ["$a1", "$c = size_bytes"]])
)
BLOCKS = st.dictionaries(st.sampled_from(BLOCK), PART, max_size=3)
MEASURED = st.dictionaries(
    st.sampled_from([*OPERATORS, "over", "job", "part", "metric"]), TEST, max_size=2
).map(lambda more: {"metric": "random read", **more})
ENTRY = st.one_of(
    st.dictionaries(
        st.sampled_from(["cpu.cores", "cpu.model", "cpu.flags", "memory.total_bytes", "x"]),
        TEST,
        min_size=1,
        max_size=1,
    ),
    st.dictionaries(st.sampled_from(["disks", "nics"]), BLOCKS, min_size=1, max_size=1),
    st.fixed_dictionaries({"measured": MEASURED | LEAF}),
)
REQUIRES = st.lists(
    ENTRY | st.fixed_dictionaries({"either": st.lists(ENTRY, max_size=2)}), min_size=1, max_size=3
)
YIELDS = st.dictionaries(
    st.sampled_from(["logical_disks", "boot"]), LEAF | st.lists(LEAF, max_size=2), max_size=2
)


@given(REQUIRES, LEAF | st.dictionaries(st.sampled_from(["min", "max"]), LEAF), YIELDS)
@settings(deadline=None, max_examples=300)
def test_whatever_stands_in_a_file_it_is_read_or_refused(requires: Any, quota: Any, yields: Any) -> None:
    whole = {
        "profile": "p",
        "requires": requires,
        "quota": quota,
        "yields": {"capabilities": yields, "raid": yields},
    }
    try:
        read = parse_profile(yaml.safe_dump(whole), "p.yaml")
    except FileFormatError:
        return
    assert ask(read, subject(disks=[disk("sda")], nics=[nic("eth0")])).answer.fit in (
        "fits",
        "fails",
        "unknown",
    )
