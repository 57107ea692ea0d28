"""Which audio section of an offer we take, and how we answer it. Source: RFC 3264 6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cmw.sip.audio_agreement import OurSide, agree_on, find_hindrance, find_refusal
from cmw.sip.audio_format import AudioCodec
from cmw.sip.audio_policy import AudioPolicy
from cmw.sip.format_agreement import agree_on_formats
from cmw.sip.negotiated_audio import NegotiatedAudio
from cmw.sip.sdp import MediaDescription, SessionDescription, describe_media
from cmw.sip.sdp_attributes import AttributeRow
from cmw.sip.session_refusal import SdpWarning, refuse


class Chosen(NamedTuple):
    """The section of an offer that we take.

    Args:
        at: its index.
        audio: what is agreed.
        formats: what our answer names, under the numbers that we take it with.
        keys: a= lines that answer its keys.
    """

    at: int
    audio: NegotiatedAudio
    formats: tuple[AudioCodec, ...]
    keys: Sequence[AttributeRow]


def choose_audio(session: SessionDescription, current: int | None, policy: AudioPolicy, side: OurSide) -> Chosen | None:
    """Return the first audio section that we can take, the one in use before all others; None when we need none.

    Args:
        session: the offer.
        current: index of the section in use.
        policy: ours.
        side: formats that we know, our wish and our address.

    Raises:
        RemoteProtocolError: hint 400: a section that we could take is malformed; 488: we need audio, and there is none.
    """
    order = list(range(len(session.media)))
    if current is not None:
        order.sort(key=lambda at: at != current)
    warnings = []
    for at in order:
        found = _try(session, at, policy, side) if session.media[at].port else None
        if isinstance(found, Chosen):
            return found
        if found is not None:
            warnings.append(found)
    if policy.needs_audio:
        wanted = f"an audio stream over {policy.protocols[0]} with one of {', '.join([c.name for c in policy.codecs])}"
        refuse(wanted, describe_media(session), *warnings or [SdpWarning.MEDIA_TYPE])
    return None


def _try(session: SessionDescription, at: int, policy: AudioPolicy, side: OurSide) -> Chosen | SdpWarning:
    media = session.media[at]
    refusal = find_refusal(media, policy)
    if refusal is not None:
        return refusal
    formats = agree_on_formats(media, side.terms)
    if formats is None:
        return SdpWarning.MEDIA_FORMAT
    hindrance = find_hindrance(session, media, policy, side)
    if hindrance is not None:
        return hindrance
    keys = _answer_keys(session, media, policy)
    if keys is None:
        return SdpWarning.TRANSPORT
    return Chosen(at, agree_on(session, at, formats, policy, side), formats.named, keys)


def _answer_keys(
    session: SessionDescription, media: MediaDescription, policy: AudioPolicy
) -> Sequence[AttributeRow] | None:
    if policy.keying is None or "SAVP" not in media.protocol:
        return ()
    return policy.keying.answer(session, media)
