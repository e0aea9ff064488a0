"""How far inside an address lies: of the internet, of this network, of this machine, of its cloud.

The tables are IANA's registries of special-purpose addresses (RFC 6890 and its successors), but for
what is anycast to a router of one's own: Python's ``is_global`` changed between its versions, and
knows no cloud.
"""

import socket
from contextlib import suppress
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address


class Reach(IntEnum):
    """How far inside an address lies; who may go somewhere may go to all that is less."""

    INTERNET = 0
    NETWORK = 1
    """Private, shared, documentation, benchmarks, multicast, reserved."""
    MACHINE = 2
    """Loopback, and addresses that mean this machine."""
    CLOUD = 3
    """Link-local, and where clouds hand credentials to their machines: never to be asked."""


_SPECIAL = tuple(
    (ip_network(network), reach)
    for reach, networks in (
        (
            Reach.CLOUD,
            (
                # AWS, Google, Azure, OpenStack and more; Azure's own; Alibaba; Oracle's older one.
                "169.254.0.0/16 168.63.129.16/32 100.100.100.200/32 192.0.0.192/32 "
                # Of IPv6: OpenStack and others, AWS, Google, Oracle, Scaleway.
                "fe80::/10 fd00:ec2::/32 fd20:ce::/32 fd00:c1::/32 fd00:42::/32"
            ),
        ),
        (Reach.MACHINE, "0.0.0.0/8 127.0.0.0/8 ::/127"),
        (
            Reach.NETWORK,
            (
                "10.0.0.0/8 100.64.0.0/10 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 "
                "192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3 "
                # Protocols (Teredo, benchmarks, ORCHID), documentation, 6to4, documentation.
                "2001::/23 2001:db8::/32 2002::/16 3fff::/20"
            ),
        ),
    )
    for network in networks.split()
)
_GLOBAL_UNICAST = ip_network("2000::/3")
"""All that is given out of IPv6 for the internet (RFC 4291)."""
_CARRIERS = tuple(
    (ip_network(network), bits, flipped)
    for network, bits, flipped in (
        ("::/96", 0, 0),  # IPv4-compatible (RFC 4291)
        ("::ffff:0:0:0/96", 0, 0),  # IPv4-translated (RFC 2765)
        ("64:ff9b:1::/48", 0, 0),  # NAT64 of one's own (RFC 8215)
        ("2002::/16", 80, 0),  # 6to4
        ("2001::/32", 0, 0xFFFF_FFFF),  # Teredo, whose client stands there with its bits flipped
    )
)
"""Networks that carry an IPv4 address, so many bits from the right: one is as far inside as that
address at least."""
_OTHER_FORMS = tuple(map(ip_network, ("::ffff:0:0/96", "64:ff9b::/96")))
"""IPv4 itself, as sockets have it, and by the NAT64 of everybody (RFC 6052)."""


def address_of(text: str) -> Address:
    """Return an address, of IPv4 also where it stands in a form of IPv6.

    Raises:
        ValueError: it is none.
    """
    found = ip_address(text.partition("%")[0])
    if isinstance(found, IPv6Address) and any(found in one for one in _OTHER_FORMS):
        return IPv4Address(int(found) & 0xFFFF_FFFF)
    return found


def is_address(text: str) -> bool:
    """Return whether a host is an address in whatever form, which no name server is asked about."""
    with suppress(ValueError):
        address_of(text)
        return True
    with suppress(OSError):
        socket.inet_aton(text)  # as a resolver reads 127.1 and 2130706433
        return True
    return False


def reach_of(text: str) -> Reach:
    """Return how far inside an address lies.

    Raises:
        ValueError: it is none.
    """
    return _reach(address_of(text))


def _reach(found: Address) -> Reach:
    reach = next((reach for network, reach in _SPECIAL if found in network), Reach.INTERNET)
    if isinstance(found, IPv4Address):
        return reach
    if reach is Reach.INTERNET and found not in _GLOBAL_UNICAST:
        reach = Reach.NETWORK
    for network, bits, flipped in _CARRIERS:
        if found in network:
            carried = ((int(found) >> bits) & 0xFFFF_FFFF) ^ flipped
            reach = max(reach, _reach(IPv4Address(carried)))
    return reach
