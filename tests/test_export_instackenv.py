"""TripleO's nodes.json: what is filled, and that everything else stays as it is."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ahc_agent.errors import FileFormatError, UsageError
from ahc_agent.facts import Inventory
from ahc_server.commands.match_export import export
from ahc_server.export import FORMATS, Drawn, Material
from ahc_server.export.material import Document, read_registered
from ahc_server.profiles.model import Matches
from tests.conftest import REPOSITORY
from tests.export_helpers import fleet, match, matches
from tests.peer_helpers import peer, runs

#: As a registration leaves it: TripleO's example, with what nobody knew yet as null.
NODE: dict[str, Any] = {
    "pm_type": "ipmi",
    "pm_addr": "10.0.0.1",
    "pm_user": "admin",
    "pm_password": "s3cret",
    "mac": ["52:54:00:00:01:01"],
    "cpu": None,
    "memory": None,
    "disk": None,
    "arch": None,
    "capabilities": None,
    "name": "rack7-1",
    "_comment": "top of the rack",
}


def _draw(
    plain: object, asked: Matches | None = None, inventories: dict[str, Inventory] | None = None
) -> Drawn:
    material = Material(
        asked or matches(match("SN0001")), inventories or fleet(), Document("nodes.json", plain)
    )
    return FORMATS["instackenv"](material)


def _nodes(plain: object, asked: Matches | None = None) -> list[dict[str, Any]]:
    drawn = json.loads(_draw(plain, asked).text)
    nodes: list[dict[str, Any]] = drawn["nodes"] if isinstance(drawn, dict) else drawn
    return nodes


def test_what_was_found_is_filled_as_text_and_the_rest_stays_in_its_place() -> None:
    (node,) = _nodes({"nodes": [NODE]})
    assert list(node) == list(NODE)
    assert node == {
        **NODE,
        "cpu": "16",
        "memory": "65536",
        "disk": "99",
        "arch": "x86_64",
        "capabilities": "boot_mode:uefi,profile:control",
    }


def test_a_bare_list_stays_one_and_other_keys_of_the_file_stay() -> None:
    assert isinstance(json.loads(_draw([NODE]).text), list)
    plain = {"ssh-user": "stack", "nodes": [NODE], "power_manager": "x"}
    assert list(json.loads(_draw(plain).text)) == ["ssh-user", "nodes", "power_manager"]


def test_the_file_filled_twice_is_the_file_filled_once() -> None:
    once = _draw({"nodes": [NODE]}).text
    assert _draw(json.loads(once)).text == once


def test_capabilities_of_the_operator_stay_and_the_profile_is_renewed() -> None:
    (node,) = _nodes([{**NODE, "capabilities": "node:control-0,profile:compute,boot_option:local"}])
    assert node["capabilities"] == "node:control-0,profile:control,boot_option:local,boot_mode:uefi"


def test_a_node_without_a_profile_gets_its_facts_but_no_capabilities() -> None:
    (node,) = _nodes([NODE], matches(match("SN0001", None)))
    assert (node["cpu"], node["capabilities"]) == ("16", None)


def test_what_the_machine_does_not_tell_stays_as_it_is() -> None:
    bare = fleet(1)
    bare["SN0001"] = Inventory(collected_at="", nics=bare["SN0001"].nics)
    (node,) = json.loads(_draw([{**NODE, "memory": "4096"}], inventories=bare).text)
    assert (node["cpu"], node["memory"]) == (None, "4096")


@pytest.mark.parametrize(
    "known",
    [
        {"mac": ["52:54:00:00:02:02"], "pm_addr": None},
        {"mac": "52:54:00:00:02:02", "pm_addr": None},
        {
            "mac": None,
            "ports": [{"address": "52:54:00:00:02:01", "physical_network": "ctlplane"}],
            "pm_addr": "x",
        },
        {"mac": None, "pm_addr": "10.0.0.2"},
    ],
)
def test_machines_are_known_by_the_macs_of_any_age_of_the_file_or_by_their_bmc(known: dict[str, Any]) -> None:
    (node,) = _nodes([{**NODE, **known}], matches(match("SN0002", "compute")))
    assert "profile:compute" in node["capabilities"]


def test_a_stranger_stays_as_he_is_and_a_note_names_him_without_his_password() -> None:
    stranger = {**NODE, "name": "other", "mac": ["00:11:22:33:44:55"], "pm_addr": "10.9.9.9"}
    drawn = _draw([NODE, stranger])
    assert json.loads(drawn.text)[1] == stranger
    assert drawn.notes == ["node 2 (other): no node of the session is this machine"]
    assert "s3cret" not in "".join(drawn.notes)


@pytest.mark.parametrize("broken", [{"nodes": None}, {}, "nodes", [None], {"nodes": {"a": {}}}])
def test_what_is_no_registration_is_refused(broken: object) -> None:
    with pytest.raises(FileFormatError, match=r"nodes\.json: not an instackenv"):
        _draw(broken)


def test_without_a_file_the_option_is_named() -> None:
    with pytest.raises(UsageError, match="--instackenv FILE"):
        FORMATS["instackenv"](Material(matches(match("SN0001")), fleet()))


@pytest.mark.parametrize("text", ['{"nodes": [', "[" * 100_000, "\xff"])
def test_a_file_that_is_no_json_is_refused_without_a_word_of_what_is_in_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(f'{{"pm_password": "s3cret", {text}', encoding="latin-1")
    with pytest.raises(FileFormatError, match="not JSON") as caught:
        read_registered(path)
    assert "s3cret" not in str(caught.value)


def test_the_file_written_is_for_its_owner_alone_even_where_it_takes_the_place_of_an_open_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps({"nodes": [NODE]}))
    path.chmod(0o644)
    export("instackenv", matches(match("SN0001")), fleet(), registered=path, output=path, apply=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["nodes"][0]["cpu"] == "16"
    assert "s3cret" not in "".join(capsys.readouterr())


#: What tripleo-common says it needs can no longer be installed together; its validation imports these.
TRIPLEO_NEEDS = (
    "oslo.concurrency",
    "oslo.utils",
    "pbr",
    "python-ironicclient",
    "--constraint",
    str(REPOSITORY / "constraints.txt"),
)
TRIPLEO_VALIDATES = """
import json, sys, warnings
warnings.simplefilter("ignore")
from tripleo_common import exception
from tripleo_common.utils import nodes
for each in json.load(sys.stdin):
    try:
        nodes.validate_nodes(each)
        print(json.dumps([nodes.capabilities_to_dict(node["capabilities"]) for node in each]))
    except exception.InvalidNode as error:
        print(json.dumps(str(error)))
"""


def test_tripleo_itself_takes_the_filled_file_and_not_a_spoilt_one() -> None:
    python = peer(
        "tripleo",
        "TripleO's validation",
        TRIPLEO_NEEDS,
        runs("import tripleo_common.utils.nodes"),
        bare=("tripleo-common==18.0.0",),
    )
    # The validation of the last release knows "ports" alone; "mac" is of older ones.
    node = {**NODE, "ports": [{"address": "52:54:00:00:01:01"}]}
    del node["mac"]
    filled = _nodes({"nodes": [node]})
    spoilt = [{**filled[0], "capabilities": "profile"}, {**filled[0], "cpus": 16}]
    asked = json.dumps([filled, *([each] for each in spoilt)])
    done = subprocess.run(
        [python / "bin" / "python", "-c", TRIPLEO_VALIDATES],
        input=asked,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    taken, capabilities, field = (json.loads(line) for line in done.stdout.splitlines())
    assert taken == [{"boot_mode": "uefi", "profile": "control"}]
    assert "Invalid capabilities: profile" in capabilities
    assert "Unknown field cpus" in field
