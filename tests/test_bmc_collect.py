"""What BMCs say, kept in the session of the machine that they belong to, and told by its report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from ahc_agent.wire.messages import Hello, Identity
from ahc_server.bmc.credentials import Credentials
from ahc_server.bmc.nodes import from_addresses
from ahc_server.bmc.secret import Secret
from ahc_server.bmc.target import Login, Target
from ahc_server.bmc.whose import Known, machine_of, spellings
from ahc_server.commands.bmc import command
from ahc_server.judge import judge_session
from ahc_server.paths import Where
from ahc_server.store import Store
from tests.bmc_helpers import GUID, PASSWORD, SIM, USER, Simulated, ipmi_sim

MAC = "aa:bb:cc:00:00:01"
UUID = "a1b2c3d4-e5f6-0718-293a-4b5c6d7e8f90"


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[Simulated]:
    if SIM is None:
        pytest.skip("needs OpenIPMI's ipmi_sim (Debian: openipmi)")
    with ipmi_sim(tmp_path) as [one]:
        yield one


def store_with(path: Path, *identities: Identity) -> Path:
    hellos = [(each.machine, Hello(identity=each, instance="i", agent_version="1")) for each in identities]
    with Store(path, write=True) as store, store.transaction():
        store.create_session("rack7", "u1", "plan", "jobs: {}", hellos, 1.0, "done")
    return path


def collected(store: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        command,
        ["collect", "--session", "rack7", *arguments],
        obj=Where(store),
        env={"AHC_BMC_USER": USER, "AHC_BMC_PASSWORD": PASSWORD},
    )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stderr


def test_sensors_and_events_reach_the_report_of_the_machine_whose_bmc_it_is(
    bmc: Simulated, tmp_path: Path
) -> None:
    store = store_with(
        tmp_path / "s.db", Identity(serial="S1", uuid=UUID), Identity(serial="S2", uuid=UUID[:-1] + "1")
    )
    code, err = collected(store, "--bmc", bmc.address)
    assert (code, "kept what 1 of 1 BMCs said" in err) == (0, True)
    with Store(store) as opened:
        session = opened.load_session("rack7")
    [first, second] = session.nodes
    assert first.out_of_band is not None and second.out_of_band is None
    assert len(first.out_of_band.events) == 14
    findings = [each for each in judge_session(session, generated_at="t").findings if each.kind == "health"]
    assert {each.element for each in findings} == {"node:S1"}
    told = " | ".join(each.summary for each in findings)
    for part in ("Fan FAN2", "Power Supply PS2 Status", "12 corrected errors within an hour"):
        assert part in told
    assert collected(store, "--bmc", bmc.address)[0] == 0


def test_a_bmc_of_no_machine_of_the_session_is_told(bmc: Simulated, tmp_path: Path) -> None:
    code, err = collected(store_with(tmp_path / "s.db", Identity(serial="S1")), "--bmc", bmc.address)
    assert code == 3
    assert "not kept: " in err and "no machine of the session" in err


def target(**more: Any) -> Target:
    [one] = from_addresses(["10.0.0.7"], Credentials(Login("u", Secret("p"))))
    known = {name: getattr(one, name) for name in ("node", "host", "port", "login")}
    return Target(**{**known, **more})


MACHINES = {
    "m1": Known(Identity(serial="S1", uuid=UUID, macs=[MAC]), "10.0.0.7"),
    "m2": Known(
        Identity(serial="S2", uuid="00000000-0000-0000-0000-000000000002", macs=["aa:bb:cc:00:00:02"])
    ),
}


@pytest.mark.parametrize(
    ("one", "guid", "by"),
    [
        (target(host="h", macs=(MAC,)), None, "MAC address"),
        (target(host="h", serial="S1"), None, "serial"),
        (target(host="h", uuid=UUID), None, "UUID"),
        (target(host="h"), UUID, "GUID of its BMC"),
        (target(), None, "address of its BMC"),
    ],
)
def test_a_machine_is_known_by_each_of_its_signs(one: Target, guid: str | None, by: str) -> None:
    found = machine_of(one, guid, MACHINES)
    assert (found.machine, found.by) == ("m1", (by,))


def test_signs_that_name_two_machines_name_none() -> None:
    found = machine_of(target(host="h", macs=("aa:bb:cc:00:00:02",)), UUID, MACHINES)
    assert found.machine is None
    assert found.conflict is not None and "m1" in found.conflict and "m2" in found.conflict


def test_a_guid_of_the_bmcs_own_proves_nothing() -> None:
    found = machine_of(target(host="h", macs=(MAC,)), "12345678-0000-0000-0000-000000000000", MACHINES)
    assert (found.machine, found.conflict) == ("m1", None)
    assert machine_of(target(host="h"), None, MACHINES).machine is None


def test_a_uuid_is_known_in_every_order_of_its_bytes() -> None:
    assert "d4c3b2a1-f6e5-1807-293a-4b5c6d7e8f90" in spellings(UUID)
    assert UUID in spellings("908f7e6d-5c4b-3a29-1807-f6e5d4c3b2a1")
    assert spellings("00000000-0000-0000-0000-000000000000") == frozenset()
    assert spellings("none") == spellings(None) == frozenset()
    assert UUID.replace("-", "") == GUID


def test_a_store_of_before_has_nothing_of_bmcs(tmp_path: Path) -> None:
    import sqlite3

    path = store_with(tmp_path / "s.db", Identity(serial="S1"))
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TABLE out_of_band")
    with Store(path) as store:
        assert store.load_session("rack7").nodes[0].out_of_band is None


def test_what_is_kept_is_bounded() -> None:
    from ahc_server.bmc.model import OutOfBand

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps({"collected_at": "x" * 2000, "address": "a"}), type=OutOfBand)
