"""What is drawn for Ironic: patches and traits, sent to a real Ironic that decides what it takes; and its inspection rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ahc_agent.errors import CannotAnswer, FileFormatError, UsageError
from ahc_server.commands.match_export import export
from ahc_server.export import FORMATS, Material
from ahc_server.export.ironic import names
from ahc_server.export.material import Document
from ahc_server.profiles.model import Matches, Yields
from tests.export_helpers import RAID, fleet, match, matches
from tests.ironic_helpers import ABSENT, running_ironic

#: openstacksdk warns of its own parts.
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")


def _draw(
    asked: Matches, nodes: list[dict[str, Any]] | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    registered = None if nodes is None else Document("nodes.json", {"nodes": nodes})
    drawn = FORMATS["ironic"](Material(asked, fleet(), registered))
    return json.loads(drawn.text), drawn.notes


ENROLLED = {
    "uuid": "u-1",
    "name": "rack7-1",
    "properties": {"capabilities": "boot_option:local,profile:old"},
    "extra": {"note": "mine"},
    "traits": ["CUSTOM_CONTROL", "CUSTOM_MINE"],
    "driver_info": {"ipmi_address": "10.0.0.1", "ipmi_password": "s3cret"},
}


def test_the_profile_is_merged_into_what_is_there() -> None:
    (change,), notes = _draw(matches(match("SN0001")), [ENROLLED])
    assert notes == []
    assert (change["node"], change["matched"], change["by"]) == ("u-1", "SN0001", "bmc")
    assert {each["path"]: (each["op"], each["value"]) for each in change["patch"]} == {
        "/properties/cpus": ("add", 16),
        "/properties/memory_mb": ("add", 65536),
        "/properties/local_gb": ("add", 99),
        "/properties/cpu_arch": ("add", "x86_64"),
        "/properties/capabilities": ("replace", "boot_option:local,profile:control,boot_mode:uefi"),
        "/extra/target_raid_config": ("add", RAID),
        "/extra/target_bios_settings": ("add", [{"name": "LogicalProc", "value": "Enabled"}]),
    }
    assert change["traits"] == ["CUSTOM_FAST_DISK"]


def test_a_node_that_is_as_it_should_be_is_not_patched() -> None:
    done = {
        **ENROLLED,
        "properties": {
            "cpus": "16",  # text and number say the same
            "memory_mb": 65536,
            "local_gb": 99,
            "cpu_arch": "x86_64",
            "capabilities": "boot_mode:uefi,profile:control",
        },
        "extra": {
            "target_raid_config": RAID,
            "target_bios_settings": [{"name": "LogicalProc", "value": "Enabled"}],
        },
        "traits": ["CUSTOM_CONTROL", "CUSTOM_FAST_DISK"],
    }
    assert _draw(matches(match("SN0001")), [done]) == ([], [])


def test_a_node_without_a_profile_keeps_its_old_one_and_a_note_says_so() -> None:
    (change,), notes = _draw(matches(match("SN0001", None)), [ENROLLED])
    assert "/properties/capabilities" not in {each["path"] for each in change["patch"]}
    assert notes == ["rack7-1: keeps profile:old, though it matches no profile now: no profile fits"]


def test_a_resource_class_is_set_where_it_is_another() -> None:
    asked = matches(match("SN0001", yields=Yields(resource_class="rc.control")))
    (change,), _ = _draw(asked, [{**ENROLLED, "resource_class": "baremetal"}])
    assert {"op": "add", "path": "/resource_class", "value": "rc.control"} in change["patch"]
    (change,), _ = _draw(asked, [{**ENROLLED, "resource_class": "rc.control"}])
    assert "/resource_class" not in {each["path"] for each in change["patch"]}


@pytest.mark.parametrize("broken", ["profile", 7, ["profile:x"]])
def test_capabilities_that_cannot_be_read_are_left_alone(broken: object) -> None:
    node = {**ENROLLED, "properties": {"capabilities": broken}}
    (change,), (note,) = _draw(matches(match("SN0001")), [node])
    assert "/properties/capabilities" not in {each["path"] for each in change["patch"]}
    assert "left alone" in note


def test_capabilities_that_stand_twice_are_kept_but_for_the_profile_and_told() -> None:
    text = "profile:a,node:1,profile:control,node:2,boot_mode:uefi"
    (change,), notes = _draw(matches(match("SN0001")), [{**ENROLLED, "properties": {"capabilities": text}}])
    written = {each["path"]: each["value"] for each in change["patch"]}
    assert written["/properties/capabilities"] == "profile:control,node:1,node:2,boot_mode:uefi"
    assert notes == [
        "rack7-1: the capability profile stands there 2 times (a, control): profile:control takes their place",
        "rack7-1: the capability node stands there 2 times (1, 2), and Ironic reads now the first and now the last:"
        " left as they are",
    ]


def test_more_traits_than_ironic_takes_are_refused_with_the_node_and_the_traits() -> None:
    own = [f"CUSTOM_{number}" for number in range(49)]
    (change,), _ = _draw(
        matches(match("SN0001", yields=Yields(traits=["new"]))), [{**ENROLLED, "traits": own}]
    )
    assert change["traits"] == ["CUSTOM_NEW"], "the fiftieth"
    for traits in ([*own, "CUSTOM_49"], [*own, "CUSTOM_49", "CUSTOM_50"]):
        with pytest.raises(CannotAnswer) as refused:
            _draw(matches(match("SN0001", yields=Yields(traits=["new"]))), [{**ENROLLED, "traits": traits}])
        assert str(refused.value).startswith(
            f"rack7-1 would have {len(traits) + 1} traits, Ironic takes 50 a node at most: it has {len(traits)},"
            " its profile adds CUSTOM_NEW ("
        )
    many = match("SN0001", yields=Yields(traits=[f"t{number}" for number in range(51)]))
    for form in ("ironic", "ironic-rules"):
        with pytest.raises(CannotAnswer, match=r"SN0001 would have 51 traits.* adds CUSTOM_T0, CUSTOM_T1, "):
            FORMATS[form](Material(matches(many), fleet()))
    unchanged = {**ENROLLED, "traits": [*own, "CUSTOM_49", "CUSTOM_50"]}
    (change,), _ = _draw(matches(match("SN0001", yields=Yields())), [unchanged])
    assert change["traits"] == [], "where nothing is added, nothing is refused"


def test_what_would_become_two_capabilities_is_left_out() -> None:
    yields = Yields(capabilities={"disk": "sda,profile:compute", "a:b": "c"})
    (change,), notes = _draw(matches(match("SN0001", yields=yields)), [ENROLLED])
    written = {each["path"]: each["value"] for each in change["patch"]}
    assert written["/properties/capabilities"] == "boot_option:local,profile:control"
    assert len(notes) == 2


def test_without_ironics_nodes_the_patches_are_for_fresh_ones_and_a_note_says_so() -> None:
    drawn, notes = _draw(matches(match("SN0001"), match("SN0002", None)))
    assert [each["node"] for each in drawn] == [None] * 3
    assert drawn[0]["macs"] == ["52:54:00:00:01:01", "52:54:00:00:01:02"]
    assert "nothing is known of Ironic's nodes" in notes[-1]


def test_nothing_of_a_password_is_drawn() -> None:
    drawn = FORMATS["ironic"](
        Material(
            matches(match("SN0001")),
            fleet(),
            Document("n", {"nodes": [ENROLLED, {**ENROLLED, "uuid": "u-2"}]}),
        )
    )
    assert drawn.notes
    assert "s3cret" not in drawn.text + "".join(drawn.notes)


@pytest.mark.parametrize("plain", [{"nodes": {}}, {"servers": []}, [1], "x", None])
def test_what_is_no_list_of_nodes_is_refused(plain: object) -> None:
    with pytest.raises(FileFormatError, match="not Ironic's list of nodes"):
        FORMATS["ironic"](Material(matches(match("SN0001")), fleet(), Document("n.json", plain)))


def test_what_ironic_calls_a_node_is_its_name_or_its_uuid_and_a_name_alone_proves_nothing() -> None:
    mac = "52:54:00:00:{:02x}:02"
    nodes = [
        {"uuid": "u1", "name": "rack7-1"},
        {"uuid": "u2", "name": None},
        {"uuid": "u3", "name": "host3"},
        {"uuid": "u4", "name": "sn0004"},
    ]
    ports = [{"address": mac.format(number), "node_uuid": f"u{number}"} for number in (1, 2)]
    machines = fleet(4)
    system = machines["SN0003"].system
    machines["SN0003"] = msgspec.structs.replace(
        machines["SN0003"], system=msgspec.structs.replace(system, hostname="host3")
    )
    document = Document("nodes.json", {"nodes": nodes, "ports": ports})
    assert names(document, machines) == {"SN0001": "rack7-1", "SN0002": "u2", "SN0004": "sn0004"}


# ---- a real Ironic


@pytest.fixture(scope="module")
def ironic_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if ABSENT:
        pytest.skip(ABSENT)
    with running_ironic(tmp_path_factory.mktemp("ironic")) as url:
        yield url


@pytest.fixture
def cloud(ironic_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """openstacksdk's connection to an Ironic without nodes and rules."""
    import openstack

    for name in ("OS_CLOUD", "OS_AUTH_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OS_AUTH_TYPE", "none")
    monkeypatch.setenv("OS_ENDPOINT", ironic_url)
    with openstack.connect() as connection:
        yield connection
        for node in connection.baremetal.nodes():
            connection.baremetal.delete_node(node.id)


def _enroll(cloud: Any, number: int, **more: Any) -> Any:
    node = cloud.baremetal.create_node(driver="fake-hardware", name=f"rack7-{number}", **more)
    cloud.baremetal.create_port(node_id=node.id, address=f"52:54:00:00:{number:02x}:02")
    return node


def _send(asked: Matches, **more: Any) -> None:
    export("ironic", asked, fleet(), registered=None, output=None, apply=True, **more)


def test_ironic_takes_the_changes_and_a_second_run_has_none(
    cloud: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    node = _enroll(cloud, 1, properties={"capabilities": "boot_option:local"}, extra={"note": "mine"})
    cloud.baremetal.add_node_trait(node.id, "CUSTOM_MINE")
    stranger = _enroll(cloud, 77)
    _send(matches(match("SN0001"), match("SN0002")))
    out, err = capsys.readouterr()
    assert out == "1 node changed in Ironic, 0 refused\n"
    assert "rack7-77: no node of the session is this machine" in err
    taken = cloud.baremetal.get_node(node.id)
    assert taken.properties == {
        "capabilities": "boot_option:local,boot_mode:uefi,profile:control",
        "cpus": 16,
        "memory_mb": 65536,
        "local_gb": 99,
        "cpu_arch": "x86_64",
    }
    assert taken.extra["note"] == "mine"
    assert sorted(taken.traits) == ["CUSTOM_CONTROL", "CUSTOM_FAST_DISK", "CUSTOM_MINE"]
    # What is kept for the operator's cleaning is what Ironic itself takes as the target of a node.
    answer = cloud.baremetal.put(
        f"/nodes/{node.id}/states/raid", json=taken.extra["target_raid_config"], microversion="1.12"
    )
    assert answer.status_code == 204
    assert cloud.baremetal.get_node(stranger.id).properties == {}
    _send(matches(match("SN0001"), match("SN0002")))
    assert capsys.readouterr().out == "0 nodes changed in Ironic, 0 refused\n"


def test_what_is_kept_of_bios_settings_is_what_ironics_cleaning_takes(cloud: Any) -> None:
    node = _enroll(cloud, 1)
    _send(
        matches(match("SN0001", yields=Yields(bios={"LogicalProc": "Enabled"}, resource_class="rc.control")))
    )
    taken = cloud.baremetal.get_node(node.id)
    assert taken.resource_class == "rc.control"
    settings = taken.extra["target_bios_settings"]
    step = {"interface": "bios", "step": "apply_configuration", "args": {"settings": settings}}
    cloud.baremetal.set_node_provision_state(node.id, "manage", wait=True, timeout=120)
    cloud.baremetal.set_node_provision_state(node.id, "clean", clean_steps=[step], wait=True, timeout=120)
    (found,) = cloud.baremetal.get(f"/nodes/{node.id}/bios", microversion="1.40").json()["bios"]
    assert (found["name"], found["value"]) == ("LogicalProc", "Enabled")


def test_without_apply_ironic_is_only_read(cloud: Any, capsys: pytest.CaptureFixture[str]) -> None:
    node = _enroll(cloud, 1)
    export("ironic", matches(match("SN0001")), fleet(), registered=None, output=None, apply=False)
    (change,) = json.loads(capsys.readouterr().out)
    assert (change["node"], change["by"]) == (node.id, "mac")
    assert cloud.baremetal.get_node(node.id).properties == {}


def test_one_refusal_does_not_stop_the_others_and_is_no_success(
    cloud: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = _enroll(cloud, 1), _enroll(cloud, 2)
    with pytest.raises(CannotAnswer, match=r"refused the changes of 1 node$"):
        _send(matches(match("SN0001", yields=Yields(traits=["HW_NO_SUCH_THING"])), match("SN0002")))
    assert "rack7-1: Ironic refused" in capsys.readouterr().err
    assert cloud.baremetal.get_node(second.id).properties["capabilities"].endswith("profile:control")
    assert cloud.baremetal.get_node(first.id).traits == []


def test_ironics_limit_of_traits_is_kept_before_anything_is_sent(cloud: Any) -> None:
    first, second = _enroll(cloud, 1), _enroll(cloud, 2)
    cloud.baremetal.set_node_traits(first, [f"CUSTOM_{number}" for number in range(49)])
    with pytest.raises(CannotAnswer, match="rack7-1 would have 51 traits, Ironic takes 50"):
        _send(matches(match("SN0001"), match("SN0002")))
    assert [cloud.baremetal.get_node(node.id).properties for node in (first, second)] == [{}, {}]
    cloud.baremetal.add_node_trait(first, "CUSTOM_49")
    with pytest.raises(Exception, match="maximum number of traits per node"):
        cloud.baremetal.add_node_trait(first, "CUSTOM_50")


def test_ironic_takes_the_inspection_rules(cloud: Any) -> None:
    asked = matches(match("SN0001"), match("SN0002", "compute", Yields(capabilities={"a": "{b}"})))
    for rule in json.loads(FORMATS["ironic-rules"](Material(asked, fleet())).text):
        answer = cloud.baremetal.post("/inspection_rules", json=rule, microversion="1.96")
        assert answer.status_code == 201, answer.text
        cloud.baremetal.delete(f"/inspection_rules/{answer.json()['uuid']}", microversion="1.96")


def test_an_ironic_that_is_not_there_cannot_answer(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CannotAnswer, match="Ironic"):
        _send(matches(match("SN0001")))


@pytest.mark.parametrize(
    "variables",
    [
        {"OS_CLOUD": "no-such-cloud"},
        {"OS_AUTH_URL": "http://127.0.0.1:9/v3"},
        {"OS_ENDPOINT": "http://127.0.0.1:9", "OS_AUTH_TYPE": "no-such-plugin"},
    ],
)
def test_a_cloud_that_is_not_set_up_is_told_in_a_sentence(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if ABSENT:
        pytest.skip(ABSENT)
    for name in ("OS_CLOUD", "OS_AUTH_URL", "OS_ENDPOINT", "OS_AUTH_TYPE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((UsageError, CannotAnswer), match="Ironic: "):
        _send(matches(match("SN0001")))


def test_apply_asks_for_an_endpoint_and_goes_with_ironic_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("OS_CLOUD", "OS_AUTH_URL", "OS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="where is Ironic"):
        _send(matches(match("SN0001")))
    with pytest.raises(UsageError, match="--format ironic alone"):
        export("metal3", matches(match("SN0001")), fleet(), registered=None, output=None, apply=True)
