"""``ahc bmc`` over Redfish against sushy-tools' emulator: a server that others wrote, whose power takes seconds to change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import self_signed
from tests.import_helpers import Ahc
from tests.redfish_emulator import emulator

pytest.importorskip("sushy", reason="needs sushy, the extra ahc[redfish]")

PASSWORD = "s3cr3t-Word"
MACHINES = [
    ("a1b2c3d4-e5f6-0718-293a-4b5c6d7e8f90", "n1"),
    ("b1b2c3d4-e5f6-0718-293a-4b5c6d7e8f90", "n2"),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulator(tmp_path_factory.mktemp("emulator"), MACHINES, "admin", PASSWORD) as url:
        yield url


@pytest.fixture
def ahc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ahc:
    monkeypatch.chdir(tmp_path)
    return Ahc(tmp_path / "ahc.db", monkeypatch, capsys)


def nodes(url: str, password: str = PASSWORD, **more: Any) -> str:
    """A nodes file with both machines of the emulator, as a path."""
    listed = [
        {
            "name": name,
            "pm_type": "redfish",
            "pm_addr": url,
            "pm_user": "admin",
            "pm_password": password,
            "pm_system_id": f"/redfish/v1/Systems/{uuid}",
            **more,
        }
        for uuid, name in MACHINES
    ]
    path = Path("nodes.json")
    path.write_text(json.dumps({"nodes": listed}))
    path.chmod(0o600)
    return str(path)


def answers(out: str) -> dict[str, dict[str, Any]]:
    return {each["node"]: each for each in json.loads(out)["nodes"]}


def test_status_tells_power_boot_device_and_uuid_of_each_system(ahc: Ahc, url: str) -> None:
    status, out, err = ahc("bmc", "status", "--nodes", nodes(url), "--format", "json")
    assert (status, err) == (0, "")
    told = answers(out)
    assert {name: told[name]["uuid"] for _, name in MACHINES} == {name: uuid for uuid, name in MACHINES}
    assert {each["power"] for each in told.values()} == {"off"}
    assert {each["boot"] for each in told.values()} == {"disk (always)"}


def test_the_next_start_is_from_the_network_and_back_again(ahc: Ahc, url: str) -> None:
    for device in ("network", "disk"):
        status, out, err = ahc("bmc", "boot-device", device, "--nodes", nodes(url), "--format", "json")
        assert (status, err) == (0, "")
        assert all(each["boot"].startswith(device) for each in answers(out).values())


def test_power_is_waited_for_until_it_is_on_and_off(ahc: Ahc, url: str) -> None:
    """The emulator's machines take up to eleven seconds."""
    for action in ("on", "off"):
        status, out, err = ahc("bmc", "power", action, "--nodes", nodes(url), "--format", "json")
        assert (status, err) == (0, "")
        assert {each["power"] for each in answers(out).values()} == {action}


def test_a_wrong_password_is_locked_and_shown_nowhere(ahc: Ahc, url: str) -> None:
    status, out, err = ahc("bmc", "status", "--nodes", nodes(url, "wr0ng-Word"), "--format", "json")
    assert status == 3
    assert {each["failure"]["trouble"] for each in answers(out).values()} == {"locked"}
    assert "wr0ng" not in out + err


def test_over_tls_its_certificate_is_asked_for(ahc: Ahc, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "bmc.pem")
    with emulator(tmp_path, MACHINES, "admin", PASSWORD, certificate) as url:
        status, out, _ = ahc("bmc", "status", "--nodes", nodes(url), "--format", "json")
        assert status == 3
        assert all(
            "certificate is not trusted" in each["failure"]["problem"] for each in answers(out).values()
        )
        status, out, _ = ahc("bmc", "status", "--nodes", nodes(url, pm_verify_ca=False), "--format", "json")
        assert (status, {each["power"] for each in answers(out).values()}) == (0, {"off"})
