"""``ahc match`` in the forms of others, from an imported session to what is printed or written."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.export_helpers import fleet
from tests.import_helpers import Ahc

PROFILE = """
profile: control
requires:
  - cpu.cores: {at-least: 8}
yields:
  capabilities: {boot_option: local}
  traits: [CUSTOM_CONTROL]
  resource_class: rc.control
  firmware: {bios: ">=2.20"}
  bmc: {address: 10.0.0.0/24}
  labels: {rack: r7}
"""


@pytest.fixture
def ahc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ahc:
    """A store with a session of three machines, ``site/control.yaml``, and no OpenStack in the environment."""
    for name in ("OS_CLOUD", "OS_AUTH_URL", "OS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("site").mkdir()
    Path("site/control.yaml").write_text(PROFILE)
    Path("found").mkdir()
    for name, inventory in fleet().items():
        Path(f"found/{name}.json").write_bytes(msgspec.json.encode(inventory))
    run = Ahc(tmp_path / "state" / "ahc.db", monkeypatch, capsys)
    assert run("import", "found", "--session", "rack7")[0] == 0
    return run


def _match(ahc: Ahc, form: str, *more: object) -> tuple[int, str, str]:
    return ahc("match", "--profiles", "site", "--session", "rack7", "--format", form, *more)


def _write(name: str, plain: Any) -> str:
    Path(name).write_text(json.dumps(plain))
    return name


def test_patches_for_ironics_nodes_that_a_file_tells(ahc: Ahc) -> None:
    nodes = _write(
        "nodes.json", {"nodes": [{"uuid": "u2", "driver_info": {"redfish_address": "https://10.0.0.2"}}]}
    )
    status, out, err = _match(ahc, "ironic", "--registered", nodes)
    (change,) = json.loads(out)
    assert (status, err) == (0, "")
    assert (change["node"], change["matched"], change["traits"]) == ("u2", "SN0002", ["CUSTOM_CONTROL"])
    patch = {each["path"]: each["value"] for each in change["patch"]}
    assert patch["/properties/capabilities"] == "boot_option:local,profile:control"
    assert patch["/resource_class"] == "rc.control"


def test_rules_name_all_machines_of_the_profile(ahc: Ahc) -> None:
    status, out, _ = _match(ahc, "ironic-rules")
    (rule,) = json.loads(out)
    assert (status, rule["conditions"][0]["args"]["values"]) == (0, ["SN0001", "SN0002", "SN0003"])


def test_instackenv_is_filled_into_a_file_for_its_owner_alone(ahc: Ahc) -> None:
    nodes = _write(
        "instackenv.json", {"nodes": [{"pm_addr": "10.0.0.3", "pm_password": "s3cret", "cpu": None}]}
    )
    status, out, err = _match(ahc, "instackenv", "--instackenv", nodes, "--output", "new.json")
    assert (status, out, err) == (0, "", "")
    (node,) = json.loads(Path("new.json").read_text())["nodes"]
    assert (node["cpu"], node["capabilities"]) == ("16", "boot_option:local,profile:control")
    assert stat.S_IMODE(Path("new.json").stat().st_mode) == 0o600


def test_hosts_of_metal3_are_labelled(ahc: Ahc) -> None:
    host = {
        "kind": "BareMetalHost",
        "metadata": {"name": "h1"},
        "spec": {"bootMACAddress": "52:54:00:00:01:01"},
    }
    status, out, _ = _match(ahc, "metal3", "--registered", _write("hosts.json", {"items": [host]}))
    (item,) = json.loads(out)["items"]
    assert status == 0
    assert item["metadata"]["labels"] == {"hardwareclassification.metal3.io/control": "matches", "rack": "r7"}


def test_the_text_ends_with_what_is_not_yet_as_the_profile_wants_it(ahc: Ahc) -> None:
    status, out, _ = _match(ahc, "text")
    assert status == 0
    assert out.count("firmware bios: control wants >=2.20, found 2.19.1") == 3
    assert "bmc address" not in out


def test_the_json_form_holds_it_as_data(ahc: Ahc) -> None:
    _, out, _ = _match(ahc, "json")
    drifts = json.loads(out)["drifts"]
    assert [drift["node"] for drift in drifts] == ["SN0001", "SN0002", "SN0003"]
    assert (drifts[0]["name"], drifts[0]["expected"], drifts[0]["found"]) == ("bios", ">=2.20", "2.19.1")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("instackenv",), "--instackenv FILE"),
        (("metal3",), "kubectl get baremetalhosts"),
        (("metal3", "--apply"), "--apply"),
        (("ironic", "--apply"), "where is Ironic"),
        (("ironic", "--apply", "--registered", "found/SN0001.json"), "leave --registered out"),
        (("instackenv", "--registered", "found/SN0001.json"), "not an instackenv.json"),
        (("ironic", "--registered", "nowhere.json"), "cannot be read"),
    ],
)
def test_wrong_use_is_told_with_what_to_do(ahc: Ahc, arguments: tuple[str, ...], why: str) -> None:
    status, out, err = _match(ahc, *arguments)
    assert (status, out) == (2, "")
    assert why in err
