"""Labels of Metal3's BareMetalHosts: ``hardwareclassification.metal3.io/PROFILE: matches``, and those of the profile itself.

The answer is a Kubernetes List of partial BareMetalHosts for ``kubectl apply --server-side --field-manager=ahc``: the labels
alone of every host. Server-side apply leaves all fields of others alone and takes away the labels that the same
manager set before and does not list now, so a host that changes its profile has one label, not two.

Which hosts there are has to be given (``kubectl get baremetalhosts -A -o json``): a guessed name would create a host. So would
that of a host that was deleted meanwhile, but for its ``uid``: the server then answers "uid mismatch" and creates nothing.
The label is that of Metal3's hardware-classification-controller (its docs/api.md); what a label may be: Kubernetes' "Labels and
Selectors".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ahc_agent.errors import FileFormatError, UsageError
from ahc_agent.facts import Inventory
from ahc_server.export.material import Document, Drawn, Material, Plain, nodes_in, pretty
from ahc_server.export.registered import Pairing, Registered, host_of, keys, pair
from ahc_server.profiles.model import NodeMatch

PREFIX = "hardwareclassification.metal3.io"
API_VERSION = "metal3.io/v1alpha1"
KIND = "BareMetalHost"

_WORD = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_WORD}\Z")
_PART = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_KEY = re.compile(rf"(?:(?=[^/]{{1,253}}/){_PART}(?:\.{_PART})*/)?{_WORD}\Z")


def draw(material: Material) -> Drawn:
    """The List as JSON. Raises UsageError without the hosts, FileFormatError for what is no list of them."""
    if material.registered is None:
        raise UsageError(
            "--format metal3: which hosts? Give them with --registered FILE"
            " (kubectl get baremetalhosts -A -o json > FILE)"
        )
    hosts, pairing = _paired(material.registered, material.inventories)
    matches = {match.id: match for match in material.matches.nodes}
    notes = list(pairing.notes)
    if not hosts:
        # Without -A kubectl looks into one namespace, and says nothing of the others.
        notes.append(f"{material.registered.file}: no hosts (kubectl get baremetalhosts -A has all)")
    items = []
    for index, name in pairing.node.items():
        labels, said = labels_of(matches.get(name))
        notes += [f"{_label(hosts[index])}: {note}" for note in said]
        items.append(_item(hosts[index], labels))
    return Drawn(pretty({"apiVersion": "v1", "kind": "List", "items": items}), notes)


def names(registered: Document, inventories: Mapping[str, Inventory]) -> dict[str, str]:
    """Node id → the host's NAMESPACE/NAME. A name alone, which a machine may give itself, proves nothing unless it is the id.
    Raises FileFormatError."""
    hosts, pairing = _paired(registered, inventories)
    found = {}
    for index, node in pairing.node.items():
        metadata = hosts[index]["metadata"]
        if pairing.by[index] != "name" or metadata["name"].lower() == node.lower():
            namespace = _text(_at(metadata, "namespace"))
            found[node] = f"{namespace}/{metadata['name']}" if namespace else metadata["name"]
    return found


def _paired(
    document: Document, inventories: Mapping[str, Inventory]
) -> tuple[list[dict[str, Plain]], Pairing]:
    """The hosts, and which machine each is."""
    hosts = nodes_in(document, "items", "a list of BareMetalHosts")
    if any(host.get("kind") != KIND or not _text(_at(host, "metadata", "name")) for host in hosts):
        raise FileFormatError(
            document.file, f"not every item is a {KIND}", remedy="kubectl get baremetalhosts -A -o json"
        )
    return hosts, pair([_registered(host) for host in hosts], inventories)


def labels_of(match: NodeMatch | None) -> tuple[dict[str, str], list[str]]:
    """The labels of a node, none where it has no profile; and notes on what cannot be a label."""
    if match is None or match.profile is None:
        return {}, []
    asked = {f"{PREFIX}/{match.profile}": "matches", **match.yields.labels}
    labels = {
        key: value for key, value in asked.items() if _KEY.match(key) and (not value or _NAME.match(value))
    }
    return labels, [
        f"{key}={value} cannot be a label: left out" for key, value in asked.items() if key not in labels
    ]


def _item(host: dict[str, Plain], labels: dict[str, str]) -> dict[str, Plain]:
    known = ("name", "namespace", "uid")
    metadata = {key: text for key in known if (text := _text(_at(host, "metadata", key)))}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {**metadata, "labels": labels}}


def _registered(host: dict[str, Plain]) -> Registered:
    """A host by what its spec says and what its own inspection found (``status.hardware``)."""
    nics = _at(host, "status", "hardware", "nics")
    macs = [_at(nic, "mac") for nic in nics] if isinstance(nics, list) else []
    return Registered(
        label=_label(host),
        keys=keys(
            mac=[mac for mac in (*macs, _at(host, "spec", "bootMACAddress")) if isinstance(mac, str)],
            serial=_text(_at(host, "status", "hardware", "systemVendor", "serialNumber")),
            bmc=host_of(_at(host, "spec", "bmc", "address")),
            name=_text(_at(host, "metadata", "name")),
        ),
    )


def _label(host: dict[str, Plain]) -> str:
    """With its namespace: two may have the same name in different ones."""
    named = (_text(_at(host, "metadata", key)) for key in ("namespace", "name"))
    return f"host {'/'.join(each for each in named if each)}"


def _at(plain: Plain, *path: str) -> Plain:
    for key in path:
        if not isinstance(plain, dict):
            return None
        plain = plain.get(key)
    return plain


def _text(value: Plain) -> str | None:
    return value if isinstance(value, str) and value else None
