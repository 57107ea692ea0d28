"""The media of one call: its port pair, what was offered and agreed, and the stream on the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cmw.core.clock import Nanos
from cmw.errors import CmwError, LocalProtocolError
from cmw.net.media import MAX_FORMATS, MediaMode, ReceivedFormat, open_media_pair, open_pair_beside
from cmw.net.packet_log import PacketLog
from cmw.rtp.jitter_buffer import USUAL_BUFFER, BufferSettings
from cmw.rtp.snapshot import StreamSnapshot
from cmw.rtp.statistics import LATE_LIMIT_NS
from cmw.rtp.telephone_event import EVENT_CODES
from cmw.sip import (
    PCMA,
    PCMU,
    AudioChange,
    AudioCodec,
    AudioPolicy,
    Direction,
    NegotiatedAudio,
    Negotiator,
    SdpWarning,
    SessionRefusedError,
    find_changes,
)
from cmw.worker.digit_events import DigitListener
from cmw.worker.station import Station

DIGIT_MS = 100
"""How long each digit that we send is, and how long the pause after it."""

DIGIT_VOLUME = 10  # -10 dBm0

CODECS = {"PCMU": PCMU, "PCMA": PCMA}


@dataclass(frozen=True, slots=True)
class AudioChoice:
    """What an endpoint says, and how.

    Args:
        codecs: names out of `CODECS`, the preferred one first.
        source: name of a source, or path of a WAV file; unused by an echo.
        ptime_ms: audio in each packet, milliseconds.
        dscp: 0 .. 63.
        rtcp_mux: offer, and accept, RTP and RTCP on one port.
        symmetric: send to where RTP comes from, whatever the peer's description says.
        echo: send back what comes instead of `source`.
        buffer: the listener's jitter buffer, a model.
        late_limit_ns: above it, a packet that comes later than the fastest of the last seconds is late.
    """

    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    source: str = "speech"
    ptime_ms: int = 20
    dscp: int = 46
    rtcp_mux: bool = False
    symmetric: bool = False
    echo: bool = False
    buffer: BufferSettings = USUAL_BUFFER
    late_limit_ns: Nanos = LATE_LIMIT_NS


@lru_cache(maxsize=256)
def make_policy(codecs: tuple[str, ...], ptime_ms: int, rtcp_mux: bool = False) -> AudioPolicy:
    """Return what is offered and accepted; one object for all calls that choose the same."""
    return AudioPolicy(tuple([CODECS[name] for name in codecs]), ptime_ms, rtcp_mux=rtcp_mux)


class CallMedia:
    """Reserve ports, describe them, agree, stream, and give everything back.

        caller    offer -> agree -> start        callee    accept -> start, or offer -> agree -> start
        both      stop_sending -> finish -> close

    Ports are reserved before they are offered; `close` may come at any time, and more than once. What is agreed while
    the stream runs, by later offers of either side or by the answers of several branches of a forked INVITE, leads it:
    to another address or codec, to other payload types, into silence and back; its figures go on. So do they when we
    move to other ports: both pairs are heard from the offer on, until `leave_former_ports`.

    Raises:
        CapacityError: no port pair, slot or descriptor is left.
        OSError: the media address cannot be bound.
    """

    def __init__(self, station: Station, audio: AudioChoice, on_digit: DigitListener | None = None) -> None:
        self._station = station
        self._on_digit = on_digit
        self._audio = audio
        self._said = audio.source
        policy = make_policy(audio.codecs, audio.ptime_ms, audio.rtcp_mux)  # before there is anything to give back
        self._slot, self._port = open_media_pair(station.engine, station.ports, station.addresses.media, audio.dscp)
        self._negotiator = Negotiator(
            policy,
            address=station.addresses.sdp,
            rtp_port=self._port,
            session_id=station.ids.timestamp(),
        )
        self._beside: int | None = None  # the port of another pair: the one offered, or the one left
        self._is_moving = False
        self._is_open = True
        self.is_streaming = False

    def name(self, call_id: str) -> None:
        """Say which call it is the media of, for those who are told of its RTCP."""
        if self._station.rtcp_export is not None:
            self._station.rtcp_export.name(self._slot, call_id, self._station.addresses.media)

    def keep_packets(self, log: PacketLog) -> None:
        """Keep what is sent and received from now on, until `close`."""
        self._station.engine.set_log(self._slot, log)

    def offer(
        self, direction: Direction | None = None, codecs: tuple[str, ...] = (), *, new_ports: bool = False
    ) -> bytes:
        """Return our description for an INVITE, for the 200 to one without any, or for a change during the call.

        The peer may send what is offered from now on. Source: RFC 3264 8.

        Args:
            direction: what we wish from now on, such as ``SENDONLY`` for hold; None to leave it.
            codecs: what is offered, names out of `CODECS`; without, the codec of the call and then all that we chose.
            new_ports: reserve another pair of ports and offer to move there; the answer moves us, a refusal does not.

        Raises:
            CapacityError: no second port pair or descriptor is left; nothing has changed.
        """
        self.withdraw()  # an earlier one that was never answered
        if new_ports:
            self._begin_move()
        self._negotiator.policy = self._make_policy(codecs)
        offer = self._negotiator.make_offer(direction)
        self._take_formats(self._negotiator.offered)
        return offer

    def accept(self, offer: bytes) -> bytes:
        """Agree to the peer's offer, the first or a later one, and return our answer.

        Raises:
            RemoteProtocolError: it cannot be read, or names nothing that we can do; nothing has changed then, and the
                hint is the status to answer.
            SettingsError: the source cannot be made in the codec that is asked for; nothing has changed.
        """
        self.withdraw()
        self._negotiator.policy = self._make_policy()
        before = self.agreed
        answer = self._negotiator.make_answer(offer)
        self._follow(before, "offer")
        return answer

    def agree(self, answer: bytes) -> None:
        """Take the peer's answer to our offer; a later one, of a 200 after a 183, repeats or replaces it.

        Raises:
            RemoteProtocolError: it cannot be read, or does not answer what we offered; the stream goes on as it was.
            SettingsError: as for `accept`.
        """
        before = self.agreed
        self._negotiator.read_answer(answer)
        self._follow(before, "answer")
        if self._is_moving:
            self._is_moving = False
            self._station.engine.change_pair(self._slot)
            self._port, self._beside = self._negotiator.rtp_port, self._port

    def leave_former_ports(self) -> None:
        """Listen no more where we were before a move; does nothing without one. Source: RFC 3264 8.3.1."""
        if self._beside is not None and not self._is_moving:
            self._station.engine.close_beside(self._slot)
            self._station.ports.release(self._beside)
            self._beside = None

    def withdraw(self) -> None:
        """Forget our offer, if one is open, which the peer refused: what was agreed before it stands."""
        if self._is_moving:
            self._is_moving = False
            self._negotiator.rtp_port = self._port
            self.leave_former_ports()
        if self._negotiator.is_open:
            self._negotiator.roll_back()
            self._take_formats()

    def start(self) -> None:
        """Begin to stream as agreed."""
        agreed = self.agreed
        assert agreed is not None, "nothing was agreed yet"
        mode = MediaMode.ECHO if self._audio.echo else MediaMode.SEND_RECEIVE
        ids = self._station.ids
        self._station.engine.start_stream(
            self._slot,
            remote_ip=agreed.remote.host,
            remote_rtp_port=agreed.remote.port,
            remote_rtcp_ip=agreed.remote_rtcp.host,
            remote_rtcp_port=agreed.remote_rtcp.port,
            symmetric=self._audio.symmetric,
            payload_type=agreed.payload_type,
            clock_hz=agreed.clock_hz,
            ptime_ms=agreed.ptime_ms,
            source=self._source(agreed),
            formats=_formats_of(agreed),
            ssrc=ids.ssrc(),
            sequence=ids.sequence(),
            timestamp=ids.timestamp(),
            cname=self._station.cname,
            event_payload_type=agreed.receive_telephone_event,
            mode=mode,
            jitter_buffer=self._audio.buffer,
            late_limit_ns=self._audio.late_limit_ns,
        )
        self.is_streaming = True
        if self._on_digit is not None:
            self._station.digits.listen(self._slot, self._on_digit)
        if not agreed.direction.sends:
            self._station.engine.set_sending(self._slot, False)  # and on again, when a later offer allows it

    def takes_digits(self, digits: str) -> bool:
        """Tell whether `send_digits` can send these: the peer takes them by RFC 4733, and we have a stream for them."""
        agreed = self.agreed
        if agreed is None or not self.is_streaming or self._audio.echo:
            return False
        return all(agreed.takes_event(EVENT_CODES.index(digit)) for digit in digits)

    def send_digits(self, digits: str, duration_ms: int = DIGIT_MS) -> None:
        """Send digits of this length by RFC 4733; what becomes of each one is told to `on_digit`.

        Raises:
            LocalProtocolError: the peer does not take them, or an echo has no stream of its own for them.
        """
        agreed = self.agreed
        if agreed is None or agreed.telephone_event is None or not self.takes_digits(digits):
            why = "an echo has no stream of its own" if self._audio.echo else "the peer does not take all of them"
            raise LocalProtocolError(f"digits {digits!r} cannot be sent by RFC 4733: {why}")
        self._station.engine.send_digits(
            self._slot,
            digits,
            payload_type=agreed.telephone_event,
            duration_ms=duration_ms,
            pause_ms=DIGIT_MS,
            volume=DIGIT_VOLUME,
        )

    def play(self, source: str) -> None:
        """Say `source` from its beginning, from the next packet on, instead of what was said so far.

        Raises:
            LocalProtocolError: there is no stream, or it is an echo.
            SettingsError: as for `accept`.
        """
        agreed = self.agreed
        if agreed is None or not self.is_streaming or self._audio.echo:
            why = "an echo has no sound of its own" if self._audio.echo else "there is no stream"
            raise LocalProtocolError(f"nothing can be played: {why}")
        number = self._station.sounds.number(source, agreed.codec, agreed.ptime_ms)
        self._station.engine.change_source(self._slot, source=number)
        self._said = source

    def stop_sending(self) -> None:
        """Send no more audio, but go on to receive: the peer talks until it has seen our BYE."""
        if self.is_streaming:
            self._station.engine.set_sending(self._slot, False)

    def finish(self) -> None:
        """Say RTCP BYE and freeze the figures."""
        if self.is_streaming:
            self.is_streaming = False
            self._station.engine.stop_stream(self._slot)

    def snapshot(self) -> StreamSnapshot:
        """Return the stream's figures as they are now."""
        return self._station.engine.snapshot(self._slot)

    def close(self) -> None:
        """Give the ports back."""
        if self._is_open:
            self._is_open = False
            self.is_streaming = False
            self._station.digits.forget(self._slot)
            self._station.engine.close(self._slot)
            if self._station.rtcp_export is not None:
                self._station.rtcp_export.forget(self._slot)
            self._station.ports.release(self._port)
            if self._beside is not None:
                self._station.ports.release(self._beside)
                self._beside = None

    @property
    def agreed(self) -> NegotiatedAudio | None:
        """Return what was agreed last, None before that."""
        return self._negotiator.audio

    @property
    def local(self) -> bytes:
        """Return our description as it was sent last, empty before that."""
        return self._negotiator.local

    @property
    def is_held(self) -> bool:
        """Tell whether the peer has us on hold."""
        return self.agreed is not None and self.agreed.is_held

    @property
    def is_holding(self) -> bool:
        """Tell whether we have the peer on hold."""
        return not self._negotiator.direction.receives

    @property
    def is_two_way(self) -> bool:
        """Tell whether both sides are to speak: nobody is on hold."""
        agreed = self.agreed
        return agreed is not None and Direction.SENDRECV is agreed.direction is agreed.remote_direction

    @property
    def codec(self) -> str:
        """Return the encoding name that was agreed, empty before that."""
        return self.agreed.codec if self.agreed is not None else ""

    @property
    def ptime_ms(self) -> int:
        """Return the audio in each packet that we send, milliseconds: the peer may have asked for other than ours."""
        return self.agreed.ptime_ms if self.agreed is not None else self._audio.ptime_ms

    @property
    def slot(self) -> int:
        """Return the engine's number of the stream; another call's after `close`."""
        return self._slot

    # Private.

    def _begin_move(self) -> None:
        self.leave_former_ports()
        station = self._station
        self._beside = open_pair_beside(
            station.engine, self._slot, station.ports, station.addresses.media, self._audio.dscp
        )
        self._is_moving = True
        self._negotiator.rtp_port = self._beside

    def _make_policy(self, codecs: tuple[str, ...] = ()) -> AudioPolicy:
        """Return what is offered or accepted now; the order says what we like best, and what is agreed is that."""
        chosen = codecs or tuple([name for name in dict.fromkeys((self.codec, *self._audio.codecs)) if name])
        return make_policy(chosen, self._audio.ptime_ms, self._audio.rtcp_mux)

    def _source(self, agreed: NegotiatedAudio) -> int:
        return self._station.sounds.number(self._said, agreed.codec, agreed.ptime_ms)

    def _follow(self, before: NegotiatedAudio | None, what: str) -> None:
        """Lead the stream, if it runs, from one agreement to the next; undo the agreement if that cannot be.

        Args:
            before: what was agreed so far.
            what: the agreement came of an ``offer`` or an ``answer`` of the peer's.
        """
        try:
            self._check(what)
            self._lead(before)
        except CmwError:
            self._negotiator.roll_back()
            raise

    def _check(self, what: str) -> None:
        """Refuse an address of another family than ours."""
        agreed, ours = self.agreed, self._station.addresses.media
        assert agreed is not None, "the policy needs audio"
        host = agreed.remote.host
        if (":" in host) != (":" in ours):
            why = f"expected an address of the family of {ours} in the {what}, found {host}"
            raise SessionRefusedError(why, [SdpWarning.ADDRESS_FORMAT])

    def _lead(self, before: NegotiatedAudio | None) -> None:
        agreed = self.agreed
        if not self.is_streaming or agreed is None:
            return
        engine, changes = self._station.engine, find_changes(before, agreed)
        if changes & (AudioChange.CODEC | AudioChange.PTIME):
            engine.change_sending(
                self._slot,
                payload_type=agreed.payload_type,
                clock_hz=agreed.clock_hz,
                ptime_ms=agreed.ptime_ms,
                source=self._source(agreed),
            )
        if AudioChange.ADDRESS in changes:
            engine.change_remote(
                self._slot,
                remote_ip=agreed.remote.host,
                remote_rtp_port=agreed.remote.port,
                remote_rtcp_ip=agreed.remote_rtcp.host,
                remote_rtcp_port=agreed.remote_rtcp.port,
                symmetric=self._audio.symmetric,
            )
        self._take_formats()
        engine.set_sending(self._slot, agreed.direction.sends)

    def _take_formats(self, offered: Sequence[AudioCodec] = ()) -> None:
        """Let the stream, if it runs, take what is agreed, and what our open offer adds to it."""
        agreed = self.agreed
        if not self.is_streaming or agreed is None:
            return
        formats, known = _formats_of(agreed), agreed.receivable
        more = [
            ReceivedFormat(codec.payload_type, codec.name.upper(), codec.clock_hz, codec.payload_type)
            for codec in offered
            if codec.is_audio and codec.payload_type not in known
        ]
        self._station.engine.change_receiving(
            self._slot, formats=(*formats, *more)[:MAX_FORMATS], event_payload_type=agreed.receive_telephone_event
        )


def _formats_of(agreed: NegotiatedAudio) -> tuple[ReceivedFormat, ...]:
    return tuple(
        [
            ReceivedFormat(common.receive_payload_type, common.codec, common.clock_hz, common.payload_type)
            for common in agreed.formats[:MAX_FORMATS]
        ]
    )
