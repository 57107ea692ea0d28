"""What the peer's answer makes of our offer. Source: RFC 3264 7."""

from __future__ import annotations

from typing import NamedTuple

from cmw.sip.audio_agreement import OurSide, agree_on, find_hindrance
from cmw.sip.audio_policy import AudioPolicy
from cmw.sip.format_agreement import agree_on_formats
from cmw.sip.negotiated_audio import NegotiatedAudio
from cmw.sip.sdp import MediaDescription, SessionDescription, describe_media
from cmw.sip.session_refusal import SdpWarning, refuse


class Offered(NamedTuple):
    """An offer of ours, as far as its answer is read against it.

    Args:
        side: formats that we offered, our wish and our address.
        policy: ours at the time.
        protocol: of the audio section.
        at: index of the audio section.
        sections: the whole offer's, as text.
    """

    side: OurSide
    policy: AudioPolicy
    protocol: str
    at: int
    sections: tuple[str, ...]


def read_audio(session: SessionDescription, offered: Offered) -> NegotiatedAudio | None:
    """Return what was agreed; None when the answer refuses the stream and the policy can do without.

    Args:
        session: the answer.
        offered: see `Offered`.

    Raises:
        RemoteProtocolError: hint 400: malformed; 488: it refuses what we need, or does not fit the offer.
    """
    kinds = [section[2 : section.index(" ")] for section in offered.sections]
    found = [media.kind for media in session.media]
    if len(found) != len(kinds):
        refuse(f"{len(kinds)} media sections in the answer", describe_media(session), SdpWarning.MISCELLANEOUS)
    if found != kinds:
        refuse(f"{', '.join(kinds)} in the answer", describe_media(session), SdpWarning.MEDIA_TYPE)
    media = session.media[offered.at]
    if not media.port:
        if offered.policy.needs_audio:
            refuse("an accepted audio stream", describe_media(session), SdpWarning.MEDIA_TYPE)
        return None
    return _agree(session, media, offered)


def _agree(session: SessionDescription, media: MediaDescription, offered: Offered) -> NegotiatedAudio:
    policy = offered.policy
    if not policy.accepts_protocol(media.protocol) or ("SAVP" in media.protocol) != ("SAVP" in offered.protocol):
        refuse(f"an audio stream over {offered.protocol}", describe_media(session), SdpWarning.TRANSPORT)
    formats = agree_on_formats(media, offered.side.terms)
    if formats is None:
        refuse("a codec of our offer", describe_media(session), SdpWarning.MEDIA_FORMAT)
    hindrance = find_hindrance(session, media, policy, offered.side)
    if hindrance is not None:
        refuse("an answer that can be followed", f"{hindrance.text}: {describe_media(session)}", hindrance)
    return agree_on(session, offered.at, formats, policy, offered.side)
