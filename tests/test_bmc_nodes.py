"""Nodes files, credentials and how passwords are kept from sight."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import traceback
from pathlib import Path

import pytest

from ahc_agent.errors import FileFormatError, UsageError
from ahc_server.bmc.credentials import Credentials, read_credentials
from ahc_server.bmc.errors import BmcRefused
from ahc_server.bmc.model import Answer
from ahc_server.bmc.nodes import from_addresses, read_nodes
from ahc_server.bmc.secret import Secret
from ahc_server.bmc.target import Login, Target, host_and_port
from ahc_server.bmc.workers import ask_all

USUAL = Credentials(Login("admin", Secret("pw-usual")))


def node(**more: object) -> dict[str, object]:
    return {"pm_type": "ipmi", "pm_addr": "10.0.0.1", "pm_user": "root", "pm_password": "calvin-7", **more}


def written(tmp_path: Path, *nodes: dict[str, object]) -> Path:
    path = tmp_path / "instackenv.json"
    path.write_text(json.dumps({"nodes": list(nodes)}, indent=1))
    path.chmod(0o600)
    return path


def test_an_instackenv_as_a_registration_leaves_it_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        node(name="n1", mac=["AA:BB:CC:00:00:01"], cpu=None, memory=None, disk=None, arch="x86_64", capabilities=""),
        node(name="n2", pm_addr="10.0.0.2", pm_port=6230, ports=[{"address": "aa-bb-cc-00-00-02"}], _comment="spare"),
    )  # fmt: skip
    [first, second], warnings = read_nodes(path, Credentials())
    assert (first.node, first.host, first.port, first.macs) == ("n1", "10.0.0.1", 623, ("aa:bb:cc:00:00:01",))
    assert first.login == Login("root", Secret("calvin-7"))
    assert (second.address, second.macs) == ("10.0.0.2:6230", ("aa:bb:cc:00:00:02",))
    assert warnings == []


def test_a_bare_list_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps([node(name="a")]))
    assert read_nodes(path, Credentials())[0][0].node == "a"


@pytest.mark.parametrize("text", ["nodes: {}", "nodes: []", "[]", "nodes: [7]", "x: 1", "7"])
def test_what_is_no_list_of_nodes_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text(text)
    with pytest.raises(FileFormatError):
        read_nodes(path, USUAL)


def test_yaml_and_redfish(tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text(
        "nodes:\n- name: r1\n  pm_type: redfish\n  pm_addr: http://127.0.0.1:8000\n  pm_system_id: /redfish/v1/Systems/1\n"
        "- pm_addr: '[fd00::7]'\n"
    )
    [first, second], _ = read_nodes(path, USUAL)
    assert (first.speaks, first.url, first.system) == (
        "redfish",
        "http://127.0.0.1:8000",
        "/redfish/v1/Systems/1",
    )
    assert first.login.user == "admin"
    assert (second.host, second.port) == ("fd00::7", 623)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pm_adr": "x"}, "unknown key 'pm_adr' in a node (did you mean 'pm_addr'?)"),
        ({"pm_type": "ipmii"}, "pm_type: 'ipmii' is not known (did you mean 'ipmi'?)"),
        ({"pm_addr": None}, "pm_addr is missing"),
        ({"pm_addr": "a b"}, "no address of a BMC"),
        ({"pm_addr": "http://u:p@h"}, "http(s)://HOST"),
        ({"pm_addr": "root:calvin-7@10.0.0.1"}, "holds no user and no password"),
        ({"name": "n1\x1b[2J"}, "without control characters"),
        ({"mac": ["zz"]}, "'zz' is no MAC address"),
        ({"pm_password": None}, "pm_password is missing"),
        ({"pm_port": 70000}, "from 1 to 65535"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_without_the_password(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    with pytest.raises(FileFormatError) as caught:
        read_nodes(written(tmp_path, node(**change)), Credentials())
    assert said in str(caught.value)
    assert caught.value.line is not None
    assert "calvin-7" not in str(caught.value)


def test_a_password_that_is_no_text_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError) as caught:
        read_nodes(written(tmp_path, node(pm_password=8675309)), Credentials())
    assert "put it in quotes" in str(caught.value)
    assert "8675309" not in str(caught.value)


@pytest.mark.parametrize(
    "before", ["!", "!!", "*", "&x ", "@", "%", "{", "[", "'", '"', "0b", "2026-99-", "? ", "a: "]
)
@pytest.mark.parametrize("flow", [True, False])
def test_a_password_without_quotes_that_yaml_reads_as_something_else_is_not_shown(
    tmp_path: Path, before: str, flow: bool
) -> None:
    password = f"{before}hunter2"
    text = "{user: u, password: %s}\n" if flow else "user: u\npassword: %s\n"
    credentials = tmp_path / "credentials.yaml"
    credentials.write_text(text % password)
    credentials.chmod(0o600)
    nodes = tmp_path / "nodes.yaml"
    node = (
        "{pm_addr: h, pm_user: u, pm_password: %s}" if flow else "pm_addr: h\n  pm_user: u\n  pm_password: %s"
    )
    nodes.write_text(f"nodes:\n- {node % password}\n")
    nodes.chmod(0o600)
    for read in (lambda: read_credentials(credentials), lambda: read_nodes(nodes, Credentials())):
        try:
            read()
        except FileFormatError as error:
            assert "hunter2" not in "".join(traceback.format_exception(error))
            assert error.line is not None


def test_two_nodes_with_one_bmc_or_mac_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="has the BMC of a"):
        read_nodes(written(tmp_path, node(name="a"), node(name="b")), Credentials())
    mac = "aa:bb:cc:00:00:01"
    with pytest.raises(FileFormatError, match="has the MAC address of a"):
        read_nodes(
            written(tmp_path, node(name="a", mac=mac), node(name="b", pm_addr="h2", mac=mac)), Credentials()
        )


def test_a_nodes_file_with_passwords_that_others_may_read_is_warned_of(tmp_path: Path) -> None:
    path = written(tmp_path, node())
    path.chmod(0o644)
    assert "chmod 600" in read_nodes(path, Credentials())[1][0]


def test_credentials_come_from_a_file_that_only_its_owner_may_read(tmp_path: Path) -> None:
    path = tmp_path / "credentials.yaml"
    path.write_text("user: admin\npassword: pw-one\nbmcs:\n  10.0.0.9: {user: root, password: pw-two}\n")
    path.chmod(0o640)
    with pytest.raises(FileFormatError, match="chmod 600"):
        read_credentials(path)
    path.chmod(0o600)
    found = read_credentials(path)
    assert found.login("x", "10.0.0.1") == Login("admin", Secret("pw-one"))
    assert found.login("x", "10.0.0.9:623", "10.0.0.9") == Login("root", Secret("pw-two"))


def test_credentials_of_the_environment_come_both_or_not_at_all() -> None:
    both = read_credentials(None, {"AHC_BMC_USER": "u", "AHC_BMC_PASSWORD": "p"})
    assert both.usual == Login("u", Secret("p"))
    with pytest.raises(UsageError, match="AHC_BMC_PASSWORD is not set"):
        read_credentials(None, {"AHC_BMC_USER": "u"})
    with pytest.raises(UsageError, match="no user and password"):
        from_addresses(["10.0.0.1"], read_credentials(None, {}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", ("10.0.0.1", 623)),
        ("bmc7:1623", ("bmc7", 1623)),
        ("fd00::1", ("fd00::1", 623)),
        ("[fd00::1]:99", ("fd00::1", 99)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert host_and_port(text, 623) == expected


@pytest.mark.parametrize("text", ["", "a b", "h:0", "h:99999", "[::1", "x" * 300])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        host_and_port(text, 623)


def test_a_secret_shows_itself_to_nobody() -> None:
    target = Target(node="n", host="h", port=1, login=Login("u", Secret("hunter2")))
    assert "hunter2" not in f"{target!r} {target.login!r} {target.login.password} {[target.login.password]}"


def targets(count: int) -> list[Target]:
    return [
        Target(node=f"n{number}", host="h", port=1, login=USUAL.usual or Login("", Secret("")))
        for number in range(count)
    ]


def test_a_mistake_in_a_worker_is_told_without_the_password() -> None:
    def work(target: Target) -> Answer:
        raise KeyError(f"cannot log in with {target.login.password.reveal()}")

    [answer] = ask_all(targets(1), work, at_once=1, time_limit_s=60)
    assert answer.failure is not None
    assert answer.failure.trouble == "mistake"
    assert "KeyError at test_bmc_nodes.py" in answer.failure.problem
    assert "pw-usual" not in answer.failure.problem


def test_workers_that_die_hang_or_refuse_are_told_apart_and_the_others_answer() -> None:
    def work(target: Target) -> Answer:
        match target.node:
            case "n0":
                os.kill(os.getpid(), signal.SIGKILL)
            case "n1":
                time.sleep(600)
            case "n2":
                raise BmcRefused("no")
        return Answer(node=target.node, address="a", power="on")

    answers = ask_all(targets(5), work, at_once=2, time_limit_s=6)
    troubles = [answer.failure.trouble if answer.failure is not None else None for answer in answers]
    assert troubles == ["mistake", "silent", "refused", None, None]
    assert [answer.node for answer in answers] == ["n0", "n1", "n2", "n3", "n4"]


def test_twenty_are_asked_at_the_same_time() -> None:
    """Nobody goes on before all twenty have begun: asked one after the other, none would ever end."""
    begun, beginning = os.pipe()
    waiting, going = os.pipe()

    def work(target: Target) -> Answer:
        os.write(beginning, b".")
        os.read(waiting, 1)
        return Answer(node=target.node, address="a")

    def let_go() -> None:
        for _ in range(20):
            os.read(begun, 1)
        os.write(going, b"." * 20)

    thread = threading.Thread(target=let_go, daemon=True)
    thread.start()
    answers = ask_all(targets(20), work, at_once=20, time_limit_s=120)
    thread.join()
    assert [answer.failure for answer in answers] == [None] * 20
    for pipe in (begun, beginning, waiting, going):
        os.close(pipe)


def test_no_more_are_asked_at_once_than_allowed(tmp_path: Path) -> None:
    def work(target: Target) -> Answer:
        mine = tmp_path / target.node
        mine.touch()
        number = len(list(tmp_path.iterdir()))
        time.sleep(0.05)
        mine.unlink()
        return Answer(node=target.node, address="a", said=str(number))

    answers = ask_all(targets(12), work, at_once=3, time_limit_s=120)
    assert max(int(answer.said or "99") for answer in answers) <= 3


def test_no_child_is_left_when_the_caller_is_interrupted() -> None:
    def told(answer: Answer) -> None:
        raise KeyboardInterrupt

    def work(target: Target) -> Answer:
        if target.node != "n0":
            time.sleep(600)
        return Answer(node=target.node, address="a")

    with pytest.raises(KeyboardInterrupt):
        ask_all(targets(4), work, at_once=4, time_limit_s=60, told=told)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
