"""Which addresses are public, however they are written, and when two hosts are the same."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.transport.addresses import host_name, is_public, is_public_text

_PRIVATE_4 = ["127.0.0.1", "169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.5.4", "100.100.100.200", "0.0.0.0"]


def _embedded(four: str) -> list[str]:
    """The ways to write an IPv4 address into an IPv6 one."""
    number = int(ipaddress.IPv4Address(four))
    high, low = number >> 16, number & 0xFFFF
    hidden = number ^ 0xFFFFFFFF  # Teredo inverts it
    return [
        f"::ffff:{four}",
        f"::{four}",
        f"::ffff:0:{four}",
        f"64:ff9b::{four}",
        f"64:ff9b:1::{four}",
        f"64:ff9b:1:{high:x}:{low >> 8:x}:{(low & 0xFF) << 8:x}::",
        f"2002:{high:x}:{low:x}::1",
        f"2001:0:4136:e378:8000:63bf:{hidden >> 16:x}:{hidden & 0xFFFF:x}",
        f"2a00:1450:4001:81b:0:5efe:{high:x}:{low:x}",
        f"2a00:1450:4001:81b:200:5efe:{high:x}:{low:x}",
        f"fe80::5efe:{high:x}:{low:x}",
    ]


@pytest.mark.parametrize("text", [way for four in _PRIVATE_4 for way in (four, *_embedded(four))])
def test_private_addresses_in_every_form(text: str) -> None:
    """An IPv4 address that is not public is none in any IPv6 form either."""
    assert not is_public(ipaddress.ip_address(text))
    assert not is_public_text(text)


@pytest.mark.parametrize(
    "text",
    "::1 :: fe80::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 100::1 2001:db8::1 3fff::1 255.255.255.255 224.0.0.1 "
    "168.63.129.16 192.0.0.192 198.18.0.1 203.0.113.9 fe80::1%eth0 2a00:1450:4001:81b::200e%1 name 1.2.3 %".split(),
)
def test_other_closed_addresses(text: str) -> None:
    """Loopback, link-local, private, reserved, multicast, metadata and zoned addresses are not public."""
    assert not is_public_text(text)


def test_a_zone_is_never_public() -> None:
    """An address that holds on one interface only is not the Internet's, whatever its number."""
    assert not is_public(ipaddress.ip_address("2a00:1450:4001:81b::200e%1"))


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "1.1.1.1", "2a00:1450:4001:81b::200e", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8", "172.32.0.1"]
)
def test_public_addresses(text: str) -> None:
    """Ordinary addresses are public, and those that a network without IPv4 makes of them."""
    assert is_public_text(text)


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_more_public_than_the_standard_library_says(address: ipaddress.IPv4Address) -> None:
    """What is public here is neither private, loopback, link-local, multicast nor reserved there."""
    if is_public(address):
        assert not (address.is_private or address.is_loopback or address.is_link_local)
        assert not (address.is_multicast or address.is_reserved or address.is_unspecified)
    else:
        assert not any(is_public(ipaddress.ip_address(text)) for text in _embedded(str(address)))


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_is_more_public_than_the_standard_library_says(address: ipaddress.IPv6Address) -> None:
    """As above; an IPv6 address with an IPv4 one inside is no more public than that one."""
    if is_public(address):
        inner = address.ipv4_mapped
        assert inner is None or is_public(inner)
        # Older versions call all mapped addresses private.
        assert inner is not None or not (address.is_private or address.is_loopback or address.is_link_local)
        assert not (
            address.is_site_local
            or address.is_multicast
            or address.is_unspecified
            or address.sixtofour
            or address.teredo
        )


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("EXAMPLE.com.", "example.com"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("127.0.0.1.", "127.0.0.1"),
        ("[2001:DB8:0:0::1]", "2001:db8::1"),
        ("a-1.example", "a-1.example"),
        ("0xyz", "0xyz"),
    ],
)
def test_a_host_has_one_name(host: str, name: str) -> None:
    """Case, a dot at the end, IDNA and the long form of an address make no difference."""
    assert host_name(host) == name


@pytest.mark.parametrize(
    "host",
    [
        *"\u2488.com.. \u2025 a\u200d.com . a.. 127%2e0 fe80::1%25eth0 2130706433 0x7f000001 0x 127.1".split(),
        *"0177.0.0.1 a.0x7f 1.2.3.4.5 gg::1 256.1.1.1".split(),
    ],
)
def test_odd_hosts_have_none(host: str) -> None:
    """Numbers that only some resolvers take for an address, zones, and what IDNA forbids are nobody's name."""
    assert host_name(host) is None and host_name("") is None
