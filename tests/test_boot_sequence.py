"""A machine that boots, in a namespace: real cards (veth), a real DHCP server and client, a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot_helpers import SERVER, Site, site

pytestmark = pytest.mark.root


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


def test_a_machine_finds_an_address_and_the_server(one: Site) -> None:
    _, key = one.serve()
    one.dhcp()
    machine = one.boot(f"quiet ahc.server={SERVER}:5570 ahc.key={key}")
    machine.says("joined the server")
    assert machine.said.count("joined the server") == 1
    assert "10.77.0." in one.ip("address", "show", "dev", "c0")
