"""From a frame to the IP packet in it. Source: the list of link-layer types of tcpdump.org."""

from __future__ import annotations

from typing import Final

IPV4: Final = 0x0800
IPV6: Final = 0x86DD

_VLAN_TAGS = frozenset((0x8100, 0x88A8, 0x9100, 0x9200))
_PPPOE_SESSION = 0x8864
_PPP_PROTOCOLS = {0x0021: IPV4, 0x0057: IPV6}

_NULL, _ETHERNET, _PPP, _LOOP, _SLL, _SLL2 = 0, 1, 9, 108, 113, 276
_RAW = frozenset((12, 14, 101, 228, 229))
_AF_INET = 2
_AF_INET6 = frozenset((10, 23, 24, 28, 30))
"""The number of IPv6 as an address family on Linux, Windows, NetBSD, FreeBSD and macOS."""


def ip_packet(link_type: int, data: bytes) -> bytes | None:
    """Return the IPv4 or IPv6 packet in a frame; None when it holds none.

    Raises:
        NotImplementedError: the link type is not one that we know.
    """
    if link_type == _ETHERNET:
        return _by_ethertype(data, 12)
    if link_type in _RAW:
        return data
    if link_type == _SLL:
        return _by_ethertype(data, 14)
    if link_type == _SLL2:
        return _after_ethertype(data, 0, 20)
    if link_type == _NULL:
        return _by_family(int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big"), data[4:])
    if link_type == _LOOP:
        return _by_family(int.from_bytes(data[:4], "big"), 0, data[4:])
    if link_type == _PPP:
        start = 2 if data[:2] == b"\xff\x03" else 0
        return data[start + 2 :] if int.from_bytes(data[start : start + 2], "big") in _PPP_PROTOCOLS else None
    raise NotImplementedError(f"link type {link_type}")


def _by_ethertype(data: bytes, at: int) -> bytes | None:
    return _after_ethertype(data, at, at + 2)


def _after_ethertype(data: bytes, at: int, after: int) -> bytes | None:
    """Return what follows an ethertype at `at`, through VLAN tags (802.1Q, 802.1ad) and PPPoE."""
    ethertype = int.from_bytes(data[at : at + 2], "big")
    while ethertype in _VLAN_TAGS and after + 4 <= len(data):
        ethertype = int.from_bytes(data[after + 2 : after + 4], "big")
        after += 4
    if ethertype == _PPPOE_SESSION:
        ethertype = _PPP_PROTOCOLS.get(int.from_bytes(data[after + 6 : after + 8], "big"), 0)
        after += 8
    return data[after:] if ethertype in (IPV4, IPV6) else None


def _by_family(little: int, big: int, data: bytes) -> bytes | None:
    """Return `data` when one of two readings of the family, which is in the byte order of whoever captured, is IP."""
    return data if {little, big} & (_AF_INET6 | {_AF_INET}) else None
