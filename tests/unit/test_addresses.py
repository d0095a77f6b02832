"""Where a request comes from, with proxies in between that are trusted or not."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.access.addresses import Networks, client_address

NOBODY = Networks()
PROXIES = Networks.parse("10.0.0.0/8, 192.0.2.1, fd00::/8")
addresses = st.ip_addresses().map(str)


@given(addresses, st.lists(addresses))
def test_without_trusted_proxies_the_peer_is_who_asks_whatever_is_said(peer, said):
    assert client_address(peer, said, NOBODY) == client_address(peer, [], NOBODY)


@given(addresses.filter(lambda text: not PROXIES.hold(ip_address(text))), st.lists(st.text()))
def test_what_a_peer_says_that_is_no_trusted_proxy_counts_for_nothing(peer, said):
    assert client_address(peer, said, PROXIES) == client_address(peer, [], NOBODY)


@given(st.lists(st.text(alphabet="0123456789.:, ab")), st.lists(st.sampled_from(["10.1.2.3", "192.0.2.1", "fd00::7"])))
def test_what_a_client_puts_in_front_does_not_change_what_proxies_say(forged, proxies):
    said = [*forged, ", ".join(["198.51.100.7", *proxies])]
    assert str(client_address("10.0.0.1", said, PROXIES)) == "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "said", "found"),
    [
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7", "10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, , 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::1"),
    ],
)
def test_who_is_behind_the_last_trusted_proxy_is_who_asks(peer: str, said: list[str], found: str):
    assert str(client_address(peer, said, PROXIES)) == found


@pytest.mark.parametrize("peer", [None, "", "/run/registry.sock", "localhost"])
def test_a_peer_without_an_address_has_none_whatever_is_said(peer: str | None):
    assert client_address(peer, ["198.51.100.7"], PROXIES) is None


def test_networks_are_shown_as_they_are_set():
    assert str(PROXIES) == "10.0.0.0/8, 192.0.2.1/32, fd00::/8"
    assert str(NOBODY) == ""
    assert Networks.parse(str(PROXIES)) == PROXIES
