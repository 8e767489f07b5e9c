"""An Ironic API, read and changed through openstacksdk.

Where it is and who asks comes from the places that OpenStack's own commands read: ``clouds.yaml`` with ``OS_CLOUD``, or the
``OS_…`` variables (``OS_AUTH_TYPE=none`` with ``OS_ENDPOINT`` for an Ironic without Keystone). Passwords and tokens never pass
through here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ahc_agent.errors import CannotAnswer, UsageError
from ahc_server.export.ironic import Change
from ahc_server.export.material import Document

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Any of these says that there is an OpenStack to talk to.
_SIGNS = ("OS_CLOUD", "OS_AUTH_URL", "OS_ENDPOINT")

Connection = Any  # openstack.connection.Connection has no types


@dataclass(frozen=True, slots=True)
class Sent:
    """``changed``: nodes that took their change. ``refused``: node → what Ironic said."""

    changed: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def configured() -> bool:
    """Whether the environment names an OpenStack."""
    return any(os.environ.get(sign) for sign in _SIGNS)


def connect() -> Connection:
    """A connection. Raises UsageError where openstacksdk is not installed or nothing says where Ironic is."""
    if not configured():
        raise UsageError(
            "where is Ironic? Set OS_CLOUD (clouds.yaml) or the OS_… variables;"
            " without Keystone: OS_AUTH_TYPE=none OS_ENDPOINT=http://HOST:6385"
        )
    try:
        import openstack
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException
    except ImportError as error:
        raise UsageError("to talk to Ironic: pip install 'ahc[ironic]' (openstacksdk)") from error
    try:
        return openstack.connect(app_name="ahc")
    except (SDKException, ClientException, OSError) as error:
        raise UsageError(f"Ironic: {_words(error)}") from error


def read(connection: Connection) -> Document:
    """All nodes and ports, in the form of ``GET /v1/nodes/detail`` as far as it is needed. Raises CannotAnswer."""
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    baremetal = _log_in(connection)
    try:
        nodes = [
            {
                "uuid": node.id,
                "name": node.name,
                "properties": node.properties or {},
                "extra": node.extra or {},
                "traits": node.traits or [],
                "driver_info": node.driver_info or {},
                "resource_class": node.resource_class,
            }
            for node in baremetal.nodes(details=True)
        ]
        ports = [
            {"address": port.address, "node_uuid": port.node_id} for port in baremetal.ports(details=True)
        ]
    except (SDKException, ClientException) as error:
        raise CannotAnswer(f"Ironic: {_words(error)}") from error
    return Document("Ironic", {"nodes": nodes, "ports": ports})


def _log_in(connection: Connection) -> Any:
    """The part of the connection that is Ironic; the first use of it logs in. Raises CannotAnswer."""
    try:
        return connection.baremetal
    except (
        Exception
    ) as error:  # keystoneauth's plugins say of a missing password "Exception" and nothing else
        raise CannotAnswer(f"Ironic: {_words(error)}") from error


def send(connection: Connection, changes: Iterable[Change]) -> Sent:
    """Make the changes. A node that is busy (409) is asked again by openstacksdk; one refusal does not stop the others.

    Traits are added one by one, which keeps those that somebody else adds meanwhile; adding one that is there is no error.
    """
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    sent = Sent()
    for change in changes:
        node = cast(str, change.node)
        try:
            if change.patch:
                patch = msgspec.to_builtins(change.patch)
                connection.baremetal.patch_node(node, patch, retry_on_conflict=True)
            for trait in change.traits:
                connection.baremetal.add_node_trait(node, trait)
        except (SDKException, ClientException) as error:
            sent.refused[change.name or node] = _words(error)
        else:
            sent.changed.append(change.name or node)
    return sent


def _words(error: Exception) -> str:
    """The first line of what an exception says, bounded."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]
