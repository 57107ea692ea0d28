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
    mux = side.mux and facts.rtcp_mux and formats.muxable
    remote, remote_rtcp = _find_addresses(session, media, mux=mux)
    theirs = _find_direction(session, media, remote)
    wish = side.direction
    return NegotiatedAudio(
        remote,
        remote_rtcp,
        formats.payload_type,
        formats.codec,
        formats.clock_hz,
        policy.choose_ptime_ms(facts.ptime_ms, facts.max_ptime_ms),
        Direction.of(sends=wish.sends and theirs.receives, receives=wish.receives and theirs.sends),
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
    )


def _find_addresses(session: SessionDescription, media: MediaDescription, *, mux: bool) -> tuple[Address, Address]:
    """Return where RTP and RTCP go. Source: RFC 3264 6.1, RFC 3605 2.1, RFC 5761 5.1.1."""
    connection = session.media_connection(media)
    assert connection is not None, "what has no address is no candidate"
    remote = Address(connection.host, media.port)
    if kind_of_host(connection.host) is HostKind.NOBODY:
        return remote, Address(remote.host, 0)  # on hold, RFC 3264 8.4: nobody is there, and the kernel would take us
    if mux:
        return remote, remote
    rtcp = media.attributes.facts.rtcp
    if rtcp is None:
        return remote, Address(remote.host, media.port + 1 if media.port < 65535 else media.port)
    port, elsewhere = _parse_rtcp(rtcp)
    return remote, Address(elsewhere.host if elsewhere is not None else remote.host, port)


@lru_cache(maxsize=CACHE_VALUES)
def _parse_rtcp(value: str) -> tuple[int, Connection | None]:
    """Parse ``53020 IN IP4 192.0.2.1``; the address may be missing. Source: RFC 3605 2.1."""
    port, _, rest = value.partition(" ")
    number = parse_number(port, "an RTCP port", maximum=65535) or fail("an RTCP port of at least 1", port)
    return number, parse_connection(rest) if rest.strip(" ") else None


def _find_direction(session: SessionDescription, media: MediaDescription, remote: Address) -> Direction:
    """Return the direction of a section, from its side; sendrecv by default. Source: RFC 3264 5.1.

    To an address of zeros nothing can be sent, whatever is said. Source: RFC 3264 8.4.
    """
    said = media.attributes.facts.direction or session.attributes.facts.direction or Direction.SENDRECV
    if said.receives and kind_of_host(remote.host) is HostKind.NOBODY:
        return Direction.of(sends=said.sends, receives=False)
    return said


def find_refusal(media: MediaDescription, policy: AudioPolicy) -> SdpWarning | None:
    """Return why a section is not for us, before its formats are looked at; None when it may be."""
    if media.kind != "audio":
        return SdpWarning.MEDIA_TYPE
    return None if policy.accepts_protocol(media.protocol) else SdpWarning.TRANSPORT
