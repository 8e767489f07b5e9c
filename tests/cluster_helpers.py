"""A real Kubernetes API server with its etcd and scheduler on loopback: nodes, BareMetalHosts, and who may do what with them.

There are no kubelets and no controllers: nodes are what a test says they are, and nothing but the scheduler acts by itself.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ahc_agent import programs
from ahc_agent.errors import ProgramError
from tests.conftest import REPOSITORY
from tests.server_helpers import free_port, wait_for

#: The server does all its checks within a few seconds, on a busy machine in more.
_READY_S = 90.0
#: Without what was kept of an earlier build: minutes.
_BUILD_S = 1500.0
#: Who there is, beside the administrator: one with the rights that docs/gate.md names, one who may only look, and one who may
#: change the node n3 alone.
USERS: Final = ("gate", "viewer", "one-node")
_RBAC = "rbac.authorization.k8s.io/v1"
NAMESPACES = ("metal3", "site2")

#: Without controllers nobody would make the accounts of pods, nor take away the taint of nodes that are not ready yet.
_WITHOUT = "ServiceAccount,TaintNodesByCondition"

#: The fields of a BareMetalHost that are read here, as an API server has to be told them. Others are dropped by it.
BARE_METAL_HOSTS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: baremetalhosts.metal3.io}
spec:
  group: metal3.io
  scope: Namespaced
  names: {kind: BareMetalHost, listKind: BareMetalHostList, plural: baremetalhosts, singular: baremetalhost, shortNames: [bmh]}
  versions:
    - name: v1alpha1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              required: [online]
              properties:
                online: {type: boolean}
                bootMACAddress: {type: string}
                bmc: {type: object, properties: {address: {type: string}, credentialsName: {type: string}}}
            status:
              type: object
              properties:
                hardware:
                  type: object
                  properties:
                    nics: {type: array, items: {type: object, properties: {name: {type: string}, mac: {type: string}}}}
                    systemVendor: {type: object, properties: {serialNumber: {type: string}}}
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """``programs``: the folder of kubectl and its like. Kubeconfigs are named after who they are of."""

    folder: Path
    programs: Path
    port: int

    def kubeconfig(self, user: str = "admin", *, port: int | None = None, namespace: str = "default") -> Path:
        """A kubeconfig of somebody; a user whom nobody knows has a token that nobody knows. ``port``: where else to ask."""
        at = {
            "server": f"https://127.0.0.1:{port or self.port}",
            "certificate-authority": str(self.folder / "certificates" / "apiserver.crt"),
        }
        context = {"cluster": "test", "user": user, "namespace": namespace}
        plain = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": at}],
            "users": [{"name": user, "user": {"token": _tokens(self.folder).get(user, "unknown")}}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
        return _private(self.folder / f"{user}-{port or self.port}-{namespace}.conf", json.dumps(plain))

    def environment(self, user: str = "admin", **where: Any) -> dict[str, str]:
        """Of processes that use kubectl as somebody; it keeps what it knows of servers below the home folder."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig(user, **where)), "HOME": str(self.folder)}

    def asked(self, *arguments: str, stdin: object = None) -> subprocess.CompletedProcess[str]:
        """kubectl, once, as the administrator; ``stdin``: an object that it gets as JSON."""
        return subprocess.run(
            [self.programs / "kubectl", *arguments],
            env=self.environment(),
            input=json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def kubectl(self, *arguments: str, stdin: object = None) -> str:
        """What it prints."""
        done = self.asked(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def taints(self, node: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.get("node", node)["spec"].get("taints", [])
        return found

    def labels(self, host: str, namespace: str = "metal3") -> dict[str, str]:
        found: dict[str, str] = self.get("bmh", host, "-n", namespace)["metadata"].get("labels", {})
        return found

    def add_nodes(self, *names: str, taints: Sequence[Mapping[str, str]] = ()) -> None:
        """Nodes as their kubelets would have registered them; the others are removed."""
        self.kubectl("delete", "nodes", "--all")
        nodes = [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                "spec": {"taints": [*taints]},
                "status": {"capacity": {"cpu": "8", "memory": "16Gi", "pods": "110"}},
            }
            for name in names
        ]
        self.kubectl("create", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": nodes})

    def add_host(
        self, name: str, namespace: str = "metal3", *, found: object = None, **spec: object
    ) -> dict[str, Any]:
        """A BareMetalHost with a label ``mine``; ``found``: what its inspection has told."""
        host = {
            "apiVersion": "metal3.io/v1alpha1",
            "kind": "BareMetalHost",
            "metadata": {"name": name, "namespace": namespace, "labels": {"mine": "1"}},
            "spec": {"online": True, **spec},
        }
        made: dict[str, Any] = json.loads(self.kubectl("create", "-f", "-", "-o", "json", stdin=host))
        if found is not None:
            path = f"/apis/metal3.io/v1alpha1/namespaces/{namespace}/baremetalhosts/{name}/status"
            self.kubectl("replace", "--raw", path, "-f", "-", stdin={**made, "status": {"hardware": found}})
        return made


def documented(page: str) -> list[str]:
    """The lines with kubectl or ahc that a page of the docs has for a shell, in their order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (REPOSITORY / "docs" / page).read_text(), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.startswith(("kubectl ", "ahc "))]


@cache
def built() -> Path:
    """The folder of etcd, kube-apiserver, kube-scheduler and kubectl. Skips, with the reason, where they cannot be built."""
    command = [str(REPOSITORY / ".ci" / "kubernetes"), str(REPOSITORY / ".venv-peers" / "kubernetes")]
    try:
        return Path(programs.run(command, time_limit_s=_BUILD_S).text().strip())
    except ProgramError as error:
        pytest.skip(f"Kubernetes cannot be built: {error}")


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """etcd, the API server and the scheduler, ready, with two namespaces of hosts; all are gone afterwards."""
    cluster = Cluster(folder, built(), free_port())
    _make_secrets(folder)
    with ExitStack() as children:
        # It takes 64 MB for itself at once.
        children.callback(shutil.rmtree, folder / "etcd", ignore_errors=True)
        etcd, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        children.enter_context(_child(folder, _etcd(cluster, etcd, peer)))
        server = children.enter_context(_child(folder, _apiserver(cluster, etcd)))

        def ready() -> bool:
            """Whether every check of the server's own passes (Kubernetes' "API health endpoints")."""
            assert server.poll() is None, (folder / "kube-apiserver.log").read_text()[-2000:]
            return cluster.asked("get", "--raw", "/readyz").stdout == "ok"

        wait_for(ready, _READY_S)
        children.enter_context(_child(folder, _scheduler(cluster)))
        _furnish(cluster)
        yield cluster


@contextmanager
def _child(folder: Path, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server that ends with the tests however they end; its log is NAME.log."""
    with (folder / f"{Path(arguments[0]).name}.log").open("wb") as log:
        child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _started(program: Path, options: Mapping[str, object]) -> list[str]:
    return [str(program), *(f"--{name}={value}" for name, value in options.items())]


def _etcd(cluster: Cluster, clients: str, peers: str) -> list[str]:
    options = {
        "data-dir": cluster.folder / "etcd",
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"default={peers}",
        "unsafe-no-fsync": "true",
    }
    return _started(cluster.programs / "etcd", options)


def _apiserver(cluster: Cluster, etcd: str) -> list[str]:
    """It makes its own certificate, which is its own authority."""
    options = {
        "etcd-servers": etcd,
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": cluster.port,
        "cert-dir": cluster.folder / "certificates",
        "token-auth-file": cluster.folder / "tokens.csv",
        "authorization-mode": "RBAC",
        "disable-admission-plugins": _WITHOUT,
        "service-account-issuer": "https://test.invalid",
        "service-account-key-file": cluster.folder / "accounts.key",
        "service-account-signing-key-file": cluster.folder / "accounts.key",
    }
    return _started(cluster.programs / "kube-apiserver", options)


def _scheduler(cluster: Cluster) -> list[str]:
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1beta1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"kubeconfig": str(cluster.kubeconfig())},
    }
    file = _private(cluster.folder / "scheduler.json", json.dumps(config))
    return _started(cluster.programs / "kube-scheduler", {"config": file, "port": 0, "secure-port": 0})


def _make_secrets(folder: Path) -> None:
    pem, form, plain = serialization.Encoding.PEM, serialization.PrivateFormat, serialization.NoEncryption()
    key = ec.generate_private_key(ec.SECP256R1())
    _private(folder / "accounts.key", key.private_bytes(pem, form.TraditionalOpenSSL, plain).decode())
    groups = dict.fromkeys(USERS, "users") | {"admin": "system:masters"}
    rows = [f"{secrets.token_hex(16)},{user},{user},{group}" for user, group in groups.items()]
    _private(folder / "tokens.csv", "\n".join(rows))


def _tokens(folder: Path) -> dict[str, str]:
    rows = [line.split(",") for line in (folder / "tokens.csv").read_text().splitlines()]
    return {row[1]: row[0] for row in rows}


def _private(path: Path, content: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(content)
    return path


def _furnish(cluster: Cluster) -> None:
    """The kind of hosts, their namespaces, and the rights of ``USERS``."""
    cluster.kubectl("create", "-f", "-", stdin=yaml.safe_load(BARE_METAL_HOSTS))
    # What is established is not yet in the list of resources that kubectl asks for.
    wait_for(lambda: cluster.asked("get", "bmh", "-A").returncode == 0, _READY_S)
    for namespace in NAMESPACES:
        cluster.kubectl("create", "namespace", namespace)
    for user, rules in _rules().items():
        role = {"apiVersion": _RBAC, "kind": "ClusterRole", "metadata": {"name": user}, "rules": rules}
        cluster.kubectl("create", "-f", "-", stdin=role)
        cluster.kubectl("create", "clusterrolebinding", user, f"--clusterrole={user}", f"--user={user}")


def _rules() -> dict[str, list[dict[str, list[str]]]]:
    """What each of ``USERS`` may do."""
    [documented] = re.findall(
        r"^```yaml\n(apiVersion: rbac.*?)^```", (REPOSITORY / "docs" / "gate.md").read_text(), re.M | re.S
    )
    all_of_it: list[dict[str, list[str]]] = yaml.safe_load(documented)["rules"]
    look = [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != "patch"]} for rule in all_of_it]
    one_node = {"apiGroups": [""], "resources": ["nodes"], "resourceNames": ["n3"], "verbs": ["patch"]}
    return {"gate": all_of_it, "viewer": look, "one-node": [*look, one_node]}
