"""Where a request comes from: its peer's address or, behind proxies that are trusted, what they say of it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address


class Networks(tuple[IPv4Network | IPv6Network, ...]):
    """Networks, of which a single address is the smallest."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read them as they are set, separated by commas. Raises `ValueError`, for bits beyond the prefix too."""
        return cls(ip_network(one.strip()) for one in text.split(","))

    def hold(self, address: Address) -> bool:
        """Tell whether an address lies in one of them."""
        return any(address in network for network in self)

    def __str__(self) -> str:
        return ", ".join(map(str, self))


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Networks) -> Address | None:
    """Return the address of whoever is behind the last proxy that is trusted; None where the peer has none.

    `forwarded` are the X-Forwarded-For headers in their order. Each proxy adds at the end whom it was asked by, so the
    list is read from its end and only as far as trusted proxies wrote it: what a client puts in front counts for
    nothing. What is no address ends it as well.
    """
    address = _address(peer or "")
    hops = [hop for header in forwarded for hop in header.split(",")]
    while address is not None and hops and trusted.hold(address):
        before = _address(hops.pop())
        if before is None:
            break
        address = before
    return address


def _address(text: str) -> Address | None:
    """Read an address; an IPv4 address in the clothes of IPv6 is taken for what it is."""
    try:
        found = ip_address(text.strip().removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
