"""SMART: what is taken out of smartctl's JSON, and how its refusals are told.

``tests/smartctl/`` holds answers in the form of smartctl 7.3, one a kind of disk, with made-up serials and counters.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import ProgramFailed
from ahc_agent.facts import Disk, Smart
from ahc_agent.inventory import smart
from ahc_agent.inventory.root import Root

ANSWERS = Path(__file__).parent / "smartctl"

HEALTH = {
    "sata-hdd": Smart(
        passed=True,
        temperature_celsius=31.0,
        power_on_hours=8123,
        reallocated_sectors=0,
        pending_sectors=0,
        uncorrectable_errors=0,
        crc_errors=3,
    ),
    # Exit status 0b1011000 (failing, attributes below threshold, logged errors) is a finding, not a failure; the
    # count of reallocated sectors is the one that the drive database reads out of the packed raw value.
    "sata-hdd-failing": Smart(
        passed=False,
        temperature_celsius=44.0,
        power_on_hours=40211,
        reallocated_sectors=2104,
        pending_sectors=312,
        uncorrectable_errors=312,
        crc_errors=0,
    ),
    "sata-ssd": Smart(
        passed=True, temperature_celsius=27.0, power_on_hours=15012, reallocated_sectors=0, crc_errors=0
    ),
    "nvme": Smart(
        passed=True,
        temperature_celsius=38.0,
        power_on_hours=19204,
        media_errors=2,
        percentage_used=4,
        available_spare_percent=100,
        critical_warning=0,
        unsafe_shutdowns=21,
    ),
    "sas-hdd": Smart(
        passed=True,
        temperature_celsius=33.0,
        power_on_hours=30412,
        reallocated_sectors=7,
        uncorrectable_errors=5,
    ),
    "sata-without-smart": None,
}


@pytest.mark.parametrize("answer", HEALTH)
def test_health_of_each_kind_of_disk(answer: str) -> None:
    assert smart.health(smart.parse((ANSWERS / f"{answer}.json").read_bytes())) == HEALTH[answer]


@pytest.mark.parametrize(
    ("answer", "words"),
    [("no-device", "Unable to detect device type"), ("raid-volume", "please try adding '-d megaraid,N'")],
)
def test_a_disk_that_cannot_be_asked_is_told_in_smartctls_words(answer: str, words: str) -> None:
    with pytest.raises(ProgramFailed, match=words):
        smart.parse((ANSWERS / f"{answer}.json").read_bytes())


@pytest.mark.parametrize(
    "output", [b"", b"smartctl: bad option", b"[]", b"{}", b"[" * 100_000, b'{"smartctl": 1}']
)
def test_nonsense_is_refused(output: bytes) -> None:
    with pytest.raises(ProgramFailed):
        smart.parse(output)


@pytest.fixture
def smartctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name that prints the answer called like the device, with the exit status that is in it."""
    program = tmp_path / "bin" / "smartctl"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nfor last; do :; done\ncat "{ANSWERS}/${{last#/dev/}}.json" || exit 127\n'
        "case $last in */no-device) exit 1;; */sata-hdd-failing) exit 88;; */slow) exec sleep 60;; esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


def disk(answer: str, transport: str = "sata", **known: str) -> Disk:
    return Disk(name=answer, path=f"/dev/{answer}", transport=transport, **known)  # type: ignore[arg-type]


def test_all_disks_are_asked_and_one_refusal_hurts_no_other(smartctl: Path, tmp_path: Path) -> None:
    disks = [
        disk("sata-hdd"),
        disk("no-device"),
        disk("nvme", "nvme"),
        disk("sata-hdd-failing"),
        disk("missing"),
    ]
    root = Root(tmp_path)
    smart.add(root, disks)
    assert [one.smart for one in disks] == [
        HEALTH["sata-hdd"],
        None,
        HEALTH["nvme"],
        HEALTH["sata-hdd-failing"],
        None,
    ]
    first, second = root.trouble
    assert first == "no-device: smartctl: /dev/sdf: Unable to detect device type"
    assert second.startswith("missing: smartctl: ")


def test_smartctl_fills_gaps_and_knows_the_full_firmware(smartctl: Path, tmp_path: Path) -> None:
    known, unknown = disk("nvme", "nvme", serial="MINE", model="Mine", firmware="EDA5"), disk("sata-ssd")
    smart.add(Root(tmp_path), [known, unknown])
    assert (known.serial, known.model, known.firmware) == ("MINE", "Mine", "EDA5602Q")
    assert (unknown.serial, unknown.model) == ("S45NNA0M400123", "SAMSUNG MZ7LH960HAJR-00005")


def test_a_disk_that_does_not_answer_in_time_is_an_error(
    smartctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smartctl.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(smart, "TIME_LIMIT_S", 0.3)
    root = Root(tmp_path)
    smart.add(root, [disk("slow")])
    assert root.trouble == ["slow: smartctl: did not end within its time limit and was killed"]


def test_a_missing_program_is_said_once_and_only_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smart, "find", lambda program: None)
    root = Root(tmp_path)
    smart.add(root, [disk("vda", "virtio"), disk("disk0", "loop")])
    assert root.trouble == []
    smart.add(root, [disk("sda"), disk("sdb")])
    assert root.trouble == ["smartctl: not installed (on Debian: apt-get install smartmontools)"]


def test_disks_that_have_no_smart_are_not_asked(smartctl: Path, tmp_path: Path) -> None:
    smartctl.write_text("#!/bin/sh\nexit 1\n")
    root = Root(tmp_path)
    smart.add(
        root,
        [disk("vda", "virtio"), disk("xvda", "xen"), disk("mmcblk0", "mmc"), Disk(name="sr0", kind="rom")],
    )
    assert root.trouble == []


_GROUPS = [
    "smart_status",
    "ata_smart_attributes",
    "scsi_error_counter_log",
    "nvme_smart_health_information_log",
]
_FIELDS = [
    "passed",
    "temperature",
    "current",
    "table",
    "id",
    "raw",
    "string",
    "value",
    "read",
    "media_errors",
]
_KEYS = st.sampled_from(_GROUPS + _FIELDS)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_KEYS, _JSON, max_size=6))
def test_whatever_smartctl_says_health_stays_what_the_wire_takes(told: dict[str, object]) -> None:
    found = smart.health(told)
    assert found is None or msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Smart) == found
