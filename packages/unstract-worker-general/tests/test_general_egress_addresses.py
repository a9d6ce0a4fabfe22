"""Which addresses are public: the list is pinned, for `ipaddress` differs by Python version."""

# ruff: noqa: S104 - addresses are read here, not bound

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstract_worker_general.webhooks.addresses import unmapped, why_not_public

REFUSED = {
    "0.0.0.0": "this host (0.0.0.0/8)",
    "0.255.255.255": "this host (0.0.0.0/8)",
    "10.0.0.0": "private (10.0.0.0/8)",
    "10.255.255.255": "private (10.0.0.0/8)",
    "100.64.0.0": "carrier-grade NAT (100.64.0.0/10)",
    "100.100.100.200": "carrier-grade NAT (100.64.0.0/10)",
    "100.127.255.255": "carrier-grade NAT (100.64.0.0/10)",
    "127.0.0.0": "loopback (127.0.0.0/8)",
    "127.255.255.255": "loopback (127.0.0.0/8)",
    "168.63.129.16": "a cloud's platform service (168.63.129.16/32)",
    "169.254.0.0": "link-local, metadata services (169.254.0.0/16)",
    "169.254.169.254": "link-local, metadata services (169.254.0.0/16)",
    "169.254.255.255": "link-local, metadata services (169.254.0.0/16)",
    "172.16.0.0": "private (172.16.0.0/12)",
    "172.31.255.255": "private (172.16.0.0/12)",
    "192.0.0.0": "protocol assignments (192.0.0.0/24)",
    "192.0.0.192": "protocol assignments (192.0.0.0/24)",
    "192.0.2.1": "documentation (192.0.2.0/24)",
    "192.88.99.1": "6to4 relays (192.88.99.0/24)",
    "192.168.0.0": "private (192.168.0.0/16)",
    "192.168.255.255": "private (192.168.0.0/16)",
    "198.18.0.0": "benchmarks (198.18.0.0/15)",
    "198.19.255.255": "benchmarks (198.18.0.0/15)",
    "198.51.100.1": "documentation (198.51.100.0/24)",
    "203.0.113.1": "documentation (203.0.113.0/24)",
    "224.0.0.1": "multicast (224.0.0.0/4)",
    "239.255.255.255": "multicast (224.0.0.0/4)",
    "240.0.0.0": "reserved (240.0.0.0/4)",
    "255.255.255.254": "reserved (240.0.0.0/4)",
    "255.255.255.255": "broadcast (255.255.255.255/32)",
    "::": "unspecified (::/128)",
    "::1": "loopback (::1/128)",
    "::127.0.0.1": "IPv4-compatible (::/96)",
    "::8.8.8.8": "IPv4-compatible (::/96)",
    "::ffff:127.0.0.1": "loopback (127.0.0.0/8)",
    "::ffff:169.254.169.254": "link-local, metadata services (169.254.0.0/16)",
    "::ffff:0:127.0.0.1": "IPv4-translated (::ffff:0:0:0/96)",
    "64:ff9b::127.0.0.1": "loopback (127.0.0.0/8), hidden in NAT64",
    "64:ff9b::10.0.0.1": "private (10.0.0.0/8), hidden in NAT64",
    "64:ff9b:1::8.8.8.8": "local NAT64 (64:ff9b:1::/48)",
    "64:ff9b:2::8.8.8.8": "not global unicast",
    "100::1": "discard (100::/64)",
    "100:0:0:1::1": "not global unicast",
    "2001::1": "Teredo (2001::/32)",
    "2001:0:4136:e378:8000:63bf:80ff:fffe": "Teredo (2001::/32)",
    "2001:2::1": "benchmarks (2001:2::/48)",
    "2001:10::1": "protocol assignments (2001::/23)",
    "2001:1ff:ffff::1": "protocol assignments (2001::/23)",
    "2001:db8::1": "documentation (2001:db8::/32)",
    "2002:7f00:1::": "loopback (127.0.0.0/8), hidden in 6to4",
    "2002:a9fe:a9fe::1": "link-local, metadata services (169.254.0.0/16), hidden in 6to4",
    "2606:4700::5efe:7f00:1": "loopback (127.0.0.0/8), hidden in ISATAP",
    "2606:4700::200:5efe:a00:1": "private (10.0.0.0/8), hidden in ISATAP",
    "3ffe::1": "not assigned any more (3ffe::/16)",
    "3fff::1": "documentation (3fff::/20)",
    "4000::1": "not global unicast",
    "5f00::1": "segment routing (5f00::/16)",
    "fc00::1": "unique local (fc00::/7)",
    "fd00:ec2::254": "unique local (fc00::/7)",
    "fe80::1": "link-local (fe80::/10)",
    "fe80::1%eth0": "link-local (fe80::/10)",
    "febf::1": "link-local (fe80::/10)",
    "fec0::1": "site-local (fec0::/10)",
    "feff::1": "site-local (fec0::/10)",
    "ff02::1": "multicast (ff00::/8)",
    "ff0e::1": "multicast (ff00::/8)",
}
PUBLIC = (
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.167.255.255",
    "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2000::1", "2001:200::1", "2606:4700:4700::1111", "2a00:1450:4001::1",
    "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2606:4700::5efe:808:808",
)  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_w1_addresses_that_are_not_public(text):
    assert why_not_public(ip_address(text)) == REFUSED[text]


@pytest.mark.parametrize("text", PUBLIC)
def test_w1_addresses_that_are_public(text):
    assert why_not_public(ip_address(text)) is None


@given(address=st.ip_addresses(v=4))
def test_w1_what_is_refused_is_refused_inside_of_ipv6(address):
    rule = why_not_public(address)
    low = int(address)
    assert why_not_public(IPv6Address(0xFFFF_0000_0000 | low)) == rule
    for prefix in (0x0064_FF9B << 96 | low, 0x2002 << 112 | low << 80, 0x2606_4700 << 96 | 0x5EFE << 32 | low):
        inner = why_not_public(IPv6Address(prefix))
        assert (inner is None) == (rule is None)
        assert inner is None or inner.startswith(f"{rule}, hidden in ")


@given(address=st.ip_addresses())
def test_w1_nothing_is_public_that_the_standard_library_calls_internal(address):
    known = unmapped(address)
    internal = known.is_private or known.is_loopback or known.is_link_local or known.is_multicast
    assert not (internal and why_not_public(address) is None)


def test_a_mapped_address_is_what_the_socket_takes_it_for():
    assert unmapped(IPv6Address("::ffff:1.2.3.4")) == IPv4Address("1.2.3.4")
    assert unmapped(IPv6Address("2000::1")) == IPv6Address("2000::1")
