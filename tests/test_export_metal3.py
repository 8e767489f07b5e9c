"""Labels of BareMetalHosts: which hosts get which, and that no label is drawn that Kubernetes would refuse."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from ahc_agent.errors import FileFormatError, UsageError
from ahc_server.export import FORMATS, Drawn, Material
from ahc_server.export.material import Document
from ahc_server.export.metal3 import labels_of, names
from ahc_server.profiles.model import Matches, Yields
from tests.export_helpers import fleet, match, matches


def _host(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "metal3.io/v1alpha1",
        "kind": "BareMetalHost",
        "metadata": {"name": name, "namespace": "metal3", "uid": f"uid-{name}", "labels": {"mine": "1"}},
        "spec": {"online": True, **spec},
    }


def _draw(hosts: list[dict[str, Any]], asked: Matches | None = None) -> Drawn:
    plain = {"apiVersion": "v1", "kind": "List", "items": hosts}
    return FORMATS["metal3"](
        Material(asked or matches(match("SN0001")), fleet(), Document("hosts.json", plain))
    )


def test_a_host_gets_the_label_of_its_profile_and_the_profiles_own() -> None:
    drawn = _draw([_host("h1", bootMACAddress="52:54:00:00:01:01")])
    assert json.loads(drawn.text) == {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "metal3.io/v1alpha1",
                "kind": "BareMetalHost",
                "metadata": {
                    "name": "h1",
                    "namespace": "metal3",
                    "uid": "uid-h1",
                    "labels": {"hardwareclassification.metal3.io/control": "matches", "ahc/rack": "r7"},
                },
            }
        ],
    }
    assert drawn.notes == []


@pytest.mark.parametrize(
    "host",
    [
        _host("h", bootMACAddress="52:54:00:00:02:01"),
        _host("h", bmc={"address": "redfish://10.0.0.2/redfish/v1/Systems/1", "credentialsName": "x"}),
        {**_host("h"), "status": {"hardware": {"nics": [{"mac": "52:54:00:00:02:02"}]}}},
        {**_host("h"), "status": {"hardware": {"systemVendor": {"serialNumber": "SN0002"}}}},
        _host("sn0002"),
    ],
)
def test_hosts_are_known_by_what_their_spec_and_their_own_inspection_say(host: dict[str, Any]) -> None:
    (item,) = json.loads(_draw([host], matches(match("SN0002", "compute"))).text)["items"]
    assert "hardwareclassification.metal3.io/compute" in item["metadata"]["labels"]


def test_a_host_without_a_profile_is_listed_without_labels_so_that_old_ones_go() -> None:
    drawn = _draw([_host("h1", bootMACAddress="52:54:00:00:01:01")], matches(match("SN0001", None)))
    (item,) = json.loads(drawn.text)["items"]
    assert item["metadata"]["labels"] == {}


def test_a_host_that_is_no_node_of_the_session_is_not_listed() -> None:
    drawn = _draw([_host("h9", bootMACAddress="00:11:22:33:44:55")])
    assert json.loads(drawn.text)["items"] == []
    assert drawn.notes == ["host metal3/h9: no node of the session is this machine"]


def test_an_empty_list_of_hosts_is_told_with_what_lists_all() -> None:
    drawn = _draw([])
    assert json.loads(drawn.text)["items"] == []
    assert drawn.notes == ["hosts.json: no hosts (kubectl get baremetalhosts -A has all)"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rack", "a b"),
        ("rack", "x" * 64),
        ("rack", "-a"),
        ("a/b/c", "x"),
        ("Upper.example/x", "x"),
        ("/x", "x"),
        ("x" * 64, "x"),
        ("rack", "line\n"),
    ],
)
def test_what_kubernetes_would_refuse_is_left_out_with_a_note(key: str, value: str) -> None:
    labels, notes = labels_of(match("SN0001", yields=Yields(labels={key: value, "ok": ""})))
    assert labels == {"hardwareclassification.metal3.io/control": "matches", "ok": ""}
    assert len(notes) == 1


def test_what_metal3_calls_a_node_has_its_namespace_and_a_name_alone_proves_nothing() -> None:
    machines = fleet(3)
    system = msgspec.structs.replace(machines["SN0002"].system, hostname="h2")
    machines["SN0002"] = msgspec.structs.replace(machines["SN0002"], system=system)
    hosts = [_host("h1", bootMACAddress="52:54:00:00:01:01"), _host("h2"), _host("sn0003")]
    document = Document("hosts.json", {"apiVersion": "v1", "kind": "List", "items": hosts})
    assert names(document, machines) == {"SN0001": "metal3/h1", "SN0003": "metal3/sn0003"}


def test_without_the_hosts_the_command_that_lists_them_is_named() -> None:
    with pytest.raises(UsageError, match="kubectl get baremetalhosts"):
        FORMATS["metal3"](Material(matches(match("SN0001")), fleet()))


@pytest.mark.parametrize(
    "plain", [{}, {"items": [{"kind": "Pod", "metadata": {"name": "p"}}]}, [{"kind": "BareMetalHost"}]]
)
def test_what_is_no_list_of_hosts_is_refused(plain: object) -> None:
    with pytest.raises(FileFormatError):
        FORMATS["metal3"](Material(matches(match("SN0001")), fleet(), Document("hosts.json", plain)))
