"""Redfish by sushy, against an HTTP server that answers as DMTF's schemas have it."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ahc_server.bmc import ask
from ahc_server.bmc.ask import Act, Ask
from ahc_server.bmc.link import load
from ahc_server.bmc.model import Answer
from ahc_server.bmc.secret import Secret
from ahc_server.bmc.target import Login, Target
from ahc_server.bmc.workers import ask_all
from tests.certificates import self_signed

pytest.importorskip("sushy", reason="needs sushy, the extra ahc[redfish]")

V1 = "/redfish/v1"
UUID = "a1b2c3d4-e5f6-0718-293a-4b5c6d7e8f90"


def link(path: str) -> dict[str, str]:
    return {"@odata.id": f"{V1}{path}"}


def members(*paths: str) -> dict[str, Any]:
    return {"Name": "c", "Members": [link(path) for path in paths], "Members@odata.count": len(paths)}


def resources() -> dict[str, Any]:
    ok, bad = {"State": "Enabled", "Health": "OK"}, {"State": "Enabled", "Health": "Critical"}
    return {
        "/": {
            "Id": "RootService",
            "Name": "root",
            "RedfishVersion": "1.6.0",
            "Systems": link("/Systems"),
            "Managers": link("/Managers"),
            "Chassis": link("/Chassis"),
        },
        "/Systems": members("/Systems/1"),
        "/Systems/1": {
            "Id": "1",
            "Name": "s",
            "UUID": UUID,
            "PowerState": "Off",
            "Manufacturer": "ACME",
            "Model": "Rocket",
            "SerialNumber": "S1",
            "Boot": {
                "BootSourceOverrideEnabled": "Disabled",
                "BootSourceOverrideTarget": "None",
                "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd"],
            },
            "Actions": {
                "#ComputerSystem.Reset": {
                    "target": f"{V1}/Systems/1/Reset",
                    "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "ForceRestart"],
                }
            },
            "Links": {"Chassis": [link("/Chassis/1")], "ManagedBy": [link("/Managers/1")]},
        },
        "/Managers": members("/Managers/1"),
        "/Managers/1": {
            "Id": "1",
            "Name": "m",
            "FirmwareVersion": "2.61",
            "LogServices": link("/Managers/1/LogServices"),
        },
        "/Managers/1/LogServices": members("/Managers/1/LogServices/SEL"),
        "/Managers/1/LogServices/SEL": {
            "Id": "SEL",
            "Name": "l",
            "Entries": link("/Managers/1/LogServices/SEL/Entries"),
        },
        "/Managers/1/LogServices/SEL/Entries": {
            "Name": "e",
            "Members": [
                {
                    "Id": "7",
                    "Created": "2026-01-31T10:00:00Z",
                    "Severity": "Critical",
                    "SensorType": "Power Supply",
                    "Message": "Power supply redundancy is lost.",
                    "Name": "PS Redundancy",
                }
            ],
        },
        "/Chassis": members("/Chassis/1"),
        "/Chassis/1": {
            "Id": "1",
            "Name": "c",
            "ChassisType": "RackMount",
            "Thermal": link("/Chassis/1/Thermal"),
            "Power": link("/Chassis/1/Power"),
        },
        "/Chassis/1/Thermal": {
            "Id": "Thermal",
            "Name": "t",
            "Temperatures": [{"MemberId": "0", "Name": "Inlet", "ReadingCelsius": 21, "Status": ok}],
            "Fans": [{"MemberId": "0", "Name": "Fan 1", "Reading": 0, "ReadingUnits": "RPM", "Status": bad}],
        },
        "/Chassis/1/Power": {
            "Id": "Power",
            "Name": "p",
            "PowerSupplies": [{"MemberId": "0", "Name": "PS1", "LastPowerOutputWatts": 180, "Status": ok}],
        },
    }


class _Handler(BaseHTTPRequestHandler):
    def _answer(self, status: int, body: object = None) -> None:
        data = json.dumps(body if body is not None else {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _path(self) -> str:
        return self.path.removeprefix(V1).rstrip("/") or "/"

    def _may(self) -> bool:
        """The root is for everybody, as the specification has it."""
        login = base64.b64encode(b"admin:s3cr3t-Word").decode()
        if self._path() == "/" or self.headers.get("Authorization") == f"Basic {login}":
            return True
        self._answer(401, {"error": {"message": "no"}})
        return False

    def do_GET(self) -> None:
        if self._may():
            found = self.server.resources.get(self._path())  # type: ignore[attr-defined]
            self._answer(404 if found is None else 200, found and {"@odata.id": self.path, **found})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._may():
            system = self.server.resources["/Systems/1"]  # type: ignore[attr-defined]
            system["PowerState"] = "Off" if body["ResetType"] == "ForceOff" else "On"
            self._answer(204)

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._may():
            self.server.resources["/Systems/1"]["Boot"].update(body["Boot"])  # type: ignore[attr-defined]
            self._answer(200, {})

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.resources = resources()  # type: ignore[attr-defined]
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield http
        http.shutdown()
        thread.join()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path / "bmc.pem")


def test_a_certificate_that_nobody_vouches_for_is_said_as_such_and_taken_when_told(
    server: ThreadingHTTPServer, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    refused = asked(server, ask.status(), scheme="https")
    assert refused.failure is not None
    assert refused.failure.trouble == "locked"
    assert "certificate is not trusted" in refused.failure.problem
    assert asked(server, ask.status(), scheme="https", verify=False).power == "off"


def asked(
    server: ThreadingHTTPServer,
    act: Act,
    password: str = "s3cr3t-Word",
    scheme: str = "http",
    verify: bool = True,
) -> Answer:
    port = server.server_address[1]
    one = Target(
        node="r1",
        host="127.0.0.1",
        port=port,
        login=Login("admin", Secret(password)),
        speaks="redfish",
        url=f"{scheme}://127.0.0.1:{port}",
        verify=verify,
    )
    load([one])
    [answer] = ask_all([one], Ask(act), at_once=1, time_limit_s=90)
    return answer


def test_status(server: ThreadingHTTPServer) -> None:
    answer = asked(server, ask.status())
    assert answer.failure is None
    assert (answer.power, answer.boot, answer.uuid, answer.firmware) == ("off", "default", UUID, "2.61")


def test_power_and_boot_device_are_read_back(server: ThreadingHTTPServer) -> None:
    assert asked(server, ask.boot_device("network", always=False)).boot == "network"
    assert asked(server, ask.power("on", soft_s=0)).said == "power on done"
    assert asked(server, ask.power("off", soft_s=1, settle_s=5)).power == "off"


def test_sensors_and_log(server: ThreadingHTTPServer) -> None:
    answer = asked(server, ask.everything())
    assert answer.failure is None
    readings = {each.name: each for each in answer.sensors or []}
    assert (readings["Inlet"].value, readings["Inlet"].health) == (21, "ok")
    assert (readings["Fan 1"].value, readings["Fan 1"].health) == (0, "critical")
    assert readings["PS1"].kind == "Power Supply"
    [event] = answer.events or []
    assert (event.record, event.health, event.event) == (7, "critical", "Power supply redundancy is lost.")


def test_parts(server: ThreadingHTTPServer) -> None:
    [system] = asked(server, ask.frus()).frus or []
    assert system.fields["Serial Number"] == "S1"


def test_a_wrong_password_is_said_as_such(server: ThreadingHTTPServer) -> None:
    answer = asked(server, ask.status(), "not-The-1")
    assert answer.failure is not None
    assert answer.failure.trouble == "locked"
    assert "not-The-1" not in answer.failure.problem


def test_what_the_machine_does_not_show_is_named(server: ThreadingHTTPServer) -> None:
    for path in ("/Chassis/1/Thermal", "/Chassis/1/Power"):
        del server.resources[path]  # type: ignore[attr-defined]
    answer = asked(server, ask.sensors())
    assert answer.failure is not None
    assert answer.failure.trouble == "cannot"
