"""One offer, one answer: for tools that keep no session. For calls that change, see `cmw.sip.negotiator`.

One side calls `make_offer` and later `read_answer`; the other calls `negotiate`. Both end with a `NegotiatedAudio`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from cmw.errors import LocalProtocolError
from cmw.sip.audio_agreement import OurSide, kind_of_host
from cmw.sip.audio_answer import Offered, read_audio
from cmw.sip.audio_format import AudioCodec
from cmw.sip.audio_policy import AudioPolicy
from cmw.sip.format_agreement import Terms
from cmw.sip.grammar import CACHE_VALUES
from cmw.sip.negotiated_audio import NegotiatedAudio
from cmw.sip.negotiator import Negotiator
from cmw.sip.sdp import serialize_media
from cmw.sip.sdp_attributes import Direction
from cmw.sip.sdp_parser import parse_sdp

USUAL_PTIME_MS = 20
"""Packet duration unless said otherwise. Source: RFC 3551 4.5."""


def make_offer(
    *,
    address: str,
    rtp_port: int,
    codecs: Sequence[AudioCodec],
    ptime_ms: int = USUAL_PTIME_MS,
    direction: Direction = Direction.SENDRECV,
    session_id: int = 1,
    session_version: int = 1,
) -> bytes:
    """Build an offer of one audio stream with telephone events.

    Args:
        address: literal address that the peer shall send to.
        rtp_port: RTP port; RTCP is the next one.
        codecs: formats that we can send and receive, the best first.
        ptime_ms: packet duration that we ask for.
        direction: ours.
        session_id: number for the o= line, unique for this session; any random number.
        session_version: version of the session.

    Raises:
        LocalProtocolError: there is no codec.
    """
    negotiator = Negotiator(
        _policy(tuple(codecs), ptime_ms),
        address=address,
        rtp_port=rtp_port,
        session_id=session_id,
        session_version=session_version,
    )
    return negotiator.make_offer(direction)


def negotiate(
    offer: bytes,
    *,
    address: str,
    rtp_port: int,
    codecs: Sequence[AudioCodec],
    ptime_ms: int = USUAL_PTIME_MS,
    direction: Direction = Direction.SENDRECV,
    session_id: int = 1,
    session_version: int = 1,
) -> tuple[bytes, NegotiatedAudio]:
    """Answer an offer: take the first audio stream with a common codec, in the peer's order, and refuse the others.

    Args: as for `make_offer`; `direction` is what we wish, the answer gives no more than the offer allows.

    Returns:
        the answer, and what was agreed.

    Raises:
        RemoteProtocolError: hint 400 when the offer is malformed, 488 when nothing in it can be accepted.
    """
    negotiator = Negotiator(
        _policy(tuple(codecs), ptime_ms),
        address=address,
        rtp_port=rtp_port,
        session_id=session_id,
        session_version=session_version,
    )
    answer = negotiator.make_answer(offer, direction)
    assert negotiator.audio is not None, "the policy needs audio"
    return answer, negotiator.audio


def read_answer(offer: bytes, answer: bytes) -> NegotiatedAudio:
    """Take what the peer answered to an offer of ours.

    Raises:
        LocalProtocolError: the offer has no audio stream.
        RemoteProtocolError: hint 400 when the answer is malformed, 488 when it refuses the stream or does not fit
            the offer.
    """
    ours = parse_sdp(offer)
    at = next((at for at, media in enumerate(ours.media) if media.kind == "audio" and media.port), None)
    connection = ours.media_connection(ours.media[at]) if at is not None else None
    if at is None or connection is None:
        raise LocalProtocolError("expected an offer with an audio stream, found none")
    media = ours.media[at]
    facts = media.attributes.facts
    formats = facts.codecs(media.formats)
    policy = _policy(tuple([codec for codec in formats if codec.is_audio]), facts.ptime_ms or USUAL_PTIME_MS)
    terms = Terms(formats, own_order=False, answers=False, several=True)
    side = OurSide(terms, facts.direction or Direction.SENDRECV, facts.rtcp_mux, kind_of_host(connection.host))
    sections = tuple([serialize_media(media) for media in ours.media])
    audio = read_audio(parse_sdp(answer), Offered(side, policy, media.protocol, at, sections))
    assert audio is not None, "the policy needs audio"
    return audio


@lru_cache(maxsize=CACHE_VALUES)
def _policy(codecs: tuple[AudioCodec, ...], ptime_ms: int) -> AudioPolicy:
    return AudioPolicy(codecs, ptime_ms)
