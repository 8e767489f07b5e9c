"""Labels of BareMetalHosts by the commands of docs/metal3.md, as they stand there, against a real API server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from ahc_server.export.metal3 import PREFIX, labels_of
from ahc_server.profiles.model import Yields
from tests.cluster_helpers import Cluster, documented, running_cluster
from tests.conftest import REPOSITORY
from tests.export_helpers import fleet, match

pytestmark = [pytest.mark.machines, pytest.mark.timeout(1800)]

APPLY = "kubectl apply --server-side --field-manager=ahc -f labels.json"
CONTROL, COMPUTE = {f"{PREFIX}/control": "matches"}, {f"{PREFIX}/compute": "matches"}
MINE = {"mine": "1"}


@dataclass(frozen=True, slots=True)
class Site:
    """A folder with a session of three machines, and a shell whose ahc and kubectl know the store and the cluster."""

    folder: Path
    cluster: Cluster
    path: str

    def run(self, *commands: str, user: str = "gate", status: int = 0) -> str:
        """Commands one after the other, to the first that fails; what they tell."""
        done = subprocess.run(
            ["sh", "-e"],
            input="\n".join(commands),
            cwd=self.folder,
            env={
                **self.cluster.environment(user),
                "PATH": f"{self.folder}:{self.path}",
                "PYTHONPATH": str(REPOSITORY),
                "XDG_STATE_HOME": str(self.folder / "state"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    def profiles(self, *names: str) -> str:
        """Another match, by profiles that fit every machine: so many machines have each, in the order of the names."""
        shutil.rmtree(self.folder / "site", ignore_errors=True)
        (self.folder / "site").mkdir()
        for number, name in enumerate(names):
            text = f"profile: {name}\npriority: {50 - number}\nquota: {{max: 1}}\nrequires:\n  - cpu.cores: {{at-least: 1}}\n"
            (self.folder / "site" / f"{name}.yaml").write_text(text)
        # It ends with 1, since there are machines without a profile.
        return documented("metal3.md")[1].replace("ahc match", "! ahc match --profiles site")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(params=["its own kubectl", "the installed kubectl"])
def path(request: pytest.FixtureRequest, cluster: Cluster) -> str:
    """Where kubectl is: one as old as the server, and whichever is installed."""
    if request.param == "its own kubectl":
        return f"{cluster.programs}:{os.environ['PATH']}"
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    return os.environ["PATH"]


@pytest.fixture
def site(tmp_path: Path, cluster: Cluster, path: str) -> Site:
    """Hosts h1 to h3 are the machines: by MAC, by BMC and, in another namespace, by what its inspection found. h4 is none."""
    (tmp_path / "ahc").write_text(f'#!/bin/sh\nexec {sys.executable} -m ahc_server "$@"\n')
    (tmp_path / "ahc").chmod(0o755)
    (tmp_path / "found").mkdir()
    for name, inventory in fleet().items():
        nics = [msgspec.structs.replace(nic, speed_mbps=10_000) for nic in inventory.nics]
        found = msgspec.structs.replace(inventory, nics=nics)
        (tmp_path / "found" / f"{name}.json").write_bytes(msgspec.json.encode(found))
    for namespace in ("metal3", "site2"):
        cluster.kubectl("delete", "bmh", "--all", "-n", namespace)
    cluster.add_host("h1", bootMACAddress="52:54:00:00:01:01")
    cluster.add_host("h2", bmc={"address": "redfish://10.0.0.2/redfish/v1/Systems/1", "credentialsName": "x"})
    cluster.add_host("h3", "site2", found={"systemVendor": {"serialNumber": "SN0003"}})
    cluster.add_host("h4", bootMACAddress="00:11:22:33:44:55")
    site = Site(tmp_path, cluster, path)
    site.run("ahc import found --session rack7")
    return site


def test_the_documented_commands_label_every_host_of_the_session_and_change_nothing_else(site: Site) -> None:
    ask, draw, *dry, apply = documented("metal3.md")
    assert apply == APPLY
    told = site.run(ask, draw, *dry)
    assert "h1 serverside-applied (server dry run)" in told
    assert "host metal3/h4: no node of the session is this machine" in told
    before = [site.cluster.get("bmh", *where) for where in (("h1", "-n", "metal3"), ("h3", "-n", "site2"))]
    assert [host["metadata"]["labels"] for host in before] == [MINE, MINE]
    shown = site.run("kubectl diff --server-side --field-manager=ahc -f labels.json", status=1)
    assert shown.count(f"\n+    {PREFIX}/control: matches\n") == 3
    told = site.run(apply)
    assert sorted(told.splitlines()[-3:]) == [
        f"baremetalhost.metal3.io/h{n} serverside-applied" for n in (1, 2, 3)
    ]
    labels = [site.cluster.labels("h1"), site.cluster.labels("h2"), site.cluster.labels("h3", "site2")]
    assert labels == [MINE | CONTROL] * 3
    assert site.cluster.labels("h4") == MINE
    after = site.cluster.get("bmh", "h3", "-n", "site2")
    assert (after["spec"], after["status"]) == (before[1]["spec"], before[1]["status"])
    assert site.cluster.kubectl(
        "get", "bmh", "-A", "-l", f"{PREFIX}/control=matches", "-o", "name"
    ).split() == [f"baremetalhost.metal3.io/h{n}" for n in (1, 2, 3)]


def test_a_host_that_changes_its_profile_has_one_label_and_one_without_has_none(site: Site) -> None:
    ask, draw, *_ = documented("metal3.md")
    site.run(ask, draw, APPLY)
    site.run(site.profiles("compute"), APPLY)
    found = [site.cluster.labels(*host) for host in (("h1",), ("h2",), ("h3", "site2"))]
    assert sorted(found, key=len) == [MINE, MINE, MINE | COMPUTE]


def test_a_host_that_was_deleted_or_made_anew_meanwhile_gets_nothing_and_keeps_no_other_from_it(
    site: Site,
) -> None:
    site.run(*documented("metal3.md")[:2])
    site.cluster.kubectl("delete", "bmh", "h1", "h2", "-n", "metal3")
    site.cluster.add_host("h2")
    told = site.run(APPLY, user="admin", status=1)
    assert "uid mismatch" in told and "immutable" in told
    names = site.cluster.kubectl("get", "bmh", "-n", "metal3", "-o", "name").split()
    assert names == ["baremetalhost.metal3.io/h2", "baremetalhost.metal3.io/h4"]
    assert site.cluster.labels("h2") == MINE
    assert site.cluster.labels("h3", "site2") == MINE | CONTROL


def test_a_label_that_somebody_else_has_set_otherwise_is_left_to_them(site: Site) -> None:
    site.cluster.kubectl("label", "bmh", "h1", "-n", "metal3", f"{PREFIX}/control=no")
    told = site.run(*documented("metal3.md")[:2], APPLY, status=1)
    assert f".metadata.labels.{PREFIX}/control" in told and "conflict" in told
    assert site.cluster.labels("h1") == MINE | {f"{PREFIX}/control": "no"}
    assert site.cluster.labels("h2") == MINE | CONTROL


def test_a_label_that_somebody_else_has_set_alike_stays_theirs(site: Site) -> None:
    """As the hardware-classification-controller would."""
    site.cluster.kubectl("label", "bmh", "h1", "-n", "metal3", f"{PREFIX}/control=matches")
    site.run(*documented("metal3.md")[:2], APPLY)
    site.run(site.profiles("compute"), APPLY)
    assert f"{PREFIX}/control" in site.cluster.labels("h1")
    assert f"{PREFIX}/control" not in site.cluster.labels("h2")


def test_labels_and_the_gates_quarantine_leave_each_other_alone(site: Site) -> None:
    site.cluster.kubectl("label", "bmh", "h1", "-n", "metal3", "ahc/gate=closed")
    site.run(*documented("metal3.md"))
    site.run(site.profiles("compute"), APPLY)
    assert site.cluster.labels("h1").get("ahc/gate") == "closed"
    site.cluster.kubectl("label", "bmh", "--all", "-n", "metal3", "ahc/gate-")
    site.run(documented("metal3.md")[1], APPLY)
    assert site.cluster.labels("h1") == MINE | CONTROL


def test_without_hosts_nothing_is_applied_and_both_say_why(site: Site) -> None:
    told = site.run(
        "kubectl get baremetalhosts -n default -o json > hosts.json", *documented("metal3.md")[1:], status=1
    )
    assert "hosts.json: no hosts" in told and "no objects passed to apply" in told


def test_who_may_only_look_is_told_of_every_host(site: Site) -> None:
    told = site.run(*documented("metal3.md")[:2], APPLY, user="viewer", status=1)
    assert told.count("is forbidden") == 3
    assert site.cluster.labels("h2") == MINE


@pytest.mark.parametrize("path", ["its own kubectl"], indirect=True)
def test_the_server_takes_what_is_a_label_here_and_no_other(site: Site) -> None:
    part = "a" * 63
    good = {
        "rack": "r7",
        "empty": "",
        "A.b_c-1": "x" * 63,
        f"{part}.{part}.{part}.{'b' * 61}/{part}": "1.2_3-4",
        f"{part}a/x": "x",
        "ahc/rack": "0",
    }
    bad = [
        *[("rack", value) for value in ("a b", "x" * 64, "-a", "a.", "é", "a/b", "line\n")],
        *[
            (key, "x")
            for key in ("a/b/c", "Upper.example/x", "/x", "x/", "x" * 64, "-x", "a..b/x", "a-/x", "")
        ],
        (f"{part}.{part}.{part}.{'b' * 62}/x", "x"),
    ]
    labels, notes = labels_of(match("SN0001", yields=Yields(labels=good)))
    assert (labels, notes) == ({**CONTROL, **good}, [])
    apply = APPLY + " --dry-run=server"
    assert "dry run" in site.run(_written(site, labels), apply)
    assert len(labels_of(match("SN0001", yields=Yields(labels=dict(bad))))[1]) == len(dict(bad))
    taken = [label for label in bad if "dry run" in _tried(site, dict([label]), apply)]
    assert taken == []


def _tried(site: Site, labels: dict[str, str], apply: str) -> str:
    return site.run(_written(site, labels), f"{apply} || true")


def _written(site: Site, labels: dict[str, str]) -> str:
    """A labels.json of these for h1; the answer is a command that does nothing."""
    host = {
        "apiVersion": "metal3.io/v1alpha1",
        "kind": "BareMetalHost",
        "metadata": {"name": "h1", "namespace": "metal3", "labels": labels},
    }
    (site.folder / "labels.json").write_text(json.dumps(host))
    return ":"
