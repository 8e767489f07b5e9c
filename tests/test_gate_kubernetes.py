"""``ahc gate --on-fail kubernetes-taint`` and ``metal3-label`` as processes, by the real kubectl against a real API server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster_helpers import Cluster, documented, running_cluster
from tests.conftest import REPOSITORY
from tests.import_helpers import machine, write_hw
from tests.server_helpers import AHC, free_port, wait_for

pytestmark = [pytest.mark.machines, pytest.mark.timeout(1800)]

TAINT = {"key": "ahc/gate", "value": "closed", "effect": "NoSchedule"}
OTHERS = [
    {"key": "dedicated", "value": "database", "effect": "NoExecute"},
    {"key": "ahc/gate", "value": "closed", "effect": "PreferNoSchedule"},
]
LABEL = {"ahc/gate": "closed"}
#: Two of eight machines are slow: these two close the gate.
NAMES = {"CZ00000003": "n3", "CZ00000005": "n5"}
HOSTS = {"CZ00000003": "metal3/h3", "CZ00000005": "site2/h5"}


@dataclass(frozen=True, slots=True)
class Site:
    """A session in a store, a cluster, and the kubectl that ``ahc gate`` finds."""

    folder: Path
    cluster: Cluster
    path: str

    def gate(
        self,
        hook: str,
        names: dict[str, str] = NAMES,
        *,
        user: str = "gate",
        port: int | None = None,
        namespace: str = "default",
        apply: bool = True,
    ) -> list[str]:
        """What a real ``ahc gate`` tells on the standard error, the head line of a dry run left out; it says 1, whatever became
        of the quarantine: the gate is closed."""
        policy = self.folder / "policy.yaml"
        policy.write_text(json.dumps({"close-on": "fail", "names": names}))
        options = ["--at", "2014-05-14T00:00:00Z", "--on-fail", hook, *(["--apply"] if apply else [])]
        done = subprocess.run(
            [*AHC, "--store", self.folder / "ahc.db", "gate", "--policy", policy, *options],
            env={
                **self.cluster.environment(user, port=port, namespace=namespace),
                "PATH": self.path,
                "PYTHONPATH": str(REPOSITORY),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode, done.stdout.splitlines()[0]) == (1, "CLOSED  8 nodes, session rack7")
        return [line for line in done.stderr.splitlines() if not line.startswith("quarantine:")]

    def as_documented(self, start: str, name: str = "worker-3") -> str:
        """Run the line of docs/gate.md that starts so, for another node; what it prints."""
        [line] = [line for line in documented("gate.md") if line.startswith(start)]
        done = subprocess.run(
            ["sh", "-c", line.replace("worker-3", name)],
            env={**self.cluster.environment(), "PATH": self.path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        for node, host in HOSTS.items():
            namespace, _, name = host.partition("/")
            running.add_host(name, namespace, found={"systemVendor": {"serialNumber": node}})
        running.add_host("h5")
        running.add_host("h1")
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session is."""
    folder: Path = tmp_path_factory.mktemp("site")
    (folder / "hw").mkdir()
    for number in range(1, 9):
        usual = (200 if f"CZ{number:08d}" in NAMES else 400) + number % 3
        write_hw(folder / "hw" / f"{number}.hw", machine(number, [str(usual), str(usual + 1)]))
    subprocess.run(
        [*AHC, "--store", folder / "ahc.db", "import", folder / "hw", "--session", "rack7"],
        check=True,
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    return folder


@pytest.fixture
def site(folder: Path, cluster: Cluster) -> Site:
    """With the cluster's own kubectl, four nodes, and no host labelled."""
    cluster.add_nodes("n1", "n3", "n4", "n5")
    for namespace in ("metal3", "site2"):
        cluster.kubectl("label", "bmh", "--all", "-n", namespace, "ahc/gate-")
    return Site(folder, cluster, f"{cluster.programs}:{os.environ['PATH']}")


@pytest.fixture(params=["its own kubectl", "the installed kubectl"])
def any_site(request: pytest.FixtureRequest, site: Site) -> Site:
    """With kubectl as old as the server, and with whichever is installed."""
    if request.param == "its own kubectl":
        return site
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    return Site(site.folder, site.cluster, os.environ["PATH"])


def versions(cluster: Cluster) -> dict[str, str]:
    """Of every node and host; they change with every write."""
    items: list[dict[str, Any]] = [*cluster.get("nodes")["items"], *cluster.get("bmh", "-A")["items"]]
    return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in items}


def test_a_dry_run_shows_the_commands_and_changes_nothing(site: Site) -> None:
    before = versions(site.cluster)
    assert site.gate("kubernetes-taint", apply=False) == [
        f"{node}: would run kubectl taint nodes {node} ahc/gate=closed:NoSchedule --overwrite"
        for node in ("n3", "n5")
    ]
    assert site.gate("metal3-label", HOSTS, apply=False)[1] == (
        "site2/h5: would run kubectl label baremetalhosts.metal3.io h5 --namespace=site2 ahc/gate=closed --overwrite"
    )
    assert versions(site.cluster) == before


def test_nodes_are_tainted_once_and_keep_their_other_taints(any_site: Site) -> None:
    cluster = any_site.cluster
    cluster.add_nodes("n1", "n3", "n5", taints=OTHERS)
    told = any_site.gate("kubernetes-taint")
    assert [line for line in told if not line.startswith("  ")] == [
        f"{node}: ran kubectl taint nodes {node} ahc/gate=closed:NoSchedule --overwrite"
        for node in ("n3", "n5")
    ]
    found = {node: cluster.taints(node) for node in ("n1", "n3", "n5")}
    by_effect = {node: sorted(taints, key=lambda each: each["effect"]) for node, taints in found.items()}
    for node in ("n3", "n5"):
        by_effect[node][0].pop("timeAdded", None)
    assert by_effect == {
        "n1": [{**OTHERS[0]}, {**OTHERS[1]}],
        "n3": [OTHERS[0], TAINT, OTHERS[1]],
        "n5": [OTHERS[0], TAINT, OTHERS[1]],
    }
    before = versions(cluster)
    assert any_site.gate("kubernetes-taint") == [f"{n}: kubernetes-taint: done already" for n in ("n3", "n5")]
    assert versions(cluster) == before


def test_a_taint_of_that_name_with_another_value_is_made_ours(site: Site) -> None:
    site.cluster.add_nodes("n3", "n5", taints=[{**TAINT, "value": "open"}])
    site.gate("kubernetes-taint")
    assert site.cluster.taints("n3") == site.cluster.taints("n5") == [TAINT]


def test_the_scheduler_puts_nothing_new_on_a_tainted_node_until_the_taint_is_taken_away(site: Site) -> None:
    cluster = site.cluster
    cluster.add_nodes("n3", "n4")
    site.gate("kubernetes-taint", {**NAMES, "CZ00000005": "gone"})
    for number in range(4):
        cluster.kubectl("create", "-f", "-", stdin=pod(f"any{number}"))
    cluster.kubectl("create", "-f", "-", stdin=pod("on-n3", {"kubernetes.io/hostname": "n3"}))
    try:
        wait_for(lambda: None not in [placed(cluster, f"any{number}") for number in range(4)], 60)
        assert {placed(cluster, f"any{number}") for number in range(4)} == {"n4"}
        wait_for(lambda: "ahc/gate" in waits_for(cluster, "on-n3"), 60)
        site.as_documented("kubectl taint ", "n3")
        wait_for(lambda: placed(cluster, "on-n3") == "n3", 120)
    finally:
        cluster.kubectl("delete", "pods", "--all", "--force", "--grace-period=0")


def pod(name: str, selector: dict[str, str] | None = None) -> dict[str, Any]:
    container = {"name": "c", "image": "none.invalid/none"}
    spec = {"containers": [container], "automountServiceAccountToken": False, "nodeSelector": selector or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def placed(cluster: Cluster, name: str) -> str | None:
    node: str | None = cluster.get("pod", name)["spec"].get("nodeName")
    return node


def waits_for(cluster: Cluster, name: str) -> str:
    """What the scheduler says why a pod has no place."""
    conditions = cluster.get("pod", name)["status"].get("conditions", [])
    return " ".join(each.get("message", "") for each in conditions)


def test_a_node_that_is_not_there_is_named_and_keeps_no_other_from_it(any_site: Site) -> None:
    told = any_site.gate("kubernetes-taint", {**NAMES, "CZ00000003": "gone"})
    assert told[0] == (
        'gone: NOT done: kubectl: exit status 1: Error from server (NotFound): nodes "gone" not found'
    )
    assert told[1].startswith("n5: ran ")
    assert any_site.cluster.taints("n5") == [TAINT]


def test_who_may_change_one_node_alone_is_told_of_the_others(any_site: Site) -> None:
    told = any_site.gate("kubernetes-taint", user="one-node")
    assert told[0].startswith("n3: ran ") and any_site.cluster.taints("n3") == [TAINT]
    assert told[-1].startswith("n5: NOT done: kubectl: exit status 1: ")
    assert 'nodes "n5" is forbidden: User "one-node" cannot patch resource "nodes"' in told[-1]
    assert any_site.cluster.taints("n5") == []


@pytest.mark.parametrize(
    ("user", "why"), [("viewer", "cannot patch resource"), ("nobody", "You must be logged in to the server")]
)
def test_who_may_change_nothing_or_is_nobody_changes_nothing(any_site: Site, user: str, why: str) -> None:
    before = versions(any_site.cluster)
    for hook, names in (("kubernetes-taint", NAMES), ("metal3-label", HOSTS)):
        told = any_site.gate(hook, names, user=user)
        assert len(told) == 2 and all(": NOT done: kubectl: " in line and why in line for line in told)
    assert versions(any_site.cluster) == before


def test_a_server_that_is_away_is_told_for_every_node(any_site: Site) -> None:
    told = any_site.gate("kubernetes-taint", port=free_port())
    assert [line.partition(": NOT done: kubectl: ")[0] for line in told] == ["n3", "n5"]
    assert all("was refused" in line for line in told)


def test_a_host_is_labelled_in_its_namespace_once_and_keeps_its_other_labels(any_site: Site) -> None:
    cluster = any_site.cluster
    told = any_site.gate("metal3-label", HOSTS)
    assert [line for line in told if not line.startswith("  ")] == [
        f"{namespace}/{host}: ran kubectl label baremetalhosts.metal3.io {host} --namespace={namespace}"
        " ahc/gate=closed --overwrite"
        for namespace, host in (("metal3", "h3"), ("site2", "h5"))
    ]
    assert cluster.labels("h3") == cluster.labels("h5", "site2") == {"mine": "1", **LABEL}
    assert cluster.labels("h5") == cluster.labels("h1") == {"mine": "1"}
    before = versions(cluster)
    assert any_site.gate("metal3-label", HOSTS) == [
        f"{host}: metal3-label: done already" for host in HOSTS.values()
    ]
    assert versions(cluster) == before


def test_hosts_that_were_inspected_are_known_without_a_name_in_the_policy(any_site: Site) -> None:
    told = any_site.gate("metal3-label", {})
    assert [line.partition(": ran ")[0] for line in told if ": ran " in line] == [*HOSTS.values()]


def test_who_may_not_list_hosts_is_told_that_nodes_go_by_their_ids(site: Site) -> None:
    note, *told = site.gate("metal3-label", {}, user="nobody")
    assert note.startswith(
        "metal3-label: nodes go by their ids, as nobody tells what they are called there: kubectl: "
    )
    assert [line.partition(": ")[0] for line in told] == [*HOSTS] and all("NOT done" in line for line in told)


def test_the_names_of_a_policy_can_be_had_from_the_hosts_that_were_inspected(any_site: Site) -> None:
    assert yaml.safe_load(any_site.as_documented("kubectl get ")) == HOSTS


def test_a_name_alone_is_looked_for_in_the_namespace_of_the_context(site: Site) -> None:
    told = site.gate("metal3-label", {"CZ00000003": "h3", "CZ00000005": "site2/h5"})
    assert told[0].startswith("h3: NOT done: ") and '"h3" not found' in told[0]
    assert told[1].startswith("site2/h5: ran ")
    told = site.gate("metal3-label", {"CZ00000003": "h3", "CZ00000005": "site2/h5"}, namespace="metal3")
    assert told[0] == "h3: ran kubectl label baremetalhosts.metal3.io h3 ahc/gate=closed --overwrite"
    assert site.cluster.labels("h3") == {"mine": "1", **LABEL}


def test_the_documented_selector_leaves_labelled_hosts_out_until_the_label_is_taken_away(site: Site) -> None:
    cluster = site.cluster
    site.gate("metal3-label", HOSTS)

    def free() -> list[str]:
        return sorted(
            cluster.kubectl("get", "bmh", "-A", "-l", "ahc/gate notin (closed)", "-o", "name").split()
        )

    assert free() == ["baremetalhost.metal3.io/h1", "baremetalhost.metal3.io/h5"]
    site.as_documented("kubectl label ", "h3")
    assert free() == [f"baremetalhost.metal3.io/{host}" for host in ("h1", "h3", "h5")]
