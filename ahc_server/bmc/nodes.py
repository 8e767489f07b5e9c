"""Files of nodes: ``instackenv.json`` / ``nodes.json`` of TripleO, and the same keys as YAML.

Keys as TripleO's ``openstack overcloud node import`` takes them: ``pm_type``, ``pm_addr``, ``pm_user``, ``pm_password``,
``pm_port``, ``mac`` (or ``ports``), ``name``; and of ours ``uuid`` and ``serial``, by which a machine that joins is known again.
Keys about hardware and deployment are left to those whose subject they are.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from ahc_agent.errors import UsageError
from ahc_server.bmc.credentials import Credentials, login_of, readable_by_others
from ahc_server.bmc.target import IPMI_PORT, REDFISH_PORT, Login, Speaks, Target, host_and_port
from ahc_server.yamlfile import Document, Section, nearest, read_document

#: What a ``pm_type`` of TripleO or Ironic is spoken to by.
SPEAKS: dict[str, Speaks] = {
    "ipmi": "ipmi",
    "pxe_ipmitool": "ipmi",
    "pxe_ipminative": "ipmi",
    "agent_ipmitool": "ipmi",
    "redfish": "redfish",
    "idrac": "redfish",
    "idrac-redfish": "redfish",
}

_OURS = (
    "name", "pm_type", "pm_addr", "pm_user", "pm_password", "pm_port", "pm_system_id", "pm_verify_ca",
    "mac", "ports", "uuid", "serial",
)  # fmt: skip
_OTHERS = (
    "cpu", "memory", "disk", "arch", "capabilities", "kernel_id", "ramdisk_id", "root_device", "platform",
    "resource_class", "profile", "traits", "pm_privilege_level",
)  # fmt: skip
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_SIZE_LIMIT_BYTES = 16 * 1024 * 1024


def read_nodes(path: Path, credentials: Credentials) -> tuple[list[Target], list[str]]:
    """The BMCs of a file, and warnings about it. Raises FileFormatError, UsageError (no login for one of them)."""
    document = read_document(path, size_limit=_SIZE_LIMIT_BYTES, secret=True)
    sections = _node_sections(document)
    if not sections:
        document.fail(("nodes",), "no nodes in it")
    targets = [_target(section, place, credentials) for place, section in enumerate(sections)]
    _refuse_twice(sections, targets)
    warnings = []
    if any("pm_password" in section for section in sections) and readable_by_others(path):
        warnings.append(f"{path} holds passwords, and others than its owner may use it (chmod 600 {path})")
    return targets, warnings


def from_addresses(addresses: Sequence[str], credentials: Credentials) -> list[Target]:
    """BMCs by their addresses alone, over IPMI. Raises UsageError."""
    targets = []
    for text in dict.fromkeys(addresses):
        host, port = host_and_port(text, IPMI_PORT)
        targets.append(Target(node=text, host=host, port=port, login=credentials.login(text, text, host)))
    return targets


def _node_sections(document: Document) -> list[Section]:
    """The nodes of ``{"nodes": [...]}``, or of a bare list."""
    above: tuple[str | int, ...] = () if isinstance(document.plain, list) else ("nodes",)
    nodes = document.section().plain.get("nodes") if above else document.plain
    if not isinstance(nodes, list):
        document.fail(above, "a list of nodes is expected, bare or under the key 'nodes'")
    for place, node in enumerate(nodes):
        if not isinstance(node, dict):
            document.fail((*above, place), "a mapping (key: value) is expected for each node")
    return [Section(document, (*above, place)) for place in range(len(nodes))]


def _target(section: Section, place: int, credentials: Credentials) -> Target:
    known = (*_OURS, *_OTHERS)
    for key in section.plain:
        if key not in known and not key.startswith("_"):
            section.fail(key, f"unknown key {key!r} in a node", nearest(key, known))
    kind = section.text("pm_type") or "ipmi"
    if kind not in SPEAKS:
        section.fail("pm_type", f"pm_type: {kind!r} is not known", nearest(kind, SPEAKS))
    speaks = SPEAKS[kind]
    written = section.text("pm_addr", max_length=512)
    if written is None:
        section.fail(None, "pm_addr is missing: the address of its BMC")
    usual = REDFISH_PORT if speaks == "redfish" else IPMI_PORT
    host, port, url = _where(section, written, usual)
    node = section.text("name", max_length=128) or written
    if not node.isprintable():
        section.fail("name", "name: text without control characters is expected")
    port = section.integer("pm_port", 1, 65535) or port
    return Target(
        node=node,
        host=host,
        port=port,
        login=_login(section, node, written, host, credentials),
        speaks=speaks,
        url=url or _root_url(host, port),
        system=section.text("pm_system_id"),
        verify=section.plain.get("pm_verify_ca") is not False,
        macs=_macs(section),
        uuid=_lower(section.text("uuid", max_length=64)),
        serial=section.text("serial", max_length=256),
    )


def _where(section: Section, written: str, usual: int) -> tuple[str, int, str]:
    """Host, port and root URL (empty: none was written) of a ``pm_addr``."""
    try:
        if "://" not in written:
            return (*host_and_port(written, usual), "")
        parts = urllib.parse.urlsplit(written)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise ValueError
        return parts.hostname, parts.port or (80 if parts.scheme == "http" else 443), written.rstrip("/")
    except UsageError as error:
        section.fail("pm_addr", f"pm_addr: {error}")
    except ValueError:
        section.fail("pm_addr", "pm_addr: http(s)://HOST[:PORT] is expected")


def _root_url(host: str, port: int) -> str:
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"


def _login(section: Section, node: str, written: str, host: str, credentials: Credentials) -> Login:
    if "pm_user" in section or "pm_password" in section:
        return login_of(section, "pm_user", "pm_password")
    return credentials.login(node, written, host)


def _macs(section: Section) -> tuple[str, ...]:
    """From ``mac`` (one, or a list) and ``ports`` ({address: MAC})."""
    found = [(key, mac) for key in ("mac",) for mac in section.words(key, at_most=64) or ()]
    ports = section.plain.get("ports") or []
    if not isinstance(ports, list):
        section.fail("ports", "ports: a list of {address: MAC} is expected")
    for port in ports:
        if not isinstance(port, dict) or not isinstance(port.get("address"), str):
            section.fail("ports", "ports: a list of {address: MAC} is expected")
        found.append(("ports", port["address"]))
    for key, mac in found:
        if _MAC.fullmatch(mac.lower().replace("-", ":")) is None:
            section.fail(key, f"{key}: {mac[:40]!r} is no MAC address")
    return tuple(dict.fromkeys(mac.lower().replace("-", ":") for _, mac in found))


def _lower(text: str | None) -> str | None:
    return text.lower() if text is not None else None


def _refuse_twice(sections: Sequence[Section], targets: Sequence[Target]) -> None:
    """Two nodes with one name, BMC or MAC: answers could not be told apart."""
    for what, key, values in (
        ("name", "name", [(target.node,) for target in targets]),
        ("BMC", "pm_addr", [(f"{target.host}:{target.port}/{target.system or ''}",) for target in targets]),
        ("MAC address", "mac", [target.macs for target in targets]),
    ):
        seen: dict[str, str] = {}
        for section, target, mine in zip(sections, targets, values, strict=True):
            for value in mine:
                if value in seen:
                    section.fail(key, f"{target.node} has the {what} of {seen[value]}, given before")
                seen[value] = target.node
