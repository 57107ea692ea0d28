"""What one side offers and accepts of audio; shared by all the calls of an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cmw.errors import LocalProtocolError
from cmw.sip.audio_format import COMFORT_NOISE, FIRST_DYNAMIC, MAX_PAYLOAD_TYPE, TELEPHONE_EVENT, AudioCodec
from cmw.sip.sdp import MediaDescription, SessionDescription
from cmw.sip.sdp_attributes import AttributeRow

PLAIN_PROTOCOLS = ("RTP/AVP", "RTP/AVPF")
"""RTP without keys. Source: RFC 3551, RFC 4585."""

_USUAL_EVENT = 101
_CN_CLOCK_HZ = 8000


class Keying(Protocol):
    """Who makes keys for the protocols that need them: SDES, DTLS. An answer that does not fit raises."""

    def offer(self) -> Sequence[AttributeRow]:
        """Return the a= lines that offer keys."""
        ...

    def answer(self, session: SessionDescription, media: MediaDescription) -> Sequence[AttributeRow] | None:
        """Return the a= lines that answer a section of `session`; None refuses it."""
        ...


MediaAnswerer = Callable[[SessionDescription, MediaDescription], MediaDescription | None]
"""Answers a section of an offer that is not audio; None refuses it."""


@dataclass(frozen=True, slots=True, eq=False)
class AudioPolicy:
    """What one side offers and accepts.

    Args:
        codecs: audio formats that we can send and receive, the best first, each with the number that our offers use.
        ptime_ms: packet duration that we ask for, and send unless the peer asks otherwise.
        ptimes_ms: durations that we can send; `ptime_ms` is always one.
        max_ptime_ms: longest packet that we take, None for any.
        events: telephone events that we take, as in an fmtp line; empty: none are offered or accepted.
        comfort_noise: offer and accept payload type 13, RFC 3389.
        rtcp_mux: offer and accept RTP and RTCP on one port, RFC 5761.
        protocols: what we accept, the one of our offers first. Those with ``SAVP`` need `keying`.
        several: answer with every common format, not the chosen one alone, so that the peer may change at will.
        own_order: choose by the order of `codecs` rather than by the peer's.
        names: let host names pass as the peer's address; who sends must look them up.
        needs_audio: refuse offers and answers that leave no audio stream.
        attributes: further a= lines of our section, such as a label.
        keying: see `Keying`.
        answer_other: see `MediaAnswerer`; without it, all that is not audio is refused.

    Raises:
        LocalProtocolError: no codec, one that carries no sound, a number twice or out of range.
    """

    codecs: tuple[AudioCodec, ...]
    ptime_ms: int = 20
    ptimes_ms: tuple[int, ...] = (10, 20, 30, 40, 60)
    max_ptime_ms: int | None = None
    events: str = "0-15"
    comfort_noise: bool = False
    rtcp_mux: bool = False
    protocols: tuple[str, ...] = PLAIN_PROTOCOLS
    several: bool = False
    own_order: bool = False
    names: bool = False
    needs_audio: bool = True
    attributes: tuple[AttributeRow, ...] = ()
    keying: Keying | None = None
    answer_other: MediaAnswerer | None = None

    def __post_init__(self) -> None:
        """Check what cannot be put right later."""
        numbers = [codec.payload_type for codec in self.codecs]
        if not self.codecs or not all(codec.is_audio for codec in self.codecs):
            names = ", ".join([codec.name for codec in self.codecs]) or "none"
            raise LocalProtocolError(f"expected codecs that carry sound, found {names}")
        if len(set(numbers)) != len(numbers) or not all(0 <= number <= MAX_PAYLOAD_TYPE for number in numbers):
            raise LocalProtocolError(f"expected different payload types of 0 .. 127, found {numbers}")

    def choose_ptime_ms(self, wish: int | None, limit: int | None) -> int:
        """Return the packet duration to send: the peer's wish if we can, never above its limit if we can help it.

        Args:
            wish: the peer's ptime, None without.
            limit: the peer's maxptime, None without.
        """
        if limit is None and (wish is None or wish == self.ptime_ms):
            return self.ptime_ms
        durations: list[int] = sorted({self.ptime_ms, *self.ptimes_ms})
        allowed = [duration for duration in durations if limit is None or duration <= limit] or durations[:1]
        wanted = self.ptime_ms if wish is None else wish
        below = [duration for duration in allowed if duration <= wanted]
        return below[-1] if below else allowed[0]

    def accepts_protocol(self, protocol: str) -> bool:
        """Tell whether sections of this protocol can be accepted."""
        return protocol in self.protocols and (self.keying is not None or "SAVP" not in protocol)


Numbers = dict[tuple[str, int, int], int]
"""Payload types that formats have in a session, by their keys: a mapping must not change. Source: RFC 3264 8.3.2."""


def number_formats(policy: AudioPolicy, numbers: Numbers) -> tuple[AudioCodec, ...]:
    """Return what to offer: codecs, noise and events, each under the number that it has in the session already.

    Args:
        policy: ours.
        numbers: what the session's dynamic payload types mean so far.
    """
    wanted = list(policy.codecs)
    clocks = dict.fromkeys(codec.key[1] for codec in wanted)
    if policy.comfort_noise and _CN_CLOCK_HZ in clocks:
        wanted.append(AudioCodec(COMFORT_NOISE, 13))
    if policy.events:
        wanted += [AudioCodec(TELEPHONE_EVENT, _USUAL_EVENT, clock_hz, 1, policy.events) for clock_hz in clocks]
    numbered, taken = [], set(numbers.values())
    for codec in wanted:
        known = numbers.get(codec.key)
        number = known if known is not None else _free_number(codec.payload_type, taken)
        taken.add(number)
        numbered.append(codec._replace(payload_type=number))
    return tuple(numbered)


def _free_number(usual: int, taken: set[int]) -> int:
    if usual not in taken:
        return usual
    after: list[int] = [*range(usual + 1, MAX_PAYLOAD_TYPE + 1), *range(FIRST_DYNAMIC, usual)]
    free = next((number for number in after if number >= FIRST_DYNAMIC and number not in taken), None)
    if free is None:
        raise LocalProtocolError("expected a free payload type, found none")
    return free
