"""What two sides agreed on for one audio stream, and what a later agreement changes."""

from __future__ import annotations

from enum import Flag, auto
from typing import NamedTuple

from cmw.core.address import Address
from cmw.sip.audio_format import DTMF_EVENTS, EventRanges
from cmw.sip.sdp_attributes import Direction


class CommonFormat(NamedTuple):
    """An audio format that both sides have.

    Args:
        codec: encoding name in upper case.
        clock_hz: RTP clock.
        payload_type: the number that we put into our packets of it.
        receive_payload_type: the number that the peer puts into its own.
    """

    codec: str
    clock_hz: int
    payload_type: int
    receive_payload_type: int


class NegotiatedAudio(NamedTuple):
    """What both sides agreed on, seen from ours.

    Each side sends with the payload types that the other one described. Source: RFC 3264 5.1.

    Args:
        remote: where our RTP goes; a literal address, unless the policy lets names pass.
        remote_rtcp: where our RTCP goes; port 0 when nobody takes it.
        payload_type: the number that we put into our packets, 0 .. 127.
        codec: encoding name in upper case.
        clock_hz: RTP clock.
        ptime_ms: duration of the packets that we send.
        direction: ours: on hold by the peer we are `recvonly` or `inactive`.
        channels: number of channels.
        parameters: what the peer's fmtp line says of the codec, empty without one.
        receive_payload_type: the number that the peer puts into its packets of this codec.
        receive_payload_types: numbers of all audio formats that the peer may send, the agreed one first.
        remote_ptime_ms: what the peer asked to get, None when it did not.
        max_ptime_ms: longest packet that the peer takes, None when it did not say.
        telephone_event: number of the DTMF events that we send, None when not agreed.
        receive_telephone_event: number of those that come.
        events: those that the peer takes.
        comfort_noise: number of the comfort noise that we send, None when not agreed.
        receive_comfort_noise: number of that which comes.
        rtcp_mux: RTP and RTCP share a port, both ways.
        protocol: such as ``RTP/AVP``.
        remote_direction: the peer's own word; `inactive` while its address is all zeros and it does not send.
        section: index of the stream among the sections.
        formats: all audio formats that the peer may send at any packet, the agreed one first.
    """

    remote: Address
    remote_rtcp: Address
    payload_type: int
    codec: str
    clock_hz: int
    ptime_ms: int
    direction: Direction
    channels: int = 1
    parameters: str = ""
    receive_payload_type: int = 0
    receive_payload_types: tuple[int, ...] = ()
    remote_ptime_ms: int | None = None
    max_ptime_ms: int | None = None
    telephone_event: int | None = None
    receive_telephone_event: int | None = None
    events: EventRanges = DTMF_EVENTS
    comfort_noise: int | None = None
    receive_comfort_noise: int | None = None
    rtcp_mux: bool = False
    protocol: str = "RTP/AVP"
    remote_direction: Direction = Direction.SENDRECV
    section: int = 0
    formats: tuple[CommonFormat, ...] = ()

    @property
    def is_held(self) -> bool:
        """Tell whether the peer does not want to hear us. Source: RFC 3264 8.4."""
        return not self.remote_direction.receives

    @property
    def receivable(self) -> frozenset[int]:
        """Return every payload type that the peer may use: of audio, events and noise."""
        others = (self.receive_telephone_event, self.receive_comfort_noise)
        return frozenset(self.receive_payload_types) | {number for number in others if number is not None}

    def takes_event(self, event: int) -> bool:
        """Tell whether the peer takes a telephone event. Source: RFC 4733 3.2: 0 .. 15 are the DTMF digits."""
        return self.telephone_event is not None and any(first <= event <= last for first, last in self.events)


class AudioChange(Flag):
    """What differs between two agreements."""

    NOTHING = 0
    PRESENCE = auto()
    """There was no stream before, or there is none now."""
    ADDRESS = auto()
    """Where RTP or RTCP goes."""
    DIRECTION = auto()
    """Ours."""
    CODEC = auto()
    """What we send, its payload type included."""
    PTIME = auto()
    """Duration of the packets that we send."""
    RECEIVED_FORMATS = auto()
    """Payload types that may come."""
    EVENTS = auto()
    """Telephone events: their payload types, or those that the peer takes."""
    TRANSPORT = auto()
    """The protocol, or whether RTCP shares the port."""


def find_changes(before: NegotiatedAudio | None, after: NegotiatedAudio | None) -> AudioChange:
    """Return what a new agreement changes of the one before; None stands for no stream."""
    if before is None or after is None:
        return AudioChange.NOTHING if before is after else AudioChange.PRESENCE
    changes = AudioChange.NOTHING
    for change, names in _FACTS.items():
        if any(getattr(before, name) != getattr(after, name) for name in names):
            changes |= change
    return changes


_FACTS = {
    AudioChange.ADDRESS: ("remote", "remote_rtcp"),
    AudioChange.DIRECTION: ("direction",),
    AudioChange.CODEC: ("payload_type", "codec", "clock_hz", "channels", "parameters"),
    AudioChange.PTIME: ("ptime_ms",),
    AudioChange.RECEIVED_FORMATS: ("receivable", "receive_payload_type", "formats"),
    AudioChange.EVENTS: ("telephone_event", "receive_telephone_event", "events"),
    AudioChange.TRANSPORT: ("protocol", "rtcp_mux"),
}
