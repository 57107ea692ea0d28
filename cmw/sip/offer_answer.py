"""Offers and answers of one audio stream over RTP/AVP. Source: RFC 3264, RFC 3551, RFC 3605, RFC 4733.

One side calls `make_offer` and later `read_answer`; the other calls `negotiate`. Both end with a `NegotiatedAudio`.
Every later description of the same session gets the last one of ours as `previous`, so that the version of its o= line
grows when, and only when, something changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from cmw.core.address import Address
from cmw.errors import LocalProtocolError
from cmw.sip.grammar import CACHE_VALUES, fail, is_literal, is_number, parse_number
from cmw.sip.sdp import (
    MediaDescription,
    Origin,
    SessionDescription,
    parse_connection,
    parse_sdp,
    serialize_sdp,
)

NOT_ACCEPTABLE = 488
"""The hint of a session that we cannot agree to. Source: RFC 3261 21.4.26."""

PROTOCOL = "RTP/AVP"

BROADCAST = "255.255.255.255"


class AudioCodec(NamedTuple):
    """An audio format as session descriptions name it.

    Args:
        name: encoding name, such as ``PCMU``; letter case does not count.
        payload_type: the number that our offers use, 0 .. 127.
        clock_hz: RTP clock.
        channels: number of channels.
    """

    name: str
    payload_type: int
    clock_hz: int = 8000
    channels: int = 1

    def is_same(self, other: AudioCodec) -> bool:
        """Tell whether both are one format, whatever their payload types."""
        mine = (self.name.upper(), self.clock_hz, self.channels)
        return mine == (other.name.upper(), other.clock_hz, other.channels)


PCMU = AudioCodec("PCMU", 0)
PCMA = AudioCodec("PCMA", 8)

STATIC_CODECS = {
    codec.payload_type: codec
    for codec in (
        PCMU,
        AudioCodec("GSM", 3),
        AudioCodec("G723", 4),
        AudioCodec("DVI4", 5),
        AudioCodec("DVI4", 6, 16000),
        AudioCodec("LPC", 7),
        PCMA,
        AudioCodec("G722", 9),
        AudioCodec("L16", 10, 44100, 2),
        AudioCodec("L16", 11, 44100),
        AudioCodec("QCELP", 12),
        AudioCodec("CN", 13),
        AudioCodec("MPA", 14, 90000),
        AudioCodec("G728", 15),
        AudioCodec("DVI4", 16, 11025),
        AudioCodec("DVI4", 17, 22050),
        AudioCodec("G729", 18),
    )
}
"""Payload types that need no rtpmap. Source: RFC 3551 6, table 4."""


class Direction(StrEnum):
    """Who sends, seen from the side that says it."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Tell whether the side that says it sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Tell whether the side that says it receives."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)


_DIRECTIONS = frozenset(direction.value for direction in Direction)


@dataclass(frozen=True, slots=True)
class NegotiatedAudio:
    """What both sides agreed on, seen from ours.

    Args:
        remote: where our RTP goes; a literal address.
        remote_rtcp: where our RTCP goes.
        payload_type: the number that we put into our packets, 0 .. 127.
        codec: encoding name in upper case.
        clock_hz: RTP clock.
        ptime_ms: duration of the packets that we send.
        direction: ours: on hold by the peer we are `recvonly` or `inactive`.
        channels: number of channels.
        receive_payload_type: the number that the peer puts into its packets.
        remote_ptime_ms: what the peer asked to get, None when it did not.
        telephone_event: payload type of DTMF events, None when not agreed.
    """

    remote: Address
    remote_rtcp: Address
    payload_type: int
    codec: str
    clock_hz: int
    ptime_ms: int
    direction: Direction
    channels: int = 1
    receive_payload_type: int = 0
    remote_ptime_ms: int | None = None
    telephone_event: int | None = None


def make_offer(
    *,
    address: str,
    rtp_port: int,
    codecs: Sequence[AudioCodec],
    ptime_ms: int = 20,
    direction: Direction = Direction.SENDRECV,
    session_id: int = 1,
    session_version: int = 1,
    previous: bytes | None = None,
) -> bytes:
    """Build an offer of one audio stream.

    Args:
        address: literal address that the peer shall send to.
        rtp_port: RTP port; RTCP is the next one.
        codecs: formats that we can send and receive, the best first.
        ptime_ms: packet duration that we ask for.
        direction: ours.
        session_id: number for the o= line, unique for this session; any random number.
        session_version: first version of the session.
        previous: our last offer or answer in this session; it overrides both numbers, and its refused streams
            keep their places.
    """
    if not codecs:
        raise LocalProtocolError("expected at least one codec to offer, found none")
    audio = _describe(address, rtp_port, codecs, ptime_ms, direction)
    before = parse_sdp(previous) if previous is not None else None
    media = [section.rejected() for section in before.media] if before is not None else []
    at = _own_audio(before) if before is not None else None
    if at is None:
        media.append(audio)
    else:
        media[at] = audio
    origin = Origin("-", str(session_id), str(session_version), address)
    return _finish(SessionDescription(origin, connection=address, media=tuple(media)), before)


def negotiate(
    offer: bytes,
    *,
    address: str,
    rtp_port: int,
    codecs: Sequence[AudioCodec],
    ptime_ms: int = 20,
    direction: Direction = Direction.SENDRECV,
    session_id: int = 1,
    session_version: int = 1,
    previous: bytes | None = None,
) -> tuple[bytes, NegotiatedAudio]:
    """Answer an offer: take the first audio stream with a common codec, in the peer's order, and refuse the others.

    Args: as for `make_offer`; `direction` is what we wish, the answer gives no more than the offer allows.

    Returns:
        the answer, and what was agreed.

    Raises:
        RemoteProtocolError: hint 400 when the offer is malformed, 488 when nothing in it can be accepted.
    """
    session = parse_sdp(offer)
    at, chosen = _choose(session, codecs)
    media = session.media[at]
    audio = _agree(session, media, chosen, wish=direction, ptime_ms=ptime_ms)
    formats = [chosen]
    if audio.telephone_event is not None:
        formats.append(AudioCodec("telephone-event", audio.telephone_event, chosen.clock_hz))
    sections = [section.rejected() for section in session.media]
    sections[at] = _describe(address, rtp_port, formats, ptime_ms, audio.direction)
    origin = Origin("-", str(session_id), str(session_version), address)
    answer = SessionDescription(origin, connection=address, times=session.times, media=tuple(sections))
    return _finish(answer, parse_sdp(previous) if previous is not None else None), audio


def read_answer(offer: bytes, answer: bytes) -> NegotiatedAudio:
    """Take what the peer answered to an offer of ours.

    Raises:
        RemoteProtocolError: hint 400 when the answer is malformed, 488 when it refuses the stream or does not fit
            the offer.
    """
    ours, theirs = parse_sdp(offer), parse_sdp(answer)
    at = _own_audio(ours)
    if at is None:
        raise LocalProtocolError("expected an offer with an audio stream, found none")
    if len(theirs.media) != len(ours.media):
        fail(f"{len(ours.media)} media sections in the answer", str(len(theirs.media)), hint=NOT_ACCEPTABLE)
    wanted, media = ours.media[at], theirs.media[at]
    if not _is_usable(media):
        fail(f"an accepted audio stream over {PROTOCOL}", _shown(theirs), hint=NOT_ACCEPTABLE)
    offered = [codec for _, codec in _codecs(wanted)]
    common = _common_codecs(media, offered)
    if not common:
        fail("a codec of our offer", " ".join(media.formats), hint=NOT_ACCEPTABLE)
    chosen = common[0]
    ptime_ms = parse_number(wanted.attribute("ptime") or "20", "a ptime", maximum=1000)
    audio = _agree(theirs, media, chosen, wish=_direction(ours, wanted), ptime_ms=ptime_ms)
    return replace(
        audio,
        receive_payload_type=next(codec.payload_type for codec in offered if codec.is_same(chosen)),
        telephone_event=audio.telephone_event if _telephone_event(wanted, chosen.clock_hz) is not None else None,
    )


def _choose(session: SessionDescription, codecs: Sequence[AudioCodec]) -> tuple[int, AudioCodec]:
    """Return the first audio section that we can take, by index, and its first codec that is ours too."""
    for at, media in enumerate(session.media):
        common = _common_codecs(media, codecs) if _is_usable(media) else []
        if common:
            return at, common[0]
    wanted = ", ".join(codec.name for codec in codecs)
    return fail(f"an audio stream over {PROTOCOL} with one of {wanted}", _shown(session), hint=NOT_ACCEPTABLE)


def _agree(
    session: SessionDescription, media: MediaDescription, chosen: AudioCodec, *, wish: Direction, ptime_ms: int
) -> NegotiatedAudio:
    """Return what the peer's section and our wish come to."""
    remote, remote_rtcp = _remote_addresses(session, media)
    return NegotiatedAudio(
        remote=remote,
        remote_rtcp=remote_rtcp,
        payload_type=chosen.payload_type,
        codec=chosen.name.upper(),
        clock_hz=chosen.clock_hz,
        ptime_ms=ptime_ms,
        direction=_answer_direction(session, media, remote, wish),
        channels=chosen.channels,
        receive_payload_type=chosen.payload_type,
        remote_ptime_ms=_ptime_ms(media),
        telephone_event=_telephone_event(media, chosen.clock_hz),
    )


def _describe(
    address: str, rtp_port: int, codecs: Sequence[AudioCodec], ptime_ms: int, direction: Direction
) -> MediaDescription:
    attributes: list[tuple[str, str | None]] = []
    for codec in codecs:
        channels = f"/{codec.channels}" if codec.channels != 1 else ""
        attributes.append(("rtpmap", f"{codec.payload_type} {codec.name}/{codec.clock_hz}{channels}"))
        if codec.name == "telephone-event":
            attributes.append(("fmtp", f"{codec.payload_type} 0-15"))  # RFC 4733 2.4.1: the sixteen DTMF digits
    attributes += [("ptime", str(ptime_ms)), (direction.value, None)]
    formats = tuple([str(codec.payload_type) for codec in codecs])
    return MediaDescription("audio", rtp_port, PROTOCOL, formats, attributes=tuple(attributes))


def _finish(session: SessionDescription, before: SessionDescription | None) -> bytes:
    """Serialize; under the id of the description before it, with a new version if anything differs.

    Source: RFC 3264 8: the version in the origin field increments by one; if nothing changed it stays.
    """
    if before is None:
        return serialize_sdp(session)
    kept = replace(session, origin=session.origin._replace(session_id=before.origin.session_id))
    version = parse_number(before.origin.session_version, "a session version", maximum=2**63)
    same = kept.with_version(version)
    return serialize_sdp(same if same == before else kept.with_version(version + 1))


def _own_audio(session: SessionDescription) -> int | None:
    """Return the index of the stream that a description of ours uses."""
    return next((at for at, media in enumerate(session.media) if media.kind == "audio" and media.port), None)


def _is_usable(media: MediaDescription) -> bool:
    return media.kind == "audio" and media.protocol == PROTOCOL and media.port != 0


def _codecs(media: MediaDescription) -> list[tuple[int, AudioCodec]]:
    """Return the formats of a section that can be named, in its order."""
    maps: dict[int, AudioCodec] = {}
    for name, value in media.attributes:
        codec = _parse_rtpmap(value) if name == "rtpmap" and value is not None and len(value) <= 255 else None
        if codec is not None:
            maps.setdefault(codec.payload_type, codec)
    types = [int(text) for text in media.formats if is_number(text) and len(text) <= 3]
    named = [(number, maps.get(number) or STATIC_CODECS.get(number)) for number in types if number <= 127]
    return [(number, codec) for number, codec in named if codec is not None]


@lru_cache(maxsize=CACHE_VALUES)
def _parse_rtpmap(value: str) -> AudioCodec | None:
    """Parse ``96 NAME/8000/2``; None when it is not that: the format then has no name. Source: RFC 8866 6.6."""
    number, _, rest = value.partition(" ")
    name, *numbers = rest.strip(" ").split("/")
    clock, channels = (*numbers, "1")[:2] if numbers else ("", "1")
    digits = (number, clock, channels)
    if not all(is_number(text) and len(text) <= 6 for text in digits) or not name.isascii() or int(number) > 127:
        return None
    return AudioCodec(name, int(number), int(clock), int(channels))


def _common_codecs(media: MediaDescription, codecs: Sequence[AudioCodec]) -> list[AudioCodec]:
    """Return the formats of the section that are also in `codecs`, under the section's payload types."""
    return [
        ours._replace(payload_type=number)
        for number, theirs in _codecs(media)
        for ours in codecs
        if ours.is_same(theirs) and ours.name.upper() != "TELEPHONE-EVENT"
    ]


def _telephone_event(media: MediaDescription, clock_hz: int) -> int | None:
    """Return the payload type of telephone events with the clock of the audio. Source: RFC 4733 2.1."""
    for number, codec in _codecs(media):
        if codec.name.upper() == "TELEPHONE-EVENT" and codec.clock_hz == clock_hz:
            return number
    return None


def _remote_addresses(session: SessionDescription, media: MediaDescription) -> tuple[Address, Address]:
    """Return where RTP and RTCP go. Source: RFC 3264 6.1, RFC 3605 2.1."""
    host = media.connection if media.connection is not None else session.connection
    if host is None:
        fail("a c= line", "none")
    remote = Address(_literal(host), media.port)
    rtcp = media.attribute("rtcp")
    if ip_address(remote.host).is_unspecified:
        return remote, Address(remote.host, 0)  # on hold, RFC 3264 8.4: nobody is there, and the kernel would take us
    if rtcp is None:
        return remote, Address(remote.host, remote.port + 1 if remote.port < 65535 else remote.port)
    port, _, rest = rtcp.partition(" ")
    number = parse_number(port, "an RTCP port", maximum=65535) or fail("an RTCP port of at least 1", port)
    return remote, Address(_literal(parse_connection(rest)) if rest.strip(" ") else remote.host, number)


def _literal(host: str) -> str:
    """Return a literal address of one host; what is sent to a group would load others than who asked for it."""
    if not is_literal(host):
        fail("a literal address in the session description", host, hint=NOT_ACCEPTABLE)
    if ip_address(host).is_multicast or host == BROADCAST:
        fail("the address of one host in the session description", host, hint=NOT_ACCEPTABLE)
    return host


def _direction(session: SessionDescription, media: MediaDescription) -> Direction:
    """Return the direction of a section, from its side. Source: RFC 3264 5.1: sendrecv is the default."""
    for attributes in (media.attributes, session.attributes):
        for name, value in attributes:
            if value is None and name in _DIRECTIONS:
                return Direction(name)
    return Direction.SENDRECV


def _answer_direction(
    session: SessionDescription, media: MediaDescription, remote: Address, wish: Direction
) -> Direction:
    """Return our direction: what we wish as far as the peer's allows. Source: RFC 3264 6.1, 8.4 (0.0.0.0)."""
    theirs = _direction(session, media)
    sends = wish.sends and theirs.receives and remote.host.strip("0.:") != ""
    receives = wish.receives and theirs.sends
    if sends:
        return Direction.SENDRECV if receives else Direction.SENDONLY
    return Direction.RECVONLY if receives else Direction.INACTIVE


def _ptime_ms(media: MediaDescription) -> int | None:
    """Return the packet duration that a section asks for; what is no plain number of 1 .. 1000 is passed over."""
    text = (media.attribute("ptime") or "").partition(".")[0]
    return int(text) or None if is_number(text) and len(text) <= 3 else None


def _shown(session: SessionDescription) -> str:
    return "; ".join(f"{m.kind} {m.port} {m.protocol} {' '.join(m.formats)}" for m in session.media) or "no media"
