"""What lldpd's ``lldpctl -f json`` tells, in both of its forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.facts import Lldp
from ahc_agent.inventory import lldp

#: Keyed by names, lists only where there are several. As lldpd 1.0.16 prints it, shortened.
ONE_INTERFACE = {
    "lldp": {
        "interface": {
            "eth0": {
                "via": "LLDP",
                "age": "0 day, 00:00:25",
                "chassis": {
                    "leaf1": {
                        "id": {"type": "mac", "value": "00:11:22:33:44:55"},
                        "mgmt-ip": ["10.9.9.3", "fe80::1"],
                    }
                },
                "port": {"id": {"type": "ifname", "value": "Ethernet1/7"}, "descr": "to n1", "ttl": "120"},
                "vlan": {"vlan-id": "42", "pvid": True, "value": "vlan-42"},
            }
        }
    }
}
#: Two cards; the switch of the second has no name, and two VLANs.
TWO_INTERFACES = {
    "lldp": {
        "interface": [
            ONE_INTERFACE["lldp"]["interface"],
            {
                "eth1": {
                    "chassis": {"id": {"type": "ip", "value": "10.0.0.1"}},
                    "port": {"id": {"type": "local", "value": "7"}},
                    "vlan": [{"vlan-id": "1", "pvid": True}, {"vlan-id": "2", "pvid": False}],
                }
            },
        ]
    }
}
#: ``lldpctl -f json0``: everything a list.
ALWAYS_LISTS = {
    "lldp": [
        {
            "interface": [
                {
                    "name": "eth0",
                    "chassis": [
                        {"id": [{"type": "mac", "value": "00:11:22:33:44:55"}], "name": [{"value": "leaf1"}]}
                    ],
                    "port": [
                        {"id": [{"type": "ifname", "value": "Ethernet1/7"}], "descr": [{"value": "to n1"}]},
                    ],
                    "vlan": [{"vlan-id": "42", "pvid": True, "value": "vlan-42"}],
                }
            ]
        }
    ]
}
LEAF1 = Lldp(
    chassis_id="00:11:22:33:44:55",
    port_id="Ethernet1/7",
    port_description="to n1",
    system_name="leaf1",
    vlan_ids=[42],
)


@pytest.mark.parametrize("told", [ONE_INTERFACE, ALWAYS_LISTS])
def test_both_forms_of_lldpctl_say_the_same(told: object) -> None:
    assert lldp.parse_lldpctl(told) == {"eth0": LEAF1}


def test_lldpctl_with_several_interfaces() -> None:
    unnamed = Lldp(chassis_id="10.0.0.1", port_id="7", vlan_ids=[1, 2])
    assert lldp.parse_lldpctl(TWO_INTERFACES) == {"eth0": LEAF1, "eth1": unnamed}


@pytest.mark.parametrize(
    "told", [{}, [], None, {"lldp": {}}, {"lldp": [{}]}, {"lldp": {"interface": {"eth0": 3}}}]
)
def test_lldpctl_without_neighbours(told: object) -> None:
    assert lldp.parse_lldpctl(told) == {}


_KEYS = st.sampled_from(
    ["lldp", "interface", "eth0", "chassis", "port", "id", "value", "name", "vlan", "vlan-id", "descr"]
)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
        max_leaves=25,
    )
)
def test_whatever_lldpctl_says_does_no_harm(told: object) -> None:
    for neighbour in lldp.parse_lldpctl(told).values():
        assert isinstance(neighbour, Lldp)
