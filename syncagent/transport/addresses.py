"""
Which addresses are on the public Internet, and how the name of a host is written.

``ipaddress.is_global`` is not used: what it says of a dozen ranges differs between versions of Python.
"""

from __future__ import annotations

import ipaddress
from typing import Optional, Union

__all__ = ["host_name", "is_public", "is_public_text"]

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

# https://www.iana.org/assignments/iana-ipv4-special-registry, and the address under which Azure's machines
# reach their host: it lies in a public range and hands out secrets
# (https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16).
_CLOSED_4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
# https://www.iana.org/assignments/iana-ipv6-special-registry: all that is public lies in 2000::/3. Out of it are
# the protocols' own block (with Teredo, 2001::/32), the examples' and 6to4.
_OPEN_6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_6 = tuple(
    ipaddress.IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
# RFC 6052: where a network has no IPv4, its resolver gives public IPv4 addresses in this form.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # RFC 5214, 6.1: the upper half of the interface's part


def is_public(address: Address) -> bool:
    """
    Whether *address* is one of the public Internet, whichever way an IPv4 address is written into an IPv6 one.

    >>> is_public(ipaddress.ip_address("::ffff:127.0.0.1"))
    False
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _CLOSED_4)
    if getattr(address, "scope_id", None) is not None:
        return False
    if address in _MAPPED or address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address not in _OPEN_6 or any(address in network for network in _CLOSED_6):
        return False
    return (int(address) >> 32) & 0xFFFFFFFF not in _ISATAP


def is_public_text(text: str) -> bool:
    """As :func:`is_public` for an address that a resolver or a socket gave; one with a zone is not public."""
    try:
        return "%" not in text and is_public(ipaddress.ip_address(text))
    except ValueError:
        return False


def host_name(host: str) -> Optional[str]:
    """
    A host the way two of them are compared: IDNA, lower case, no dot at its end, addresses in their short form.

    >>> host_name("B\u00dcCHER.example.")
    'xn--bcher-kva.example'

    None for what no host is called, and for numbers that only some resolvers take for an address (``127.1``,
    ``0x7f000001``, ``2130706433``).
    """
    host = host.strip("[]")
    if not host or "%" in host:
        return None
    if not host.isascii():
        import idna  # comes with requests

        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError:
            return None
    host = host.lower()
    if host.endswith("."):
        host = host[:-1]
    if not host or host.endswith("."):
        return None
    last = host.rpartition(".")[2]
    if ":" in host or last.isdigit() or _is_hexadecimal(last):
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            return None
    return host


def _is_hexadecimal(label: str) -> bool:
    """Whether *label* is written as a hexadecimal number; ``0x`` alone is one for some parsers."""
    return label.startswith("0x") and all(digit in "0123456789abcdef" for digit in label[2:])
