"""What comes of an audio section of the peer's and our policy. Source: RFC 3264, RFC 3605, RFC 4733, RFC 5761."""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from cmw.core.address import Address
from cmw.sip.audio_policy import AudioPolicy
from cmw.sip.format_agreement import AgreedFormats, Terms
from cmw.sip.grammar import CACHE_VALUES, fail, is_literal, parse_number
from cmw.sip.negotiated_audio import NegotiatedAudio
from cmw.sip.sdp import Connection, MediaDescription, SessionDescription
from cmw.sip.sdp_attributes import Direction
from cmw.sip.sdp_parser import parse_connection
from cmw.sip.session_refusal import SdpWarning

_BROADCAST = IPv4Address("255.255.255.255")


class HostKind(Enum):
    """What a host of a c= line is to who sends."""

    IP4 = auto()
    IP6 = auto()
    NOBODY = auto()
    """All zeros: hold in the old manner. Source: RFC 3264 8.4."""
    GROUP = auto()
    """Multicast or broadcast: what is sent there loads others than who asked for it."""
    NAME = auto()


@lru_cache(maxsize=CACHE_VALUES)
def kind_of_host(host: str) -> HostKind:
    """Return what a host is; an IPv4 address in an IPv6 one counts as IPv6."""
    if not is_literal(host):
        return HostKind.NAME
    address = ip_address(host)
    inner = (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
    if inner.is_unspecified:
        return HostKind.NOBODY
    if inner.is_multicast or inner == _BROADCAST:
        return HostKind.GROUP
    return HostKind.IP4 if address.version == 4 else HostKind.IP6


class OurSide(NamedTuple):
    """What we bring to an agreement.

    Args:
        terms: formats that we offered, or could take, and how they are matched.
        direction: what we wish.
        mux: we offered, or are willing, to share the port.
        host_kind: of our own address.
    """

    terms: Terms
    direction: Direction
    mux: bool
    host_kind: HostKind


def find_hindrance(
    session: SessionDescription, media: MediaDescription, policy: AudioPolicy, side: OurSide
) -> SdpWarning | None:
    """Return why a section with common formats cannot be used, None when it can.

    Raises:
        RemoteProtocolError: hint 400: there is no c= line for it, or its rtcp line is malformed.
    """
    connection = session.media_connection(media)
    if connection is None:
        fail("a c= line", "none")
    facts = media.attributes.facts
    if facts.rtcp_mux_only and not side.mux:
        return SdpWarning.ATTRIBUTE
    hindrance = _find_address_hindrance(connection, policy, side)
    rtcp = media.attributes.facts.rtcp
    if hindrance is None and rtcp is not None:
        elsewhere = _parse_rtcp(rtcp)[1]
        hindrance = None if elsewhere is None else _find_address_hindrance(elsewhere, policy, side)
    return hindrance


def _find_address_hindrance(connection: Connection, policy: AudioPolicy, side: OurSide) -> SdpWarning | None:
    if connection.network != "IN":
        return SdpWarning.NETWORK_PROTOCOL
    kind = kind_of_host(connection.host)
    if kind is side.host_kind or kind is HostKind.NOBODY:
        return None
    if kind is HostKind.GROUP:
        return SdpWarning.MULTICAST
    if kind is HostKind.NAME:
        return None if policy.names else SdpWarning.ADDRESS_FORMAT
    return SdpWarning.ADDRESS_FORMAT if side.host_kind in (HostKind.IP4, HostKind.IP6) else None


def agree_on(
    session: SessionDescription, section: int, formats: AgreedFormats, policy: AudioPolicy, side: OurSide
) -> NegotiatedAudio:
    """Return what the peer's section and ours come to.

    Args:
        session: the peer's description.
        section: index of its section, in whose way nothing is.
        formats: what is common.
        policy: ours.
        side: see `OurSide`.
    """
    media = session.media[section]
    facts = media.attributes.facts
    connection = session.media_connection(media)
    assert connection is not None, "what has no address is no candidate"
    is_away = kind_of_host(connection.host) is HostKind.NOBODY
    mux = side.mux and facts.rtcp_mux and formats.muxable
    remote = Address(connection.host, media.port)
    theirs = facts.direction or session.attributes.facts.direction or Direction.SENDRECV  # RFC 3264 5.1: the default
    if is_away and theirs.receives:
        theirs = Direction.of(sends=theirs.sends, receives=False)  # RFC 3264 8.4: whatever it says
    return NegotiatedAudio(
        remote,
        _find_rtcp(remote, facts.rtcp, is_away=is_away, mux=mux),
        formats.payload_type,
        formats.codec,
        formats.clock_hz,
        policy.choose_ptime_ms(facts.ptime_ms, facts.max_ptime_ms),
        _MEETINGS[side.direction, theirs],
        formats.channels,
        formats.parameters,
        formats.receive_payload_type,
        formats.receive_payload_types,
        facts.ptime_ms,
        facts.max_ptime_ms,
        formats.telephone_event,
        formats.receive_telephone_event,
        formats.events,
        formats.comfort_noise,
        formats.receive_comfort_noise,
        mux,
        media.protocol,
        theirs,
        section,
        formats.formats,
    )


_MEETINGS = {
    (ours, theirs): Direction.of(sends=ours.sends and theirs.receives, receives=ours.receives and theirs.sends)
    for ours in Direction
    for theirs in Direction
}
"""What we do, by what we wish and what the peer says of itself. Source: RFC 3264 6.1."""


def _find_rtcp(remote: Address, said: str | None, *, is_away: bool, mux: bool) -> Address:
    """Return where RTCP goes; port 0 when nobody is there, or the kernel would send it to ourselves.

    Args:
        remote: where RTP goes.
        said: the peer's a=rtcp, None without. Source: RFC 3605 2.1.
        is_away: the peer's address is all zeros. Source: RFC 3264 8.4.
        mux: the port is shared. Source: RFC 5761 5.1.1.
    """
    if is_away:
        return Address(remote.host, 0)
    if mux:
        return remote
    if said is None:
        return Address(remote.host, remote.port + 1 if remote.port < 65535 else remote.port)
    port, elsewhere = _parse_rtcp(said)
    if elsewhere is None:
        return Address(remote.host, port)
    return Address(elsewhere.host, 0 if kind_of_host(elsewhere.host) is HostKind.NOBODY else port)


@lru_cache(maxsize=CACHE_VALUES)
def _parse_rtcp(value: str) -> tuple[int, Connection | None]:
    """Parse ``53020 IN IP4 192.0.2.1``; the address may be missing. Source: RFC 3605 2.1."""
    port, _, rest = value.partition(" ")
    number = parse_number(port, "an RTCP port", maximum=65535) or fail("an RTCP port of at least 1", port)
    return number, parse_connection(rest) if rest.strip(" ") else None


def find_refusal(media: MediaDescription, policy: AudioPolicy) -> SdpWarning | None:
    """Return why a section is not for us, before its formats are looked at; None when it may be."""
    if media.kind != "audio":
        return SdpWarning.MEDIA_TYPE
    return None if policy.accepts_protocol(media.protocol) else SdpWarning.TRANSPORT
