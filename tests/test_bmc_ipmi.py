"""``ahc bmc`` against real IPMI-over-LAN servers on loopback: OpenIPMI's simulator and pyghmi's own BMC."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ahc_server.commands.bmc import command
from tests.bmc_helpers import GUID, PASSWORD, SIM, USER, Simulated, ipmi_sim, pyghmi_bmc, relay, silent

needs_sim = pytest.mark.skipif(SIM is None, reason="needs OpenIPMI's ipmi_sim (Debian: openipmi)")


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[Simulated]:
    with ipmi_sim(tmp_path) as [one]:
        yield one


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Simulated]:
    """pyghmi's own BMC: cipher suite 3 only."""
    with pyghmi_bmc(tmp_path / "other") as one:
        yield one


def run_ahc(
    *arguments: str, user: str | None = USER, password: str | None = PASSWORD
) -> tuple[int, str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AHC_BMC_")}
    for name, value in (("AHC_BMC_USER", user), ("AHC_BMC_PASSWORD", password)):
        if value is not None:
            environment[name] = value
    done = subprocess.run(
        [sys.executable, "-m", "ahc_server", "bmc", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=200,
    )
    return done.returncode, done.stdout, done.stderr


def asked(*arguments: str, user: str = USER, password: str = PASSWORD) -> tuple[int, list[dict[str, Any]]]:
    """The same in this process: the program's start takes longer than its question."""
    login = {"AHC_BMC_USER": user, "AHC_BMC_PASSWORD": password}
    done = CliRunner().invoke(command, [*arguments, "--format", "json"], env=login)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    code, answers = done.exit_code, json.loads(done.stdout)
    assert answers["schema"] == "ahc.bmc/1"
    return code, answers["nodes"]


@needs_sim
def test_status_tells_power_boot_device_and_uuid(bmc: Simulated) -> None:
    code, [answer] = asked("status", "--bmc", bmc.address)
    assert code == 0
    assert (answer["power"], answer["boot"]) == ("off", "default")
    assert answer["uuid"].replace("-", "") == GUID
    assert answer["firmware"] == "9.08"


@needs_sim
def test_power_is_switched_and_read_back(bmc: Simulated) -> None:
    assert asked("power", "on", "--bmc", bmc.address)[1][0]["said"] == "power on done"
    assert bmc.power() == "1"
    assert asked("power", "on", "--bmc", bmc.address)[1][0]["said"] == "was on already"
    assert asked("power", "reset", "--bmc", bmc.address)[0] == 0
    assert "reset 1" in (bmc.folder / "said").read_text()


@needs_sim
def test_a_machine_that_does_not_come_on_is_an_answer_of_no(
    bmc: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ahc_server.bmc import ask
    from ahc_server.bmc.workers import ask_all

    (bmc.folder / "stuck").touch()
    work = ask.Ask(ask.power("on", soft_s=0, settle_s=1.0))
    [answer] = ask_all([target(bmc.port)], work, at_once=1, time_limit_s=60)
    assert answer.failure is not None
    assert answer.failure.trouble == "refused"
    assert "power is not on after 1 s" in answer.failure.problem


@needs_sim
def test_off_asks_the_operating_system_first_and_cuts_power_where_it_does_not_follow(bmc: Simulated) -> None:
    asked("power", "on", "--bmc", bmc.address)
    assert asked("power", "off", "--bmc", bmc.address)[1][0]["said"] == "shut down by its operating system"
    (bmc.folder / "deaf").touch()
    asked("power", "on", "--bmc", bmc.address)
    code, [answer] = asked("power", "off", "--soft", "1", "--bmc", bmc.address)
    assert (code, answer["power"]) == (0, "off")
    assert answer["said"] == "did not shut down within 1 s: power cut"
    assert bmc.power() == "0"


@needs_sim
def test_there_is_nothing_to_reset_on_a_machine_that_is_off(bmc: Simulated) -> None:
    code, [answer] = asked("power", "reset", "--bmc", bmc.address)
    assert code == 1
    assert answer["failure"]["trouble"] == "refused"
    assert "power is off" in answer["failure"]["problem"]


@needs_sim
def test_the_boot_device_is_read_back_where_the_simulator_leaves_the_valid_flag_unset(bmc: Simulated) -> None:
    assert asked("boot-device", "network", "--bmc", bmc.address)[1][0]["boot"] == "network"
    assert bmc.boot() == "pxe"
    assert asked("boot-device", "--bmc", bmc.address)[1][0]["boot"] == "network"


@needs_sim
def test_sensors_tell_values_states_and_health(bmc: Simulated) -> None:
    _, [answer] = asked("sensors", "--bmc", bmc.address)
    found = {each["name"]: each for each in answer["sensors"]}
    assert (found["CPU1 Temp"]["value"], found["CPU1 Temp"]["unit"]) == (42, "°C")
    assert (found["FAN1"]["value"], found["FAN1"]["health"]) == (6000, "ok")
    assert (found["FAN2"]["value"], found["FAN2"]["health"]) == (0, "failed")
    assert (found["PS1 Status"]["states"], found["PS1 Status"]["health"]) == (["Present"], "ok")
    assert found["PS2 Status"]["states"] == ["Present", "Failure"]


@needs_sim
def test_the_event_log_is_decoded_and_emptied_only_when_asked(bmc: Simulated) -> None:
    _, [answer] = asked("sel", "--bmc", bmc.address)
    events = answer["events"]
    assert len(events) == 14
    assert [each["event"] for each in events[:12]] == ["Correctable error"] * 12
    assert (events[12]["sensor"], events[12]["event"]) == ("PS2 Status", "Failure")
    assert events[13]["event"].startswith("Lower Critical")
    assert all(each["at"].endswith("Z") for each in events)
    assert len(asked("sel", "--clear", "--bmc", bmc.address)[1][0]["events"]) == 14
    assert asked("sel", "--bmc", bmc.address)[1][0]["events"] == []


@needs_sim
def test_fru_is_read_in_pieces_that_the_bmc_can_send(bmc: Simulated) -> None:
    _, [answer] = asked("fru", "--bmc", bmc.address)
    [system] = answer["frus"]
    assert system["fields"]["Serial Number"] == "SRV-4711"
    assert system["fields"]["Product name"] == "Rocket 9000"
    assert system["fields"]["Board serial number"] == "BRD-0042"


@needs_sim
def test_the_identify_light_is_switched(bmc: Simulated) -> None:
    assert (
        asked("identify", "on", "--seconds", "9", "--bmc", bmc.address)[1][0]["said"]
        == "identify light on for 9 s"
    )
    assert "identify 9" in (bmc.folder / "said").read_text()


@needs_sim
def test_a_wrong_password_and_an_unknown_user_are_said_as_such_and_shown_nowhere(bmc: Simulated) -> None:
    code, out, err = run_ahc("status", "--bmc", bmc.address, password="not-The-1")
    assert code == 3
    assert "not let in: wrong password" in out
    assert "not-The-1" not in out + err
    code, out, _ = run_ahc("status", "--bmc", bmc.address, user="nobody")
    assert code == 3
    assert "not let in: no such user" in out


def test_a_bmc_that_knows_cipher_suite_3_only_is_spoken_to(other: Simulated) -> None:
    assert asked("power", "on", "--bmc", other.address)[1][0]["power"] == "on"
    code, [answer] = asked("boot-device", "network", "--bmc", other.address)
    assert (code, answer["boot"]) == (0, "network")
    assert asked("status", "--bmc", other.address)[1][0]["power"] == "on"


def test_a_wrong_password_is_told_by_another_implementation_too(other: Simulated) -> None:
    code, [answer] = asked("status", "--bmc", other.address, password="wrong")
    assert (code, answer["failure"]["trouble"]) == (3, "locked")


def test_what_a_bmc_does_not_have_is_named(other: Simulated) -> None:
    code, [answer] = asked("sensors", "--bmc", other.address)
    assert (code, answer["failure"]["trouble"]) == (3, "cannot")


def test_a_silent_bmc_is_told_and_holds_nobody(other: Simulated) -> None:
    with silent() as port:
        code, answers = asked(
            "status", "--bmc", f"127.0.0.1:{port}", "--bmc", other.address, "--at-once", "1"
        )
    assert code == 3
    assert [each.get("failure", {}).get("trouble") for each in answers] == ["silent", None]


def test_a_bmc_that_falls_silent_after_the_first_answer_meets_its_time_limit(other: Simulated) -> None:
    seen = []

    def hold() -> None:
        seen.append(1)
        if len(seen) > 6:
            stop.wait()

    stop = threading.Event()
    with relay(other.port, hold) as port:
        code, [answer] = asked("status", "--bmc", f"127.0.0.1:{port}", "--time-limit", "4")
        stop.set()
    assert (code, answer["failure"]["trouble"]) == (3, "silent")


def test_a_bmc_that_takes_its_time_for_each_answer_is_waited_for(other: Simulated) -> None:
    pause = threading.Event()
    with relay(other.port, lambda: void(pause.wait(0.3))) as port:
        code, [answer] = asked("status", "--bmc", f"127.0.0.1:{port}")
    assert (code, answer["power"]) == (0, "off")


def void(_: object) -> None:
    """For a hook that answers nothing."""


@needs_sim
def test_twenty_bmcs_answer_in_the_order_in_which_they_were_named(tmp_path: Path) -> None:
    with ipmi_sim(tmp_path, sensors=False, count=20) as bmcs:
        options = [word for each in bmcs for word in ("--bmc", each.address)]
        code, answers = asked("status", *options, "--at-once", "20")
    assert code == 0
    assert [each["power"] for each in answers] == ["off"] * 20
    assert [each["address"] for each in answers] == [each.address for each in bmcs]


def test_nobody_there_is_silence(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code, out, _ = run_ahc("status", "--bmc", f"127.0.0.1:{port}")
    assert code == 3
    assert "silent" in out


def target(port: int) -> Any:
    from ahc_server.bmc.secret import Secret
    from ahc_server.bmc.target import Login, Target

    return Target(node="n1", host="127.0.0.1", port=port, login=Login(USER, Secret(PASSWORD)))
